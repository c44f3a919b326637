"""Frames are chosen by when they were taken, and actions lead from one to the next."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from synthetic_episodes import each_episode

from worldmodel.data.arrays import ArrayDataset
from worldmodel.data.lerobot.dataset import Dataset
from worldmodel.data.recording import Recording
from worldmodel.data.sampling import nearest_frames, pose_actions, sampled
from worldmodel.data.specification import data_spec, write_dataset_spec
from worldmodel.errors import UserError
from worldmodel.nn.pose import compose, euler_to_matrix
from worldmodel.spec import SpecChanges

POSES = SpecChanges(state_kind="pose")
DATA = "data/chunk-000/file-001.parquet"  # episodes 2 and 3 of the collected dataset


def retimed(root, times, name=DATA):
    """Replaces the timestamps of a file of two episodes of six frames."""
    table = pq.read_table(root / name)
    index = table.column_names.index("timestamp")
    column = pa.array(np.asarray(times, np.float32))
    pq.write_table(table.set_column(index, "timestamp", column), root / name)
    return root


def test_frames_are_the_nearest_in_time_and_of_two_the_earlier():
    assert nearest_frames(np.arange(31) / 15, 4).tolist() == [0, 4, 7, 11, 15, 19, 22, 26, 30]
    assert nearest_frames(np.arange(6) / 10, 4).tolist() == [0, 2, 5]
    assert nearest_frames(7e5 + np.arange(6) / 10, 4).tolist() == [0, 2, 5]
    assert nearest_frames(np.array([0.0, 0.1, 0.2, 0.7, 0.8, 0.9]), 4).tolist() == [0, 2, 3, 3]
    assert nearest_frames(np.array([3.0]), 4).tolist() == [0]


def test_a_camera_that_paused_gives_other_frames_than_counting_would(copied):
    even = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    root = retimed(copied, [0.0, 0.1, 0.2, 0.3, 0.8, 1.3, *even])
    source = Dataset.open(root)
    view = sampled(source, 2, "poses", POSES)
    assert view.steps[2].tolist() == [0, 3, 4]
    assert view.steps[3].tolist() == [0, 2, 5]
    assert view.lengths.tolist() == [len(steps) for steps in view.steps]
    for episode, frames in enumerate(each_episode(view)):
        assert np.array_equal(frames, source.frames(episode)[view.steps[episode]])
        rows = view.starts[episode] + np.arange(view.lengths[episode])
        recorded = source.starts[episode] + view.steps[episode]
        for name in ("states", "timestamps", "objects"):
            assert np.array_equal(getattr(view, name)[rows], getattr(source, name)[recorded])
    assert view.fingerprint() != source.fingerprint()
    assert view.fingerprint() != sampled(source, 1, "poses", POSES).fingerprint()


def test_actions_compose_to_the_next_pose_across_the_jump_of_an_angle():
    states = np.zeros((4, 7), np.float32)
    states[:, 3] = [3.1, -3.1, 1.0, 1.5]
    states[:, 5] = [0.2, 0.4, 0.1, 0.0]
    states[:, 6] = [0.1, 0.9, 0.4, 0.0]
    actions = pose_actions(states, np.array([2, 2]))
    assert abs(actions[0, 3:6]).max() < 0.3
    assert actions[0, 6] == pytest.approx(0.8)
    assert not actions[[1, 3]].any()
    poses, steps = torch.from_numpy(states), torch.from_numpy(actions)
    for t in (0, 2):
        reached = euler_to_matrix(compose(poses[t], steps[t])[3:6])
        assert torch.allclose(reached, euler_to_matrix(poses[t + 1, 3:6]), atol=1e-5)
    added = states[0, 3:6] + actions[0, 3:6]
    assert not np.allclose(np.sin(added), np.sin(states[1, 3:6]), atol=1e-3)


def test_recorded_actions_are_kept_where_every_frame_is(collected):
    source = Dataset.open(collected)
    assert sampled(source, None, "recorded") is source
    every = sampled(source, None, "poses", POSES)
    assert every.num_frames == source.num_frames
    assert every.fingerprint() == source.fingerprint()
    assert not np.allclose(every.actions, source.actions)


@pytest.mark.parametrize(
    ("fps", "actions", "message"),
    [
        (4, "recorded", r"delta, .* with fps=4, got generic in .*State spec\.action_kind=…"),
        (None, "pose", r"unknown actions 'pose'; did you mean 'poses'"),
        (0, "poses", r"fps above 0, got 0"),
        (float("nan"), "poses", r"fps above 0, got nan"),
        (8, "poses", r"8 frames a second in .*parquet\['timestamp'\].* got 5 .*4 more.*Lower"),
    ],
)
def test_what_cannot_be_is_one_clear_line(collected, fps, actions, message):
    with pytest.raises(UserError, match=message) as raised:
        sampled(Dataset.open(collected), fps, actions, POSES)
    assert "\n" not in str(raised.value)


def test_a_clock_that_jumps_by_years_is_refused_before_its_seconds_are_counted(copied):
    retimed(copied, [0.0, 0.2, 0.4, 0.6, 0.8, 1.0, 0.0, *(1e5 + 0.2 * np.arange(5))])
    with pytest.raises(UserError, match=r"episode 3, got .* none for 100000.00 s: too slow"):
        sampled(Dataset.open(copied), 4, "poses", POSES)


def test_states_that_are_no_poses_give_no_actions(collected):
    source = Dataset.open(collected)
    object.__setattr__(source, "states", source.states[:, :4])
    with pytest.raises(UserError, match=r"states of width 7 .*got 4"):
        sampled(source, 2, "poses", POSES)


def test_the_column_is_the_truth_and_the_frame_number_stands_in_where_it_is_missing(copied):
    slow = [*np.arange(6) * 0.5, *np.arange(6) * 0.2]
    assert Dataset.open(retimed(copied, slow)).timestamps[12:18].tolist() == slow[:6]
    pq.write_table(pq.read_table(copied / DATA).drop(["timestamp"]), copied / DATA)
    times = Dataset.open(copied).timestamps
    assert times == pytest.approx(np.tile(np.arange(6) / 5, 5), abs=1e-6)


@pytest.mark.parametrize("wrong", [0.2, 0.1, float("nan")])
def test_timestamps_that_repeat_or_run_backwards_are_one_clear_line(copied, wrong):
    even = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    retimed(copied, [*even, 0.0, 0.2, wrong, 0.6, 0.8, 1.0])
    with pytest.raises(
        UserError, match=r"ascend in .*file-001\.parquet\['timestamp'\], episode 3, got .*frame 2"
    ) as raised:
        Dataset.open(copied)
    assert "\n" not in str(raised.value)


def test_seven_numbers_are_poses_only_where_somebody_says_so(collected):
    with pytest.raises(UserError, match=r"numbers without names.*spec\.state_kind=pose"):
        sampled(Dataset.open(collected), None, "poses")


@pytest.mark.parametrize(
    ("kind", "done"),
    [
        ("delta", [3, 7, 5, 30, 30]),
        ("absolute", [2, 4, 5, 20, 30]),
        ("velocity", [1.5, 3.5, 5, 15, 30]),
        ("torque", [1.5, 3.5, 5, 15, 30]),
    ],
)
def test_recorded_actions_between_frames_are_joined_by_their_kind(kind, done):
    made = [
        Recording(np.zeros((len(row), 8, 8, 3), np.uint8), np.transpose([row, row]))
        for row in ([1, 2, 3, 4, 5], [10, 20, 30])
    ]
    source = ArrayDataset.of(made, fps=20, names={"action": ["x", "y"]})
    view = sampled(source, 10, "recorded", SpecChanges(action_kind=kind))
    assert view.actions.tolist() == [[value, value] for value in done]
    assert (view.lengths.tolist(), view.action_names) == ([3, 2], ("x", "y"))
    assert view.states.shape == (5, 0)
    assert data_spec(view).rate == pytest.approx(10)


def test_actions_that_are_poses_changes_are_read_off_poses(collected):
    with pytest.raises(UserError, match=r"actions=poses with fps=2, got actions=recorded"):
        sampled(Dataset.open(collected), 2, "recorded", SpecChanges(action_kind="pose_delta"))


def test_changes_that_add_up_go_further_than_those_of_a_step(copied):
    source = Dataset.open(copied)
    write_dataset_spec(copied, data_spec(source, SpecChanges(action_kind="delta", unit="px")))
    one, two = (data_spec(dataset) for dataset in (source, sampled(source, 2, "recorded")))
    assert (two.rate, two.unit, two.actions.kind) == (pytest.approx(2, abs=0.6), "px", "delta")
    assert all(map(float.__le__, two.actions.low, one.actions.low))
    assert max(two.actions.high) > max(one.actions.high)
