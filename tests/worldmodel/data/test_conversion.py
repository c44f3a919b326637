"""`worldmodel convert` writes all or nothing, of the cameras that are asked for."""

from __future__ import annotations

import json
import weakref
from typing import ClassVar

import numpy as np
import pyarrow.parquet as pq
import pytest
from layouts import LENGTHS, lerobot, lerobot_2, ogbench, recordings, robomimic

from worldmodel.cli import main as cli
from worldmodel.data.arrays import ArrayDataset
from worldmodel.data.conversion import convert
from worldmodel.data.episode_dataset import EpisodeDataset
from worldmodel.data.reader import open_dataset
from worldmodel.data.specification import data_spec, read_dataset_spec, write_dataset_spec
from worldmodel.errors import UserError
from worldmodel.spec import SpecChanges


def test_the_command_writes_a_dataset_of_the_named_cameras(tmp_path, capsys):
    source, out = robomimic(tmp_path), tmp_path / "out"
    words = ["cameras=[wrist]", "fps=7.5", "robot=panda", f"out={out}"]
    assert cli.main(["convert", str(source), *words]) == 0
    printed = capsys.readouterr().out
    assert f"{out}: 3 episodes, {sum(LENGTHS)} frames at 7.5 a second of wrist" in printed
    dataset = open_dataset(out)
    assert (dataset.cameras, dataset.fps) == (("wrist",), 7.5)
    info = json.loads((out / "meta/info.json").read_text())
    assert info["robot_type"] == "panda"
    assert (out / "meta/run.json").is_file()
    rows = pq.read_table(out / "meta/episodes").to_pylist()
    assert [row["tasks"] for row in rows] == [["Lift"]] * 3
    assert rows[1]["videos/observation.images.wrist/from_timestamp"] == pytest.approx(6 / 7.5)
    assert cli.main(["convert", str(source), *words]) == 1
    assert "to be new or empty" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["cameras=[left]"], "no camera 'left'"),
        (["cameras=[wrist,wrist]"], "each camera"),
        (["fps=0"], "Expected fps above 0"),
        (["fps=5", "spec.rate=6"], "got fps=5 and spec.rate=6"),
        (["spec.action_names=[x]"], "Expected 2 different action_names, in place of x, y, got 1"),
    ],
)
def test_a_wrong_word_is_told_and_nothing_is_written(tmp_path, capsys, words, message):
    source = lerobot_2(tmp_path)
    assert cli.main(["convert", str(source), f"out={tmp_path / 'out'}", *words]) == 1
    assert message in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["v2"]


def test_what_is_stated_of_the_source_goes_with_it(tmp_path):
    source = lerobot(tmp_path)
    told = SpecChanges(action_kind="velocity", rest=(0.25, 0), periodic=("c",), unit="px")
    stated = data_spec(open_dataset(source, ()), told)
    write_dataset_spec(source, stated)
    convert(source=str(source), out=str(tmp_path / "whole"))
    assert data_spec(open_dataset(tmp_path / "whole", ())) == stated
    convert(source=str(source), out=str(tmp_path / "part"), cameras=("wrist",), fps=5)
    part = read_dataset_spec(tmp_path / "part")
    assert (part.actions, part.states, part.rate) == (stated.actions, stated.states, 5)
    assert [camera.name for camera in part.cameras] == ["wrist"]


def test_what_a_user_states_goes_with_the_result(tmp_path):
    words = ["spec.action_kind=torque", "spec.action_names=[hip,knee]", "spec.rate=8"]
    out = tmp_path / "out"
    assert cli.main(["convert", str(robomimic(tmp_path)), f"out={out}", *words]) == 0
    made = open_dataset(out, ())
    assert (made.action_names, made.fps) == (("hip", "knee"), 8)
    spec = data_spec(made)
    assert (spec.actions.kind, spec.actions.names, spec.rate) == ("torque", ("hip", "knee"), 8)
    assert spec.states.names == made.state_names


def test_a_rate_that_the_source_does_not_state_stays_unknown(tmp_path):
    source = str(ogbench(tmp_path))
    convert(source=source, out=str(tmp_path / "first"))
    convert(source=str(tmp_path / "first"), out=str(tmp_path / "second"))
    made = open_dataset(tmp_path / "second")
    assert (made.fps, data_spec(made).rate) == (10, None)
    convert(source=source, out=str(tmp_path / "told"), fps=4)
    assert data_spec(open_dataset(tmp_path / "told")).rate == 4


def test_actions_that_become_absolute_after_converting_rest_amid_them(tmp_path):
    convert(source=recordings(), out=str(tmp_path / "out"))
    made = open_dataset(tmp_path / "out", ())
    rest = data_spec(made, SpecChanges(action_kind="absolute")).actions.rest
    assert rest != data_spec(made).actions.rest == (0, 0)


class Torn(ArrayDataset):
    """Its second episode cannot be read."""

    def camera_frames(self, camera, episode, steps):
        if episode == 1:
            raise UserError("the second episode cannot be read")
        return super().camera_frames(camera, episode, steps)


class Short(ArrayDataset):
    """It has a frame less than it says."""

    def camera_frames(self, camera, episode, steps):
        return super().camera_frames(camera, episode, steps[:-1])


@pytest.mark.parametrize(
    ("kind", "message"), [(Torn, "second episode"), (Short, "Expected 6 frames .*got 5")]
)
def test_what_fails_on_the_way_leaves_nothing(tmp_path, kind, message):
    with pytest.raises(UserError, match=message):
        convert(source=kind.of(recordings()), out=str(tmp_path / "out"))
    assert not list(tmp_path.iterdir())


class Drawn(EpisodeDataset):
    """Frames that are made when they are asked for, counted while they are in memory."""

    alive: ClassVar[set[object]] = set()
    most: ClassVar[list[int]] = []

    def camera_frames(self, camera, episode, steps):
        for step in steps:
            frame, token = np.full((48, 64, 3), step % 200, np.uint8), object()
            self.alive.add(token)
            weakref.finalize(frame, self.alive.discard, token)
            self.most.append(len(self.alive))
            yield frame

    def timestamp_source(self, episode):
        return "nothing"

    def fingerprint(self):
        return "drawn"


def test_no_more_frames_are_in_memory_than_statistics_are_of(tmp_path):
    steps = 300
    vectors = np.random.default_rng(0).normal(size=(steps, 14)).astype(np.float32)
    source = Drawn(
        root=tmp_path,
        cameras=("top", "wrist"),
        frame_sizes=((48, 64),) * 2,
        lengths=np.array([steps]),
        tasks=[("fold",)],
        timestamps=np.arange(steps) / 50,
        actions=vectors,
        states=vectors,
        objects=None,
        extrinsics=None,
    )
    convert(source=source, out=str(tmp_path / "out"))
    assert len(source.most) == 2 * steps
    assert max(source.most) <= 14
    made = open_dataset(tmp_path / "out", ())
    assert (made.fps, made.frame_sizes, made.lengths.tolist()) == (50, source.frame_sizes, [steps])
