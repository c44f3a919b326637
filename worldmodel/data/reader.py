"""Which reader a folder of episodes gets."""

from __future__ import annotations

from pathlib import Path

from worldmodel.data.droid import DroidDataset, holds_droid
from worldmodel.data.episode_dataset import EpisodeDataset
from worldmodel.data.lerobot.dataset import Dataset

__all__ = ["open_dataset"]


def open_dataset(
    root: Path | str, camera: str | None = None, *, allow_links_outside: bool = False
) -> EpisodeDataset:
    """Opens a LeRobotDataset v3.0, which has a folder ``meta``, or else episodes of DROID.

    Args:
        root: The dataset's folder.
        camera: The camera's name; may be left out when a LeRobotDataset has only one.
        allow_links_outside: Whether files may be symbolic links that lead out of the folder.

    Raises:
        UserError: As `Dataset.open` or `DroidDataset.open`.
    """
    if not (Path(root) / "meta").is_dir() and holds_droid(root):
        return DroidDataset.open(root, camera, allow_links_outside=allow_links_outside)
    return Dataset.open(root, camera, allow_links_outside=allow_links_outside)
