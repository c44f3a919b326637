"""What README.md and docs/ tell readers to run does run; on tiny sizes, in their order."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import pytest

from worldmodel.cli import configuration
from worldmodel.cli.listing import COMMANDS
from worldmodel.cli.main import main, with_subject
from worldmodel.cli.options import experiments
from worldmodel.errors import UserError

ROOT = Path(__file__).parents[1]
PAGES = ["README.md", "CONTRIBUTING.md"]
PAGES += sorted(str(page.relative_to(ROOT)) for page in ROOT.glob("docs/*.md"))
REPOSITORY = "https://github.com/worldmodel/worldmodel/blob/main/"

SEARCH = "samples=8 elites=3 proposals=2 horizon=4"
PLANNER = " ".join(f"planner.{setting}" for setting in SEARCH.split())
LEVELS = " ".join(
    f"planner.{level}.{s}" for level in ("high_level", "low_level") for s in SEARCH.split()
)
PRETRAIN = (
    "encoder.patch_size=24 encoder.width=24 encoder.depth=1 encoder.heads=2 "
    "training.steps=2 training.batch=2 training.clip_frames=4 training.predictor_width=24 "
    "training.predictor_depth=1 training.predictor_heads=2 training.min_rank=0 holdout=0.5"
)
STAGES = ("object_latent", "proprio", "scenes", "dynamics", "value", "prior", "uncertainty")
TRAIN = " ".join(
    [
        "predictor.model.width=16 predictor.model.head_width=16 predictor.model.prior_width=16",
        "predictor.model.sight_width=16 predictor.model.proprio_width=16 predictor.model.depth=1",
        "predictor.model.members=2 predictor.model.critics=2 predictor.model.memory=64",
        *(
            f"predictor.training.{stage}.{size}"
            for stage in (*STAGES, "macros", "reachability")
            for size in ("steps=2", "batch=8")
        ),
        "predictor.training.macros.rollout=1 holdout=0.5",
    ]
)
PLAN = f"task.budget_steps=3 task.hold_steps=1 {PLANNER}"
TINY = {
    "collect": "episodes=4 length=12 workers=1",
    "pretrain": PRETRAIN,
    "train": TRAIN,
    "import": "",
    "convert": "",
    "plan": f"episodes=1 videos=1 {PLAN}",
    "evaluate": "windows=4 steps=2",
    "landscape": f"points=5 {PLANNER}",
    "subgoals": f"moments=[0,2] {LEVELS}",
    "acceptance": f"episodes=2 candidates=2 resamples=3 {PLAN}",
    "diagnose": "episodes=1 forks=1 candidates=4 scenes=[plain]",
    "benchmark": f"pairs=1 seeds=[1] {PLANNER}",
    "study": "arms=[random] seeds=[0] appearances=[plain] trials=1 "
    + " ".join(f"pretrain.{word}" for word in PRETRAIN.split())
    + " "
    + " ".join(f"train.{word}" for word in TRAIN.split())
    + " 'plan.pursuit={budget_steps: 3, hold_steps: 1}'"
    + " 'plan.settings={samples: 8, elites: 3, proposals: 2, horizon: 4}'",
    "bench": "samples=[8] horizon=[4] iterations=[1] plans=2 warmup=1 tokens.samples=[2] "
    "tokens.horizon=[2]",
}
PLANNING = ("plan", "landscape", "subgoals", "acceptance", "diagnose", "bench")
WRITES = {
    "collect": "meta/info.json",
    "convert": "meta/info.json",
    "pretrain": "model.safetensors",
    "train": "model.safetensors",
    "import": "model.safetensors",
    "plan": "report.json",
    "evaluate": "offline.json",
    "landscape": "landscape.png",
    "acceptance": "acceptance.json",
    "subgoals": "subgoals.png",
    "diagnose": "diagnosis.json",
    "study": "study.json",
    "benchmark": "benchmark.json",
    "bench": "latency.json",
}


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", (ROOT / page).read_text(), re.M | re.S)


def commands(page: str) -> list[str]:
    """Command lines of the shell blocks of a page, those joined by && taken apart."""
    lines = "".join(blocks(page, "sh")).replace("\\\n", " ").splitlines()
    return [part.strip() for line in lines for part in line.split("&&")]


def worldmodel_lines(page: str) -> list[list[str]]:
    """The words after ``worldmodel``; lines indented as code by four spaces count too."""
    indented = re.findall(r"^    (worldmodel .*)$", (ROOT / page).read_text(), re.M)
    lines = [line for line in commands(page) + indented if line.startswith("worldmodel ")]
    return [shlex.split(line)[1:] for line in lines]


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Follows the readme in a folder of its own; gives its commands by the lines that ran."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("reader"))
        iio.imwrite("goal.png", np.full((96, 96, 3), 128, np.uint8))  # in place of the reader's own
        yield {line: run(line) for line in commands("README.md") if line.startswith("worldmodel ")}


def run(line: str) -> str:
    """Runs a command line on a tiny size, and gives the name of the command."""
    command, *words = shlex.split(line)[1:]
    given = {word.partition("=")[0] for word in words}
    own = "plugins" in given  # a planner with settings of its own
    words += [tiny for tiny in shlex.split(TINY[command]) if not (own and "planner." in tiny)]
    included = {"checkpoint", "+experiment"} & given
    if command in PLANNING and not included and Path("runs/world").is_dir():
        words.append("checkpoint=runs/world")  # in place of the included one
    assert main([command, *words, "--debug"]) == 0, line
    return command


def written(line: str, command: str) -> None:
    out = next(word[4:] for word in line.split() if word.startswith("out="))
    folders = [f"{out}/{run}" for run in range(2)] if " -m " in line else [out]
    for folder in folders:
        assert Path(folder, WRITES[command]).is_file(), line


def test_the_commands_of_the_readme_work_one_after_the_other(reader):
    for line, command in reader.items():
        written(line, command)
    assert set(reader.values()) >= {"collect", "pretrain", "train", "plan", "bench"}


@pytest.mark.usefixtures("reader")
def test_the_python_of_the_readme_evaluates_the_included_world(capsys):
    (code,) = blocks("README.md", "python")
    scope: dict[str, Any] = {}
    exec(code.replace("episodes=20", "episodes=1"), scope)
    assert scope["action"].shape == (7,)
    assert scope["report"].success.n == 1
    assert "push: n = 1" in capsys.readouterr().out
    assert Path("runs/push/report.html").is_file()


@pytest.mark.slow
@pytest.mark.usefixtures("reader")
def test_the_commands_of_the_command_line_page_work_after_the_readme():
    shutil.copy(ROOT / "tests/data/vjepa2/vjepa2_tiny.pt", "vitl.pt")  # in place of the real one
    ran = {line: run(line) for line in commands("docs/command_line.md") if " out=" in line}
    for line, command in ran.items():
        written(line, command)
    assert set(ran.values()) == set(COMMANDS)


def test_the_code_on_extending_runs_from_top_to_bottom(tmp_path, monkeypatch):
    """As a module of the user's own, which ``plugins=`` imports."""
    folder = tmp_path / "my_robot"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    *parts, arrays = blocks("docs/extending.md", "python")
    (folder / "parts.py").write_text("\n".join(parts))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (line,) = (line for line in commands("docs/extending.md") if "plugins=" in line)
    run(line)
    written(line, "plan")
    exec(arrays, {"__name__": "page"})
    assert Path("data/mine/meta/info.json").is_file()


def test_the_code_on_data_shows_what_it_says(tmp_path, monkeypatch, capsys):
    (code,) = blocks("docs/data.md", "python")
    monkeypatch.chdir(tmp_path)
    exec(code, {})
    said = re.findall(r"# (\(\d+, \d+(?:, \d+, \d+)?\))", code)
    assert capsys.readouterr().out.splitlines() == said


@pytest.mark.parametrize(("page", "name"), [("planners", "driver"), ("hierarchy", "agent")])
def test_the_code_on_a_page_acts(page, name):
    (code,) = blocks(f"docs/{page}.md", "python")
    scope: dict[str, Any] = {}
    exec(code, scope)
    assert scope[name].records


def test_the_code_on_tasks_shows_what_it_says():
    (code,) = blocks("docs/tasks.md", "python")
    scope: dict[str, Any] = {}
    exec(code, scope)
    assert f"# {scope['observation']['image'].shape}," in code
    assert f"# {scope['observation']['goal'].shape}" in code


@pytest.mark.parametrize("command", COMMANDS)
def test_every_line_of_a_command_on_any_page_names_keys_that_exist(command):
    kind, _ = configuration.load(command)
    lines = {tuple(words): page for page in PAGES for words in worldmodel_lines(page)}
    for (name, *words), page in lines.items():
        if name != command or any(word.startswith("plugins=") for word in words):
            continue  # plugins are a module of the reader's own, which another test runs
        named = [w.removeprefix("+experiment=") for w in words if w.startswith("+experiment=")]
        if named and {w.partition("=")[0] for w in words} <= {"+experiment", "out"}:
            assert named[0] in experiments(command), page  # which are typed, a test of them says
            continue
        words = with_subject(command, words)
        overrides = [word.split(",")[0] for word in words if word != "-m" and "[" not in word]
        overrides += [word for word in words if "[" in word]
        try:
            config = configuration.typed(configuration.composed(command, overrides))
        except UserError as error:
            pytest.fail(f"{page}: worldmodel {command} {' '.join(words)}: {error}")
        assert isinstance(config, kind)


@pytest.mark.parametrize("page", PAGES)
def test_make_lines_are_targets_of_the_makefile(page):
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M)
    for line in commands(page):
        if line.startswith("make "):
            assert line.split()[1] in targets


@pytest.mark.parametrize("page", PAGES)
def test_links_to_files_lead_somewhere(page):
    text = (ROOT / page).read_text()
    for target in re.findall(r"\]\(([^)]+)\)", text):
        path, _, anchor = target.partition("#")
        inside = path.startswith(REPOSITORY)  # how the site, which has docs/ only, gets to the rest
        if "://" in target and not inside:
            continue
        linked = (ROOT / page).parent / path if path else ROOT / page
        linked = ROOT / path.removeprefix(REPOSITORY) if inside else linked
        assert linked.is_file(), target
        if anchor:
            titles = re.findall(r"^#+ (.+)$", linked.read_text(), re.M)
            plain = [re.sub(r"[^\w -]", "", title.lower()) for title in titles]
            assert anchor in [title.replace(" ", "-") for title in plain]
