"""The same episodes come back from every layout, and from what `convert` makes of it."""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path

import h5py
import layouts
import numpy as np
import pytest

from worldmodel.data.conversion import convert
from worldmodel.data.episode_dataset import EpisodeDataset
from worldmodel.data.lerobot.dataset import Dataset
from worldmodel.data.oddities import oddities
from worldmodel.data.reader import open_dataset
from worldmodel.errors import UserError

LAYOUTS = {
    "lerobot v3.0": layouts.lerobot,
    "lerobot v2.1": layouts.lerobot_2,
    "lerobot v2.1 images": layouts.lerobot_2_images,
    "robomimic": layouts.robomimic,
    "stable-worldmodel": layouts.stable_worldmodel,
    "stable-worldmodel by index": partial(layouts.stable_worldmodel, indexed=True),
    "stable-worldmodel, channels first": partial(layouts.stable_worldmodel, channels_first=True),
    "ogbench": layouts.ogbench,
    "ogbench, stored": partial(layouts.ogbench, compressed=False),
}
VIDEO = ("lerobot v3.0", "lerobot v2.1")
"""Whose frames come back to within two grey levels."""


@pytest.fixture(params=LAYOUTS)
def layout(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def compare(dataset: EpisodeDataset, layout: str, tolerance: int) -> None:
    made = layouts.recordings()
    assert dataset.lengths.tolist() == list(layouts.LENGTHS)
    assert np.allclose(dataset.actions, np.concatenate([e.actions for e in made]), atol=1e-6)
    has_states = not layout.startswith("ogbench")
    assert dataset.states.shape == (sum(layouts.LENGTHS), 3 if has_states else 0)
    if has_states:
        assert np.allclose(dataset.states, np.concatenate([e.states for e in made]), atol=1e-6)
    for camera in dataset.cameras:
        original = "front" if camera == "pixels" else camera.removeprefix("pixels.")
        for number, episode in enumerate(made):
            steps = np.arange(len(episode.actions))
            read = np.stack([*dataset.camera_frames(camera, number, steps)])
            assert np.abs(read.astype(int) - episode.frames[original]).max() <= tolerance
            some = np.stack([*dataset.camera_frames(camera, number, steps[1::2])])
            assert np.array_equal(some, read[1::2])


def test_the_same_frames_actions_and_states_come_back(layout, tmp_path):
    dataset = open_dataset(LAYOUTS[layout](tmp_path), ())
    assert len(dataset.cameras) == (1 if layout.startswith("ogbench") else 2)
    sizes = [layouts.SIZES["front"], layouts.SIZES["wrist"]][: len(dataset.cameras)]
    assert list(dataset.frame_sizes) == sizes
    compare(dataset, layout, 2 if layout in VIDEO else 0)
    assert dataset.timed == (layout[:3] not in ("sta", "ogb"))
    assert dataset.fps == pytest.approx(layouts.FPS if dataset.timed else 10)


def test_a_robomimic_file_without_a_control_rate_states_none(tmp_path):
    path = layouts.robomimic(tmp_path)
    with h5py.File(path, "r+") as file:
        del file["data"].attrs["env_args"]
    dataset = open_dataset(path, ())
    assert (dataset.timed, dataset.fps) == (False, pytest.approx(20))


def test_they_come_back_from_what_convert_makes_of_it(layout, tmp_path):
    source, out = LAYOUTS[layout](tmp_path), tmp_path / "converted"
    convert(source=str(source), out=str(out))
    before, dataset = open_dataset(source, ()), open_dataset(out, ())
    assert isinstance(dataset, Dataset)
    compare(dataset, layout, 4 if layout in VIDEO else 2)
    assert dataset.cameras == before.cameras
    assert (dataset.action_names, dataset.state_names) == (
        before.action_names,
        before.state_names or None,
    )
    assert dataset.tasks == [tuple(names) or ("unspecified",) for names in before.tasks]
    info = json.loads((out / "meta/info.json").read_text())
    stats = json.loads((out / "meta/stats.json").read_text())
    for camera, size in zip(dataset.cameras, dataset.frame_sizes, strict=True):
        feature = info["features"][f"observation.images.{camera}"]
        assert (feature["dtype"], feature["shape"]) == ("video", [*size, 3])
        assert np.shape(stats[f"observation.images.{camera}"]["mean"]) == (3, 1, 1)
    assert sorted(path.name for path in out.iterdir()) == ["data", "meta", "videos"]


def test_a_fingerprint_is_of_content_and_cameras_and_not_of_the_place(layout, tmp_path):
    source = LAYOUTS[layout](tmp_path)
    moved = tmp_path / "elsewhere" / source.name
    (shutil.copytree if source.is_dir() else shutil.copy)(source, moved.parent.mkdir() or moved)
    dataset = open_dataset(source, ())
    assert open_dataset(moved, ()).fingerprint() == dataset.fingerprint()
    if len(dataset.cameras) > 1:
        assert open_dataset(source, dataset.cameras[::-1]).fingerprint() != dataset.fingerprint()


def test_several_cameras_are_named_and_one_of_them_is_asked_for(layout, tmp_path):
    source = LAYOUTS[layout](tmp_path)
    if layout.startswith("ogbench"):
        assert open_dataset(source).cameras == ("pixels",)
        return
    wrist = next(name for name in open_dataset(source, ()).cameras if name.endswith("wrist"))
    with pytest.raises(UserError, match=rf"{wrist}, got none\. Choose with cameras=\["):
        open_dataset(source)
    with pytest.raises(UserError, match=r"no camera 'left' in"):
        open_dataset(source, "left")
    assert open_dataset(source, wrist).frame_sizes == (layouts.SIZES["wrist"],)


def test_a_folder_with_one_file_stands_for_it_and_of_two_one_is_to_be_named(tmp_path):
    layouts.robomimic(tmp_path)
    assert open_dataset(tmp_path, "front").num_episodes == 3
    layouts.ogbench(tmp_path)
    with pytest.raises(UserError, match=r"one file .*got demo\.hdf5, visual-cube"):
        open_dataset(tmp_path)


def edited(path: Path, change) -> Path:
    with h5py.File(path, "r+") as file:
        change(file)
    return path


def replaced(file: h5py.File, key: str, values: np.ndarray) -> None:
    del file[key]
    file[key] = values


def spoilt(file: h5py.File, key: str, row: int) -> None:
    values = file[key][()]
    values[row] = np.nan
    replaced(file, key, values)


def npz(folder: Path, **arrays: np.ndarray) -> Path:
    np.savez_compressed(folder / "a.npz", **arrays)
    return folder / "a.npz"


def text(folder: Path) -> Path:
    (folder / "a.txt").write_text("no recording")
    return folder / "a.txt"


def halved(path: Path) -> Path:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


def unlike(folder: Path) -> Path:
    with h5py.File(folder / "a.h5", "w") as file:
        file["frames"] = np.zeros(3)
    return folder / "a.h5"


BAD = [
    (text, r"HDF5 or \.npz, .*got the file .*a\.txt"),
    (unlike, r"data/demo_<n>/actions .*ep_len and ep_offset .*got frames"),
    (lambda f: npz(f, observations=np.zeros(3)), r"observations, actions and terminals .*got obs"),
    (
        lambda f: npz(
            f, observations=np.zeros((4, 9)), actions=np.ones((4, 2)), terminals=np.ones(4)
        ),
        r"images uint8 \[F,h,w,3\] as 'observations' .*got float64 \[4, 9\].*'visual'",
    ),
    (
        lambda f: npz(
            f,
            observations=np.zeros((4, 8, 8, 3), np.uint8),
            actions=np.array([[0.0], [np.nan], [0.0], [0.0]]),
            terminals=np.array([0, 0, 0, 1]),
        ),
        r"'actions'\], got NaN or infinity at frame 1 of episode 0",
    ),
    (lambda f: halved(layouts.ogbench(f)), r"a\.npz|visual-cube.*npz"),
    (lambda f: halved(layouts.robomimic(f)), r"Cannot read .*demo\.hdf5: it is truncated"),
    (
        lambda f: edited(
            layouts.robomimic(f), lambda h: spoilt(h, "data/demo_10/obs/robot0_gripper", 4)
        ),
        r"demo\.hdf5\['data/demo_10/obs/robot0_gripper'\], got NaN or infinity at frame 4",
    ),
    (
        lambda f: edited(
            layouts.robomimic(f),
            lambda h: [h.pop(f"data/demo_2/obs/{c}_image") for c in layouts.SIZES],
        ),
        r"images uint8 \[T,h,w,3\] in .*demo_2/obs.*dataset_states_to_obs --camera_names",
    ),
    (
        lambda f: edited(layouts.robomimic(f), lambda h: h["data/demo_2"].pop("obs")),
        r"data/demo_<n> .*|data/demo_<n>/actions",
    ),
    (
        lambda f: edited(layouts.stable_worldmodel(f), lambda h: spoilt(h, "proprio", 3)),
        r"pusht\.h5\['proprio'\], got NaN or infinity at frame 3",
    ),
    (
        lambda f: edited(layouts.stable_worldmodel(f), lambda h: spoilt(h, "action", 8)),
        r"pusht\.h5\['action'\], got NaN or infinity at frame 2 of episode 1",
    ),
    (
        lambda f: edited(
            layouts.stable_worldmodel(f), lambda h: replaced(h, "ep_len", np.array([6, 9, 40]))
        ),
        r"episode 2 within the 19 rows .*got 40 rows from 15 on",
    ),
    (
        lambda f: edited(
            layouts.stable_worldmodel(f, indexed=True),
            lambda h: replaced(h, "step_idx", np.zeros(19, int)),
        ),
        r"rows of an episode one after another .*'step_idx'",
    ),
    (
        lambda f: edited(
            layouts.stable_worldmodel(f),
            lambda h: replaced(h, "pixels.front", np.zeros((5, 8, 8, 3), np.uint8)),
        ),
        r"Expected 19 frames in .*'pixels\.front'\].*got 5",
    ),
]


@pytest.mark.parametrize(("make", "message"), BAD)
def test_what_cannot_be_read_is_one_clear_line(make, message, tmp_path):
    source = make(tmp_path)
    with pytest.raises(UserError, match=message) as caught:
        open_dataset(source, ())
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match=message):
        convert(source=str(source), out=str(tmp_path / "out"))
    assert not [path for path in tmp_path.iterdir() if "out" in path.name]


def test_robomimic_may_lack_a_last_frame_or_a_last_action(tmp_path):
    def change(file: h5py.File) -> None:
        for key in ("front_image", "wrist_image"):
            name = f"data/demo_10/obs/{key}"
            replaced(file, name, file[name][:-1])
        replaced(file, "data/demo_11/actions", file["data/demo_11/actions"][:-1])

    dataset = open_dataset(edited(layouts.robomimic(tmp_path), change), ())
    assert dataset.lengths.tolist() == [6, 8, 4]
    assert not dataset.actions[-1].any()
    told = oddities(dataset)
    assert "1 of 3 episodes lack their last frame, so their last action is dropped" in told


def test_oddities_are_counted_named_and_told_in_one_line(tmp_path):
    def change(file: h5py.File) -> None:
        proprio = file["proprio"][()]
        proprio[:, 1] = 0.5
        replaced(file, "proprio", proprio)

    dataset = open_dataset(edited(layouts.stable_worldmodel(tmp_path), change), ())
    told = oddities(dataset, window=5)
    assert "1 of 3 episodes are shorter than 5 frames and are skipped" in told
    assert "state dimensions that never change: 1 (proprio.1)" in told
    assert "\n" not in told
    assert oddities(open_dataset(layouts.lerobot(tmp_path), ()), window=4) is None
