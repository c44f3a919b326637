"""Parts of a user's own, from a folder outside of the package, by name in every command."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import worldmodel as wm
from worldmodel.encoders.foreign import ForeignConfig, ForeignModel
from worldmodel.weights.world import encoder_of

PARTS = '''
from dataclasses import dataclass

import worldmodel as wm
from worldmodel.planners import RandomShooting, RandomShootingConfig


@dataclass(frozen=True)
class MineConfig(RandomShootingConfig):
    """Shooting of one's own."""

    bonus: int = 3


@wm.register_planner("mine", MineConfig)
class Mine(RandomShooting):
    pass


@wm.register_goal_energy("mine")
def energy(goal_latents):
    def of(trajectory):
        return (trajectory.latents[:, :, -1] - goal_latents[:, None]).square().mean((-2, -1))
    return of


@wm.register_uncertainty("mine", q90=0.0, q99=1.0)
def far(trajectory):
    start = trajectory.start_latents[:, None, None, 0]
    return (trajectory.latents[:, :, :, 0] - start).norm(dim=-1)


@wm.register_environment("mine", wm.preset("task", "reach", name="mine", budget_steps=4))
def make(image_size):
    return wm.make_env("reach", image_size=image_size)
'''

BARE = """
from dataclasses import dataclass

import worldmodel as wm
from worldmodel.planners import CEM, CEMConfig


@dataclass(frozen=True)
class BareConfig:
    horizon: int = 4
    receding_horizon: int = 2
    active_dims: tuple[int, ...] = (0, 1, 2)


@wm.register_planner("bare", BareConfig)
class Bare(CEM):
    def __init__(self, config, low, high):
        own = CEMConfig(samples=8, elites=3, proposals=2, horizon=config.horizon)
        super().__init__(own, low, high)
"""

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    folder = tmp_path / "my_robot"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "parts.py").write_text(PARTS)

    def command(*words: str, site: Path | None = None) -> subprocess.CompletedProcess[str]:
        paths = ":".join(map(str, [tmp_path, *([site] if site else [])]))
        return subprocess.run(
            [sys.executable, "-m", "worldmodel", *words],
            cwd=tmp_path,
            env={"PYTHONPATH": paths, "PATH": "/usr/bin:/bin", "MUJOCO_GL": "egl"},
            capture_output=True,
            text=True,
            check=False,
        )

    return command


PLUGINS = "plugins=[my_robot.parts]"


def test_parts_of_ones_own_plan_by_name(run: Run, tmp_path: Path) -> None:
    done = run(
        *("plan", PLUGINS, "task=mine", "planner=mine", "planner.samples=8", "planner.proposals=0"),
        *("task.energy=mine", "task.world_energy=[mine]", "episodes=1", "videos=0", "out=out"),
    )
    assert done.returncode == 0, done.stderr
    assert "mine: n = 1" in done.stdout


@pytest.mark.slow
def test_their_keys_are_typed_listed_and_told_with_the_nearest_name(run: Run) -> None:
    helped = run("plan", PLUGINS, "planner=mine", "--help").stdout
    assert "planner.bonus=3" in helped
    assert "|mine" in helped
    assert (
        "did you mean 'planner.bonus'"
        in run("plan", PLUGINS, "planner=mine", "planner.bonis=4", "out=o").stderr
    )
    assert (
        "planner.bonus=x" in run("plan", PLUGINS, "planner=mine", "planner.bonus=x", "out=o").stderr
    )
    assert "did you mean 'mine'" in run("plan", PLUGINS, "planner=mien", "out=o").stderr


def test_a_planner_of_ones_own_follows_the_task(run: Run) -> None:
    shown = run(
        "plan", PLUGINS, "planner=mine", "task=push", "out=o", "--cfg", "job", "-p", "planner"
    )
    assert "horizon: 12" in shown.stdout
    assert "warm_start: false" in shown.stdout


@pytest.mark.slow
def test_a_sweep_finds_them_in_every_job(run: Run, tmp_path: Path) -> None:
    done = run(
        *("plan", "-m", PLUGINS, "task=mine", "planner=mine", "planner.samples=4,8"),
        *("planner.proposals=0", "task.world_energy=[]", "episodes=1", "videos=0", "out=out"),
    )
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "out").glob("*/report.json"))) == 2


def test_an_installed_package_brings_them_by_an_entry_point(run: Run, tmp_path: Path) -> None:
    info = tmp_path / "site" / "my_robot-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-robot\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[worldmodel.planners]\nmine = my_robot.parts\n")
    shown = run("plan", "planner=mine", "out=o", "--cfg", "job", "-p", "planner", site=info.parent)
    assert "bonus: 3" in shown.stdout, shown.stderr


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("import no_such_thing", "my_robot.broken does not import (ModuleNotFoundError"),
        ("raise RuntimeError('no licence')", "RuntimeError: no licence"),
    ],
)
def test_a_module_that_does_not_import_is_one_line(
    run: Run, tmp_path: Path, source: str, told: str
) -> None:
    (tmp_path / "my_robot" / "broken.py").write_text(source)
    done = run("plan", "plugins=[my_robot.broken]", "out=o")
    assert done.returncode == 1
    assert told in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_module_that_is_not_there_is_told(run: Run) -> None:
    assert "plugins=[my_robot.parst]" in run("plan", "plugins=[my_robot.parst]", "out=o").stderr


def test_a_name_is_registered_once() -> None:
    with pytest.raises(wm.errors.RegistrationError, match="'cem' is registered already"):
        wm.register_planner("cem", type(wm.preset("planner", "cem")))(object)

    wm.register_goal_energy("once")(lambda goal_latents: None)
    with pytest.raises(wm.errors.RegistrationError, match="'once' is registered already"):
        wm.register_goal_energy("once")(lambda goal_latents: None)
    with pytest.raises(wm.errors.RegistrationError, match="letters, digits and _"):
        wm.register_goal_energy("with space")(lambda goal_latents: None)
    with pytest.raises(wm.errors.RegistrationError, match="Expected a dataclass"):
        wm.register_planner("loose", dict)(object)


def test_an_encoder_is_sizes_of_the_video_transformer() -> None:
    sizes = type(wm.preset("encoder", "small"))
    fine = wm.register_encoder("fine_in_a_test")(
        dataclasses.make_dataclass("Fine", [("patch_size", int, 6)], bases=(sizes,), frozen=True)
    )
    assert wm.preset("encoder", "fine_in_a_test").patch_size == 6
    assert fine.patch_size == 6
    with pytest.raises(wm.errors.RegistrationError, match="a subclass of EncoderConfig"):
        wm.register_encoder("other")(object)


class Squares(torch.nn.Module):
    """Mean colours of four squares, through a layer that a checkpoint has to keep."""

    image_size = 24

    def __init__(self) -> None:
        super().__init__()
        self.mix = torch.nn.Linear(3, 12)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        assert pixels.min() >= 0
        assert pixels.max() <= 1
        colours = torch.nn.functional.adaptive_avg_pool2d(pixels, 2)
        return self.mix(colours.flatten(2).transpose(1, 2))


def test_a_frozen_encoder_of_ones_own_trains_a_world_and_comes_back(tmp_path: Path) -> None:
    wm.register_encoder("squares_in_a_test")(Squares)
    rng = np.random.default_rng(0)
    recordings = [
        wm.Recording(
            frames=rng.integers(0, 255, (12, 24, 24, 3), dtype=np.uint8),
            actions=rng.normal(size=(12, 2)).astype(np.float32),
            states=rng.normal(size=(12, 3)).astype(np.float32),
        )
        for _ in range(4)
    ]
    tiny = {"model": {"width": 24, "depth": 1, "heads": 2}}
    wm.train(
        data=str(wm.write_dataset(tmp_path / "data", recordings, fps=4)),
        out=str(tmp_path / "world"),
        predictor=wm.preset(
            "predictor", "tokens", **tiny, training={"steps": 1, "batch": 2, "frames": 4}
        ),
        holdout=0.3,
        encoder_checkpoint="squares_in_a_test",
        cache=str(tmp_path / "cache"),
    )
    world, again = (wm.load_world(tmp_path / "world") for _ in range(2))
    frames = torch.from_numpy(recordings[0].frames)[None, :2]
    assert world.encode(frames).shape == (1, 2, 4, 12)
    assert torch.equal(world.encode(frames), again.encode(frames))


def test_a_frozen_encoder_without_weights_is_on_the_device_that_it_is_sent_to() -> None:
    wm.register_encoder("weightless_in_a_test")(lambda: _sized(torch.nn.Identity()))
    settings = {"image_size": 8, "tokens": 1, "width": 1, "mean": (0, 0, 0), "std": (1, 1, 1)}
    config = ForeignConfig(
        "registered", "", {"factory": "weightless_in_a_test"}, **settings, white=255
    )
    assert ForeignModel(config).to("meta").anywhere().is_meta


def _sized(network: Any) -> Any:
    network.image_size = 8
    return network


@pytest.mark.parametrize(
    ("name", "make", "told"),
    [
        ("five", lambda: 5, "to make a torch.nn.Module with a whole number image_size, got int"),
        ("bare", lambda: torch.nn.Identity(), "whole number image_size, got Identity"),
        ("image", lambda: _sized(torch.nn.Identity()), r"a square grid .*, got \[1, 3, 8, 8\]"),
        ("rows", lambda: _sized(torch.nn.Flatten(2)), r"a square grid .*, got \[1, 3, 64\]"),
        ("raises", lambda: _sized(torch.nn.Linear(3, 3)), "of 8x8 pixels, got RuntimeError"),
    ],
)
def test_a_frozen_encoder_that_is_none_is_told(name: str, make: Any, told: str) -> None:
    wm.register_encoder(f"{name}_in_a_test")(make)
    with pytest.raises(wm.errors.UserError, match=told) as caught:
        encoder_of(f"{name}_in_a_test")
    assert len(str(caught.value).splitlines()) == 1
    with pytest.raises(wm.errors.SettingsError, match="has no settings"):
        wm.preset("encoder", f"{name}_in_a_test")


@pytest.mark.parametrize("shape", [(1, 8, 4), (8,), None])
def test_a_goal_energy_of_another_shape_is_told_by_its_name(shape: tuple[int, ...] | None) -> None:
    name = f"wrong_{'none' if shape is None else len(shape)}"
    wrong = None if shape is None else torch.zeros(shape)
    wm.register_goal_energy(name)(lambda goal_latents: lambda path: wrong)
    env = wm.make_env("reach")
    task = wm.preset("task", "reach", energy=name)
    agent = wm.make_agent(
        "default", env, task=task, settings={"samples": 8, "elites": 3, "proposals": 0}
    )
    observation, _ = env.reset(seed=0)
    agent.reset(observation["goal"])
    with pytest.raises(wm.errors.InputError, match=rf"from energy '{name}', got"):
        agent.act(observation)
    env.close()


def test_what_cannot_be_registered_is_told() -> None:
    with pytest.raises(wm.errors.RegistrationError, match="write @register"):
        wm.register_goal_energy(lambda goal_latents: None)  # type: ignore[arg-type]
    with pytest.raises(wm.errors.RegistrationError, match="Expected a function"):
        wm.register_goal_energy("five")(5)
    with pytest.raises(wm.errors.RegistrationError, match="q99 above q90"):
        wm.register_uncertainty("swapped", q90=0.2, q99=0.1)
    with pytest.raises(wm.errors.RegistrationError, match="a TaskConfig with name='sim'"):
        wm.register_environment("sim", None)


@pytest.mark.slow
def test_a_planner_without_the_usual_settings_is_measured(run: Run, tmp_path: Path) -> None:
    (tmp_path / "my_robot" / "bare.py").write_text(BARE)
    done = run(
        *("bench", "plugins=[my_robot.bare]", "planner=bare", "samples=[8]", "horizon=[4]"),
        *("iterations=[1]", "plans=3", "warmup=1", "tokens.checkpoint=null", "out=out"),
    )
    assert done.returncode == 0, done.stderr
    assert "bare" in done.stdout
