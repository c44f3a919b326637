"""Recordings of any known layout as a LeRobotDataset v3.0."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass as plain
from dataclasses import field, replace
from functools import partial
from pathlib import Path

import numpy as np
from omegaconf import MISSING
from pydantic.dataclasses import dataclass
from tqdm import tqdm

from worldmodel.data.episode import Floats, Frames, FrameStream
from worldmodel.data.episode_dataset import EpisodeDataset
from worldmodel.data.lerobot import layout
from worldmodel.data.oddities import oddities
from worldmodel.data.reader import DataSource, open_source
from worldmodel.data.recording import write_episodes
from worldmodel.data.specification import data_spec, write_dataset_spec
from worldmodel.errors import UserError
from worldmodel.files.new_folder import require_unused
from worldmodel.settings import CHECKED, Positive, configured
from worldmodel.spec import SpecChanges

__all__ = ["ConvertConfig", "convert", "run_conversion"]


@dataclass(frozen=True, config=CHECKED)
class ConvertConfig:
    """What to convert, and where it goes.

    Attributes:
        source: Folder or file of recordings, of any layout that `open_dataset` knows; in Python
            also an `EpisodeDataset`, or a list of `Recording`.
        out: Folder of the LeRobotDataset v3.0, new or empty. It appears when all is written.
        cameras: Cameras to be kept, in this order; () for all.
        fps: Frames a second of the result; null for what the source says. Where it says nothing,
            frames are written as at a usual rate, and the spec keeps that nobody knows it. No frame
            is left out or added.
        spec: What actions and states mean, where the source does not say so.
        robot: LeRobot's ``robot_type``.
        allow_links_outside: Whether the source's files may be symbolic links that lead out of its
            folder.
    """

    source: DataSource = MISSING
    out: str = MISSING
    cameras: tuple[str, ...] = ()
    fps: Positive | None = None
    spec: SpecChanges = field(default_factory=SpecChanges)
    robot: str | None = None
    allow_links_outside: bool = False


def run_conversion(config: ConvertConfig) -> None:
    """Writes all episodes, one frame in memory at a time, and what they mean.

    Raises:
        UserError: ``out`` is in use, two rates are given, or as `open_dataset` and `data_spec`;
            nothing is left of ``out`` then.
    """
    out = Path(config.out)
    require_unused(out)
    if None not in (config.fps, config.spec.rate) and config.fps != config.spec.rate:
        raise UserError(
            f"Expected one rate, got fps={config.fps:g} and spec.rate={config.spec.rate:g}; leave "
            "one of them out"
        )
    source = open_source(
        config.source, config.cameras, allow_links_outside=config.allow_links_outside
    )
    spec = data_spec(source, config.spec)
    if config.fps is not None:
        spec = replace(spec, rate=config.fps)
    if told := oddities(source):
        print(told)
    names = {
        layout.ACTION: config.spec.action_names or source.action_names,
        layout.STATE: config.spec.state_names or source.state_names,
    }
    fps = config.fps or round(spec.rate or source.fps, 3)
    write_episodes(
        out,
        (_Converted(source, number) for number in tqdm(range(source.num_episodes), "convert")),
        fps=fps,
        robot=config.robot,
        names={key: given for key, given in names.items() if given},
        beside=partial(write_dataset_spec, spec=spec),
    )
    print(
        f"{out}: {source.num_episodes} episodes, {source.num_frames} frames at {fps:g} a second of "
        f"{', '.join(source.cameras)}"
    )


convert = configured(ConvertConfig)(run_conversion)


@plain(frozen=True)
class _Converted:
    """An episode whose frames are decoded when they are written."""

    source: EpisodeDataset
    number: int

    @property
    def frames(self) -> Mapping[str, FrameStream]:
        sizes = zip(self.source.cameras, self.source.frame_sizes, strict=True)
        return {name: _Stream(self.source, name, self.number, size) for name, size in sizes}

    @property
    def actions(self) -> Floats:
        return self._rows(self.source.actions)

    @property
    def states(self) -> Floats:
        return self._rows(self.source.states)

    @property
    def objects(self) -> Floats | None:
        objects = self.source.objects
        return None if objects is None else self._rows(objects)

    @property
    def task(self) -> str:
        return next(iter(self.source.tasks[self.number]), "unspecified")

    def _rows(self, values: Floats) -> Floats:
        first = int(self.source.starts[self.number])
        return values[first : first + int(self.source.lengths[self.number])]


@plain(frozen=True)
class _Stream:
    """One camera's frames of an episode."""

    source: EpisodeDataset
    camera: str
    number: int
    size: tuple[int, int]

    @property
    def shape(self) -> tuple[int, ...]:
        return (int(self.source.lengths[self.number]), *self.size, 3)

    @property
    def dtype(self) -> np.dtype[np.uint8]:
        return np.dtype(np.uint8)

    def __iter__(self) -> Iterator[Frames]:
        return self.source.camera_frames(self.camera, self.number, np.arange(self.shape[0]))
