"""What README.md and docs/ tell readers to run does run; on tiny sizes, in their order."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from worldmodel.cli import configuration
from worldmodel.cli.listing import COMMANDS
from worldmodel.cli.main import main, with_subject

ROOT = Path(__file__).parents[1]
PAGES = ["README.md", "CONTRIBUTING.md"]
PAGES += sorted(str(page.relative_to(ROOT)) for page in ROOT.glob("docs/*.md"))
REPOSITORY = "https://github.com/worldmodel/worldmodel/blob/main/"

SEARCH = "samples=8 elites=3 proposals=2 horizon=4"
PLANNER = " ".join(f"planner.{setting}" for setting in SEARCH.split())
LEVELS = " ".join(f"planner.{level}.{s}" for level in ("slow", "fast") for s in SEARCH.split())
PRETRAIN = (
    "encoder.patch_size=24 encoder.width=24 encoder.depth=1 encoder.heads=2 "
    "training.steps=2 training.batch=2 training.clip_frames=4 training.predictor_width=24 "
    "training.predictor_depth=1 training.predictor_heads=2 training.min_rank=0 holdout=0.5"
)
TRAIN = (
    "predictor.model.width=16 predictor.model.head_width=16 "
    "predictor.model.prior_width=16 predictor.model.members=2 "
    "predictor.training.object_latent.steps=2 predictor.training.proprio.steps=2 "
    "predictor.training.scenes.steps=2 "
    "predictor.training.dynamics.steps=2 predictor.training.value.steps=2 "
    "predictor.training.prior.steps=2 predictor.training.uncertainty.steps=2 "
    "predictor.training.macros.steps=2 "
    "predictor.training.macros.rollout=1 predictor.training.reachability.steps=2 holdout=0.5"
)
PLAN = f"task.budget_steps=3 task.hold_steps=1 {PLANNER}"
TINY = {
    "collect": "episodes=4 length=12 workers=1",
    "pretrain": PRETRAIN,
    "train": TRAIN,
    "import": "",
    "plan": f"episodes=1 videos=1 {PLAN}",
    "landscape": f"points=5 {PLANNER}",
    "subgoals": f"moments=[0,2] {LEVELS}",
    "acceptance": f"episodes=2 candidates=2 resamples=3 {PLAN}",
    "diagnose": "episodes=1 forks=1 candidates=4 scenes=[plain]",
    "study": "arms=[random] seeds=[0] appearances=[plain] trials=1 "
    f"\"pretrain='{PRETRAIN}'\" \"train='{TRAIN}'\" \"plan='{PLAN}'\"",
    "bench": "samples=[8] horizon=[4] iterations=[1] plans=2 warmup=1 tokens.samples=[2] "
    "tokens.horizon=[2]",
}
PLANNING = ("plan", "landscape", "subgoals", "acceptance", "diagnose", "bench")
WRITES = {
    "collect": "meta/info.json",
    "pretrain": "model.safetensors",
    "train": "model.safetensors",
    "import": "model.safetensors",
    "plan": "report.json",
    "landscape": "landscape.png",
    "acceptance": "acceptance.json",
    "subgoals": "subgoals.png",
    "diagnose": "diagnosis.json",
    "study": "study.json",
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
    ran: dict[str, str] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("reader"))
        released = ROOT / "tests/data/vjepa2/vjepa2_tiny.pt"  # in place of the real ones
        shutil.copy(released, "vitl.pt")
        for line in commands("README.md"):
            if line.startswith("python "):
                subprocess.run([sys.executable, *shlex.split(line)[1:]], check=True)
            if line.startswith("worldmodel "):
                command, *words = shlex.split(line)[1:]
                words += shlex.split(TINY[command])
                given = {word.partition("=")[0] for word in words}
                if command in PLANNING and "checkpoint" not in given:
                    words.append("checkpoint=runs/world")  # in place of the included one
                assert main([command, *words, "--debug"]) == 0, line
                ran[line] = command
        yield ran


def test_the_commands_of_the_readme_work_one_after_the_other(reader):
    for line, command in reader.items():
        out = next(word[4:] for word in line.split() if word.startswith("out="))
        folders = [f"{out}/{run}" for run in range(3)] if " -m " in line else [out]
        for folder in folders:
            assert Path(folder, WRITES[command]).is_file(), line
    assert set(reader.values()) == set(COMMANDS)


@pytest.mark.usefixtures("reader")
def test_the_code_on_extending_runs_from_top_to_bottom_after_the_readme():
    *code, collecting = blocks("docs/extending.md", "python")
    scope = {"__name__": "page"}
    exec("\n".join(code), scope)
    assert scope["agent"].records[-1].plan.energy.isfinite().all()
    assert scope["info"]["success"], "the new task's expert solves it"
    script = Path("page.py")  # a file, as the processes that collect import it again
    script.write_text("import numpy as np\n" + collecting)
    done = subprocess.run([sys.executable, script], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "(24, 2)"


def test_the_code_on_planners_acts_in_real_time():
    (code,) = blocks("docs/planners.md", "python")
    scope: dict[str, Any] = {}
    exec(code, scope)
    assert scope["driver"].slots.total == 5
    assert scope["driver"].records


def test_the_code_on_tasks_shows_what_it_says():
    (code,) = blocks("docs/tasks.md", "python")
    scope: dict[str, Any] = {}
    exec(code, scope)
    assert f"# {scope['observation']['image'].shape}," in code
    assert f"# {scope['observation']['goal'].shape}" in code


@pytest.mark.parametrize("page", PAGES)
def test_every_command_on_a_page_names_commands_and_keys_that_exist(page):
    for command, *words in worldmodel_lines(page):
        configuration.load(command)
        words = with_subject(command, words)
        overrides = [word.split(",")[0] for word in words if word != "-m" and "[" not in word]
        overrides += [word for word in words if "[" in word]
        config = configuration.typed(configuration.composed(command, overrides))
        assert type(config).__name__.lower() == f"{command}config"


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
