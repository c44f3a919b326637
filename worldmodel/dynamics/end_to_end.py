"""``predictor=lewm``: a world whose encoder is trained with it, from data set to checkpoint."""

from __future__ import annotations

from dataclasses import asdict, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from pydantic.dataclasses import dataclass

from worldmodel.data.episode_dataset import EpisodeDataset
from worldmodel.data.frames import decoded_frames
from worldmodel.data.oddities import oddities
from worldmodel.data.windows import window_starts
from worldmodel.dynamics.going_on import refuse_other_sizes, world_to_go_on_from
from worldmodel.dynamics.inverse import inverse_errors, train_inverse
from worldmodel.dynamics.lewm import (
    LewmWorldTraining,
    open_loop_lewm,
    train_lewm,
    train_state_model,
)
from worldmodel.dynamics.loading import (
    chosen_episodes,
    load_recordings,
    of_size,
    run_settings,
    tell_of_validation,
)
from worldmodel.dynamics.state_model import state_errors
from worldmodel.encoders.frozen import FrozenEncoder
from worldmodel.encoders.lewm import LewmEncoder, LewmEncoderConfig
from worldmodel.errors import UserError
from worldmodel.finite import NotFiniteError
from worldmodel.model_memory import require_memory
from worldmodel.predictors.lewm import LewmPredictor, LewmPredictorConfig
from worldmodel.predictors.lewm_world import LewmWorld
from worldmodel.predictors.proprioception import StateLayout
from worldmodel.presets import preset
from worldmodel.pretraining.clips import ClipSampler
from worldmodel.settings import CHECKED
from worldmodel.spec import Spec
from worldmodel.training_state import TrainingState
from worldmodel.weights.checkpoint import remove_checkpoint
from worldmodel.weights.world import save_world

if TYPE_CHECKING:
    from worldmodel.dynamics.train import TrainConfig

__all__ = ["LewmRecipe", "train_whole"]


@dataclass(frozen=True, config=CHECKED)
class LewmRecipe:
    """``predictor=lewm``, LeWorldModel, whose encoder is trained with it.

    Attributes:
        encoder: Sizes of the encoder.
        model: Sizes of the predictor; those that encoder and dataset determine are filled in.
        training: How both are trained.
    """

    encoder: LewmEncoderConfig = field(default_factory=LewmEncoderConfig)
    model: LewmPredictorConfig = field(default_factory=LewmPredictorConfig)
    training: LewmWorldTraining = field(default_factory=LewmWorldTraining)


def train_whole(
    config: TrainConfig,
    recipe: LewmRecipe,
    dataset: EpisodeDataset,
    spec: Spec,
    device: torch.device,
) -> dict[str, Any]:
    """Train encoder and predictor from frames, validate, save; returns what was recorded.

    Latents are computed once training is over, for its validation and for what goes with a world:
    what predicts proprioception, the inverse model, and whether a frame is a familiar one.

    Raises:
        UserError: There are several cameras, or a loss was not finite.
    """
    if len(spec.cameras) > 1:
        names = ", ".join(camera.name for camera in spec.cameras)
        raise UserError(f"Expected one camera with predictor=lewm, got {names}; give camera=…")
    world = None if config.init is None else _world(config.init, recipe, spec, dataset)
    sizes = recipe.encoder if world is None else _encoder(world).config
    model = _fitted(recipe, spec) if world is None else world.predictor.config
    train, _ = chosen_episodes(dataset, config.holdout, config.tasks, config.episodes)
    length, stride = model.history + 1, model.stride
    firsts = window_starts(dataset, train, length, stride)
    if told := oddities(dataset, (length - 1) * stride + 1):
        print(told)
    dataset = of_size(dataset, sizes.image_size, config.fit)

    def fresh() -> LewmWorld:
        return LewmWorld(FrozenEncoder(LewmEncoder(sizes)), LewmPredictor(model), spec)

    if world is None:
        require_memory(fresh, "predictor.model", device)
        torch.manual_seed(recipe.training.seed)
        world = fresh()
        _fit_scaling(world.predictor, dataset, window_starts(dataset, train, 1), spec)
    world.spec = spec
    frames = decoded_frames(dataset, Path(config.cache))
    windows = ClipSampler(frames, dataset.actions, firsts, length, stride)
    state = TrainingState(Path(config.out), run_settings(config, dataset))
    for part in (_encoder(world), world.predictor):
        part.requires_grad_(True)
    train_lewm(_encoder(world), world.predictor, windows, recipe.training, state, device)
    world.requires_grad_(False)
    record = _finished(config, recipe, dataset, world, state)
    state.remove()
    return record


def _finished(
    config: TrainConfig,
    recipe: LewmRecipe,
    dataset: EpisodeDataset,
    world: LewmWorld,
    state: TrainingState,
) -> dict[str, Any]:
    """Fit what goes with a trained world, save it, validate it."""
    data = load_recordings(
        dataset,
        world.encoder,
        Path(config.cache),
        config.holdout,
        config.tasks,
        config.episodes,
        world.spec,
    )
    world.cpu()
    train_state_model(world.predictor, data, recipe.training.state_model)
    train_inverse(world.predictor, data, recipe.training.inverse)
    world.familiarity.fit(data.latents)
    record: dict[str, Any] = {
        "training": asdict(recipe.training),
        "settings": dict(state.settings),
    }
    save_world(state.folder, world, record)  # whatever becomes of the validation
    tell_of_validation()
    try:
        record["validation"] = asdict(open_loop_lewm(world, data))
        if (errors := state_errors(world.predictor, data, world.stride)) is not None:
            record["proprioception"] = asdict(errors)
        if (wrong := inverse_errors(world.predictor, data)) is not None:
            record["inverse"] = asdict(wrong)
    except NotFiniteError:
        remove_checkpoint(state.folder)  # it imagines nothing; what was trained is in the state
        raise
    save_world(state.folder, world, record)
    return record


def _world(init: str, recipe: LewmRecipe, spec: Spec, dataset: EpisodeDataset) -> LewmWorld:
    world = world_to_go_on_from(init, LewmWorld, spec, dataset)
    usual = [LewmRecipe(), preset("predictor", "lewm_published")]
    for key, own in (("encoder", _encoder(world).config), ("model", world.predictor.config)):
        known = [getattr(option, key) for option in usual]
        refuse_other_sizes(init, f"predictor.{key}", getattr(recipe, key), own, known)
    return world


def _encoder(world: LewmWorld) -> LewmEncoder:
    encoder = world.encoder.model
    assert isinstance(encoder, LewmEncoder)
    return encoder


def _fitted(recipe: LewmRecipe, spec: Spec) -> LewmPredictorConfig:
    """Sizes of the predictor, as encoder and spec determine them."""
    states = spec.states
    layout = StateLayout(
        spec.composed,
        () if spec.composed else states.angles,
        () if spec.composed else states.places(states.half_turn),
    )
    return replace(
        recipe.model,
        latent_width=recipe.encoder.latent_width,
        action_width=spec.actions.width,
        state_width=states.width,
        states=layout,
    )


def _fit_scaling(predictor: LewmPredictor, dataset: EpisodeDataset, rows: Any, spec: Spec) -> None:
    """Actions as standard scores, as published; states likewise, for what predicts them."""
    actions, states = (torch.from_numpy(of[rows]) for of in (dataset.actions, dataset.states))
    predictor.scale_actions.fit(actions, actions.mean(0).tolist())
    hidden = spec.states.hidden or ()
    predictor.state_features.fit(states, spec.states.places(hidden))
