"""A LeRobotDataset v2.1 is read as it is, or a line says what is wrong with it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from layouts import LENGTHS, lerobot_2, png

from worldmodel.data.lerobot.dataset import Dataset
from worldmodel.data.oddities import oddities
from worldmodel.errors import UserError

LISTING = "meta/episodes.jsonl"


def test_an_episode_may_lack_its_last_frame(tmp_path):
    dataset = Dataset.open(lerobot_2(tmp_path, missing=1), ())
    whole = Dataset.open(lerobot_2(tmp_path / "whole"), ())
    assert dataset.lengths.tolist() == [6, 8, 4]
    kept = np.delete(np.arange(sum(LENGTHS)), 14)
    for name in ("actions", "states", "timestamps"):
        assert np.array_equal(getattr(dataset, name), getattr(whole, name)[kept])
    assert np.array_equal(
        [*dataset.camera_frames("front", 2, np.arange(4))],
        [*whole.camera_frames("front", 2, np.arange(4))],
    )
    assert "1 of 3 episodes lack their last frame" in oddities(dataset)


def test_tasks_names_and_rate_are_read(tmp_path):
    dataset = Dataset.open(lerobot_2(tmp_path), "front")
    assert dataset.tasks == [("push",), ("lift",), ("push",)]
    assert (dataset.action_names, dataset.fps) == (("x", "y"), 20)
    assert dataset.about(["lift"]).tolist() == [1]


def edit(root: Path, name: str, old: str, new: str) -> None:
    text = (root / name).read_text()
    assert old in text
    (root / name).write_text(text.replace(old, new))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda r: (r / LISTING).unlink(), r"the file .*episodes\.jsonl, which is missing"),
        (lambda r: edit(r, LISTING, '"length": 9', '"length": "many"'), r"jsonl, line 2 \(length"),
        (lambda r: edit(r, LISTING, '"length": 9', '"length": 8'), r"19 rows that do not match"),
        (
            lambda r: edit(r, LISTING, '"episode_index": 1', '"episode_index": 0'),
            r"episode 0 twice",
        ),
        (
            lambda r: edit(r, "meta/info.json", '"total_episodes": 3', '"total_episodes": 4'),
            "got 3",
        ),
        (lambda r: edit(r, "meta/info.json", "data/chunk", "../chunk"), r"leads out of it"),
        (
            lambda r: edit(r, "meta/info.json", "episode_index:06d", "file_index:03d"),
            r"placeholders",
        ),
        (
            lambda r: (r / "data/chunk-000/episode_000001.parquet").unlink(),
            r"episode_000001\.parquet, which is missing",
        ),
        (
            lambda r: shutil.copy(
                r / "videos/chunk-000/observation.images.front/episode_000002.mp4",
                r / "videos/chunk-000/observation.images.front/episode_000001.mp4",
            ),
            r"9 frames in .*episode_000001\.mp4.*got 4",
        ),
    ],
)
def test_a_damaged_dataset_is_one_clear_line(tmp_path, damage, message):
    root = lerobot_2(tmp_path)
    damage(root)
    with pytest.raises(UserError, match=message) as caught:
        Dataset.open(root, ())
    assert "\n" not in str(caught.value)


def with_image(root: Path, value: object, kind: pa.DataType | None = None) -> Path:
    """Replaces an image of the second episode."""
    path, key = root / "data/chunk-000/episode_000001.parquet", "observation.images.front"
    table = pq.read_table(path)
    values = table[key].to_pylist()
    values[3] = value
    place = table.column_names.index(key)
    pq.write_table(table.set_column(place, key, pa.array(values, kind)), path)
    return root


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"bytes": b"no image", "path": None}, r"Cannot read the image in .*front', row 3"),
        ({"bytes": None, "path": None}, r"Expected an image in .*row 3, got none"),
        ({"bytes": None, "path": "../x.png"}, r"leads out of"),
        (
            {"bytes": png(np.zeros((8, 8, 3), np.uint8)), "path": None},
            r"8-bit image of 24 x 40 in .*got 8 x 8 of mode RGB",
        ),
        (
            {"bytes": png(np.zeros((24, 40), np.uint16)), "path": None},
            r"8-bit image of 24 x 40 in .*got 24 x 40 of mode I;16",
        ),
    ],
)
def test_an_image_that_is_none_is_told_with_its_place(tmp_path, value, message):
    root = with_image(lerobot_2(tmp_path, images=True), value)
    dataset = Dataset.open(root, "front")
    with pytest.raises(UserError, match=message):
        dataset.frames(1)
    assert len(dataset.frames(0)) == 6


def test_an_image_may_be_a_file_of_its_own(tmp_path):
    root = lerobot_2(tmp_path, images=True)
    before = Dataset.open(root, "front").frames(1)
    (root / "images").mkdir()
    (root / "images/3.png").write_bytes(png(before[3]))
    with_image(root, {"bytes": None, "path": "images/3.png"})
    assert np.array_equal(Dataset.open(root, "front").frames(1), before)


def test_states_may_be_absent(tmp_path):
    root = lerobot_2(tmp_path)
    info = json.loads((root / "meta/info.json").read_text())
    info["features"].pop("observation.state")
    (root / "meta/info.json").write_text(json.dumps(info))
    assert Dataset.open(root, "front").states.shape == (sum(LENGTHS), 0)
