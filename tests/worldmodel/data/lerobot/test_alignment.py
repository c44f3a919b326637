"""An episode's frames are those that were recorded for it, or an error says how far off it is."""

from __future__ import annotations

import json
import re
import shutil
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from worldmodel.data.lerobot import alignment
from worldmodel.data.lerobot.dataset import Dataset
from worldmodel.data.lerobot.video import each_frame
from worldmodel.errors import UserError

KEY = "observation.images.front"
START, END = f"videos/{KEY}/from_timestamp", f"videos/{KEY}/to_timestamp"
EPISODES = "meta/episodes/chunk-000/file-001.parquet"  # episodes 2, 3: 6 frames at 5/s
VIDEO = f"videos/{KEY}/chunk-000/file-001.mp4"


def read_frames(path: Path, start: float, steps: np.ndarray, fps: float) -> np.ndarray:
    return np.stack(list(each_frame(path, start, steps, fps)))


def put(root, column, values, kind=None):
    table = pq.read_table(root / EPISODES)
    place = table.column_names.index(column)
    pq.write_table(table.set_column(place, column, pa.array(values, kind)), root / EPISODES)
    return root


def drop(root, *columns):
    pq.write_table(pq.read_table(root / EPISODES).drop(list(columns)), root / EPISODES)
    return root


def edit_info(root, change):
    path = root / "meta/info.json"
    info = json.loads(path.read_text())
    change(info)
    path.write_text(json.dumps(info))
    return root


@pytest.mark.parametrize("frames", [0.05, -0.05])
def test_a_small_share_of_a_frame_is_rounding_and_read_rightly(collected, copied, frames):
    put(copied, START, [0.0, 1.2 + frames / 5], pa.float32())
    expected, read = Dataset.open(collected), Dataset.open(copied)
    for episode in (2, 3):
        assert np.array_equal(read.frames(episode), expected.frames(episode))


@pytest.mark.parametrize("frames", [0.2, -0.2, 0.3, -0.3, 0.45, -0.45])
def test_a_larger_share_is_told_with_its_size(copied, frames):
    put(copied, START, [0.0, 1.2 + frames / 5])
    # The frame is as far in the other direction.
    size = re.escape(f"{-frames:+.2f} frames ({-frames / 5:+.4f} s)")
    with pytest.raises(UserError, match=rf"episode 3 to begin at a frame, got .*{size} away"):
        Dataset.open(copied)


@pytest.mark.parametrize(
    ("starts", "message"),
    [
        ([0.0, 0.0], r"episode 3 to begin at 1\.2 s.* or later, got 6\.0 frames earlier"),
        ([1.2, 0.0], r"episode 3 to begin at 2\.4 s.* or later, got 12\.0 frames earlier"),
        ([0.0, 1.0], r"episode 3 to begin at 1\.2 s.* or later, got 1\.0 frames earlier"),
        ([0.0, 1.4], r"episode 3 to have its frame 5 at 2\.4 s, got none.* -1 frames away"),
        ([0.0, 1e300], r"episode 3 to have its frame 0 at 1e\+300 s, got none"),
        ([0.0, float("nan")], r"times from 0 s on .*got nan for episode 3 \(row 1\)"),
        ([0.0, None], r"times from 0 s on .*got nan for episode 3 \(row 1\)"),
        ([0.0, float("inf")], r"times from 0 s on .*got inf for episode 3"),
        ([-1.2, 0.0], r"times from 0 s on .*got -1\.2 for episode 2"),
        (["0.0", "1.2"], r"Expected numbers .*got string: '0\.0' in row 0"),
    ],
)
def test_a_start_that_cannot_be_is_told_with_key_and_file(copied, starts, message):
    put(copied, START, starts)
    drop(copied, END)
    with pytest.raises(UserError, match=message) as raised:
        Dataset.open(copied)
    assert START in str(raised.value)
    assert EPISODES in str(raised.value)
    assert "\n" not in str(raised.value)


def test_an_end_that_disagrees_is_told_with_the_difference(copied):
    put(copied, END, [1.2, 3.0])
    with pytest.raises(UserError, match=r"6 frames at 2\.4 s, got 'to_timestamp' 3 s, 3\.0 frames"):
        Dataset.open(copied)


@pytest.mark.parametrize("fps", [1, 4, 6, 10, 25])
def test_another_rate_than_that_of_the_video_is_told_with_both(copied, fps):
    edit_info(copied, lambda info: info.update(fps=fps))
    edit_info(copied, lambda info: info["features"][KEY].pop("info"))
    with pytest.raises(
        UserError, match=rf"Expected {fps} frames a second in .*mp4.*'fps'.*got 5\."
    ):
        Dataset.open(copied)


def test_another_rate_than_info_tells_of_the_video_is_told_with_both(copied):
    edit_info(copied, lambda info: info["features"][KEY]["info"].update({"video.fps": 30}))
    with pytest.raises(UserError, match=r"'video\.fps' 30 where the dataset's 'fps' is 5"):
        Dataset.open(copied)


def test_a_video_with_fewer_frames_than_its_episodes_is_refused(copied):
    shutil.copy(copied / VIDEO.replace("001", "002"), copied / VIDEO)  # of one episode
    with pytest.raises(UserError, match=r"12 frames in .*file-001\.mp4.*of the 2 episodes.*got 6"):
        Dataset.open(copied)


def test_each_file_is_read_once_when_the_dataset_is_opened(collected, monkeypatch):
    read = []
    times = alignment.frame_times
    monkeypatch.setattr(alignment, "frame_times", lambda path: read.append(path) or times(path))
    dataset = Dataset.open(collected)
    assert sorted(read) == sorted({part.path for part in dataset.metadata.videos[KEY]})


OPEN_GOP = "open-gop=1:keyint=10:min-keyint=10:bframes=3:scenecut=0:b-adapt=0"


@pytest.mark.parametrize(
    ("rate", "codec", "container"),
    [
        (5, {"bf": "0"}, {}),
        (5, {"bf": "3", "g": "10"}, {}),
        (5, {"x264-params": OPEN_GOP}, {}),
        (5, {"bf": "3", "g": "10"}, {"movflags": "+negative_cts_offsets"}),
        (5, {"bf": "3", "g": "10"}, {"movflags": "+frag_keyframe+empty_moov"}),
        (5, {"bf": "3", "g": "10"}, {"use_editlist": "0"}),
        (Fraction(5000, 1001), {"bf": "0"}, {}),
    ],
)
def test_videos_as_other_programs_write_them_are_read_frame_by_frame(
    copied, rate, codec, container
):
    frames = np.zeros((12, 24, 32, 3), np.uint8)
    frames[:] = 20 * np.arange(12)[:, None, None, None]
    with av.open(str(copied / VIDEO), "w", format="mp4", options=container) as file:
        stream = file.add_stream("libx264", rate=rate, options={"crf": "1", **codec})
        stream.height, stream.width, stream.pix_fmt = 24, 32, "yuv420p"
        for pixels in frames:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        file.mux(stream.encode(None))
    first = alignment.frame_times(copied / VIDEO)[0]
    put(copied, START, [first, first + 6 / rate])
    drop(copied, END)
    dataset = Dataset.open(copied)
    read = np.concatenate([dataset.frames(2), dataset.frames(3)])
    assert (read.mean((1, 2, 3)) / 20).round().tolist() == [*range(12)]
    for step in range(6):  # from the middle as from the beginning, whatever was sought
        assert np.array_equal(dataset.frames_at(3, np.array([step]))[0], read[6 + step])
    assert np.array_equal(read_frames(copied / VIDEO, first, np.arange(12), float(rate)), read)
