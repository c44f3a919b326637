from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

from worldmodel.agents.collection import CollectConfig, run_collection
from worldmodel.agents.task import TaskConfig
from worldmodel.data.collection import SETTINGS_PATH
from worldmodel.data.lerobot.dataset import Dataset
from worldmodel.data.specification import data_spec
from worldmodel.errors import UserError
from worldmodel.spec import SpecChanges


def test_the_dataset_holds_the_exploration_of_each_seed(tmp_path):
    task = TaskConfig("push")
    run_collection(
        CollectConfig(task, episodes=2, length=4, image_size=64, out=str(tmp_path), seed=5)
    )
    from worldmodel.envs.tabletop.exploration import collect_episode

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
    run_collection(CollectConfig(tasks, 4, also=also, length=3, image_size=64, out=str(tmp_path)))
    episodes = pq.read_table(tmp_path / "meta/episodes/chunk-000/file-000.parquet")
    assert episodes["tasks"].to_pylist() == [["push"], ["grasp"], ["pick_and_place"], ["push"]]
    frames = pq.read_table(tmp_path / "data/chunk-000/file-000.parquet")
    assert frames["task_index"].to_pylist()[::3] == [0, 1, 2, 0]


def test_rich_scenery_is_that_for_training_and_a_dataset_keeps_to_one(tmp_path):
    rich = CollectConfig(
        TaskConfig("push"), 1, length=3, image_size=64, appearance="rich", out=str(tmp_path)
    )
    run_collection(rich)
    from worldmodel.envs.tabletop.exploration import collect_episode

    frames = Dataset.open(tmp_path).frames(0).astype(int)
    errors = {
        split: np.abs(frames - collect_episode("push", 0, 3, 64, "rich", split).frames).max()
        for split in ("train", "test")
    }
    assert errors["train"] <= 2 < errors["test"]
    assert json.loads((tmp_path / SETTINGS_PATH).read_text())["appearance"] == "rich"
    with pytest.raises(UserError, match=r"appearance=rich \(now plain\)"):
        run_collection(replace(rich, episodes=2, appearance="plain"))


def test_both_sceneries_take_turns_round_by_round_and_can_be_told_apart(tmp_path):
    tasks = TaskConfig("push")
    run_collection(
        CollectConfig(
            tasks, 5, also=("grasp",), appearance="both", length=3, image_size=64, out=str(tmp_path)
        )
    )
    dataset = Dataset.open(tmp_path)
    about = [name for (name,) in dataset.metadata.tasks]
    assert about == ["push", "grasp", "push_rich", "grasp_rich", "push"]
    assert dataset.about(["push"]).tolist() == [0, 4]
    assert dataset.about(["grasp", "push_rich"]).tolist() == [1, 2]
    assert dataset.about([]).tolist() == [0, 1, 2, 3, 4]
    with pytest.raises(UserError, match=r"is about 'push_ritch'; did you mean 'push_rich'"):
        dataset.about(["push_ritch"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"task": TaskConfig("pusch")}, r"task among reach, push, .*got 'pusch'"),
        ({"also": ("grab",)}, r"task among reach, push, .*got 'grab'"),
        ({"episodes": 0}, r"episodes\n.* or equal to 1"),
        ({"length": -1}, r"length\n.* or equal to 1"),
        ({"workers": 0}, r"workers\n.* or equal to 1"),
        ({"appearance": "ritch"}, "appearance among plain, rich, both, got 'ritch'"),
    ],
)
def test_a_value_out_of_range_is_refused_before_anything_is_written(tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        run_collection(
            CollectConfig(**{"task": TaskConfig("push"), "out": str(tmp_path / "out"), **change})
        )
    assert not (tmp_path / "out").exists()


def test_a_size_that_the_camera_does_not_have_is_refused_before_workers_start(tmp_path):
    with pytest.raises(
        ValueError, match=r"^environment 'push' cannot be made: Expected image_size in .*got 100"
    ):
        run_collection(CollectConfig(TaskConfig("push"), image_size=100, out=str(tmp_path / "out")))
    assert not (tmp_path / "out").exists()


STILL = '''
import gymnasium
import numpy as np
from gymnasium import spaces


class Still(gymnasium.Env):
    """It says nothing of itself, and nothing moves."""

    def __init__(self):
        picture = spaces.Box(0, 255, (16, 16, 3), np.uint8)
        self.observation_space = spaces.Dict(image=picture, goal=picture)
        self.action_space = spaces.Box(-1.0, 3.0, (2,))

    def reset(self, *, seed=None, options=None):
        return {name: np.zeros((16, 16, 3), np.uint8) for name in ("image", "goal")}, {}

    def step(self, action):
        return self.reset()[0], 0.0, False, False, {}


def make():
    env = Still()
    env.metadata = {}
    return env
'''


def test_what_neither_environment_nor_user_states_stays_unknown(tmp_path, monkeypatch):
    (tmp_path / "still.py").write_text(STILL)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    told = SpecChanges(action_kind="absolute", action_names=("left", "right"))
    out = tmp_path / "data"
    run_collection(
        CollectConfig(
            env="still:make", policy="random", episodes=1, length=3, out=str(out), spec=told,
            workers=1,
        )
    )  # fmt: skip
    dataset = Dataset.open(out)
    spec = data_spec(dataset)
    assert (spec.rate, spec.actions.kind, spec.actions.rest) == (None, "absolute", (1, 1))
    assert dataset.action_names == spec.actions.names == ("left", "right")
    assert spec.unit == ""
