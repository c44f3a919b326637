"""An environment that shares nothing with the built-in arm goes through every command.

Two numbers of action with crooked bounds and a rest that is not zero, three of state, frames of 64
x 48 pixels, and nobody who says whether the goal is reached.
"""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import worldmodel as wm
from worldmodel.agents.environment import contract
from worldmodel.cli.main import main
from worldmodel.weights.world import read_world

FOREIGN = '''
import gymnasium
import numpy as np
from gymnasium import spaces

HEIGHT, WIDTH = 64, 48


class Drifter(gymnasium.Env):
    """A dot that drifts with a speed of its own; an action pushes it."""

    metadata = {
        "render_modes": [],
        "render_fps": 8,
        "actions": {"names": ["push_x", "push_y"], "kind": "velocity", "rest": [0.25, 0.0]},
        "states": {"names": ["x", "y", "spin"], "periodic": ["spin"]},
    }

    def __init__(self):
        picture = spaces.Box(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
        state = spaces.Box(-np.inf, np.inf, (3,), np.float32)
        self.observation_space = spaces.Dict(image=picture, state=state, goal=picture)
        self.action_space = spaces.Box(np.float32([-0.5, -1.0]), np.float32([1.0, 2.0]))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.goal_at, self.at = self.np_random.uniform(0.1, 0.9, (2, 2))
        self.spin = 0.0
        return self.seen(), {}

    def step(self, action):
        change = 0.1 * (np.asarray(action, float) - [0.25, 0.0])
        self.at = np.clip(self.at + change, 0.0, 1.0)
        self.spin = (self.spin + 0.7) % (2 * np.pi)
        return self.seen(), 0.0, False, False, {}

    def seen(self):
        state = np.float32([*self.at, self.spin])
        return {"image": picture(self.at), "state": state, "goal": picture(self.goal_at)}


def picture(at):
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    near = (rows / HEIGHT - at[1]) ** 2 + (columns / WIDTH - at[0]) ** 2 < 0.02
    return np.where(near[..., None], np.uint8([250, 120, 20]), np.uint8([20, 30, 40]))


def make():
    return Drifter()


def near(env, info):
    return bool(np.abs(env.unwrapped.at - env.unwrapped.goal_at).max() < 0.3)


def wiggle(env, rng):
    while True:
        yield rng.uniform(env.action_space.low, env.action_space.high)


def broken(env, rng):
    raise RuntimeError("no such motion")
'''

FEW = [
    f"predictor.training.{stage}.{key}={value}"
    for stage in ("object_latent", "proprio", "scenes", "dynamics", "value", "prior", "macros")
    for key, value in (("steps", 4), ("batch", 16))
] + [
    "predictor.training.reachability.steps=2",
    "predictor.training.uncertainty.steps=2",
    "predictor.training.state_model.steps=600",
    "predictor.training.object_latent.way=[1,2]",
    "predictor.training.object_latent.parts=1",
    "predictor.model.macro_steps=4",
    "predictor.model.width=32",
    "predictor.model.head_width=32",
    "predictor.model.prior_width=32",
    "predictor.model.proprio_width=32",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A folder with the environment on Python's path, a dataset and two worlds trained on it."""
    root: Path = tmp_path_factory.mktemp("foreign")
    (root / "drifter.py").write_text(FOREIGN)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(root)
        patch.setenv("PYTHONPATH", str(root))
        run(root, "collect env=drifter:make policy=drifter:wiggle episodes=14 length=24 out=data")
        run(root, "pretrain encoder=pixels encoder.image_size=48 data=data out=encoder", "steps=0")
        few = " ".join(FEW)
        common = "encoder_checkpoint=encoder data=data holdout=0.3"
        run(root, f"train predictor=vector {common} out=vector {few}")
        tiny = "predictor.training.steps=2 predictor.model.width=48 predictor.model.depth=1"
        tiny += " predictor.model.heads=2 predictor.training.state_model.steps=600"
        run(root, f"train predictor=tokens {common} out=tokens {tiny}")
        yield root


def run(root: Path, words: str, *training: str) -> None:
    """A command, with its paths below ``root``."""
    paths = ("out", "data", "encoder_checkpoint", "checkpoint", "cache")
    given = [f"training.{word}" for word in training]
    command, *rest = words.split()
    rest += ["cache=cache"] if command in ("pretrain", "train", "evaluate") else []
    for word in rest:
        key, _, value = word.partition("=")
        given.append(f"{key}={root / value}" if key in paths else word)
    given += ["workers=1"] if command == "collect" else []
    assert main([command, *given]) == 0, words


def told(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """The one line of a command that fails."""
    assert main(list(words)) == 1
    (line,) = [x for x in capsys.readouterr().err.splitlines() if x.startswith("error: ")]
    return line


def test_a_dataset_keeps_what_the_environment_says_of_itself(folder: Path) -> None:
    spec = json.loads((folder / "data/meta/spec.json").read_text())
    assert spec["actions"]["rest"] == [0.25, 0.0]
    assert spec["actions"]["kind"] == "velocity"
    assert [camera["height"] for camera in spec["cameras"]] == [64]
    assert wm.open_dataset(folder / "data").frame_sizes == ((64, 48),)


@pytest.mark.parametrize("kind", ["vector", "tokens"])
def test_a_world_predicts_what_is_no_pose_and_keeps_the_spec(folder: Path, kind: str) -> None:
    world = read_world(folder / kind)
    assert world.spec == contract(wm.make_env("drifter:make")).changed(
        wm.SpecChanges(hidden=world.spec.states.hidden)
    )
    config = json.loads((folder / kind / "config.json").read_text())
    errors = config["record"]["proprioception"]
    assert errors["error"][3] < 0.5 * errors["held"][3]
    rest = world.predictor.scale_actions(torch.tensor([0.25, 0.0]))
    assert rest.abs().max() < 1e-6


@pytest.mark.parametrize("kind", ["vector", "tokens"])
def test_a_world_plans_and_says_that_nobody_judges(folder: Path, kind: str) -> None:
    bare = "" if kind == "vector" else "task.energy=latent task.prior=false task.world_energy=[]"
    run(
        folder,
        f"plan env=drifter:make checkpoint={kind} out=plan-{kind} episodes=2 planner=cem "
        "planner.samples=12 planner.proposals=4 task.horizon=4 task.budget_steps=3 "
        f"{bare}",
    )
    report = json.loads((folder / f"plan-{kind}/report.json").read_text())
    assert report["success"] is None
    assert report["spec"]["actions"]["names"] == ["push_x", "push_y"]
    assert (folder / f"plan-{kind}/report.html").stat().st_size > 10_000
    assert len(list((folder / f"plan-{kind}/videos").iterdir())) == 2


def test_a_users_function_judges_beside_random_and_prior(folder: Path) -> None:
    run(
        folder,
        "plan env=drifter:make checkpoint=vector out=judged episodes=2 planner=cem videos=0 "
        "planner.samples=12 planner.proposals=4 task.horizon=4 task.budget_steps=3 "
        "success=drifter:near "
        "baselines=[all]",
    )
    report = json.loads((folder / "judged/report.json").read_text())
    assert report["n"] == 2
    assert 0 <= report["success"]["final"]["rate"] <= 1
    assert report["baselines"]["random"]["n"] == report["baselines"]["prior"]["n"] == 2
    for name in ("oracle", "true_dynamics", "true_cost", "ignore_object"):
        assert report["baselines"][name]["n"] == 0


def test_studies_go_on_where_nobody_judges(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = "planner: cem, pursuit: {horizon: 4, budget_steps: 2}, settings: {samples: 30}"
    plan = "plan.env=drifter:make plan.planner=cem plan.pursuit={horizon:4,budget_steps:2}"
    few = " ".join(f"train.{word}" for word in FEW)
    run(
        folder,
        f"study data=data out=study arms=[pixels] seeds=[0] trials=1 {plan} "
        f"plan.settings={{samples:30}} train.holdout=0.3 pretrain.encoder.image_size=48 {few}",
    )
    (record,) = json.loads((folder / "study/study.json").read_text())["records"]
    assert record["success"] == {"plain": {"rate": None, "ci95": None, "outcomes": [None]}}
    bench = ["bench", f"checkpoint={folder / 'vector'}"]
    points = f"frontier.points=[{{name: a, {small}}}]"
    sizes = ["frontier.episodes=1", "frontier.timed=1", "frontier.env=drifter:make", points]
    assert main([*bench, "study=frontier", f"out={folder / 'frontier'}", *sizes]) == 0
    sizes = ["anytime.episodes=1", "anytime.problems=1", "anytime.budgets_ms=[10000]"]
    sizes += [f"anytime.plan={{env: drifter:make, {small}}}"]
    assert main([*bench, "study=anytime", f"out={folder / 'anytime'}", *sizes]) == 0
    assert capsys.readouterr().out.count("–  n = 1") == 2
    for study, key in (("frontier", "points"), ("anytime", "rows")):
        (found,) = json.loads((folder / f"{study}/{study}.json").read_text())[key]
        assert found["rate"] is None


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("plan.env=drifter:make appearances=[plain,rich]", "no appearance or split"),
        ("plan.env=drifter:make plan.goal_source=ahead", "goal_source=ahead needs"),
        ("plan.env=drifter:make plan.success=drifter:judge", "no function 'judge'"),
        ("plan.env=drifter:nothing", "nothing"),
    ],
)
def test_a_study_that_could_not_plan_is_refused_before_it_trains(
    folder: Path, capsys: pytest.CaptureFixture[str], words: str, expected: str
) -> None:
    out = folder / "untrained"
    given = [f"data={folder / 'data'}", f"out={out}", f"cache={folder / 'cache'}"]
    assert expected in told(capsys, "study", *given, *words.split())
    assert not out.exists()


def test_real_time_takes_such_actions_as_they_are(folder: Path) -> None:
    run(
        folder,
        "plan env=drifter:make checkpoint=vector out=fast episodes=1 planner=cem videos=0 hz=20 "
        "planner.samples=30 task.horizon=4 task.budget_steps=3",
    )
    slots = json.loads((folder / "fast/report.json").read_text())["real_time"]
    assert slots["hz"] == 20
    assert slots["slots"] == 3


@pytest.mark.parametrize("kind", ["vector", "tokens"])
def test_recordings_judge_a_world(folder: Path, kind: str) -> None:
    run(
        folder,
        f"evaluate data=data checkpoint={kind} out=offline-{kind} holdout=0.3 windows=8 steps=3",
    )
    found = json.loads((folder / f"offline-{kind}/offline.json").read_text())
    assert len(found["open_loop"]["latent_error"]) == len(found["proprioception"]["error"]) == 3
    assert 0 <= found["action_rank"]["better_share"] <= 1


def test_a_landscape_and_a_latency_are_those_of_this_world(folder: Path) -> None:
    run(
        folder,
        "landscape env=drifter:make checkpoint=vector out=land planner=cem "
        "planner.samples=30 task.horizon=4 points=5",
    )
    assert (folder / "land/landscape.png").stat().st_size > 10_000
    run(
        folder,
        "bench checkpoint=vector out=bench planner=cem samples=[8] horizon=[4] iterations=[1] "
        "plans=2 warmup=1 tokens.checkpoint=null",
    )


def test_an_agent_of_python_pursues_its_goal(folder: Path) -> None:
    env = wm.make_env("drifter:make", repeat=2)
    with pytest.raises(wm.errors.UserError, match="expected repeat of 1"):
        wm.make_agent(folder / "vector", env)
    env = wm.make_env("drifter:make")
    agent = wm.make_agent(folder / "vector", env, planner="cem", settings={"samples": 24})
    observation, _ = env.reset(seed=0)
    agent.reset(observation["goal"])
    action = agent.act(observation)
    assert env.action_space.contains(action)
    noise = np.random.default_rng(0).integers(0, 256, observation["image"].shape, np.uint8)
    agent.reset(observation["goal"])
    with pytest.warns(UserWarning, match="unlike the frames that the world was trained on"):
        agent.act(dict(observation) | {"image": noise})


def test_what_needs_the_truth_of_a_simulator_refuses_others(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = told(
        capsys, "plan", "env=drifter:make", f"checkpoint={folder / 'vector'}", "goal_source=ahead",
        f"out={folder / 'no'}", "policy=random", "task.horizon=4",
    )  # fmt: skip
    assert "snapshot()" in line
    assert "Drifter" in line
    line = told(
        capsys, "collect", "env=drifter:make", "policy=scripted", f"out={folder / 'no'}", "length=4"
    )
    assert "explore()" in line
    for command in ("diagnose", "acceptance"):
        line = told(
            capsys, command, "env=drifter:make", f"checkpoint={folder / 'vector'}",
            f"out={folder / 'no'}", "horizon=4" if command == "diagnose" else "task.horizon=4",
        )  # fmt: skip
        assert f"{command} needs an environment with" in line
    for name in ("oracle", "true_dynamics", "true_cost", "ignore_object"):
        line = told(
            capsys, "plan", "env=drifter:make", f"checkpoint={folder / 'vector'}",
            f"baselines=[{name}]", f"out={folder / 'no'}", "task.horizon=4",
        )  # fmt: skip
        assert f"baseline {name} does not apply" in line
    assert not (folder / "no/meta").exists()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("collect env=drifter:nothing policy=random", "nothing"),
        ("collect env=drifter:make policy=drifter:broken", "no such motion"),
        ("collect env=drifter:make policy=scriptd", "did you mean 'scripted'"),
        ("collect env=nowhere policy=random", "unknown environment 'nowhere'"),
        ("collect env=absent.module:make policy=random", "absent"),
    ],
)
def test_wrong_words_cost_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str], words: str, expected: str
) -> None:
    out = folder / "never"
    assert expected in told(capsys, *words.split(), f"out={out}", "episodes=1", "length=3")
    assert not out.exists()


def test_a_spec_that_differs_is_named(folder: Path) -> None:
    env = wm.make_env("two_room")
    with pytest.raises(wm.errors.UserError, match=r"expected state_width of 3.*got 2"):
        wm.make_agent(folder / "vector", env)


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (lambda env: setattr(env, "action_space", _discrete()), "Box of one axis"),
        (lambda env: setattr(env, "action_space", _unbounded()), "infinite bounds"),
        (lambda env: env.observation_space.spaces.pop("goal"), "with goal"),
        (lambda env: env.observation_space.spaces.update(image=_floats()), "uint8"),
    ],
)
def test_an_environment_outside_the_contract_is_told(
    folder: Path, spoil: Any, expected: str
) -> None:
    env = wm.make_env("drifter:make")
    spoil(env)
    with pytest.raises(wm.errors.EnvironmentContractError, match=expected):
        contract(env)


def _discrete() -> Any:
    from gymnasium import spaces

    return spaces.Discrete(3)


def _unbounded() -> Any:
    from gymnasium import spaces

    return spaces.Box(-np.inf, np.inf, (2,))


def _floats() -> Any:
    from gymnasium import spaces

    return spaces.Box(0.0, 1.0, (64, 48, 3))


METAWORLD = pytest.mark.skipif(not find_spec("metaworld"), reason="run by `make metaworld`")
SUITES = [
    *("two_room", "reacher", "push_t", "fetch:reach", "ogbench:cube-single"),
    pytest.param("metaworld:reach-v3", marks=METAWORLD),
]


@pytest.mark.slow
@pytest.mark.parametrize("suite", SUITES)
def test_every_suite_goes_from_collecting_to_a_report(suite: str, tmp_path: Path) -> None:
    run(tmp_path, f"collect env={suite} repeat=5 episodes=4 length=14 out=data")
    run(tmp_path, "pretrain encoder=pixels encoder.image_size=48 data=data out=encoder", "steps=0")
    few = " ".join(FEW).replace("state_model.steps=600", "state_model.steps=4")
    run(
        tmp_path,
        f"train predictor=vector encoder_checkpoint=encoder data=data holdout=0.3 out=world {few} "
        "predictor.model.stride=1",
    )
    run(tmp_path, "evaluate data=data checkpoint=world out=offline holdout=0.3 windows=4 steps=2")
    run(
        tmp_path,
        f"plan env={suite} goal_source=ahead goal_ahead=2 checkpoint=world out=plan "
        "episodes=2 planner=cem planner.samples=30 task.horizon=2 task.budget_steps=2 videos=1 "
        "baselines=[random,prior]",
    )
    report = json.loads((tmp_path / "plan/report.json").read_text())
    assert (
        report["n"] == report["baselines"]["random"]["n"] == report["baselines"]["prior"]["n"] == 2
    )
    assert report["spec"]["repeat"] == 5
    assert report["protocol"]["goal_source"] == "ahead, 2 control steps"


def test_fourteen_joints_and_two_cameras_train_and_are_judged(tmp_path: Path) -> None:
    """A recording as of a two-armed robot: frames that are not square, joints, no simulator."""
    rng = np.random.default_rng(0)

    def recording() -> wm.Recording:
        steps = 20
        actions = rng.uniform(-1, 1, (steps, 14))
        states = np.cumsum(actions, 0) - actions
        front = np.zeros((steps, 48, 64, 3), np.uint8)
        front[..., 0] = (128 + 20 * states[:, :1]).clip(0, 255).astype(np.uint8)[:, :, None]
        return wm.Recording({"front": front, "wrist": front[:, :32, :32]}, actions, states)

    names = {"action": [f"joint_{n}" for n in range(14)]}
    data = tmp_path / "data"
    wm.write_dataset(data, [recording() for _ in range(6)], fps=50, names=names)
    both = "'cameras=[wrist,front]'".strip("'")
    run(tmp_path, f"pretrain encoder=pixels encoder.image_size=24 data=data out=encoder {both}",
        "steps=0")  # fmt: skip
    common = (
        f"encoder_checkpoint=encoder data=data holdout=0.3 {both} fit=pad spec.action_kind=delta"
    )
    run(tmp_path, f"train predictor=vector {common} out=vector {' '.join(FEW)}")
    tiny = "predictor.training.steps=2 predictor.model.width=48 predictor.model.heads=2"
    run(
        tmp_path,
        f"train predictor=tokens {common} out=tokens {tiny} predictor.model.depth=1 "
        "predictor.training.state_model.steps=4",
    )
    for kind in ("vector", "tokens"):
        world = read_world(tmp_path / kind)
        assert world.spec is not None
        assert [camera.name for camera in world.spec.cameras] == ["wrist", "front"]
        assert (world.spec.fit, world.spec.actions.kind) == ("pad", "delta")
        assert world.encoder.cameras == world.predictor.config.cameras == 2
        run(
            tmp_path,
            f"evaluate data=data checkpoint={kind} out=offline-{kind} {both} holdout=0.3 "
            "windows=4 steps=2 spec.action_kind=delta",
        )
        assert (tmp_path / f"offline-{kind}/offline.html").exists()
    pictures = {name: frames[4] for name, frames in recording().frames.items()}
    agent = wm.make_agent(tmp_path / "vector", planner="cem", settings={"samples": 24})
    agent.reset(pictures)
    action = agent.act({**pictures, "state": np.zeros(14, np.float32)})
    assert action.shape == (14,)
    assert agent.recipe.spec.rate == 50
