"""``worldmodel train``: an action-conditioned predictor on the cached latents of a dataset."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from omegaconf import MISSING

from worldmodel.data.dataset import Dataset
from worldmodel.data.latents import latent_cache
from worldmodel.data.windows import episode_split
from worldmodel.dynamics.compact import CompactTraining, planning_latents, train_compact
from worldmodel.dynamics.recordings import Recordings
from worldmodel.dynamics.validation import calibrate, open_loop
from worldmodel.encoders.frozen import FrozenEncoder
from worldmodel.predictors.compact import CompactConfig, CompactPredictor
from worldmodel.predictors.compact_world import CompactWorld
from worldmodel.training_log import TrainingLog
from worldmodel.weights.encoder import load_encoder
from worldmodel.weights.world import save_world

__all__ = ["CompactRecipe", "TrainConfig", "run"]


@dataclass(frozen=True)
class CompactRecipe:
    """``predictor=compact``: sizes and training of the compact predictor."""

    model: CompactConfig = field(default_factory=CompactConfig)
    training: CompactTraining = field(default_factory=CompactTraining)


@dataclass(frozen=True)
class TrainConfig:
    """Settings.

    Attributes:
        data: Folder of a LeRobotDataset v3.0 with one camera, actions and states.
        encoder: Folder of an encoder checkpoint.
        out: Folder of the world checkpoint that is written.
        predictor: What to train, ``compact`` or ``tokens``.
        cache: Folder of the latent cache.
        holdout: Share of the episodes kept for validation.
    """

    predictor: Any
    data: Path = MISSING
    encoder: Path = MISSING
    out: Path = MISSING
    cache: Path = Path("runs/cache")
    holdout: float = 0.1


def run(config: TrainConfig) -> None:
    """Embed the dataset if that was not done yet, train, validate, save."""
    dataset = Dataset.open(config.data)
    encoder = load_encoder(config.encoder)
    recordings = load_recordings(dataset, encoder, config.cache, config.holdout)
    record = train_compact_world(config.predictor, recordings, encoder, config.out)
    print(record)


def load_recordings(
    dataset: Dataset, encoder: FrozenEncoder, cache: Path, holdout: float
) -> Recordings:
    """The dataset with its latents, embedded once, as training reads it."""
    latents = latent_cache(encoder, dataset, cache)
    train, held_out = episode_split(dataset.num_episodes, holdout)
    objects = dataset.objects
    return Recordings(
        torch.from_numpy(latents),
        torch.from_numpy(dataset.actions),
        torch.from_numpy(dataset.states),
        dataset.starts,
        dataset.lengths,
        train,
        held_out,
        None if objects is None else torch.from_numpy(objects[:, :3]),
    )


def train_compact_world(
    recipe: CompactRecipe, data: Recordings, encoder: FrozenEncoder, out: Path
) -> dict[str, Any]:
    model = CompactPredictor(recipe.model)
    training = recipe.training
    total = sum(
        (training.head_steps, training.dynamics_steps, training.code_steps, training.value_steps)
    )
    with TrainingLog(out, "train", total=total) as log:
        train_compact(model, data, training, log)
    latents = planning_latents(model, data.latents)
    calibrate(model, data, latents)
    record = {
        "training": asdict(training),
        "validation": open_loop(model, data, latents).as_record(),
    }
    save_world(out, CompactWorld(encoder, model), record)
    return record
