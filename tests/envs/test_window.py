"""``render_mode="human"`` shows a simulation and leaves it alone."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import mujoco
import numpy as np
import pytest

from worldmodel import envs
from worldmodel.envs import window

ACTION = np.full(7, 0.02, np.float32)


class Viewer:
    """In MuJoCo's place: keeps what it was shown."""

    def __init__(self, model: mujoco.MjModel, data: mujoco.MjData) -> None:
        self.model, self.data = model, data
        self.shown: list[np.ndarray] = []
        self.textures: set[int] = set()
        self.open = True

    def lock(self) -> Any:
        return nullcontext()

    def sync(self) -> None:
        self.shown.append(self.data.qpos.copy())
        self.data.qvel[:] = 1.0  # as someone who drags things in the window
        self.model.vis.headlight.ambient[:] = 0.0

    def update_texture(self, texture: int) -> None:
        self.textures.add(texture)

    def close(self) -> None:
        self.open = False


class Clock:
    """Goes on while somebody sleeps, and by a tenth of a second whenever it is read."""

    def __init__(self) -> None:
        self.now, self.slept = 0.0, []

    def monotonic(self) -> float:
        self.now += 0.1
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def viewers(monkeypatch: pytest.MonkeyPatch) -> list[Viewer]:
    from mujoco import viewer

    made: list[Viewer] = []

    def launch(model: mujoco.MjModel, data: mujoco.MjData, **_: bool) -> Viewer:
        made.append(Viewer(model, data))
        return made[-1]

    monkeypatch.setattr(viewer, "launch_passive", launch)
    monkeypatch.setattr(window, "_require_display", lambda: None)
    monkeypatch.setattr(window, "time", Clock())
    return made


def test_without_a_display_the_cure_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(RuntimeError, match=r"needs a display.*DISPLAY is not set.*rgb_array"):
        window._require_display()


def test_every_reset_and_step_is_shown_and_observations_are_those_without_a_window(
    viewers: list[Viewer],
) -> None:
    shown, hidden = (envs.make("push", 64, "rich", render_mode=mode) for mode in ("human", None))
    for seed in (0, 1):
        pairs = [(env.reset(seed=seed)[0], env.step(ACTION)[0]) for env in (shown, hidden)]
        for one, other in zip(*pairs, strict=True):
            assert all(np.array_equal(one[name], other[name]) for name in one)
    (viewer,) = viewers
    assert len(viewer.shown) == 4
    assert np.array_equal(viewer.shown[-1], hidden._data.qpos)
    assert np.array_equal(viewer.model.tex_data, hidden._model.tex_data)
    assert np.array_equal(viewer.model.geom_rgba, hidden._model.geom_rgba)
    assert viewer.textures == set(range(viewer.model.ntex))
    assert shown.render() is None
    assert len(viewer.shown) == 5
    shown.close()
    hidden.close()
    assert not viewer.open


def test_steps_are_shown_no_faster_than_they_would_pass(viewers: list[Viewer]) -> None:
    env = envs.make("push", 64, render_mode="human")
    env.reset(seed=0)
    for _ in range(3):
        env.step(ACTION)
    env.close()
    assert window.time.slept == pytest.approx([0.0, 0.1, 0.1])  # of the fifth of a second
