"""Which reader a folder or a file of episodes gets, by what it looks like."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from os import PathLike, fspath
from pathlib import Path
from typing import Annotated, Any, TypeAlias

from pydantic import BeforeValidator

from worldmodel.data.arrays import ArrayDataset
from worldmodel.data.cameras import Wanted
from worldmodel.data.droid import DroidDataset, holds_droid
from worldmodel.data.episode_dataset import EpisodeDataset
from worldmodel.data.hdf5 import opened
from worldmodel.data.lerobot.dataset import Dataset
from worldmodel.data.ogbench import OgbenchDataset
from worldmodel.data.recording import Recording
from worldmodel.data.robomimic import RobomimicDataset, holds_robomimic
from worldmodel.data.stable_worldmodel import StableWorldmodelDataset, holds_stable_worldmodel
from worldmodel.errors import UserError

__all__ = ["DataSource", "Source", "open_dataset", "open_source"]

Source: TypeAlias = str | EpisodeDataset | Sequence[Recording]
"""A folder, a file, an open dataset, or recordings in memory."""

_HDF5 = b"\x89HDF\r\n\x1a\n"
_ZIP = b"PK"
_SUFFIXES = (".hdf5", ".h5", ".npz")


def open_dataset(
    root: Path | str, cameras: Wanted = None, *, allow_links_outside: bool = False
) -> EpisodeDataset:
    """Opens recorded episodes of any known layout.

    A folder with ``meta`` is a LeRobotDataset v3.0 or v2.1, one with ``trajectory.h5`` below it is
    DROID's. An HDF5 file is robomimic's or stable-worldmodel's, an ``.npz`` is OGBench's; a folder
    that holds one such file stands for it.

    Args:
        root: A folder or a file.
        cameras: Names of cameras; None for the only one; () for all.
        allow_links_outside: Whether files may be symbolic links that lead out of the folder.

    Raises:
        UserError: The layout is none of these, or as the ``open`` of the reader.
        MissingExtraError: h5py is needed and not installed.
    """
    path = Path(root)
    if path.is_file():
        return _open_file(path, cameras)
    if path.is_dir() and not (path / "meta").is_dir():
        if holds_droid(path):
            return DroidDataset.open(path, cameras, allow_links_outside=allow_links_outside)
        files = sorted(file for file in path.iterdir() if file.suffix in _SUFFIXES)
        if len(files) > 1:
            raise UserError(
                f"Expected one file of recordings in {path}, got "
                f"{', '.join(file.name for file in files)}. Name the one that is meant."
            )
        if files:
            return _open_file(files[0], cameras)
        held = sorted(entry.name for entry in islice(path.iterdir(), 100))
        raise UserError(
            f"Expected meta/info.json (LeRobot), trajectory.h5 (DROID) or a file of "
            f"{', '.join(_SUFFIXES)} in {path}, got {', '.join(held[:5]) or 'an empty folder'}. "
            f"Make a dataset with: worldmodel collect out={path}"
        )
    return Dataset.open(path, cameras, allow_links_outside=allow_links_outside)


def open_source(
    source: Source, cameras: Wanted = None, *, allow_links_outside: bool = False
) -> EpisodeDataset:
    """As `open_dataset`, and what is in memory as it is.

    Args:
        source: A folder, a file, an open dataset, or recordings.
        cameras: Names of cameras; of recordings None is for all of them. An open dataset has those
            that it was opened with.
        allow_links_outside: Whether files may be symbolic links that lead out of the folder.

    Raises:
        UserError: As `open_dataset` or `ArrayDataset.of`; or other cameras are asked for than an
            open dataset has.
    """
    if isinstance(source, str):
        return open_dataset(source, cameras, allow_links_outside=allow_links_outside)
    if isinstance(source, EpisodeDataset):
        names = (cameras,) if isinstance(cameras, str) else tuple(cameras or source.cameras)
        if names != source.cameras:
            raise UserError(
                f"Expected the cameras {', '.join(source.cameras)} that the dataset was opened "
                f"with, got {', '.join(names)}. Open it with these cameras."
            )
        return source
    wanted = (cameras,) if isinstance(cameras, str) else tuple(cameras or ())
    return ArrayDataset.of(source, cameras=wanted)


def _source(value: object) -> object:
    """A source as settings hold it."""
    if isinstance(value, PathLike):
        return fspath(value)
    if isinstance(value, str | EpisodeDataset):
        return value
    if isinstance(value, list | tuple) and all(isinstance(part, Recording) for part in value):
        return tuple(value)
    raise ValueError(
        "Expected a folder or a file of recordings, an EpisodeDataset or a list of Recording, got "
        f"{type(value).__name__}"
    )


DataSource = Annotated[Any, BeforeValidator(_source)]
"""A `Source`, as a setting."""


def _open_file(path: Path, cameras: Wanted) -> EpisodeDataset:
    with path.open("rb") as file:
        magic = file.read(len(_HDF5))
    if magic[:2] == _ZIP:
        return OgbenchDataset.open(path, cameras)
    if magic != _HDF5:
        raise UserError(
            f"Expected recordings in HDF5 or .npz, or a LeRobotDataset's folder, got the file "
            f"{path}. Give one of these."
        )
    with opened(path) as stored:
        demos, flat = holds_robomimic(stored), holds_stable_worldmodel(stored)
        found = ", ".join(stored) or "nothing"
    if demos:
        return RobomimicDataset.open(path, cameras)
    if flat:
        return StableWorldmodelDataset.open(path, cameras)
    raise UserError(
        f"Expected data/demo_<n>/actions and obs (robomimic), or action with ep_len and ep_offset "
        f"(stable-worldmodel), in {path}, got {found}. Convert the file to one of these layouts."
    )
