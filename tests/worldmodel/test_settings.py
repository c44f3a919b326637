"""Every setting has bounds, and a command line that leaves them is told which and why."""

import ast
import dataclasses
import math
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import pytest
from omegaconf import MISSING
from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import is_pydantic_dataclass

import worldmodel
from worldmodel.cli.configuration import composed, load, typed
from worldmodel.cli.listing import COMMANDS
from worldmodel.errors import UserError
from worldmodel.predictors.vector import VectorPredictorConfig
from worldmodel.registry import GROUPS
from worldmodel.settings import described

SIGNED = {"action", "action_mean", "camera_pose", "goal_state", "height", "near", "rest", "state"}
"""Settings whose domain includes negative numbers: positions, angles, and levels of an energy."""


def roots() -> Iterator[type[Any]]:
    """The configurations of all commands and of all options of their groups."""
    for name, command in COMMANDS.items():
        yield command.load(name)[0]
    for registry in GROUPS.values():
        for name in registry.builtin:
            yield registry.find(name).config


WITH_MAPPINGS = {"PlanSettings", "Point", "AnytimeConfig", "Config", "StudyConfig", "StudyPlan"}
"""Those that hold settings by name, which have no hash."""


def leaves(hint: Any) -> Iterator[Any]:
    """What an annotation is made of, without what surrounds it: types, numbers among them."""
    if get_origin(hint) is Annotated:
        yield from leaves(get_args(hint)[0])
    elif get_origin(hint) in (tuple, Union, types.UnionType):
        for part in get_args(hint):
            yield from leaves(part)
    else:
        yield hint


def reachable() -> list[type[Any]]:
    """All of them, nested ones included."""
    found: dict[type[Any], None] = {}
    waiting = list(roots())
    while waiting:
        if (kind := waiting.pop()) in found:
            continue
        found[kind] = None
        for hint in get_type_hints(kind).values():
            waiting += [leaf for leaf in leaves(hint) if dataclasses.is_dataclass(leaf)]
    return sorted(found, key=lambda kind: kind.__qualname__)


KINDS = reachable()
NUMBERS = [
    (kind, name, float if float in leaves(hint) else int)
    for kind in KINDS
    for name, hint in get_type_hints(kind).items()
    if {int, float} & set(leaves(hint))
]


def with_value(kind: type[Any], name: str, value: float) -> None:
    """Make a configuration in which a number, or the first one of a list, is this one."""
    usual = getattr(kind(), name)
    hint = get_type_hints(kind)[name]
    in_list = any(get_origin(part) is tuple for part in (hint, *get_args(hint)))
    kind(**{name: (value, *(usual or ())[1:]) if in_list else value})


def test_configurations_are_found_at_all_depths():
    names = {kind.__qualname__ for kind in KINDS}
    assert {"TrainConfig", "CEMConfig", "OracleConfig", "ValueTraining", "MacrosTraining"} <= names
    assert len(NUMBERS) > 200


@pytest.mark.parametrize("kind", KINDS)
def test_every_configuration_is_checked_and_its_defaults_are_valid(kind):
    assert is_pydantic_dataclass(kind)
    made = kind()
    assert dataclasses.replace(made) == made
    if kind.__qualname__ not in WITH_MAPPINGS:
        assert hash(made) == hash(kind())
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(made, dataclasses.fields(kind)[0].name, None)


@pytest.mark.parametrize(("kind", "name", "number"), NUMBERS)
def test_every_number_has_both_bounds_and_is_finite(kind, name, number):
    wrong = [number(10**31), number(-(10**31))]
    wrong += [] if name in SIGNED else [number(-1)]
    wrong += [math.nan, math.inf, -math.inf] if number is float else []
    for value in wrong:
        with pytest.raises(ValidationError) as caught:
            with_value(kind, name, value)
        assert caught.value.errors()[0]["loc"][0] == name, value


def test_signed_settings_take_negative_numbers():
    signed = [(kind, name) for kind, name, _ in NUMBERS if name in SIGNED]
    assert {name for _, name in signed} == SIGNED
    for kind, name in signed:
        hint = get_type_hints(kind, include_extras=True)[name]
        in_list = any(get_origin(part) is tuple for part in (hint, *get_args(hint)))
        TypeAdapter(hint).validate_python([-0.5] if in_list else -0.5)


REQUIRED = {
    "pretrain": "data=d out=o",
    "train": "data=d out=o",
    "evaluate": "data=d out=o",
    "subgoals": "data=d out=o",
    "study": "data=d out=o",
    "import": "source=s out=o",
    "convert": "source=s out=o",
}


def message(command: str, words: str) -> str:
    """What a command line is refused with."""
    load(command)
    with pytest.raises(UserError) as caught:
        typed(composed(command, [*REQUIRED.get(command, "out=o").split(), *words.split()]))
    return str(caught.value)


@pytest.mark.parametrize(
    ("command", "words", "said"),
    [
        ("pretrain", "training.learning_rate=inf", "Expected a finite training.learning_rate, got"),
        ("pretrain", "training.steps=-1", "Expected training.steps of at least 0, got -1"),
        ("pretrain", "training.warmup=2", "Expected training.warmup of at most 1, got 2.0"),
        ("pretrain", "training=lewm training.batch=0", "Expected training.batch of at least 1"),
        ("pretrain", "training=lewm training.clip_frames=1", "training.clip_frames of at least 2"),
        ("pretrain", "training.hidden=[0.5,1]", "Expected training.hidden[1] below 1, got 1.0"),
        ("pretrain", "training.hidden=[]", "Expected training.hidden to list 1 or more, got []"),
        ("pretrain", "encoder.depth=-1", "Expected encoder.depth of at least 0, got -1"),
        ("pretrain", "encoder.heads=5", "encoder: Expected a width that 5 heads divide evenly"),
        ("pretrain", "training.predictor_heads=5", "training: Expected a width that 5 heads div"),
        (
            "pretrain",
            "training=ijepa training.targets=0",
            "Expected training.targets of at l",
        ),
        (
            "pretrain",
            "training=ijepa training.target_scale=[0.3,0.2]",
            "Expected target_scale from",
        ),
        ("pretrain", "training=ijepa encoder.patch_size=96", "with 2 patches or more along a side"),
        ("pretrain", "training.clip_frames=7", "Expected clip_frames to be a multiple of the tube"),
        ("pretrain", "encoder=pixels", "Expected encoder.depth of at least 1 to train"),
        ("pretrain", "holdout=10", "Expected holdout below 1, got 10.0"),
        ("pretrain", "holdout=0", "Expected holdout above 0, got 0.0"),
        ("train", "holdout=10", "Expected holdout below 1, got 10.0"),
        ("train", "fps=-5", "Expected fps above 0, got -5.0"),
        ("train", "predictor.training.value.discount=1", "predictor.training.value.discount below"),
        (
            "train",
            "predictor.training.value.random_goals=0.9",
            "predictor.training.value: Expected",
        ),
        ("train", "predictor=tokens predictor.training.warmup=nan", "predictor.training.warmup, "),
        ("train", "predictor=tokens predictor.model.heads=3", "predictor.model: Expected a width"),
        ("collect", "workers=0", "Expected workers of at least 1, got 0"),
        ("plan", "seed=-1", "Expected seed of at least 0, got -1"),
        ("plan", "task.prior_noise=-1", "Expected task.prior_noise of at least 0, got -1.0"),
        ("plan", "task.search_std=inf", "Expected a finite task.search_std, got inf"),
        ("plan", "task.active_dims=[-1]", "Expected task.active_dims[0] of at least 0, got -1"),
        ("plan", "planner.samples=0", "Expected planner.samples of at least 1, got 0"),
        (
            "plan",
            "planner=retrieval planner.low_level.std=0",
            "Expected planner.low_level.std above 0, got",
        ),
        ("plan", "oracle.planner.std=nan", "Expected a finite oracle.planner.std, got nan"),
        ("plan", "camera_pose=[nan,0,0,0,0,0]", "Expected a finite camera_pose[0], got nan"),
        (
            "plan",
            "task.world_energy=[densty]",
            "unknown task.world_energy[0] 'densty'; did you",
        ),
        ("plan", "task.energy=latnt", "unknown task.energy 'latnt'; did you mean 'latent'?"),
        ("bench", "scaling.samples=[4]", "Expected scaling.samples to list 2 or more, got [4]"),
        ("bench", "tokens.samples=[0]", "Expected tokens.samples[0] of at least 1, got 0"),
        ("import", "image_size=0", "Expected image_size of at least 1, got 0"),
        ("subgoals", "moments=[]", "Expected moments to list 1 or more, got []"),
        ("study", "seeds=[-1]", "Expected seeds[0] of at least 0, got -1"),
    ],
)
def test_a_command_line_out_of_bounds_is_refused_by_the_full_key(command, words, said):
    assert said in message(command, words)


def test_a_value_that_another_key_gave_is_refused_by_both_keys():
    said = message("plan", "task.search_std=0")
    assert said == "Expected planner.std above 0, got 0.0 (task.search_std=0.0)"


def test_settings_that_contradict_one_another_are_refused_by_the_key_of_their_group():
    said = message("plan", "planner.elites=50")
    assert said.startswith("planner: Expected elites of at most samples (48), got 50")


@pytest.mark.parametrize("command", COMMANDS)
def test_lists_of_a_command_line_are_tuples_and_its_groups_are_configurations(command):
    load(command)
    made = typed(composed(command, REQUIRED.get(command, "out=o").split()))
    for field in dataclasses.fields(made):
        value = getattr(made, field.name)
        assert not isinstance(value, list | dict)
        assert value != MISSING


def test_a_bound_is_said_for_settings_made_in_python_too():
    with pytest.raises(ValidationError) as caught:
        VectorPredictorConfig(width=0)
    assert described(caught.value) == "Expected width of at least 1, got 0"


def read_names() -> set[str]:
    """Attributes that the source reads anywhere, and words in it, as ``getattr`` takes them."""
    package = Path(worldmodel.__file__).parent
    folders = [package, *(path.resolve() for path in package.iterdir() if path.is_symlink())]
    found: set[str] = set()
    for path in {path for folder in folders for path in folder.rglob("*.py")}:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                found.add(node.attr)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(node.value)
    return found


def test_every_setting_is_read_by_something():
    read = read_names()
    fields = {(kind.__qualname__, f.name) for kind in KINDS for f in dataclasses.fields(kind)}
    assert [place for place in sorted(fields) if place[1] not in read] == []
