"""Arrays become a data set, on disk or in memory, or a line says what is wrong with them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from layouts import FPS, LENGTHS, SIZES, recordings

from worldmodel.data.arrays import ArrayDataset
from worldmodel.data.reader import open_dataset, open_source
from worldmodel.data.recording import Recording, write_dataset
from worldmodel.errors import InputError, SettingsError, UserError

NAMES = {"action": ["x", "y"], "observation.state": ["a", "b", "c"]}


def test_cameras_by_name_come_back_from_disk_and_from_memory(tmp_path):
    made = recordings()
    written = open_dataset(write_dataset(tmp_path / "d", made, fps=FPS, names=NAMES), ())
    held = ArrayDataset.of(made, fps=FPS, names=NAMES)
    for dataset in (written, held):
        assert dataset.cameras == ("front", "wrist")
        assert dataset.frame_sizes == tuple(SIZES.values())
        assert dataset.lengths.tolist() == list(LENGTHS)
        assert dataset.action_names == ("x", "y")
        assert dataset.fps == pytest.approx(FPS)
    assert np.array_equal(written.actions, held.actions)
    assert np.array_equal(written.states, held.states)
    frames = [*held.camera_frames("wrist", 1, np.array([2, 5]))]
    assert np.array_equal(frames, made[1].frames["wrist"][[2, 5]])


def test_a_key_in_memory_is_of_content(tmp_path):
    made = recordings()
    key = ArrayDataset.of(made).fingerprint()
    assert ArrayDataset.of(recordings()).fingerprint() == key
    made[1].frames["wrist"][0, 0, 0] ^= 1
    assert ArrayDataset.of(made).fingerprint() != key
    assert ArrayDataset.of(recordings(), cameras=["front"]).fingerprint() != key


def test_a_last_action_may_be_absent_or_nan():
    first, *_ = recordings()
    nan = first.actions.copy()
    nan[-1] = np.nan
    whole = ArrayDataset.of([first]).actions
    for actions in (first.actions[:-1], nan):
        assert np.array_equal(ArrayDataset.of([replace(first, actions=actions)]).actions, whole)


def test_states_may_be_absent(tmp_path):
    made = [replace(recording, states=None) for recording in recordings()]
    assert ArrayDataset.of(made).states.shape == (sum(LENGTHS), 0)
    assert open_dataset(write_dataset(tmp_path / "d", made, fps=5), ()).states.shape[1] == 0


def changed(**values: object) -> list[Recording]:
    first, second, third = recordings()
    return [first, replace(second, **values), third]


def nan_at(row: int, column: int) -> np.ndarray:
    states = recordings()[1].states.copy()
    states[row, column] = np.nan
    return states


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (changed(frames={"front": np.zeros((9, 8, 8, 3))}), r"uint8 .*recording 1, got float64"),
        (
            changed(frames={"front": np.zeros((9, 3, 8, 8), np.uint8)}),
            r"\[T,height,width,3\] in recording 1, got \[9, 3, 8, 8\]",
        ),
        (changed(frames={}), r"frames of a camera in recording 1"),
        (
            changed(frames={"front": np.zeros((9, 24, 40, 3), np.uint8)}),
            r"alike, got cameras \['front'\] after \['front', 'wrist'\] in recording 1",
        ),
        (
            changed(frames=dict(recordings()[1].frames, wrist=np.zeros((9, 9, 9, 3), np.uint8))),
            r"got frames of camera 'wrist' \(9, 9\) after \(32, 20\)",
        ),
        (
            changed(frames=dict(recordings()[1].frames, wrist=np.zeros((8, 32, 20, 3), np.uint8))),
            r"9 frames of camera 'wrist' in recording 1, .*got 8",
        ),
        (changed(actions=np.zeros((9, 5))), r"actions of width 5 after 2 in recording 1"),
        (changed(actions=np.zeros((11, 2))), r"actions \[9,width\] in recording 1, .*\[11, 2\]"),
        (changed(actions=np.zeros(9)), r"actions \[9,width\] in recording 1, .*\[9\]"),
        (changed(states=nan_at(4, 1)), r"recording 1: .*states, got nan at frame 4, dimension 1"),
        (changed(states=None), r"states of width 0 after 3"),
        (changed(objects=np.zeros((9, 3))), r"objects of width 3 after None"),
    ],
)
def test_a_recording_that_cannot_be_is_one_clear_line(tmp_path, made, message):
    for attempt in (
        lambda: ArrayDataset.of(made),
        lambda: write_dataset(tmp_path / "d", iter(made), fps=5),
    ):
        with pytest.raises(InputError, match=message) as caught:
            attempt()
        assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())  # nothing half-written


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ({"action": ["x"]}, r"2 names of 'action', as it is wide, got 1: x"),
        ({"actions": ["x"]}, r"names of action, observation\.state, got names of 'actions'"),
    ],
)
def test_names_that_do_not_fit_are_told(tmp_path, names, message):
    with pytest.raises(InputError, match=message):
        write_dataset(tmp_path / "d", recordings(), fps=5, names=names)
    with pytest.raises(InputError, match=message):
        ArrayDataset.of(recordings(), names=names)
    assert not list(tmp_path.iterdir())


def test_what_is_in_memory_is_a_source_as_it_is():
    made = recordings()
    assert open_source(made, ["wrist"]).cameras == ("wrist",)
    assert open_source(made).cameras == ("front", "wrist")
    dataset = ArrayDataset.of(made)
    assert open_source(dataset) is dataset
    assert open_source(dataset, ["front", "wrist"]) is dataset
    with pytest.raises(
        UserError, match=r"front, wrist that the dataset was opened with, got wrist"
    ):
        open_source(dataset, "wrist")
    with pytest.raises(InputError, match="one recording or more"):
        ArrayDataset.of([])
    with pytest.raises(SettingsError, match="fps above 0"):
        ArrayDataset.of(made, fps=0)


def test_a_folder_in_use_is_refused_and_what_a_killed_process_left_is_removed(tmp_path):
    left = tmp_path / ".d.partial/data"
    left.mkdir(parents=True)
    (left / "old").write_text("left behind")
    write_dataset(tmp_path / "d", recordings(), fps=5)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["d"]
    assert not (tmp_path / "d/data/old").exists()
    with pytest.raises(UserError, match="to be new or empty"):
        write_dataset(tmp_path / "d", recordings(), fps=5)
