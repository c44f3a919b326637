"""From a dataset to what a training run reads, and what its result depends on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from worldmodel.data.episode_dataset import EpisodeDataset
from worldmodel.data.fitting import fitted_dataset, frames_told
from worldmodel.data.latents import latent_cache
from worldmodel.data.windows import episode_split
from worldmodel.dynamics.recordings import Recordings
from worldmodel.encoders.frozen import FrozenEncoder
from worldmodel.errors import UserError
from worldmodel.spec import Spec
from worldmodel.weights.checkpoint import checkpoint_sha256
from worldmodel.weights.world import checkpoint_folder

if TYPE_CHECKING:
    from worldmodel.dynamics.train import TrainConfig

__all__ = ["chosen_episodes", "load_recordings", "of_size", "run_settings", "tell_of_validation"]


def of_size(dataset: EpisodeDataset, size: int, how: str) -> EpisodeDataset:
    """The dataset with frames of the encoder's size; says so if it had others."""
    fitting = fitted_dataset(dataset, size, how)
    if fitting is not dataset:
        print(frames_told(dataset, size, how))
    return fitting


def chosen_episodes(
    dataset: EpisodeDataset,
    holdout: float,
    tasks: Sequence[str] = (),
    episodes: int | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Episodes to train on, and those held out, which are so whatever tasks and episodes are.

    ``tasks`` are those that episodes have to be about, () for any; ``episodes`` is how many to
    train on.

    Raises:
        UserError: There are no such tasks, or fewer episodes.
    """
    split, chosen = episode_split(dataset.num_episodes, holdout), dataset.about(tasks)
    train, held_out = (part[np.isin(part, chosen)] for part in split)
    if episodes is not None and not 1 <= episodes <= len(train):
        raise UserError(
            f"Expected episodes between 1 and {len(train)}, those of {dataset.root} that are not "
            f"held out, got {episodes}."
        )
    return train[:episodes], held_out


def load_recordings(
    dataset: EpisodeDataset,
    encoder: FrozenEncoder,
    cache: Path,
    holdout: float,
    tasks: Sequence[str] = (),
    episodes: int | None = None,
    spec: Spec | None = None,
) -> Recordings:
    """The dataset with its latents, embedded once, as training reads it.

    ``tasks`` and ``episodes`` are as in `chosen_episodes`.

    Raises:
        UserError: There are no such tasks, or fewer episodes.
    """
    train, held_out = chosen_episodes(dataset, holdout, tasks, episodes)
    latents = latent_cache(encoder, dataset, cache)
    objects, extrinsics = dataset.objects, dataset.extrinsics
    return Recordings(
        torch.from_numpy(latents),
        torch.from_numpy(dataset.actions),
        torch.from_numpy(dataset.states),
        dataset.starts,
        dataset.lengths,
        train,
        held_out,
        None if objects is None else torch.from_numpy(objects),
        None if extrinsics is None else torch.from_numpy(extrinsics),
        spec,
    )


def run_settings(
    config: TrainConfig, dataset: EpisodeDataset, encoder: FrozenEncoder | None = None
) -> dict[str, Any]:
    """All that the result depends on, by the names of its keys; what is in files by content."""
    return {
        "predictor": asdict(config.predictor),
        "data": dataset.fingerprint(),
        "spec": asdict(config.spec),
        "actions": config.actions,
        "encoder_checkpoint": encoder and encoder.fingerprint(),
        "init": config.init and checkpoint_sha256(checkpoint_folder(config.init)),
        "holdout": config.holdout,
        "tasks": list(config.tasks),
        "episodes": config.episodes,
    }


def tell_of_validation() -> None:
    """Say why it takes a moment longer."""
    print("trained; measuring it on held-out episodes", flush=True)
