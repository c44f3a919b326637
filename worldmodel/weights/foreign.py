"""Frozen encoders of `transformers` and `timm`, from a folder or from the Hugging Face Hub.

A source is ``hf:`` or ``timm:`` and then a folder in the layout of that library, or a name on the
Hub; or the name of a factory that `register_encoder` registered. Preprocessing is the model's own,
but for the resizing: frames come square, of the size that its processor would crop to.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from worldmodel.encoders.foreign import ForeignConfig, ForeignModel
from worldmodel.encoders.frozen import FrozenEncoder
from worldmodel.encoders.registered import is_registered
from worldmodel.encoders.timm_networks import known_architecture, timm_library
from worldmodel.encoders.transformers_networks import (
    configured,
    patch_tokens,
    settings_of,
    tower_of,
    without_pooling,
)
from worldmodel.errors import UserError
from worldmodel.extras import required
from worldmodel.files.json_file import read_json
from worldmodel.settings import described
from worldmodel.weights.fit import load_into
from worldmodel.weights.huggingface import HuggingFaceFolder, download, is_vjepa2, weight_files
from worldmodel.weights.tensor_file import check_finite, first_line, mapped, some

__all__ = ["is_foreign", "load_foreign"]

_TRANSFORMERS, _TIMM = "hf:", "timm:"
_CONFIG, _TENSORS = "config.json", "model.safetensors"
_PROCESSORS = ("preprocessor_config.json", "processor_config.json")
_REMEDY = "Download it again."


def is_foreign(name: object) -> bool:
    """Whether a source is of another library, or registered, rather than a checkpoint's folder."""
    if not isinstance(name, str):
        return False
    return name.startswith((_TRANSFORMERS, _TIMM)) or (
        name.isidentifier() and not Path(name).exists() and is_registered(name)
    )


def load_foreign(name: str) -> FrozenEncoder:
    """A frozen encoder of another library, ready to encode frames.

    A folder of V-JEPA 2 gives our own video transformer, as `load_vjepa2` does.

    Args:
        name: ``hf:facebook/dinov2-small``, ``hf:/folder``, ``timm:vit_tiny_patch16_224``,
            ``timm:/folder``, or what ``register_encoder`` registered.

    Raises:
        MissingExtraError: The library is not installed.
        UserError: There is no such model, it is damaged, or it gives no grid of patch tokens.
    """
    if name.startswith(_TRANSFORMERS):
        folder = _folder(name.removeprefix(_TRANSFORMERS))
        if is_vjepa2(folder):
            return FrozenEncoder(HuggingFaceFolder.open(folder).encoder())
        model = _of_transformers(folder, name)
    elif name.startswith(_TIMM):
        model = _of_timm(name.removeprefix(_TIMM), name)
    else:
        model = _registered(name)
    check_finite(model.state_dict(), name, _REMEDY)
    model.eval().check()
    return FrozenEncoder(model)


def _folder(place: str) -> Path:
    path = Path(place).expanduser()
    return path if path.is_dir() else download(place)


def _of_transformers(folder: Path, name: str) -> ForeignModel:
    config = configured(read_json(folder / _CONFIG, _REMEDY))
    size, normalisation = _preprocessing(folder)
    tower = tower_of(config)
    tokens = patch_tokens(tower, size)
    network = without_pooling(_pretrained(folder, config))
    return ForeignModel(
        _config(
            kind="transformers",
            name=name,
            config=settings_of(tower),
            image_size=size,
            tokens=tokens,
            width=getattr(tower, "hidden_size", None),
            **normalisation,
        ),
        network,
    )


def _pretrained(folder: Path, config: Any) -> nn.Module:
    """The vision network with its weights, float32, from safetensors only."""
    transformers = required("transformers", extra="encoders")
    if (folder / "adapter_config.json").exists():
        raise UserError(f"{folder}: expected a whole model, got an adapter. Merge it first.")
    weight_files(folder)  # or it raises: an index could name files elsewhere
    try:
        network, found = transformers.AutoModel.from_pretrained(
            folder,
            config=config,
            dtype=torch.float32,
            local_files_only=True,
            output_loading_info=True,
            trust_remote_code=False,
            use_safetensors=True,
        )
    except Exception as error:  # whatever the library raises of a damaged or strange folder
        raise UserError(
            f"{folder}: expected a '{config.model_type}' of transformers with safetensors, got "
            f"{type(error).__name__}: {first_line(error)}. {_REMEDY}"
        ) from error
    tower = network if tower_of(config) is config else getattr(network, "vision_model", None)
    if not isinstance(tower, nn.Module):
        raise UserError(
            f"{folder}: expected a vision tower in a '{config.model_type}', found none. Give a "
            "vision network of its own."
        )
    within = "" if tower is network else "vision_model."
    needed = {f"{within}{key}" for key in without_pooling(tower).state_dict()}
    if missing := sorted(needed & {*found["missing_keys"]}):
        raise UserError(f"{folder}: expected weights of {some(missing)}, found none. {_REMEDY}")
    return tower


def _preprocessing(folder: Path) -> tuple[int, dict[str, Any]]:
    """Side of the frames, and mean, deviation and white, by the processor's own file."""
    file = next((folder / name for name in _PROCESSORS if (folder / name).is_file()), None)
    if file is None:
        raise UserError(
            f"{folder}: expected {_PROCESSORS[0]}, which says how images are prepared, found none. "
            "Download it too, or save the model's processor there."
        )
    stored = read_json(file, _REMEDY)
    nested = stored.get("image_processor")
    settings = nested if isinstance(nested, Mapping) else stored
    cropped = settings.get("do_center_crop", False) and settings.get("crop_size") is not None
    side = _side(settings.get("crop_size" if cropped else "size"), file)
    white = 1.0
    if settings.get("do_rescale", True):
        white = 1.0 / _number(settings.get("rescale_factor", 1 / 255), file, "rescale_factor")
    mean: Any = (0.0, 0.0, 0.0)
    std: Any = (1.0, 1.0, 1.0)
    if settings.get("do_normalize", True):
        mean, std = settings.get("image_mean"), settings.get("image_std")
    return side, {"mean": mean, "std": std, "white": round(white, 6)}


def _side(size: object, file: Path) -> int:
    """Of the square that a processor makes; a lone shortest edge counts as one."""
    given = {*size.values()} if isinstance(size, Mapping) else {size}
    side = next(iter(given), None)
    if len(given) != 1 or type(side) is not int:
        raise UserError(f"{file}: expected square images of a known size, got size={size!r:.80}.")
    return side


def _number(value: object, file: Path, name: str) -> float:
    if not isinstance(value, int | float) or not math.isfinite(value) or value <= 0:
        raise UserError(f"{file}: expected {name} above 0, got {value!r:.60}. {_REMEDY}")
    return float(value)


def _of_timm(place: str, name: str) -> ForeignModel:
    timm = timm_library()
    if not Path(place).expanduser().is_dir() and "/" not in place:  # a name of the library itself
        known_architecture(place)
        try:
            place = timm.get_pretrained_cfg(place, allow_unregistered=False).hf_hub_id or ""
        except RuntimeError as error:
            raise UserError(f"{name}: {first_line(error)}") from error
        if not place:
            raise UserError(f"{name}: timm has no weights for it. Name a tag of it, or a folder.")
    folder = _folder(place)
    stored = read_json(folder / _CONFIG, _REMEDY)
    shown = stored.get("pretrained_cfg")
    shown = shown if isinstance(shown, Mapping) else {}
    architecture = known_architecture(stored.get("architecture", shown.get("architecture")))
    options = stored.get("model_args", {})
    size = shown.get("input_size", (0,))
    unread = {
        "kind": "timm",
        "name": name,
        "config": {"architecture": architecture, "model_args": options},
        "image_size": size[-1] if isinstance(size, list | tuple) and size else size,
        "mean": shown.get("mean"),
        "std": shown.get("std"),
        "white": 255.0,
    }
    probe: Any = _config(**unread, tokens=1, width=1).network()
    model = ForeignModel(_config(**unread, **_seen(probe, unread["image_size"], name)), probe)
    unused = tuple(f"{part}." for part in _classifiers(shown))
    tensors = mapped(folder / _TENSORS, _REMEDY)
    floats = {k: t.float() if t.is_floating_point() else t for k, t in tensors.items()}
    source = f"{folder / _TENSORS}: these weights"
    load_into(model.network, floats, source=source, allow_unexpected=unused)
    return model


def _classifiers(shown: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of the layers that classify, which no encoder needs."""
    given = shown.get("classifier") or "head"
    return tuple(map(str, given)) if isinstance(given, list | tuple) else (str(given),)


def _registered(name: str) -> ForeignModel:
    unread = {
        "kind": "registered",
        "name": name,
        "config": {"factory": name},
        "mean": (0.0, 0.0, 0.0),
        "std": (1.0, 1.0, 1.0),
        "white": 255.0,
    }
    probe: Any = _config(**unread, image_size=1, tokens=1, width=1).network()
    size = probe.image_size
    return ForeignModel(_config(**unread, image_size=size, **_seen(probe, size, name)), probe)


@torch.no_grad()
def _seen(network: Any, size: int, name: str) -> dict[str, int]:
    """Number and width of the patch tokens that a network gives of a frame."""
    network.eval()
    read = getattr(network, "forward_features", network)
    try:
        tokens = read(torch.zeros(1, 3, size, size))
    except Exception as error:  # whatever a network of somebody else raises
        raise UserError(
            f"{name}: expected tokens of frames of {size}x{size} pixels, got "
            f"{type(error).__name__}: {first_line(error)}"
        ) from error
    shape = list(getattr(tokens, "shape", ()))
    count = shape[1] - getattr(network, "num_prefix_tokens", 0) if len(shape) == 3 else 0
    if count < 1 or math.isqrt(count) ** 2 != count:
        raise UserError(
            f"{name}: expected tokens [n, N, D] of a square grid of patches, got {shape}. Take a "
            "model that gives patch tokens, such as a ViT."
        )
    return {"tokens": count, "width": shape[2]}


def _config(**settings: Any) -> ForeignConfig:
    """The settings, checked.

    Raises:
        UserError: The files of a model state others than there can be.
    """
    try:
        return ForeignConfig(**settings)
    except ValueError as error:
        raise UserError(f"{settings['name']}: {described(error)}.") from error
