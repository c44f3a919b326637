"""Training an action-conditioned predictor on the cached latents of a dataset."""

from __future__ import annotations

from dataclasses import asdict, field, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from omegaconf import MISSING
from pydantic.dataclasses import dataclass

from worldmodel.data.cameras import wanted_cameras
from worldmodel.data.episode_dataset import EpisodeDataset
from worldmodel.data.fitting import Fit
from worldmodel.data.oddities import oddities
from worldmodel.data.reader import DataSource, open_source
from worldmodel.data.sampling import sampled
from worldmodel.data.specification import data_spec
from worldmodel.data.windows import episode_split, window_starts
from worldmodel.devices import usable_device
from worldmodel.dynamics.end_to_end import LewmRecipe, train_whole
from worldmodel.dynamics.going_on import refuse_other_sizes, world_to_go_on_from
from worldmodel.dynamics.loading import load_recordings, of_size, run_settings, tell_of_validation
from worldmodel.dynamics.recordings import Recordings
from worldmodel.dynamics.scaling import fit_scaling
from worldmodel.dynamics.state_model import state_errors
from worldmodel.dynamics.tokens import (
    TokenTraining,
    open_loop_tokens,
    train_tokens,
)
from worldmodel.dynamics.validation import calibrate, open_loop
from worldmodel.dynamics.vector.memory import remember
from worldmodel.dynamics.vector.recognition import recognition
from worldmodel.dynamics.vector.run import planning_latents
from worldmodel.dynamics.vector.stages import VectorTraining, train_vector
from worldmodel.encoders.frozen import FrozenEncoder
from worldmodel.errors import UserError
from worldmodel.finite import NotFiniteError
from worldmodel.model_memory import require_memory
from worldmodel.predictors.proprioception import StateLayout
from worldmodel.predictors.token_world import TokenWorld
from worldmodel.predictors.tokens import TokenPredictor, TokenPredictorConfig
from worldmodel.predictors.vector import VectorPredictor, VectorPredictorConfig
from worldmodel.predictors.vector_world import VectorWorld
from worldmodel.presets import PredictorOption, preset
from worldmodel.settings import CHECKED, Count, Positive, ProperShare, configured
from worldmodel.spec import Spec, SpecChanges
from worldmodel.training_state import TrainingState, sole_run
from worldmodel.weights.checkpoint import remove_checkpoint
from worldmodel.weights.world import (
    encoder_of,
    is_world,
    save_world,
)

__all__ = ["TokensRecipe", "TrainConfig", "VectorRecipe", "run_training", "train"]


@dataclass(frozen=True, config=CHECKED)
class VectorRecipe:
    """``predictor=vector``.

    Attributes:
        model: Sizes; those that encoder and dataset determine are filled in.
        training: How it is trained.
    """

    model: VectorPredictorConfig = field(default_factory=VectorPredictorConfig)
    training: VectorTraining = field(default_factory=VectorTraining)


@dataclass(frozen=True, config=CHECKED)
class TokensRecipe:
    """``predictor=tokens``, in the manner of V-JEPA 2-AC.

    Attributes:
        model: Sizes; those that encoder and dataset determine are filled in.
        training: How it is trained.
    """

    model: TokenPredictorConfig = field(default_factory=TokenPredictorConfig)
    training: TokenTraining = field(default_factory=TokenTraining)


@dataclass(frozen=True, config=CHECKED)
class TrainConfig:
    """What to train, on what data.

    Attributes:
        predictor: What to train: ``vector``, ``tokens``, or ``lewm``, which needs no encoder.
        data: Folder or file of recordings, of any layout that `open_dataset` knows; in Python also
            an `EpisodeDataset`, or a list of `Recording`.
        spec: What actions and states mean, where the dataset does not say so.
        camera: Which camera; may be left out when there is only one. DROID's are ``ext1``,
            ``ext2``, ``wrist``, ``left``, ``right`` and serial numbers.
        cameras: Several cameras, whose frames stand side by side in this order; () for ``camera``.
        fit: How frames of another size become the encoder's square: ``crop`` takes the central
            square, ``pad`` adds black bars, ``squeeze`` changes the aspect ratio.
        allow_links_outside: Whether the dataset's files may be symbolic links that lead out of its
            folder, as in the cache of Hugging Face.
        fps: Frames a second, chosen by their timestamps; null for all that were recorded.
        actions: ``recorded``, or ``poses`` for the change of the pose from frame to frame, as in
            V-JEPA 2-AC. With ``fps``, recorded ones are joined by their kind, such as ``delta``;
            a ``generic`` one cannot be. DROID has poses only.
        encoder_checkpoint: Folder of a pretrained encoder, or of a world whose encoder is taken;
            hf:NAME, hf:/folder or timm:NAME for one of another library; or a registered name.
        init: World checkpoint to go on from, on this dataset; its encoder replaces the above.
        out: Folder of the world checkpoint that is written. A killed run continues there.
        cache: Folder of the latent cache.
        holdout: Share of the episodes kept for validation.
        tasks: Train and validate on the episodes about these; () for all.
        episodes: Train on this many of the others only, the first; None for all of them.
        device: ``cpu``, ``cuda`` or ``auto``, of embedding, ``predictor=tokens`` and ``lewm``; the
            vector predictor, which a GPU would not speed up, is trained on the CPU.
    """

    predictor: PredictorOption = MISSING
    data: DataSource = MISSING
    spec: SpecChanges = field(default_factory=SpecChanges)
    camera: str | None = None
    cameras: tuple[str, ...] = ()
    fit: Fit = "crop"
    allow_links_outside: bool = False
    fps: Positive | None = None
    actions: str = "recorded"
    encoder_checkpoint: str | None = None
    init: str | None = None
    out: str = MISSING
    cache: str = "runs/cache"
    holdout: ProperShare = 0.1
    tasks: tuple[str, ...] = ()
    episodes: Count | None = None
    device: str = "auto"


def run_training(config: TrainConfig) -> float:
    """Embed the dataset if that was not done yet, train, validate, save.

    Returns:
        The latent error on held-out episodes, the mean over the steps that are looked ahead.
    """
    with sole_run(Path(config.out)):
        return _run(config)


train = configured(TrainConfig, predictor="vector")(run_training)


def _run(config: TrainConfig) -> float:
    recipe = config.predictor
    if isinstance(recipe, LewmRecipe):
        if config.encoder_checkpoint is not None:
            raise UserError(
                "Expected no encoder_checkpoint with predictor=lewm, which trains its own; leave "
                "it out, or go on from a whole world with init=…"
            )
    elif (config.init is None) == (config.encoder_checkpoint is None):
        raise UserError("expected one of encoder_checkpoint=… and init=…, a world to go on from")
    dataset = open_source(
        config.data,
        wanted_cameras(config.camera, config.cameras),
        allow_links_outside=config.allow_links_outside,
    )
    dataset = sampled(dataset, config.fps, config.actions, config.spec)
    spec = replace(data_spec(dataset, config.spec), fit=config.fit)
    print(spec)
    device = usable_device(config.device)
    if isinstance(recipe, LewmRecipe):
        record = train_whole(config, recipe, dataset, spec, device)
    else:
        record = _train_on_latents(config, recipe, dataset, spec, device)
    print(_table(record["validation"]))
    if "proprioception" in record:
        print(_state_table(record["proprioception"]))
    for name, known in record.get("recognition", {}).items():
        print(
            f"{name}, robot elsewhere: objects not moved known again {known['unmoved']:.0%}, "
            f"moved by half their spread taken for unmoved {known['moved']:.0%}"
        )
    print(f"saved {config.out}")
    return float(np.mean(record["validation"]["latent_error"]))


def _train_on_latents(
    config: TrainConfig,
    recipe: VectorRecipe | TokensRecipe,
    dataset: EpisodeDataset,
    spec: Spec,
    device: torch.device,
) -> dict[str, Any]:
    """Train a predictor on the latents of a frozen encoder; returns what was recorded."""
    model: _Model | None = None
    if config.init is not None:
        world: TokenWorld | VectorWorld
        if isinstance(recipe, TokensRecipe):
            world = world_to_go_on_from(config.init, TokenWorld, spec, dataset)
        else:
            world = world_to_go_on_from(config.init, VectorWorld, spec, dataset)
        encoder, model = world.encoder, world.predictor.requires_grad_(True)
        usual = [type(recipe)().model]
        if isinstance(recipe, TokensRecipe):
            usual.append(preset("predictor", "vjepa2_ac").model)
        refuse_other_sizes(config.init, "predictor.model", recipe.model, model.config, usual)
    else:
        assert config.encoder_checkpoint is not None
        encoder = encoder_of(config.encoder_checkpoint)
        if is_world(config.encoder_checkpoint):
            print(f"encoder of the world in encoder_checkpoint={config.encoder_checkpoint}")
    encoder.cameras = len(spec.cameras)
    if isinstance(recipe, TokensRecipe):
        sizes = model.config if isinstance(model, TokenPredictor) else recipe.model
        dataset.require(extrinsics=sizes.extrinsics)
        window = recipe.training.window(sizes.context_frames)
    else:
        own = model.config if isinstance(model, VectorPredictor) else recipe.model
        window = recipe.training.window(own)
    train, _ = episode_split(dataset.num_episodes, config.holdout)
    window_starts(dataset, train, window)  # or it raises
    if told := oddities(dataset, window):
        print(told)
    dataset = of_size(dataset, encoder.image_size, config.fit)
    trained_on = device if isinstance(recipe, TokensRecipe) else torch.device("cpu")

    def fresh() -> _Model:
        if isinstance(recipe, TokensRecipe):
            return TokenPredictor(_fitted(recipe.model, encoder, spec))
        return VectorPredictor(_fitted(recipe.model, encoder, spec))

    if model is None:
        require_memory(fresh, "predictor.model", trained_on)
    data = load_recordings(
        dataset,
        encoder.to(device),
        Path(config.cache),
        config.holdout,
        config.tasks,
        config.episodes,
        spec,
    )
    encoder.cpu()  # nothing below needs it but the checkpoint
    state = TrainingState(Path(config.out), run_settings(config, dataset, encoder))
    if model is None:
        torch.manual_seed(recipe.training.seed)
        model = fresh()
        fit_scaling(model, data)
    if isinstance(recipe, TokensRecipe):
        assert isinstance(model, TokenPredictor)
        record = train_token_world(model.to(trained_on), recipe.training, data, encoder, state)
    else:
        assert isinstance(model, VectorPredictor)
        record = train_vector_world(model, recipe.training, data, encoder, state)
    state.remove()
    return record


_Model = VectorPredictor | TokenPredictor
_Sizes = TypeVar("_Sizes", VectorPredictorConfig, TokenPredictorConfig)


def _fitted(sizes: _Sizes, encoder: FrozenEncoder, spec: Spec) -> _Sizes:
    """The sizes, as encoder and spec determine them."""
    states = spec.states
    layout = StateLayout(
        spec.composed,
        () if spec.composed else states.angles,
        () if spec.composed else states.places(states.half_turn),
    )
    return replace(
        sizes,
        tokens=encoder.tokens,
        token_width=encoder.width,
        action_width=spec.actions.width,
        state_width=states.width,
        states=layout,
        cameras=len(spec.cameras),
    )


def train_vector_world(
    model: VectorPredictor,
    training: VectorTraining,
    data: Recordings,
    encoder: FrozenEncoder,
    state: TrainingState,
) -> dict[str, Any]:
    """Train, calibrate, validate and save to the state's folder; returns what was recorded."""
    train_vector(model, data, training, state)
    tell_of_validation()
    latents = planning_latents(model, data.latents, data.last_rows())
    calibrate(model, data, latents)
    remember(model, data, model.object_latents(latents))
    validation = open_loop(model, data, latents)
    record = {"training": asdict(training), "validation": asdict(validation)}
    if (errors := state_errors(model, data, model.config.stride)) is not None:
        record["proprioception"] = asdict(errors)
    record["recognition"] = {
        name: asdict(found) for name, found in recognition(model, data, latents).items()
    }
    world = VectorWorld(encoder, model, _with_hidden(data.spec, model))
    world.familiarity.fit(data.latents)
    save_world(state.folder, world, record)
    return record


def _with_hidden(spec: Spec | None, model: VectorPredictor) -> Spec | None:
    """The spec with the hidden states that training found, where nobody named them."""
    if spec is None or spec.states.hidden is not None:
        return spec
    seen = model.state_features
    visible = zip(seen.places, seen.visible.tolist(), strict=True)
    shown = {place for place, shows in visible if shows}
    hidden = tuple(name for k, name in enumerate(spec.states.names) if k not in shown)
    if spec.states.names and len(hidden) == len(spec.states.names):
        print("no state shows in held-out frames, so goals count none; check camera and states")
    return replace(spec, states=replace(spec.states, hidden=hidden))


def train_token_world(
    model: TokenPredictor,
    training: TokenTraining,
    data: Recordings,
    encoder: FrozenEncoder,
    state: TrainingState,
) -> dict[str, Any]:
    """Train, save to the state's folder, validate; returns what was recorded."""
    train_tokens(model, data, training, state)
    record: dict[str, Any] = {"training": asdict(training), "settings": dict(state.settings)}
    world = TokenWorld(encoder, model, data.spec)
    world.familiarity.fit(data.latents)
    save_world(state.folder, world, record)  # whatever becomes of the validation
    tell_of_validation()
    try:
        record["validation"] = asdict(open_loop_tokens(model, data))
        if (errors := state_errors(model, data, 1)) is not None:
            record["proprioception"] = asdict(errors)
    except NotFiniteError:
        remove_checkpoint(state.folder)  # it imagines nothing; what was trained is in the state
        raise
    save_world(state.folder, world, record)
    return record


def _table(validation: dict[str, Any]) -> str:
    """Open-loop errors for the eye."""
    lines = ["held-out open loop   latent error   of copying   object cm   copying   true codes"]
    for k, steps in enumerate(validation["control_steps"]):
        error = validation["latent_error"][k]
        line = f"{steps:3d} control steps {error:16.3f} {error / validation['copy_error'][k]:12.2f}"
        if validation["object_cm"]:
            names = ("object_cm", "object_copy_cm", "object_true_cm")
            line += " {:11.1f} {:9.1f} {:14.1f}".format(*(validation[n][k] for n in names))
        lines.append(line)
    return "\n".join(lines)


def _state_table(errors: dict[str, Any]) -> str:
    """Errors of imagined proprioception for the eye."""
    lines = ["held-out proprioception, sd of the data   imagined   held still"]
    for steps, error, held in zip(*errors.values(), strict=True):
        lines.append(f"{steps:3d} control steps {error:33.3f} {held:12.3f}")
    return "\n".join(lines)
