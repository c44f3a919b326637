from __future__ import annotations

import json
import shutil
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from synthetic_episodes import each_episode

from worldmodel.data.lerobot.dataset import Dataset
from worldmodel.data.lerobot.video import writing_video
from worldmodel.errors import UserError
from worldmodel.files.checksums import CHECKSUMS_PATH

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
    assert [x for frames in each_episode(dataset) for x in decoded(frames)] == expected


def test_frames_in_order_equal_frames_one_by_one(collected):
    dataset = Dataset.open(collected)
    for episode, frames in enumerate(each_episode(dataset, first=2), 2):
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
        with pytest.raises(UserError, match=f"{Path(name).name} was changed or damaged"):
            Dataset.open(changed).fingerprint()
        (changed / CHECKSUMS_PATH).unlink()
        assert Dataset.open(changed).fingerprint() != original


def test_a_dataset_that_was_edited_after_its_collection_is_told(collected, tmp_path):
    root = shutil.copytree(collected, tmp_path / "edited")
    edit_info(root, lambda info: info.update(robot_type="another"))
    with pytest.raises(UserError, match=r"info.json was changed.*delete .*checksums.json"):
        Dataset.open(root).fingerprint()


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

    with pytest.raises(UserError, match=r"has front, wrist, got none.*cameras=\[front\]"):
        Dataset.open(copied)
    with pytest.raises(UserError, match=r"no camera 'left' .*expected one of front, wrist"):
        Dataset.open(copied, "left")
    with pytest.raises(UserError, match=r"each camera .* once"):
        Dataset.open(copied, ["wrist", key])
    assert Dataset.open(copied, "wrist").cameras == ("wrist",)
    assert Dataset.open(copied, key).frames(0).max() <= 2
    front = Dataset.open(copied, "front")
    assert front.frames(0).max() > 2
    both = Dataset.open(copied, ["wrist", "front"])
    assert np.array_equal(both.frames(0)[:, :, 32:], front.frames(0))
    assert Dataset.open(copied, ()).cameras == ("front", "wrist")
    keys = {front, both, Dataset.open(copied, "wrist"), Dataset.open(copied, ())}
    assert len({dataset.fingerprint() for dataset in keys}) == 4


def rename(features, before, after):
    features[after] = features.pop(before)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (shutil.rmtree, r"no such folder.*worldmodel collect out="),
        (lambda r: shutil.rmtree(r / "meta"), r"without meta.*worldmodel collect out="),
        (lambda r: (r / "meta/info.json").unlink(), r"unfinished.*rerun the collect command"),
        (lambda r: truncate(r / "meta/info.json"), r"info\.json is damaged"),
        (lambda r: edit_info(r, lambda i: i.pop("fps")), r"info\.json .*'fps'"),
        (
            lambda r: edit_info(r, lambda i: i.update(codebase_version="v1.6")),
            r"LeRobotDataset v3\.0 or v2\.1 .*got v1\.6.*Convert it with LeRobot",
        ),
        (
            lambda r: edit_info(r, lambda i: i["features"].pop("observation.images.front")),
            r"a camera in .*got none",
        ),
        (
            lambda r: edit_info(
                r, lambda i: i["features"]["observation.images.front"].update(dtype="image")
            ),
            r"the columns observation\.images\.front in .*file-000\.parquet",
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
        list(each_episode(dataset))


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


def put(root, name, column, values, kind=None):
    """Replaces a column of a file."""
    table = pq.read_table(root / name)
    place = table.column_names.index(column)
    pq.write_table(table.set_column(place, column, pa.array(values, kind)), root / name)


FEATURE = "observation.images.front"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda i: i.update(fps="5"), r"'fps': Input should be a valid number"),
        (lambda i: i.update(fps=0), r"'fps': Input should be greater than 0"),
        (lambda i: i.update(fps=float("nan")), r"finite number for 'fps'"),
        (lambda i: i.update(total_episodes="5"), r"'total_episodes': Input should be"),
        (lambda i: i.update(total_episodes=10**40), r"Expected 1000.* episodes .*got 5"),
        (lambda i: i.update(features=[1]), r"'features': Input should be an object"),
        (lambda i: i.update(features={"action": "x"}), r"'features\.action': Input should be"),
        (lambda i: i["features"][FEATURE].update(shape=[24]), r"shape \[height, width, channels\]"),
        (lambda i: i["features"][FEATURE].update(shape=[10**9, 24, 3]), r"got \[1000000000, 24, 3"),
        (lambda i: i.update(data_path="{chunk_index:99999999999}"), r"info\.json\['data_path'\]"),
        (lambda i: i.update(video_path="{video_key[0]}"), r"info\.json\['video_path'\]"),
        (lambda i: i.update(data_path="../{file_index}"), r"inside .*'\.\./0' .*leads out"),
        (lambda i: i.update(data_path="/etc/passwd"), r"inside .*'/etc/passwd' .*leads out"),
        (lambda i: i["features"]["action"].update(shape=[6]), r"'action' of shape \[6\].*got 7"),
    ],
)
def test_an_info_that_cannot_be_is_one_clear_line(copied, change, message):
    edit_info(copied, change)
    with pytest.raises(UserError, match=message) as raised:
        Dataset.open(copied)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("text", ["[" * 100_000, "[]", "5", '{"fps": ' + "9" * 6000 + "}", "\x00"])
def test_an_info_that_is_no_object_is_one_clear_line(copied, text):
    (copied / "meta/info.json").write_text(text)
    with pytest.raises(UserError, match=r"info\.json is damaged") as raised:
        Dataset.open(copied)
    assert "\n" not in str(raised.value)


def test_whole_numbers_stored_as_floats_or_as_lists_of_one_are_read(collected, copied):
    edit_info(copied, lambda i: i.update(total_episodes=5.0, fps=5.0))
    put(copied, EPISODES, "length", [[6], [6]])
    for name in ("data/chunk_index", "data/file_index", f"videos/{FEATURE}/file_index"):
        put(
            copied,
            EPISODES,
            name,
            [float(x) for x in pq.read_table(copied / EPISODES)[name].to_pylist()],
        )
    put(copied, DATA, "episode_index", [2.0] * 6 + [3.0] * 6)
    put(copied, DATA, "frame_index", [[step] for step in [*range(6)] * 2])
    expected, read = Dataset.open(collected), Dataset.open(copied)
    assert np.array_equal(read.actions, expected.actions)
    assert np.array_equal(read.frames(3), expected.frames(3))


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("length", [6, 0], r"at least one frame .*'length', got 0 for episode 3"),
        ("length", [10**12, 6], r"'length' .*got .*|dataset_to_index"),
        ("length", ["6", "6"], r"numbers in .*file-001\.parquet, column 'length', got string"),
        (
            "episode_index",
            [2, 2],
            r"each episode once .*episode 2 in .*file-001.* and in .*file-001",
        ),
        (
            "episode_index",
            [2, 4],
            r"each episode once .*episode 4 in .*file-001.* and in .*file-002",
        ),
        ("dataset_to_index", [18, 23], r"dataset_from_index \+ length .*got 23 for episode 3"),
        ("data/file_index", [0, 1], r"Expected 6 rows of episode 2 in .*file-000.*got 0 rows"),
        ("tasks", [1, 2], r"texts in .*column 'tasks', got 1 in row 0"),
    ],
)
def test_episodes_that_cannot_be_are_told_with_file_column_and_row(copied, column, values, message):
    put(copied, EPISODES, column, values)
    with pytest.raises(UserError, match=message):
        Dataset.open(copied)


def test_a_length_beyond_all_rows_is_compared_before_anything_is_made_of_it(copied):
    table = pq.read_table(copied / EPISODES)
    bounds = ["dataset_from_index", "dataset_to_index", f"videos/{FEATURE}/to_timestamp"]
    pq.write_table(table.drop(bounds), copied / EPISODES)
    put(copied, EPISODES, "length", [6, 10**12])
    with pytest.raises(UserError, match=r"1000000000024 frames in .*'length'.*got 30 rows"):
        Dataset.open(copied)


@pytest.mark.parametrize("order", [[0, 1, 2, 3, 4, 4], [1, 2, 3, 4, 5, 6], [0, 1, 2, 3, 4, 7]])
def test_rows_that_are_not_numbered_through_are_told(copied, order):
    put(copied, DATA, "frame_index", [*range(6), *order])
    with pytest.raises(UserError, match=r"episode 3 in .*numbered from 0 on, got 'frame_index'"):
        Dataset.open(copied)


def test_rows_come_in_the_order_of_their_numbers(collected, copied):
    table = pq.read_table(copied / DATA)
    pq.write_table(table.take([3, 11, 0, 7, 5, 1, 2, 10, 4, 9, 6, 8]), copied / DATA)
    expected, read = Dataset.open(collected), Dataset.open(copied)
    assert np.array_equal(read.actions, expected.actions)
    assert np.array_equal(read.timestamps, expected.timestamps)


def test_shards_that_mean_the_same_are_read_whatever_their_types(collected, copied):
    expected = Dataset.open(collected)
    table = pq.read_table(copied / DATA)
    put(copied, DATA, "action", table["action"].to_pylist(), pa.list_(pa.float64()))
    put(
        copied,
        DATA,
        "observation.state",
        table["observation.state"].to_pylist(),
        pa.list_(pa.float32()),
    )
    put(copied, DATA, "episode_index", table["episode_index"].to_pylist(), pa.int32())
    pq.write_table(pq.read_table(copied / DATA).drop(["timestamp"]), copied / DATA)
    episodes = pq.read_table(copied / EPISODES).drop(["seed", "tasks", "dataset_to_index"])
    pq.write_table(episodes, copied / EPISODES)
    put(copied, EPISODES, "length", [6, 6], pa.int32())
    read = Dataset.open(copied)
    assert np.array_equal(read.actions, expected.actions)
    assert np.array_equal(read.states, expected.states)
    assert read.timestamps == pytest.approx(expected.timestamps, abs=1e-6)
    assert read.seeds is None
    assert read.metadata.tasks == [("push",), ("push",), (), (), ("push",)]


def test_shards_that_differ_are_told_with_file_and_column(copied):
    edit_info(copied, lambda i: i["features"]["action"].pop("shape"))
    put(copied, DATA, "action", [[0.0] * 6] * 12)
    with pytest.raises(UserError, match=r"'action' of width 7 in .*file-001\.parquet.*got 6"):
        Dataset.open(copied)
    table = pq.read_table(copied / DATA).drop(["observation.environment_state"])
    pq.write_table(table, copied / DATA)
    with pytest.raises(UserError, match=r"columns observation\.environment_state in .*file-001"):
        Dataset.open(copied)


def spoilt(root, column, row, value, components=1):
    values = np.stack(pq.read_table(root / DATA)[column].to_pylist()).astype(np.float64)
    values[row, components] = value
    put(root, DATA, column, list(values), pa.list_(pa.float64()))


def test_a_last_action_may_be_nan_and_is_then_zero(collected, copied):
    spoilt(copied, "action", [5, 11], float("nan"), components=slice(None))
    expected, read = Dataset.open(collected).actions, Dataset.open(copied).actions
    assert not read[[17, 23]].any()
    others = np.setdiff1d(np.arange(30), [17, 23])
    assert np.array_equal(read[others], expected[others])


def test_timestamps_in_another_unit_are_told(copied):
    times = pq.read_table(copied / DATA)["timestamp"].to_numpy() * 1000
    put(copied, DATA, "timestamp", times, pa.float32())
    with pytest.raises(UserError, match=r"'timestamp' in s, about 0\.2 from frame .*got 200"):
        Dataset.open(copied)


def test_a_key_twice_in_the_info_is_told(copied):
    path = copied / "meta/info.json"
    path.write_text(path.read_text().replace('"fps": 5,', '"fps": 5, "fps": 6,'))
    with pytest.raises(UserError, match="key 'fps' twice"):
        Dataset.open(copied)


@pytest.mark.parametrize(
    ("column", "row", "value", "message"),
    [
        ("action", 4, float("nan"), "got NaN or no value at frame 4 of episode 2"),
        ("action", 6, float("nan"), "got NaN or no value at frame 0 of episode 3"),
        ("action", 5, float("nan"), "got NaN or no value at frame 5 of episode 2"),
        ("action", 5, float("inf"), "got inf.* at frame 5 of episode 2"),
        ("action", 0, 1e300, "got inf, too large to train on at frame 0 of episode 2"),
        ("observation.state", 5, float("nan"), "got NaN or no value at frame 5 of episode 2"),
        ("observation.environment_state", 11, float("nan"), "at frame 5 of episode 3"),
    ],
)
def test_values_that_are_not_finite_are_told_with_their_place(copied, column, row, value, message):
    spoilt(copied, column, row, value)
    expected = rf"file-001\.parquet, column '{column}', .*{message}.*leave the episode out"
    with pytest.raises(UserError, match=expected):
        Dataset.open(copied)


def linked(root, name):
    """Moves a file out of the dataset and leaves a link."""
    target = root.parent / f"blob-{len(list(root.parent.iterdir()))}"
    (root / name).replace(target)
    (root / name).symlink_to(target)


@pytest.mark.parametrize("name", [VIDEO, DATA, EPISODES, "meta/info.json"])
def test_links_lead_out_of_the_dataset_only_if_that_was_asked_for(collected, copied, name):
    linked(copied, name)
    with pytest.raises(
        UserError, match=rf"{name}, a link that leads to .*allow_links_outside=true"
    ):
        Dataset.open(copied)
    read = Dataset.open(copied, allow_links_outside=True)
    assert read.fingerprint() == Dataset.open(collected).fingerprint()


@pytest.mark.parametrize(
    "playlist",
    [
        "ffconcat version 1.0\nfile 'other.mp4'\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nother.mp4\n#EXT-X-ENDLIST\n",
    ],
)
def test_a_playlist_named_mp4_is_never_followed(copied, playlist):
    (copied / VIDEO).rename((copied / VIDEO).with_name("other.mp4"))
    (copied / VIDEO).write_text(playlist)
    with pytest.raises(UserError, match=r"Cannot read the video .*file-001\.mp4"):
        Dataset.open(copied)
