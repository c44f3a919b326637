"""Raw episodes of DROID read as they are, or are one clear line."""

from __future__ import annotations

import json
import shutil
import sys

import av
import h5py
import numpy as np
import pytest
import torch
from synthetic_episodes import each_episode

from worldmodel.data.droid import DroidDataset
from worldmodel.data.lerobot.dataset import Dataset
from worldmodel.data.reader import open_dataset
from worldmodel.data.sampling import sampled
from worldmodel.errors import UserError
from worldmodel.nn.pose import compose

POSE = "observation/robot_state/cartesian_position"
CLOCK = "observation/timestamp/cameras/11111111"
FIRST = "lab/success/day/a"


@pytest.fixture(scope="module")
def original(tmp_path_factory, write_droid):
    """Two episodes at different depths, of 30 and 20 rows; not to be changed."""
    root = tmp_path_factory.mktemp("droid")
    write_droid(root / FIRST)
    write_droid(root / "other/b", rows=20)
    return root


@pytest.fixture
def root(original, tmp_path):
    """A copy, to be damaged."""
    return shutil.copytree(original, tmp_path / "copy")


def grey(frames):
    return (frames.mean((1, 2, 3)) / 8).round().astype(int).tolist()


def edit(root, change):
    with h5py.File(root / FIRST / "trajectory.h5", "r+") as file:
        change(file)


def replaced(file, key, values):
    del file[key]
    file[key] = values


def test_episodes_anywhere_below_read_row_by_row(original):
    dataset = open_dataset(original, "ext1")
    assert isinstance(dataset, DroidDataset)
    assert dataset.lengths.tolist() == [30, 20]
    assert dataset.image_size == (36, 64)
    assert [grey(frames) for frames in each_episode(dataset)] == [[*range(30)], [*range(20)]]
    assert grey(dataset.frames_at(0, np.array([3, 17]))) == [3, 17]
    with h5py.File(original / FIRST / "trajectory.h5") as file:
        assert np.allclose(dataset.states[:30, :6], file[POSE], atol=1e-6)
    assert dataset.timestamps[:4] == pytest.approx([0, 0.066, 0.133, 0.2])
    assert dataset.about(["push"]).tolist() == [0, 1]


def test_actions_lead_from_each_pose_to_the_next(original):
    dataset = open_dataset(original, "ext1")
    states, actions = torch.from_numpy(dataset.states), torch.from_numpy(dataset.actions)
    reached = compose(states[:29], actions[:29])
    assert torch.allclose(reached, states[1:30], atol=1e-5)
    assert not actions[29].any()
    assert not actions[49].any()


@pytest.mark.parametrize(
    ("camera", "pose"), [("ext2", 1), ("wrist", 2), ("left", 1), ("33333333", 2)]
)
def test_extrinsics_are_those_of_the_named_camera_at_each_frame(original, camera, pose):
    extrinsics = open_dataset(original, camera).extrinsics
    assert extrinsics.dtype == np.float32
    assert extrinsics[:, 1].tolist() == [pose] * 50
    assert sampled(open_dataset(original, camera), 5, "poses").extrinsics[:3, 0].tolist() == [
        0,
        3,
        6,
    ]


def test_the_last_row_may_lack_its_frame_as_often_in_droid(tmp_path, write_droid):
    write_droid(tmp_path / "a", rows=12, frames=11)
    dataset = open_dataset(tmp_path, "ext1")
    assert dataset.lengths.tolist() == [11]
    assert len(dataset.states) == len(dataset.extrinsics) == len(dataset.timestamps) == 11
    assert grey(dataset.frames(0)) == [*range(11)]


def test_other_clocks_stand_in_for_the_cameras_own(root):
    edit(root, lambda file: replaced(file, f"{CLOCK}_estimated_capture", np.arange(30) * 100))
    assert open_dataset(root, "ext1").timestamps[1] == 0.1
    edit(root, lambda file: file.pop(f"{CLOCK}_estimated_capture"))
    edit(root, lambda file: replaced(file, f"{CLOCK}_frame_received", np.arange(30) * 200))
    assert open_dataset(root, "ext1").timestamps[1] == 0.2
    edit(root, lambda file: file.pop(f"{CLOCK}_frame_received"))
    assert open_dataset(root, "ext1").timestamps[1] == 0.066


def test_the_fingerprint_depends_on_contents_and_camera_and_not_on_the_place(original, root):
    key = open_dataset(original, "ext1").fingerprint()
    assert open_dataset(root, "ext1").fingerprint() == key
    assert open_dataset(root, "ext2").fingerprint() != key
    edit(root, lambda file: replaced(file, f"{CLOCK}_estimated_capture", np.arange(30)))
    assert open_dataset(root, "ext1").fingerprint() != key


def test_a_folder_gets_the_reader_of_its_layout(original, collected, tmp_path):
    assert isinstance(open_dataset(original, "ext1"), DroidDataset)
    assert isinstance(open_dataset(collected), Dataset)
    with pytest.raises(UserError, match=r"meta/info\.json .*trajectory\.h5 .*got an empty folder"):
        open_dataset(tmp_path)
    with pytest.raises(UserError, match=r"trajectory\.h5.*got none"):
        DroidDataset.open(tmp_path, "ext1")


@pytest.mark.parametrize(
    ("camera", "message"),
    [
        ("ext3", r"no camera 'ext3' in .*metadata_x\.json; did you mean 'ext"),
        ("front", r"expected one of .*ext1, ext2, wrist"),
        (None, r"cameras=\[…\], some of ext1, ext2, wrist"),
    ],
)
def test_a_camera_that_is_not_there_is_told_with_those_that_are(original, camera, message):
    with pytest.raises(UserError, match=message):
        open_dataset(original, camera)


def shortened(root, frames, write_droid):
    shutil.rmtree(root / FIRST)
    write_droid(root / FIRST, frames=frames)


def cut_behind_its_index(path):
    """A video whose index, which comes first, tells of frames that were not copied."""
    whole = path.with_name("whole.mp4")
    with (
        av.open(str(path)) as source,
        av.open(str(whole), "w", options={"movflags": "faststart"}) as copy,
    ):
        stream = copy.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                copy.mux(packet)
    content = whole.read_bytes()
    whole.unlink()
    path.write_bytes(content[: 2 * len(content) // 3])


def truncated(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda r, w: (r / FIRST / "recordings/MP4/11111111.mp4").unlink(), r"11111111\.mp4"),
        (lambda r, w: truncated(r / FIRST / "recordings/MP4/11111111.mp4"), r"11111111\.mp4"),
        (lambda r, w: shortened(r, 28, w), r"30 frames in .*11111111\.mp4.*h5.*got 28"),
        (lambda r, w: shortened(r, 31, w), r"30 frames in .*11111111\.mp4.*got 31"),
        (
            lambda r, w: cut_behind_its_index(r / FIRST / "recordings/MP4/11111111.mp4"),
            r"11111111\.mp4.*it ends [0-9]+ frames too early",
        ),
        (lambda r, w: truncated(r / FIRST / "trajectory.h5"), r"Cannot read .*trajectory\.h5"),
        (
            lambda r, w: edit(r, lambda f: f.pop("observation/camera_extrinsics/11111111_left")),
            r"'observation/camera_extrinsics/11111111_left' in .*trajectory\.h5, which lacks it",
        ),
        (
            lambda r, w: edit(r, lambda f: replaced(f, POSE, np.zeros((30, 7)))),
            r"\[T,6\] in .*trajectory\.h5\['.*cartesian_position'\], got float64 \[30, 7\]",
        ),
        (
            lambda r, w: edit(r, lambda f: replaced(f, POSE, np.zeros((29, 6)))),
            r"\[29\] in .*gripper_position'\], got float64 \[30\]",
        ),
        (
            lambda r, w: edit(r, lambda f: replaced(f, POSE, np.full((30, 6), np.nan))),
            r"finite numbers in .*cartesian_position",
        ),
        (
            lambda r, w: edit(
                r, lambda f: replaced(f, f"{CLOCK}_estimated_capture", np.arange(30)[::-1] * 50)
            ),
            r"ascend in .*trajectory\.h5\['.*estimated_capture'\], episode 0, got .* at frame 1",
        ),
        (lambda r, w: (r / FIRST / "metadata_x.json").unlink(), r"metadata_\*\.json in .*got none"),
        (lambda r, w: truncated(r / FIRST / "metadata_x.json"), r"metadata_x.* is damaged"),
        (lambda r, w: (r / FIRST / "metadata_x.json").write_text("{}"), r"'ext1_cam_serial'"),
        (
            lambda r, w: w(r / "larger", size=(72, 128)),
            r"frames of \(36, 64\) in .*larger.*got \(72, 128\)",
        ),
    ],
)
def test_a_damaged_episode_is_one_clear_line(root, write_droid, damage, message):
    damage(root, write_droid)
    with pytest.raises(UserError, match=message) as raised:
        open_dataset(root, "ext1")
    assert "\n" not in str(raised.value)


def described(root, **changes):
    path = root / FIRST / "metadata_x.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def linked_array(root):
    """An array that lies in another file."""
    with h5py.File(root.parent / "other.h5", "w") as file:
        file["x"] = np.zeros((30, 6))
    edit(root, lambda file: replaced(file, POSE, h5py.ExternalLink(root.parent / "other.h5", "x")))


def virtual_array(root):
    with h5py.File(root.parent / "other.h5", "w") as file:
        file["x"] = np.zeros((30, 6))

    def change(file):
        del file[POSE]
        layout = h5py.VirtualLayout((30, 6), float)
        layout[:] = h5py.VirtualSource(root.parent / "other.h5", "x", (30, 6))
        file.create_virtual_dataset(POSE, layout)

    edit(root, change)


def endless(file):
    """A header that tells of more rows than any memory holds; none was written."""
    for key in (
        POSE,
        "observation/robot_state/gripper_position",
        "observation/camera_extrinsics/11111111_left",
        f"{CLOCK}_estimated_capture",
    ):
        width = file[key].shape[1:]
        del file[key]
        file.create_dataset(key, (10**12, *width), chunks=(1000, *width))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda r: (r / FIRST / "metadata_x.json").write_text("[" * 100_000),
            r"_x.* is damaged .nested",
        ),
        (
            lambda r: (r / FIRST / "metadata_x.json").write_text("[]"),
            r"_x.* is damaged .expected settings",
        ),
        (lambda r: described(r, ext1_cam_serial=[1]), r"no camera 'ext1'"),
        (
            lambda r: described(r, ext1_cam_serial="../../outside"),
            r"serial numbers .*metadata_x\.json, got '\.\./\.\./outside'",
        ),
        (linked_array, r"numbers of '.*cartesian_position' .*a link to another file"),
        (virtual_array, r"numbers of '.*cartesian_position' .*a link to another file"),
        (
            lambda r: edit(r, lambda f: replaced(f, POSE, h5py.Empty("f"))),
            r"\[T,6\] in .*cartesian_position'\], got float32 \[\]",
        ),
        (
            lambda r: edit(r, lambda f: replaced(f, POSE, np.full((30, 6), 1e300))),
            r"finite numbers in .*cartesian_position",
        ),
        (lambda r: edit(r, endless), r"1000000000000 frames in .*11111111\.mp4.*got 30"),
    ],
)
def test_an_episode_that_cannot_be_is_one_clear_line(root, damage, message):
    damage(root)
    with pytest.raises(UserError, match=message) as raised:
        open_dataset(root, "ext1")
    assert "\n" not in str(raised.value)


def test_a_task_or_a_side_that_is_no_text_is_left_out(root):
    described(root, current_task=5, left_mp4_path=7)
    dataset = open_dataset(root, "ext1")
    assert dataset.tasks[0] == ()
    with pytest.raises(UserError, match="no camera 'left'"):
        open_dataset(root, "left")


def test_links_lead_out_of_the_folder_only_if_that_was_asked_for(root):
    video = root / FIRST / "recordings/MP4/11111111.mp4"
    video.rename(root.parent / "blob")
    video.symlink_to(root.parent / "blob")
    with pytest.raises(UserError, match=r"a link that leads to .*allow_links_outside=true"):
        open_dataset(root, "ext1")
    assert grey(open_dataset(root, "ext1", allow_links_outside=True).frames(0)) == [*range(30)]


def test_cameras_go_by_name_so_that_serials_may_differ(root):
    path = root / FIRST / "metadata_x.json"
    described = json.loads(path.read_text())
    path.write_text(json.dumps({**described, "ext1_cam_serial": "33333333"}))
    assert open_dataset(root, "ext1").extrinsics[[0, 30], 1].tolist() == [2, 0]


def test_without_h5py_a_line_says_what_to_install(original, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(UserError, match=r"^h5py .* pip install 'worldmodel\[hdf5\]'$"):
        open_dataset(original, "ext1")
