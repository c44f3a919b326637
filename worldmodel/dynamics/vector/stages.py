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
from worldmodel.dynamics.state_model import StateModelTraining, state_losses
from worldmodel.dynamics.vector.ensemble import EnsembleTraining, train_ensemble
from worldmodel.dynamics.vector.glimpse import GlimpseTraining, train_glimpse
from worldmodel.dynamics.vector.macros import MacrosTraining, train_macros
from worldmodel.dynamics.vector.object_latent import ObjectLatentTraining, train_object_latent
from worldmodel.dynamics.vector.picture import PictureTraining, train_picture
from worldmodel.dynamics.vector.prior import PriorTraining, train_prior
from worldmodel.dynamics.vector.proprio import ProprioTraining, train_proprio
from worldmodel.dynamics.vector.reachability import ReachabilityTraining, train_reachability
from worldmodel.dynamics.vector.run import TrainingRun
from worldmodel.dynamics.vector.scenes import ScenesTraining, train_scenes
from worldmodel.dynamics.vector.uncertainty import UncertaintyTraining, train_uncertainty
from worldmodel.dynamics.vector.value import ValueTraining, train_value
from worldmodel.predictors.vector import VectorPredictor, VectorPredictorConfig
from worldmodel.settings import CHECKED, Seed
from worldmodel.training_log import TrainingLog
from worldmodel.training_state import TrainingState

__all__ = ["VectorTraining", "train_vector"]


@dataclass(frozen=True, config=CHECKED)
class VectorTraining:
    """How the vector predictor is trained, stage by stage in this order.

    Attributes:
        object_latent: What a frame holds that the arm's own state does not say.
        picture: The same, learned from what a frame shows; one of the two does.
        glimpse: What a frame shows at one place.
        proprio: Reading the arm's state off the image.
        scenes: When two frames show the same scene, wherever the arm is.
        state_model: What predicts proprioception that is not composed.
        dynamics: The ensemble that imagines object latents.
        value: Imagined steps to a goal, discounted.
        prior: What usually leads to goals.
        reachability: Imagined steps to a goal, as a quasimetric.
        uncertainty: Where the imagination errs.
        macros: Macro-actions, what they lead to, and which lead to goals.
        seed: Of initialisation and of everything drawn.
    """

    object_latent: ObjectLatentTraining = field(default_factory=ObjectLatentTraining)
    picture: PictureTraining = field(default_factory=PictureTraining)
    glimpse: GlimpseTraining = field(default_factory=GlimpseTraining)
    proprio: ProprioTraining = field(default_factory=ProprioTraining)
    scenes: ScenesTraining = field(default_factory=ScenesTraining)
    state_model: StateModelTraining = field(default_factory=StateModelTraining)
    dynamics: EnsembleTraining = field(default_factory=EnsembleTraining)
    value: ValueTraining = field(default_factory=ValueTraining)
    prior: PriorTraining = field(default_factory=PriorTraining)
    reachability: ReachabilityTraining = field(default_factory=ReachabilityTraining)
    uncertainty: UncertaintyTraining = field(default_factory=UncertaintyTraining)
    macros: MacrosTraining = field(default_factory=MacrosTraining)
    seed: Seed = 0

    def window(self, sizes: VectorPredictorConfig) -> int:
        """Frames that an episode needs for the stages that are to be trained."""
        stride = sizes.stride
        frames = {
            max(self.object_latent.way) + 1: self.object_latent.steps,
            self.dynamics.rollout * stride + 1: self.dynamics.steps,
            stride + 1: self.value.steps + self.prior.steps,
            self.uncertainty.rollout * stride + 1: self.uncertainty.steps,
            self.macros.rollout * sizes.macro_steps + 1: self.macros.steps,
        }
        return max((count for count, steps in frames.items() if steps), default=1)


def _stages(
    config: VectorTraining, model: VectorPredictor
) -> list[tuple[int, Callable[[TrainingRun], None]]]:
    """Iterations of each stage, and the stage."""
    predicted = config.state_model.steps if model.state_model is not None else 0
    apart = config.scenes.steps if model.config.scene_width else 0
    read = config.proprio.steps if model.state_features.width else 0
    return [
        (config.object_latent.steps, lambda run: train_object_latent(run, config.object_latent)),
        (config.picture.steps, lambda run: train_picture(run, config.picture)),
        (
            config.glimpse.steps if model.config.glimpse else 0,
            lambda run: train_glimpse(run, config.glimpse),
        ),
        (read, lambda run: train_proprio(run, config.proprio)),
        (apart, lambda run: train_scenes(run, config.scenes)),
        (predicted, lambda run: _train_state_model(run, config.state_model)),
        (config.dynamics.steps, lambda run: train_ensemble(run, config.dynamics)),
        (config.value.steps, lambda run: train_value(run, config.value)),
        (config.prior.steps, lambda run: train_prior(run, config.prior, config.value)),
        (config.reachability.steps, lambda run: train_reachability(run, config.reachability)),
        (config.uncertainty.steps, lambda run: train_uncertainty(run, config.uncertainty)),
        (config.macros.steps, lambda run: train_macros(run, config.macros, config.value)),
    ]


def _train_state_model(run: TrainingRun, config: StateModelTraining) -> None:
    predict = run.model.state_model
    if predict is not None and config.steps:
        drawn = torch.Generator().manual_seed(0)  # its own, so that other stages draw as without it
        losses = state_losses(run.model, run.data, config, run.stride, drawn)
        run.optimise("state_model", predict.parameters(), config, losses)


def train_vector(
    model: VectorPredictor, data: Recordings, config: VectorTraining, state: TrainingState
) -> None:
    """Train all stages in place; the model is in evaluation mode afterwards.

    A killed run, called again with an equal model, goes on after the last complete stage to the
    same weights.
    """
    torch.manual_seed(config.seed)
    generator = torch.Generator().manual_seed(config.seed)
    done = 0
    if (saved := state.load()) is not None:
        model.load_state_dict(saved["model"])
        generator.set_state(saved["generator"])
        torch.set_rng_state(saved["global_generator"])
        done = saved["stages"]
    stages = _stages(config, model)
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
