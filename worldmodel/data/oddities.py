"""What is odd about a dataset and settled by rule, counted and told in one line.

- An episode shorter than a training window gives no window.
- A dimension that never changes is kept; a model can learn nothing from it.
- A frame that lacks at an episode's end takes its row with it, the last action included.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from worldmodel.data.episode_dataset import EpisodeDataset

__all__ = ["missing_last_frames", "oddities"]


def oddities(dataset: EpisodeDataset, window: int = 2) -> str | None:
    """What is odd about a dataset, in one line; None where nothing is.

    Args:
        dataset: To be looked at; no frame is decoded.
        window: Frames that an episode must have to be of use.
    """
    found = list(dataset.remarks)
    if short := int((dataset.lengths < window).sum()):
        found.append(
            f"{short} of {dataset.num_episodes} episodes are shorter than {window} frames and are "
            "skipped"
        )
    for kind, values, names in (
        ("action", dataset.actions, dataset.action_names),
        ("state", dataset.states, dataset.state_names),
    ):
        if len(still := np.flatnonzero(_unmoved(values, kind, dataset))):
            found.append(f"{kind} dimensions that never change: {_named(still.tolist(), names)}")
    return f"{dataset.root}: {'; '.join(found)}" if found else None


def missing_last_frames(episodes: int, of: int) -> tuple[str, ...]:
    """The remark that so many episodes lack their last frame; none of none."""
    if not episodes:
        return ()
    return (f"{episodes} of {of} episodes lack their last frame, so their last action is dropped",)


def _unmoved(
    values: npt.NDArray[np.float32], kind: str, data: EpisodeDataset
) -> npt.NDArray[np.bool_]:
    """Dimensions of one value, ``[width]``; an episode's last action is not used."""
    used = np.ones(len(values), bool)
    if kind == "action":
        used[np.cumsum(data.lengths) - 1] = False
    if not used.any():
        return np.zeros(values.shape[1], bool)
    return np.ptp(values[used], axis=0) == 0


def _named(dimensions: Sequence[int], names: Sequence[str] | None) -> str:
    return ", ".join(str(d) if names is None else f"{d} ({names[d]})" for d in dimensions)
