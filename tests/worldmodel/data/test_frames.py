from __future__ import annotations

import numpy as np
import pytest

from worldmodel.data import episode_dataset
from worldmodel.data.frames import decoded_frames
from worldmodel.data.lerobot import dataset as dataset_module
from worldmodel.data.lerobot.dataset import Dataset


def test_rows_are_those_of_the_actions(collected, tmp_path):
    dataset = Dataset.open(collected)
    frames = decoded_frames(dataset, tmp_path)
    assert frames.shape == (30, 24, 32, 3)
    for episode, start in enumerate(dataset.starts):
        assert np.array_equal(frames[start : start + 6], dataset.frames(episode))


def test_a_dataset_is_decoded_once_and_from_where_it_was_interrupted(
    collected, tmp_path, monkeypatch
):
    dataset = Dataset.open(collected)
    read, asked = dataset_module.each_frame, []

    def counting(path, start, steps, fps):
        asked.append((path, start))
        if len(set(asked)) == 4 and broken:
            raise KeyboardInterrupt
        return read(path, start, steps, fps)

    monkeypatch.setattr(dataset_module, "each_frame", counting)
    monkeypatch.setattr(episode_dataset, "_DECODING_THREADS", 1)
    broken = True
    with pytest.raises(KeyboardInterrupt):
        decoded_frames(dataset, tmp_path)
    broken = False
    asked.clear()
    frames = decoded_frames(dataset, tmp_path)
    assert len(asked) < dataset.num_episodes
    assert np.array_equal(frames, np.concatenate([dataset.frames(e) for e in range(5)]))
    asked.clear()
    decoded_frames(Dataset.open(collected), tmp_path)
    assert asked == []
