from __future__ import annotations

import json
import shutil
from fractions import Fraction

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from worldmodel.data.dataset import Dataset
from worldmodel.data.video import writing_video
from worldmodel.errors import UserError

DATA = "data/chunk-000/file-001.parquet"
EPISODES = "meta/episodes/chunk-000/file-001.parquet"
VIDEO = "videos/observation.images.front/chunk-000/file-001.mp4"


def edit_info(root, change):
    path = root / "meta/info.json"
    info = json.loads(path.read_text())
    change(info)
    path.write_text(json.dumps(info))


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def coded(episode, frame):
    """A frame that tells which one it is, even after lossy compression."""
    pixels = np.full((64, 80, 3), 40, np.uint8)
    pixels[:, :40], pixels[32:, 40:] = 20 + 6 * frame, 50 * episode
    return pixels


def decoded(frames):
    times = (frames[:, 20:44, 10:30].mean((1, 2, 3)) - 20) / 6
    episodes = frames[:, 44:60, 50:70].mean((1, 2, 3)) / 50
    return [(round(e), round(t)) for e, t in zip(episodes, times, strict=True)]


@pytest.fixture
def foreign(tmp_path):
    """A dataset laid out as LeRobot does it: files cut by size, AV1, no seeds, odd dtypes."""
    lengths, fps, key = [12, 7, 20, 9], 7.5, "observation.images.top"
    data_files, video_files = [1, 1, 1, 0], [0, 0, 1, 1]
    rows, clock = [], [0.0, 0.0]
    for e, (n, v) in enumerate(zip(lengths, video_files, strict=True)):
        start, clock[v] = clock[v], clock[v] + n / fps
        rows.append(
            {
                "episode_index": e,
                "tasks": ["stack"],
                "length": n,
                "data/chunk_index": 0,
                "data/file_index": data_files[e],
                f"videos/{key}/chunk_index": 3,
                f"videos/{key}/file_index": v,
                f"videos/{key}/from_timestamp": start,
                f"videos/{key}/to_timestamp": clock[v],
            }
        )
    for file in (0, 1):
        chosen = [e for e in range(4) if data_files[e] == file]
        index = [(e, t) for e in chosen for t in range(lengths[e])]
        table = pa.table(
            {
                "action": pa.array([[float(e), t, 0.5] for e, t in index], pa.list_(pa.float64())),
                "observation.state": pa.array([100.0 * e + t for e, t in index], pa.float32()),
                "episode_index": [e for e, _ in index],
                "frame_index": [t for _, t in index],
            }
        )
        path = tmp_path / f"data/chunk-000/file-00{file}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, path)
    # Newer files may sort first by name; the episode index decides.
    for file, part in enumerate([rows[2:], rows[:2]]):
        path = tmp_path / f"meta/episodes/chunk-000/file-00{file}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(part), path)
    for file in (0, 1):
        path = tmp_path / f"videos/{key}/chunk-003/file-00{file}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        with av.open(str(path), "w") as container:
            options = {"g": "2", "crf": "30"}
            stream = container.add_stream("libsvtav1", rate=Fraction(15, 2), options=options)
            stream.width, stream.height, stream.pix_fmt = 80, 64, "yuv420p"
            for e in (e for e in range(4) if video_files[e] == file):
                for t in range(lengths[e]):
                    frame = av.VideoFrame.from_ndarray(coded(e, t), format="rgb24")
                    container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    info = {
        "codebase_version": "v3.0",
        "total_episodes": 4,
        "fps": fps,
        "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
        "video_path": "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4",
        "features": {
            "action": {"dtype": "float64", "shape": [3], "names": {"motors": ["a", "b", "c"]}},
            "observation.state": {"dtype": "float32", "shape": [1], "names": None},
            key: {"dtype": "video", "shape": [3, 64, 80], "names": ["channels", "height", "width"]},
        },
    }
    (tmp_path / "meta/info.json").write_text(json.dumps(info))
    return tmp_path


def test_a_dataset_that_lerobot_laid_out_reads_frame_by_frame(foreign):
    dataset = Dataset.open(foreign)
    assert dataset.fps == 7.5
    assert dataset.image_size == (64, 80)
    assert dataset.action_names == ("a", "b", "c")
    assert dataset.state_names is None
    assert dataset.seeds is None
    assert dataset.objects is None
    assert dataset.lengths.tolist() == [12, 7, 20, 9]
    expected = [(e, t) for e, n in enumerate([12, 7, 20, 9]) for t in range(n)]
    assert dataset.actions.dtype == np.float32
    assert dataset.actions.tolist() == [[e, t, 0.5] for e, t in expected]
    assert dataset.states.tolist() == [[100 * e + t] for e, t in expected]
    assert [x for frames in dataset.iter_frames() for x in decoded(frames)] == expected


def test_frames_in_order_equal_frames_one_by_one(collected):
    dataset = Dataset.open(collected)
    for episode, frames in enumerate(dataset.iter_frames(first=2), 2):
        assert np.array_equal(frames, dataset.frames(episode))


def test_the_fingerprint_depends_on_the_contents_and_not_on_the_place(collected, copied):
    original = Dataset.open(collected).fingerprint()
    assert Dataset.open(copied).fingerprint() == original
    for name in (VIDEO, DATA, EPISODES):
        changed = shutil.copytree(
            collected, copied.parent / f"changed-{name.rpartition('.')[2]}-x{len(name)}"
        )
        content = bytearray((changed / name).read_bytes())
        if name == VIDEO:
            content[len(content) // 2] ^= 1
            (changed / name).write_bytes(content)
        else:
            pq.write_table(pq.read_table(changed / name), changed / name, compression="none")
        assert Dataset.open(changed).fingerprint() != original


def test_a_camera_is_chosen_by_name_when_there_are_several(copied):
    key = "observation.images.wrist"
    shutil.copytree(copied / "videos/observation.images.front", copied / "videos" / key)
    for number in range(3):
        path = copied / f"meta/episodes/chunk-000/file-00{number}.parquet"
        table = pq.read_table(path)
        for column in ("chunk_index", "file_index", "from_timestamp"):
            values = table[f"videos/observation.images.front/{column}"]
            table = table.append_column(f"videos/{key}/{column}", values)
        pq.write_table(table, path)
    path = copied / "videos" / key / "chunk-000/file-000.mp4"
    with writing_video(path, 5, 24, 32) as append:
        append(np.zeros((12, 24, 32, 3), np.uint8))
    edit_info(
        copied,
        lambda i: i["features"].update({key: i["features"]["observation.images.front"]}),
    )

    with pytest.raises(UserError, match=r"one camera.*front.*wrist.*camera=…"):
        Dataset.open(copied)
    with pytest.raises(UserError, match="none of them 'left'"):
        Dataset.open(copied, camera="left")
    assert Dataset.open(copied, camera="wrist").camera == key
    assert Dataset.open(copied, camera=key).frames(0).max() <= 2
    front = Dataset.open(copied, camera="front")
    assert front.frames(0).max() > 2
    assert front.fingerprint() != Dataset.open(copied, camera="wrist").fingerprint()


def rename(features, before, after):
    features[after] = features.pop(before)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (shutil.rmtree, r"no such folder.*worldmodel collect out="),
        (lambda r: shutil.rmtree(r / "meta"), r"without meta.*worldmodel collect out="),
        (lambda r: (r / "meta/info.json").unlink(), r"unfinished.*rerun the collect command"),
        (lambda r: truncate(r / "meta/info.json"), r"Cannot read .*info\.json"),
        (lambda r: edit_info(r, lambda i: i.pop("fps")), r"info\.json .*'fps'"),
        (
            lambda r: edit_info(r, lambda i: i.update(codebase_version="v2.1")),
            r"LeRobotDataset v3\.0 .*got v2\.1.*convert_dataset_v21_to_v30",
        ),
        (
            lambda r: edit_info(r, lambda i: i["features"].pop("observation.images.front")),
            r"a camera stored as video .*got none",
        ),
        (
            lambda r: edit_info(
                r, lambda i: i["features"]["observation.images.front"].update(dtype="image")
            ),
            r"only still images: observation\.images\.front",
        ),
        (
            lambda r: edit_info(r, lambda i: rename(i["features"], "action", "torque")),
            r"a feature 'action' in .*info\.json, got .*torque",
        ),
        (
            lambda r: truncate(r / DATA),
            r"Cannot read .*data/chunk-000/file-001.*Delete it and rerun",
        ),
        (lambda r: truncate(r / EPISODES), r"Cannot read .*episodes/chunk-000/file-001.*Delete"),
        (
            lambda r: (r / DATA).unlink(),
            r"file .*data/chunk-000/file-001\.parquet, which is missing",
        ),
        (lambda r: (r / VIDEO).unlink(), r"file .*file-001\.mp4, which is missing: rerun"),
        (lambda r: (r / EPISODES).unlink(), r"Expected 5 episodes .*got 3.*incomplete"),
        (
            lambda r: pq.write_table(pq.read_table(r / DATA)[:-1], r / DATA),
            r"Expected 30 frames in .*/data, .*got 29 rows",
        ),
        (
            lambda r: pq.write_table(pq.read_table(r / DATA).drop(["action"]), r / DATA),
            r"Expected the columns action in .*file-001\.parquet",
        ),
    ],
)
def test_a_damaged_dataset_is_one_clear_line(copied, damage, message):
    damage(copied)
    with pytest.raises(UserError, match=message) as raised:
        Dataset.open(copied)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "damage", [truncate, lambda path: path.write_text("no video"), lambda path: path.unlink()]
)
def test_a_damaged_video_is_one_clear_line(copied, damage):
    dataset = Dataset.open(copied)
    damage(copied / VIDEO)
    with pytest.raises(UserError, match=r"Cannot read the video .*file-001\.mp4: .*delete it and"):
        list(dataset.iter_frames())


def test_frames_of_another_size_than_announced_are_refused(copied):
    edit_info(copied, lambda i: i["features"]["observation.images.front"].update(shape=[32, 24, 3]))
    with pytest.raises(UserError, match=r"frames of \(32, 24\) .*got \(24, 32\)"):
        Dataset.open(copied).frames(0)


def test_a_checkpoint_for_another_robot_is_told_apart(collected):
    dataset = Dataset.open(collected)
    dataset.require(action_width=7, state_width=7, image_size=(24, 32))
    with pytest.raises(UserError, match=r"actions of size 4, .*got 7.*same robot"):
        dataset.require(action_width=4)
    with pytest.raises(UserError, match=r"frames of size \(96, 96\), .*got \(24, 32\)"):
        dataset.require(image_size=(96, 96))
