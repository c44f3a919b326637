from __future__ import annotations

import av
import numpy as np
import pytest

from worldmodel.data.video import read_frames, writing_video
from worldmodel.errors import UserError


def write(path, frames, fps=5.0):
    with writing_video(path, fps, *frames.shape[1:3]) as append:
        append(frames)
    return path


@pytest.fixture
def noise():
    return np.random.default_rng(0).integers(0, 256, (30, 24, 32, 3), dtype=np.uint8)


def test_even_noise_comes_back_to_within_two_levels(tmp_path, noise):
    read = read_frames(write(tmp_path / "v.mp4", noise), 0.0, np.arange(30), 5.0)
    error = np.abs(read.astype(int) - noise)
    assert error.max() <= 2
    assert error.mean() < 0.6


@pytest.mark.parametrize("fps", [5.0, 7.5, 30.0, 29.97])
def test_frames_from_the_middle_are_those_of_the_whole(tmp_path, noise, fps):
    path = write(tmp_path / "v.mp4", noise, fps)
    whole = read_frames(path, 0.0, np.arange(30), fps)
    for first in (1, 9, 10, 17):
        assert np.array_equal(
            read_frames(path, first / fps, np.arange(12), fps), whole[first : first + 12]
        )


def test_asking_beyond_the_end_is_an_error(tmp_path, noise):
    path = write(tmp_path / "v.mp4", noise)
    with pytest.raises(UserError, match=r"v\.mp4: it ends 3 frames too early.*copy it again"):
        read_frames(path, 21 / 5, np.arange(12), 5.0)


def test_a_hole_in_the_video_is_an_error_and_never_a_wrong_frame(tmp_path, noise):
    path = tmp_path / "v.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=5, options={"bf": "0"})
        stream.width, stream.height, stream.pix_fmt = 32, 24, "yuv444p"
        for time in (0, 1, 2, 5, 6):
            frame = av.VideoFrame.from_ndarray(noise[time], format="rgb24")
            frame.pts = time
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(UserError, match=r"no frame at 0\.60 s"):
        read_frames(path, 0.0, np.arange(5), 5.0)
