"""An episode's mp4 shows the camera, the goal, and the energy no further than it is known."""

from __future__ import annotations

from dataclasses import replace

import av
import numpy as np
import pytest

from worldmodel.evaluation.episodes import Episode
from worldmodel.evaluation.video import PANEL, write_video


@pytest.fixture
def episode():
    rng = np.random.default_rng(0)
    frames = np.repeat(rng.integers(0, 255, (6, 1, 1, 3)), 64, 1).repeat(64, 2).astype(np.uint8)
    goal = np.full((64, 64, 3), (250, 10, 10), np.uint8)
    return Episode(
        seed=0,
        success=True,
        success_any=True,
        distance_start=0.1,
        distance_final=0.01,
        steps=5,
        energy=(3.0, 1.0),
        plan_steps=(0, 3),
        plan_ms=(1.0, 1.0),
        start=frames[0],
        goal=goal,
        final=frames[-1],
        frames=frames,
    )


def frames_of(path):
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.pix_fmt == "yuv420p"
        assert stream.average_rate == 5
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]


def test_every_step_is_a_frame_of_camera_goal_and_energy(episode, tmp_path):
    write_video(tmp_path / "videos" / "e.mp4", episode, fps=5)
    frames = frames_of(tmp_path / "videos" / "e.mp4")
    assert len(frames) == 6
    for frame, image in zip(frames, episode.frames, strict=True):
        assert frame.shape == (PANEL, 3 * PANEL, 3)
        camera, goal = frame[20:-20, 20 : PANEL - 20], frame[20:-20, PANEL + 20 : 2 * PANEL - 20]
        np.testing.assert_allclose(camera.mean((0, 1)), image[0, 0], atol=6)
        np.testing.assert_allclose(goal.mean((0, 1)), episode.goal[0, 0], atol=6)
    assert [path.name for path in (tmp_path / "videos").iterdir()] == ["e.mp4"]


def test_the_energy_of_a_plan_appears_when_it_is_made(episode, tmp_path):
    def red(frame):
        chart = frame[:, 2 * PANEL :].astype(int)
        return int(((chart[..., 0] - chart[..., 1]) > 80).sum())

    write_video(tmp_path / "e.mp4", episode, fps=5)
    before, after = (red(frames_of(tmp_path / "e.mp4")[step]) for step in (2, 3))
    assert 0 < before < after / 2


@pytest.mark.parametrize("energy", [(), (np.inf,), (3.0, np.inf), (np.inf, 3.0)])
def test_energies_that_are_not_known_are_left_out(episode, tmp_path, energy):
    steps = episode.plan_steps[: len(energy)]
    write_video(tmp_path / "e.mp4", replace(episode, energy=energy, plan_steps=steps), fps=5)
    assert len(frames_of(tmp_path / "e.mp4")) == 6
