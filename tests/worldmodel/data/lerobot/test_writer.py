from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from synthetic_episodes import SyntheticEpisode, make_episode

from worldmodel.data.lerobot.dataset import Dataset
from worldmodel.data.lerobot.writer import finish_dataset, write_shard
from worldmodel.errors import UserError

CAMERA = "observation.images.front"


def written(root, episodes, **names):
    common = {"tasks": ("push",), "fps": 5, "camera": "front"}
    write_shard(root, 0, 0, 0, range(len(episodes)), episodes, **common)
    finish_dataset(root, 1, **common, **names)
    return Dataset.open(root)


def test_info_has_every_field_of_lerobot_v3(collected):
    info = json.loads((collected / "meta/info.json").read_text())
    features = info.pop("features")
    assert info == {
        "codebase_version": "v3.0",
        "robot_type": None,
        "total_episodes": 5,
        "total_frames": 30,
        "total_tasks": 1,
        "chunks_size": 1000,
        "data_files_size_in_mb": 100,
        "video_files_size_in_mb": 500,
        "fps": 5,
        "splits": {"train": "0:5"},
        "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
        "video_path": "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4",
    }
    assert features["action"] == {"dtype": "float32", "shape": [7], "names": list("abcdefg")}
    assert features["observation.environment_state"]["shape"] == [3]
    assert features["frame_index"] == {"dtype": "int64", "shape": [1], "names": None}
    assert features["timestamp"]["dtype"] == "float32"
    assert features[CAMERA]["shape"] == [24, 32, 3]
    assert features[CAMERA]["names"] == ["height", "width", "channels"]
    assert features[CAMERA]["info"]["video.codec"] == "h264"


def test_episode_metadata_points_into_the_data_and_the_videos(collected):
    rows = pq.read_table(collected / "meta/episodes").to_pylist()
    assert [row["episode_index"] for row in rows] == [0, 1, 2, 3, 4]
    third = rows[3]
    assert third["tasks"] == ["push"]
    assert third["length"] == 6
    assert (third["dataset_from_index"], third["dataset_to_index"]) == (18, 24)
    assert (third["data/chunk_index"], third["data/file_index"]) == (0, 1)
    assert (third["meta/episodes/chunk_index"], third["meta/episodes/file_index"]) == (0, 1)
    video = {name: third[f"videos/{CAMERA}/{name}"] for name in ("chunk_index", "file_index")}
    assert video == {"chunk_index": 0, "file_index": 1}
    assert third[f"videos/{CAMERA}/from_timestamp"] == pytest.approx(6 / 5)
    assert third[f"videos/{CAMERA}/to_timestamp"] == pytest.approx(12 / 5)
    assert np.shape(third[f"stats/{CAMERA}/mean"]) == (3, 1, 1)
    assert third["stats/index/min"] == [18]


def test_frames_are_numbered_through_over_all_shards(collected):
    table = pq.read_table(collected / "data")
    assert table["index"].to_pylist() == list(range(30))
    assert table["frame_index"].to_pylist() == list(range(6)) * 5
    assert table["episode_index"].to_pylist() == np.repeat(range(5), 6).tolist()
    assert table["timestamp"].to_numpy() == pytest.approx(np.arange(30) % 6 / 5)
    assert table.schema.field("action").type == pa.list_(pa.float32(), 7)


def test_tasks_are_indexed_by_name_as_pandas_does(collected):
    tasks = pq.read_table(collected / "meta/tasks.parquet")
    assert tasks.to_pylist() == [{"task_index": 0, "task": "push"}]
    assert tasks.schema.pandas_metadata["index_columns"] == ["task"]


def test_statistics_merged_over_episodes_are_those_of_all_frames(collected):
    dataset = Dataset.open(collected)
    stats = json.loads((collected / "meta/stats.json").read_text())["action"]
    assert stats["mean"] == pytest.approx(dataset.actions.mean(0), abs=1e-6)
    assert stats["std"] == pytest.approx(dataset.actions.std(0), abs=1e-6)
    assert stats["min"] == pytest.approx(dataset.actions.min(0))
    assert stats["max"] == pytest.approx(dataset.actions.max(0))
    assert stats["count"] == [30]


def test_episodes_of_different_lengths_and_vectors_of_width_one_read_back(tmp_path):
    made = [make_episode(seed, length=3 + seed) for seed in range(3)]
    narrow = [SyntheticEpisode(e.frames, e.actions[:, :1], e.states, None) for e in made]
    dataset = written(tmp_path, narrow)
    assert dataset.lengths.tolist() == [3, 4, 5]
    assert dataset.starts.tolist() == [0, 3, 7]
    assert dataset.objects is None
    assert np.array_equal(dataset.actions, np.concatenate([e.actions for e in narrow]))
    assert pq.read_schema(tmp_path / "data/chunk-000/file-000.parquet").field("action").type == (
        pa.float32()
    )


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda e: replace(e, actions=e.actions.astype(np.float64)), "actions as float32"),
        (lambda e: replace(e, states=e.states[:, :3]), r"states as float32 \[6, 7\]"),
        (lambda e: replace(e, states=e.states[:-1]), r"states as float32 \[6, 7\]"),
        (lambda e: replace(e, frames=e.frames[:, :-2]), r"frames as uint8 \[6, 24, 32, 3\]"),
        (lambda e: replace(e, frames=e.frames[:0]), "frames as uint8"),
        (lambda e: replace(e, objects=None), "objects in all episodes or in none"),
        (lambda e: replace(e, actions=e.actions * np.nan), "finite actions"),
    ],
)
def test_an_episode_unlike_the_first_is_refused(tmp_path, change, named):
    with pytest.raises(UserError, match=named):
        written(tmp_path, [make_episode(0), change(make_episode(1))])
    assert not list(tmp_path.rglob("*.parquet"))
