"""``worldmodel landscape`` of an environment that shares nothing with the built-in arm."""

from __future__ import annotations

import contextlib
import io
import json
from typing import Any, ClassVar

import gymnasium
import imageio.v3 as iio
import numpy as np
import pytest
import torch
from gymnasium import spaces

from worldmodel.agents.environment import contract
from worldmodel.cli.main import main
from worldmodel.encoders.frozen import FrozenEncoder
from worldmodel.encoders.vision_transformer import EncoderConfig, VideoTransformer
from worldmodel.predictors.memory import APART
from worldmodel.predictors.proprioception import StateLayout
from worldmodel.predictors.vector import VectorPredictor, VectorPredictorConfig
from worldmodel.predictors.vector_world import VectorWorld
from worldmodel.weights.world import read_world, save_world

SIZE = 32
SMALL = (
    "planner.samples=8 planner.elites=3 planner.proposals=2 planner.horizon=4 "
    "planner.iterations=2 points=5 third=3"
)


class Cart(gymnasium.Env):
    """A patch on a grey floor; it reuses its frame, and nobody judges it."""

    metadata: ClassVar[dict[str, Any]] = {
        "render_modes": [],
        "render_fps": 10,
        "actions": {"names": ["throttle", "steer"], "kind": "absolute", "rest": [0.25, -10.0]},
        "states": {"names": ["px", "py", "heading"]},
    }
    low, high = (0.0, -30.0), (1.0, 10.0)

    def __init__(self, render_mode=None):
        image = spaces.Box(0, 255, (48, 64, 3), np.uint8)
        seen = {"image": image, "goal": image, "state": spaces.Box(-9, 9, (3,))}
        self.observation_space = spaces.Dict(seen)
        self.action_space = spaces.Box(np.float32(self.low), np.float32(self.high))
        self.frame = np.zeros((48, 64, 3), np.uint8)

    def draw(self, at, frame):
        x, y = (np.array([32, 24]) + 20 * at[:2]).astype(int)
        frame[...] = 40
        frame[y - 4 : y + 4, x - 4 : x + 4] = [250, 180, 40]
        return frame

    def observed(self):
        goal = self.draw(self.target, np.zeros_like(self.frame))
        state = self.at.astype(np.float32)
        return {"image": self.draw(self.at, self.frame), "goal": goal, "state": state}

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.at, self.target = self.np_random.uniform(-0.8, 0.8, (2, 3))
        return self.observed(), {}

    def step(self, action):
        self.at[:2] = np.clip(self.at[:2] + 0.1 * action[:2], -0.8, 0.8)
        return self.observed(), 0.0, False, False, {}


class Arm(Cart):
    """Four joints, of which the third never moves, and an expert who wants too much."""

    metadata: ClassVar[dict[str, Any]] = {
        "render_modes": [],
        "actions": {"names": ["j1", "j2", "j3", "j4"], "kind": "delta"},
    }
    low, high = (-0.1, -0.1, 0.0, -2.0), (0.1, 0.1, 0.0, 1.0)

    def expert(self):
        while True:
            yield np.array([0.05, 0.9, 0.0, -1.5])


class Wheel(Cart):
    """A single action."""

    metadata: ClassVar[dict[str, Any]] = {"render_modes": []}
    low, high = (0.0,), (1.0,)

    def step(self, action):
        return self.observed(), 0.0, False, False, {}


ENVIRONMENTS = {"foreign/Cart-v0": Cart, "foreign/Arm-v0": Arm, "foreign/Wheel-v0": Wheel}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A tiny untrained world for each environment, by its name, and two images for them."""
    found = {}
    for name, kind in ENVIRONMENTS.items():
        gymnasium.register(name, kind, disable_env_checker=True)
        torch.manual_seed(0)
        sizes = EncoderConfig(image_size=SIZE, patch_size=8, width=24, depth=1, heads=2)
        config = VectorPredictorConfig(
            tokens=16,
            token_width=24,
            members=2,
            width=16,
            action_width=len(kind.low),
            state_width=3,
            states=StateLayout(composed=False),
        )
        encoder, predictor = FrozenEncoder(VideoTransformer(sizes)), VectorPredictor(config)
        moments = torch.arange(3) * APART * config.stride
        predictor.memory.fill(torch.randn(3, predictor.latent_width), moments)
        found[kind] = tmp_path_factory.mktemp("world")
        save_world(found[kind], VectorWorld(encoder, predictor, contract(kind())), {})
        for image, shade in (("a", 60), ("b", 180)):
            pixels = np.full((SIZE, SIZE, 3), shade, np.uint8)
            iio.imwrite(found[kind] / f"{image}.png", pixels)
    yield found
    for name in ENVIRONMENTS:
        gymnasium.registry.pop(name)


def words_of(kind, folder, out, *words):
    (name,) = (name for name, made in ENVIRONMENTS.items() if made is kind)
    return [f"env={name}", f"checkpoint={folder}", f"out={out}", *SMALL.split(), *words]


@pytest.fixture
def drawn(folders, tmp_path):
    """Draws an episode; gives traces and layout of the page, and what was printed."""

    def draw(kind, *words):
        return run(tmp_path, words_of(kind, folders[kind], tmp_path, *words))

    return draw


@pytest.fixture
def refused(folders, tmp_path, capfd):
    """Is refused before anything is written; gives the error."""

    def refuse(kind, *words):
        assert main(["landscape", *words_of(kind, folders[kind], tmp_path, *words)]) == 1
        assert not (tmp_path / "landscape.png").exists()
        (line,) = capfd.readouterr().err.strip().splitlines()
        return line

    return refuse


def run(out, words):
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        assert main(["landscape", *words, "--debug"]) == 0
    page = (out / "landscape.html").read_text()
    start = page.index("[{", page.index("Plotly.newPlot("))
    traces, end = json.JSONDecoder().raw_decode(page, start)
    layout, _ = json.JSONDecoder().raw_decode(page, page.index("{", end))
    return traces, layout, printed.getvalue()


def axis(layout, number):
    """Label and range of a panel's axes."""
    axes = [layout[f"{letter}axis{number}"] for letter in "xy"]
    return [(found["title"]["text"], *found["range"]) for found in axes]


def titles(layout):
    return [note["text"] for note in layout["annotations"]]


def marks(traces):
    return {trace["name"] for trace in traces if "name" in trace}


def test_two_actions_make_one_plane_within_their_bounds_under_their_names(drawn, tmp_path):
    traces, layout, printed = drawn(Cart)
    energies = ["E_total = E_world + E_goal", "E_goal", "E_world: disagreement"]
    assert titles(layout) == ["start", *energies, "goal image"]
    for panel in (2, 3, 4):
        assert axis(layout, panel) == [("throttle", 0, 1), ("steer", -30, 10)]
    assert "cm" not in json.dumps([layout, *(t.get("hovertemplate") for t in traces)])
    lowest, plan, *files = printed.splitlines()
    assert lowest.startswith("lowest held action            throttle +")
    assert plan.startswith("mean of the plan              throttle +")
    assert "per step" not in printed
    assert [line.partition(":")[0] for line in files] == ["picture", "interactive"]
    assert not [name for name in marks(traces) if "not known to the planner" in name]
    width, height = (2.3 + 3 * 4.0, 0.4 + 4.0)
    sides = np.array(iio.imread(tmp_path / "landscape.png").shape[1::-1]) / 110
    np.testing.assert_allclose(sides, (width, height), atol=0.01)


def test_the_plan_drawn_is_the_first_of_the_episode_that_plan_runs(drawn, folders, tmp_path):
    printed = drawn(Cart, "seed=3")[2]
    planner = [word for word in SMALL.split() if word.startswith("planner")]
    words = ["plan", "planner=cem", *planner, "seed=3", "episodes=1", "videos=0"]
    words += ["task.budget_steps=1", "env=foreign/Cart-v0", f"checkpoint={folders[Cart]}"]
    assert main([*words, f"out={tmp_path / 'plan'}"]) == 0
    (episode,) = json.loads((tmp_path / "plan" / "report.json").read_text())["episodes"]
    (line,) = (line for line in printed.splitlines() if line.startswith("mean of the plan"))
    assert line.endswith(f"E_total {episode['energy'][0]:.4f}")


def test_of_more_actions_the_first_that_move_are_drawn_with_the_experts_own(drawn):
    traces, layout, printed = drawn(Arm, "task.world_energy=[]")
    assert [title for title in titles(layout) if "mean" in title] == [
        "E_total = E_goal, mean over j4",
        "E_total = E_goal, mean over j2",
    ]
    first, second = axis(layout, 2), axis(layout, 5)
    assert [label for label, *_ in (*first, *second)] == ["j1", "j2", "j1", "j4"]
    assert second[1] == ("j4", -2, 1)
    (expert,) = (line for line in printed.splitlines() if line.startswith("the expert"))
    assert "j1 +0.05 j2 +0.1 j4 -1.5" in expert  # within the bounds
    assert any(name.startswith("the expert's actions (not known") for name in marks(traces))
    assert not [name for name in marks(traces) if name.startswith("way")]


def test_dims_are_drawn_in_the_order_in_which_they_are_given(drawn):
    layout = drawn(Arm, "dims=[3,0]", "task.world_energy=[]")[1]
    assert axis(layout, 2) == [("j4", -2, 1), ("j1", pytest.approx(-0.1), pytest.approx(0.1))]
    assert titles(layout) == ["start", "E_total = E_goal", "goal image"]


def test_between_image_files_names_and_bounds_are_of_the_checkpoint(folders, tmp_path):
    folder = folders[Arm]
    pair = [f"start={folder}/a.png", f"goal={folder}/b.png", "state=[0,0,0]", "task=goal_image"]
    given = [f"checkpoint={folder}", f"out={tmp_path}", *SMALL.split(), *pair]
    _, layout, printed = run(tmp_path, [*given, "action=[0.8,0,0,-4]", "dims=[0,3]"])
    across, upright = axis(layout, 2)
    assert across[0] == "j1"
    assert across[2] == -across[1]
    assert across[2] > 0.2  # widened to hold a step's share of the true action
    assert upright == ("j4", -2, 1)
    (true,) = (line for line in printed.splitlines() if line.startswith("true action"))
    assert true.startswith("true action, a step's share   j1 +0.2 j4 -1, E_total")
    assert "for a mark lies beyond what is searched" in printed


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["state=[0,0]"], "state=[…] of 3 numbers: px, py, heading, got 2"),
        (["state=[0,0,0]", "action=[1]"], "action=[…] of 2 numbers: throttle, steer, got 1"),
        (["state=[0,0,0]", "goal_state=[0,0,0]"], "action=[…] in place of goal_state"),
        (["state=[0,0,0]", "env=foreign/Cart-v0"], "no env between image files"),
    ],
)
def test_image_files_that_do_not_fit_the_checkpoint_are_refused(
    folders, tmp_path, capfd, words, message
):
    folder = folders[Cart]
    pair = [f"start={folder}/a.png", f"goal={folder}/b.png", "task=goal_image"]
    given = ["landscape", f"checkpoint={folder}", f"out={tmp_path}", *SMALL.split(), *pair]
    assert main([*given, *words]) == 1
    assert message in capfd.readouterr().err


def test_a_world_that_says_nothing_of_its_actions_needs_an_environment(folders, tmp_path, capfd):
    world = read_world(folders[Cart])
    world.spec = None
    save_world(tmp_path / "bare", world, {})
    pair = [f"start={folders[Cart]}/a.png", f"goal={folders[Cart]}/b.png", "state=[0,0,0]"]
    given = ["landscape", f"checkpoint={tmp_path / 'bare'}", f"out={tmp_path}", *SMALL.split()]
    assert main([*given, *pair, "task=goal_image"]) == 1
    assert "bare: expected a checkpoint with a spec" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("kind", "word", "message"),
    [
        (Cart, "plane=positions", "plane=positions needs an environment with"),
        (Cart, "limit=0.1", "no limit=… with actions other than pose_delta"),
        (Cart, "task.stage_steps=[3]", "info['subgoals']"),
        (Cart, "dims=[0,2]", "dims among the actions 0 throttle, 1 steer, got 2"),
        (Arm, "dims=[0,2]", "got 2 j3, whose bounds are both 0"),
        (Arm, "dims=[0]", "two or three dims"),
        (Arm, "dims=[0,0]", "each once"),
        (Arm, "planner.active_dims=[1]", "got a planner that searches j2; choose two of 0 j1"),
        (Wheel, "seed=0", "a landscape lies over two actions, got action_0 alone"),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_a_line(refused, kind, word, message):
    assert message in refused(kind, word)
