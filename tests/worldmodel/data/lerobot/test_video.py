from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from worldmodel.data.lerobot.video import each_frame, frame_times, writing_video
from worldmodel.errors import UserError


def read_frames(path: Path, start: float, steps: np.ndarray, fps: float) -> np.ndarray:
    return np.stack(list(each_frame(path, start, steps, fps)))


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


def test_frames_that_a_video_cuts_off_at_its_beginning_are_not_shown(tmp_path, noise):
    path = tmp_path / "v.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=5, options={"bf": "0"})
        stream.width, stream.height, stream.pix_fmt = 32, 24, "yuv444p"
        for time in range(-3, 6):
            frame = av.VideoFrame.from_ndarray(noise[time], format="rgb24")
            frame.pts = time
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert frame_times(path) == pytest.approx(np.arange(6) / 5)
    read = read_frames(path, 0.0, np.arange(6), 5.0)
    assert np.abs(read.astype(int) - noise[:6]).mean() < 30  # and not those before


def test_no_frame_asked_for_is_none_decoded(tmp_path):
    assert list(each_frame(tmp_path / "none.mp4", 0.0, np.arange(0), 5.0)) == []


def test_a_file_that_holds_no_video_is_one_clear_line(tmp_path):
    path = tmp_path / "v.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        sound.sample_rate = 8000
        container.mux(stream.encode(sound))
        container.mux(stream.encode(None))
    with pytest.raises(UserError, match=r"v\.mp4: it holds no video"):
        frame_times(path)


def test_a_video_whose_codec_is_not_known_is_one_clear_line(tmp_path, noise):
    path = write(tmp_path / "v.mp4", noise)
    path.write_bytes(path.read_bytes().replace(b"avc1", b"xxxx").replace(b"avcC", b"xxxC"))
    with pytest.raises(UserError, match=r"Cannot read the video .*v\.mp4") as raised:
        read_frames(path, 0.0, np.arange(3), 5.0)
    assert "\n" not in str(raised.value)
