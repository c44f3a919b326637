"""Arrows run one way: commands -> studies -> {diagnostics, evaluation} -> agents -> the rest.

A room may import those below it, never one above it; ``planners`` and ``envs`` stand on their own.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "worldmodel"
OUTER = ("planners", "envs", "configs", "benchmarks")  # the folders behind the links

# What each room may import of the package besides itself; files of the top are rooms, too.
VALUES = {"errors", "settings"}
CORE = VALUES | {"extras", "finite", "files", "precision", "schedule", "nn"}
CORE |= {"spec", "training_log", "training_loop", "training_state"}
NAMES = {"registry", "presets", "devices", "model_memory"}
MODELS = CORE | NAMES | {"data", "encoders", "predictors", "weights", "pretraining", "dynamics"}
AGENTS = MODELS | {"planners", "envs", "agents"}
JUDGES = AGENTS | {"evaluation", "diagnostics"}
STUDIES = JUDGES | {"latency", "studies"}
RULES: dict[str, set[str]] = {
    "planners": set(),
    "envs": set(),
    "configs": set(),
    "errors": set(),
    "settings": {"errors"},
    "spec": VALUES,
    "registry": {"errors"},
    "presets": VALUES | {"registry"},
    "extras": {"errors"},
    "finite": {"errors"},
    "files": VALUES,
    "nn": VALUES,
    "encoders": CORE | {"registry"},
    "predictors": CORE | {"encoders"},
    "data": CORE | {"encoders"},
    "weights": CORE | {"data", "encoders", "predictors"},
    "pretraining": MODELS - {"dynamics"},
    "dynamics": MODELS,
    "agents": AGENTS,
    "evaluation": AGENTS,
    "diagnostics": JUDGES,
    "latency": AGENTS,
    "studies": STUDIES,
    "commands": STUDIES | {""},  # the public API
}


def imported(source: str) -> Iterator[str]:
    """Modules that a source imports, anywhere in it; ``from a import b`` counts as ``a.b``."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide where an arrow points"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def sources(room: str) -> list[Path]:
    folder = (PACKAGE / room).resolve()  # rglob follows no links
    return sorted(folder.rglob("*.py")) if folder.is_dir() else [folder.with_suffix(".py")]


def violations(paths: list[Path], own: str, allowed: set[str]) -> list[str]:
    found: list[str] = []
    for path in paths:
        for module in imported(path.read_text(encoding="utf-8")):
            top, _, rest = module.partition(".")
            room = rest.split(".")[0]
            wrong = top == "worldmodel" and room not in allowed | {own}
            if wrong or top in OUTER:
                found.append(f"{path.name} imports {module}")
    return found


@pytest.mark.parametrize("room", RULES)
def test_arrows_run_one_way(room):
    assert violations(sources(room), room, RULES[room]) == []


def test_every_room_has_a_rule():
    folders = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert folders - {"cli"} == {room for room in RULES if (PACKAGE / room).is_dir()}


def test_an_arrow_back_is_seen_even_inside_a_function(tmp_path):
    (tmp_path / "a.py").write_text("def f():\n    from worldmodel.envs import make\n")
    (tmp_path / "b.py").write_text("import environment\nimport worldmodel.errors\nimport envs\n")
    assert violations(sorted(tmp_path.glob("*.py")), "planners", {"errors"}) == [
        "a.py imports worldmodel.envs.make",
        "b.py imports envs",
    ]


def test_planners_read_the_clock_and_wait_in_one_place():
    others = [path for path in sources("planners") if path.name != "clock.py"]
    modules = [module for path in others for module in imported(path.read_text(encoding="utf-8"))]
    assert not {"time", "threading.Condition"} & {module.removesuffix(".*") for module in modules}
    assert not [module for module in modules if module.startswith("time.")]


# What only the built-in arm has; the rest of the package asks for `worldmodel.envs.protocol`.
OF_THE_ARM = {"ACTION_HIGH", "CONTROL_HZ", "SUCCESS_DISTANCE", "TabletopEnv", "WORKSPACE"}


@pytest.mark.parametrize("room", sorted(RULES.keys() - {"envs"}))
def test_nothing_outside_envs_knows_the_built_in_arm(room):
    for path in sources(room):
        source = path.read_text(encoding="utf-8")
        names = {node.id for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name)}
        assert not OF_THE_ARM & names, path
        modules = list(imported(source))
        assert not [module for module in modules if module.startswith("worldmodel.envs.tabletop")]
        assert not OF_THE_ARM & {module.rpartition(".")[2] for module in modules}, path
