"""Training the vector predictor, stage by stage, on cached latents of undirected data.

Each stage is a module of this package, in the order of `VectorTraining`.

No stage sees a reward, a success label or the simulator. A stage of 0 steps leaves its part as it
was, which with ``init`` is how one part of a world is trained anew.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field

import torch
from pydantic.dataclasses import dataclass

from worldmodel.dynamics.recordings import Recordings
from worldmodel.dynamics.vector.ensemble import EnsembleTraining, train_ensemble
from worldmodel.dynamics.vector.macros import MacrosTraining, train_macros
from worldmodel.dynamics.vector.object_latent import ObjectLatentTraining, train_object_latent
from worldmodel.dynamics.vector.prior import PriorTraining, train_prior
from worldmodel.dynamics.vector.proprio import ProprioTraining, train_proprio
from worldmodel.dynamics.vector.reachability import ReachabilityTraining, train_reachability
from worldmodel.dynamics.vector.run import TrainingRun
from worldmodel.dynamics.vector.scenes import ScenesTraining, train_scenes
from worldmodel.dynamics.vector.uncertainty import UncertaintyTraining, train_uncertainty
from worldmodel.dynamics.vector.value import ValueTraining, train_value
from worldmodel.predictors.vector import VectorPredictor
from worldmodel.settings import CHECKED, Seed
from worldmodel.training_log import TrainingLog
from worldmodel.training_state import TrainingState

__all__ = ["VectorTraining", "train_vector"]


@dataclass(frozen=True, config=CHECKED)
class VectorTraining:
    """Settings of the stages. Batches count windows, transitions or pairs of frames.

    Attributes:
        object_latent: Stage 1.
        proprio: Stage 2.
        scenes: Stage 3.
        dynamics: Stage 4.
        value: Stage 5.
        prior: Stage 6.
        reachability: Stage 7.
        uncertainty: Stage 8.
        macros: Stage 9.
        seed: Of everything.
    """

    object_latent: ObjectLatentTraining = field(default_factory=ObjectLatentTraining)
    proprio: ProprioTraining = field(default_factory=ProprioTraining)
    scenes: ScenesTraining = field(default_factory=ScenesTraining)
    dynamics: EnsembleTraining = field(default_factory=EnsembleTraining)
    value: ValueTraining = field(default_factory=ValueTraining)
    prior: PriorTraining = field(default_factory=PriorTraining)
    reachability: ReachabilityTraining = field(default_factory=ReachabilityTraining)
    uncertainty: UncertaintyTraining = field(default_factory=UncertaintyTraining)
    macros: MacrosTraining = field(default_factory=MacrosTraining)
    seed: Seed = 0


def _stages(config: VectorTraining) -> list[tuple[int, Callable[[TrainingRun], None]]]:
    """Iterations of each stage, and the stage."""
    return [
        (config.object_latent.steps, lambda run: train_object_latent(run, config.object_latent)),
        (config.proprio.steps, lambda run: train_proprio(run, config.proprio)),
        (config.scenes.steps, lambda run: train_scenes(run, config.scenes)),
        (config.dynamics.steps, lambda run: train_ensemble(run, config.dynamics)),
        (config.value.steps, lambda run: train_value(run, config.value)),
        (config.prior.steps, lambda run: train_prior(run, config.prior, config.value)),
        (config.reachability.steps, lambda run: train_reachability(run, config.reachability)),
        (config.uncertainty.steps, lambda run: train_uncertainty(run, config.uncertainty)),
        (config.macros.steps, lambda run: train_macros(run, config.macros, config.value)),
    ]


def train_vector(
    model: VectorPredictor, data: Recordings, config: VectorTraining, state: TrainingState
) -> None:
    """Train all stages in place; the model is in evaluation mode afterwards.

    A killed run, called again with an equal model, goes on after the last complete stage to the
    same weights.
    """
    torch.manual_seed(config.seed)
    generator = torch.Generator().manual_seed(config.seed)
    train_rows = data.rows(data.train)
    model.scale_actions.fit(data.actions[train_rows])
    model.state_features.fit(data.states[train_rows])
    done = 0
    if (saved := state.load()) is not None:
        model.load_state_dict(saved["model"])
        generator.set_state(saved["generator"])
        torch.set_rng_state(saved["global_generator"])
        done = saved["stages"]
    stages = _stages(config)
    total, start = sum(steps for steps, _ in stages), sum(steps for steps, _ in stages[:done])
    with TrainingLog(state.folder, "train", total=total, start=start) as log:
        run = TrainingRun(model, data, generator, log, start)
        for number, (_, stage) in enumerate(stages[done:], start=done + 1):
            stage(run)
            state.save(
                {
                    "stages": number,
                    "model": model.state_dict(),
                    "generator": generator.get_state(),
                    "global_generator": torch.get_rng_state(),
                }
            )
    model.eval()
