from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
import pytest

from worldmodel.commands.collect import CollectConfig, run
from worldmodel.commands.task import TaskConfig
from worldmodel.data.dataset import Dataset
from worldmodel.errors import UserError


def test_the_dataset_holds_the_exploration_of_each_seed(tmp_path):
    task = TaskConfig("push")
    run(CollectConfig(task, episodes=2, length=4, image_size=64, out=str(tmp_path), seed=5))
    from envs.exploration import collect_episode

    dataset = Dataset.open(tmp_path)
    assert dataset.fps == 5
    assert dataset.seeds.tolist() == [5, 6]
    assert len(dataset.action_names) == len(dataset.state_names) == 7
    episode = collect_episode("push", 6, 4, 64)
    assert np.array_equal(dataset.actions[4:], episode.actions)
    assert np.array_equal(dataset.states[4:], episode.states)
    assert np.array_equal(dataset.objects[4:], episode.objects)
    assert np.abs(dataset.frames(1).astype(int) - episode.frames).max() <= 2


def test_several_tasks_take_turns_and_every_episode_names_its_own(tmp_path):
    tasks, also = TaskConfig("push"), ("grasp", "pick_and_place")
    run(CollectConfig(tasks, also, episodes=4, length=3, image_size=64, out=str(tmp_path)))
    episodes = pq.read_table(tmp_path / "meta/episodes/chunk-000/file-000.parquet")
    assert episodes["tasks"].to_pylist() == [["push"], ["grasp"], ["pick_and_place"], ["push"]]
    frames = pq.read_table(tmp_path / "data/chunk-000/file-000.parquet")
    assert frames["task_index"].to_pylist()[::3] == [0, 1, 2, 0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"task": TaskConfig("pusch")}, r"task among reach, push, .*got 'pusch'"),
        ({"also": ("grab",)}, r"task among reach, push, .*got 'grab'"),
        ({"episodes": 0}, "episodes of at least 1, got 0"),
        ({"length": -1}, "length of at least 1, got -1"),
        ({"workers": 0}, "workers=0"),
    ],
)
def test_a_value_out_of_range_is_refused_before_anything_is_written(tmp_path, change, message):
    with pytest.raises(UserError, match=message):
        run(CollectConfig(**{"task": TaskConfig("push"), "out": str(tmp_path / "out"), **change}))
    assert not (tmp_path / "out").exists()
