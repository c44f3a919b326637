"""`transformers` layout of ``VJEPA2Model``: config.json beside safetensors, in one or more files.

A folder holds an encoder and a masked predictor. Their parameters have other names there, and
queries, keys and values are stored apart. ``VJEPA2ForVideoClassification`` holds them as its part
``vjepa2``, beside a classifier that is not read. Source: ``transformers.models.vjepa2``, version 5.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

import torch
from pydantic.dataclasses import dataclass as checked
from torch import Tensor

from worldmodel.encoders.vision_transformer import EncoderConfig, VideoTransformer
from worldmodel.errors import UserError
from worldmodel.files.atomic import write_json
from worldmodel.files.json_file import read_json
from worldmodel.nn.blocks import NORM_EPS
from worldmodel.predictors.masked import MaskedPredictor, MaskedSizes
from worldmodel.settings import (
    CHECKED,
    Count,
    Frames,
    Layers,
    Pixels,
    Positive,
    Width,
    read_settings,
)
from worldmodel.weights.fit import built
from worldmodel.weights.sizes import check_heads, naming
from worldmodel.weights.tensor_file import check_finite, mapped, some, stored_names, write_tensors

__all__ = ["HuggingFaceFolder", "download", "export_vjepa2", "is_vjepa2", "weight_files"]

_CONFIG = "config.json"
_TENSORS = "model.safetensors"
_INDEX = "model.safetensors.index.json"
_MODEL_TYPE = "vjepa2"

_NAMES = {  # theirs, and ours
    "encoder.embeddings.patch_embeddings.": "patch_embed.",
    "encoder.layer.": "blocks.",
    "encoder.layernorm.": "norm.",
    "predictor.embeddings.predictor_embeddings.": "predictor_embed.",
    "predictor.layer.": "predictor_blocks.",
    "predictor.layernorm.": "predictor_norm.",
    "predictor.proj.": "predictor_proj.",
}
_QKV = ("query", "key", "value")
_MASK_TOKENS = "predictor.embeddings.mask_tokens"
_REMEDY = "Download it again."

_WITHIN = "vjepa2."
_CLASSIFIER = ("pooler.", "classifier.")
"""How a classifier's folder names the model in it, and what it holds besides."""

# What other values would compute, nothing here does.
_FIXED = {"in_chans": 3, "hidden_act": "gelu", "qkv_bias": True, "layer_norm_eps": NORM_EPS}


@dataclass(frozen=True)
class HuggingFaceFolder:
    """A folder of the layout; tensors are read when they are asked for.

    Attributes:
        path: The folder.
        config: Its settings.
        files: The file that each tensor is in, by their names.
        within: What their names begin with in these files.
    """

    path: Path
    config: Mapping[str, Any]
    files: Mapping[str, Path]
    within: str = ""

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> HuggingFaceFolder:
        """Look into a folder.

        Raises:
            UserError: It holds another kind of model, or files are missing or damaged.
        """
        path = Path(path)
        config = read_json(path / _CONFIG, _REMEDY)
        if config.get("model_type") != _MODEL_TYPE:
            raise UserError(
                f"{path / _CONFIG}: expected model_type '{_MODEL_TYPE}', "
                f"got {config.get('model_type')!r:.60}. This folder holds another kind of model."
            )
        for key, value in _FIXED.items():
            if config.get(key, value) != value:
                raise UserError(
                    f"{path / _CONFIG}: expected {key}={value}, got {config[key]!r:.60}."
                )
        files, within = weight_files(path), ""
        if any(name.startswith(_WITHIN) for name in files):
            within = _WITHIN
            files = {n: f for n, f in files.items() if not n.startswith(_CLASSIFIER)}
            files = {name.removeprefix(within): file for name, file in files.items()}
        if strange := [n for n in files if not n.startswith((*_NAMES, _MASK_TOKENS))]:
            raise UserError(
                f"{path}: expected the encoder and predictor of VJEPA2Model, found also "
                f"{some(strange)}. This folder holds another kind of model."
            )
        return cls(path, config, files, within)

    def encoder_sizes(
        self, image_size: int | None = None, heads: int | None = None
    ) -> EncoderConfig:
        """What config.json says of the encoder, with other heads or frames if given."""
        stored = self._read(_EncoderSizes)
        heads = stored.num_attention_heads if heads is None else heads
        check_heads(str(self.path / _CONFIG), stored.hidden_size, heads)
        with naming(str(self.path / _CONFIG)):
            return EncoderConfig(
                image_size=stored.crop_size if image_size is None else image_size,
                patch_size=stored.patch_size,
                tubelet=stored.tubelet_size,
                width=stored.hidden_size,
                depth=stored.num_hidden_layers,
                heads=heads,
                mlp_ratio=_rounded_down(stored.hidden_size, stored.mlp_ratio),
                tiled_rope=True,
                fixed_grid=stored.crop_size // stored.patch_size,
            )

    def encoder(self, image_size: int | None = None, heads: int | None = None) -> VideoTransformer:
        """The encoder, frozen, with other heads or frames if given."""
        sizes = self.encoder_sizes(image_size, heads)
        return built(lambda: VideoTransformer(sizes), self.tensors("encoder"), str(self.path))

    def predictor_sizes(self, heads: int | None = None) -> MaskedSizes:
        """What config.json says of the masked predictor, with other heads if given."""
        stored = self._read(_PredictorSizes)
        heads = stored.pred_num_attention_heads if heads is None else heads
        check_heads(str(self.path / _CONFIG), stored.pred_hidden_size, heads)
        with naming(str(self.path / _CONFIG)):
            return MaskedSizes(
                width=stored.pred_hidden_size,
                depth=stored.pred_num_hidden_layers,
                heads=heads,
                mlp_ratio=_rounded_down(stored.pred_hidden_size, stored.pred_mlp_ratio),
                mask_tokens=stored.pred_num_mask_tokens,
            )

    def tensors(self, part: str) -> dict[str, Tensor]:
        """Tensors of ``encoder`` or ``predictor``, by our names, mapped from the files."""
        theirs = self._floats([name for name in self.files if name.startswith(f"{part}.")])
        ours: dict[str, Tensor] = {}
        for name in sorted(theirs):
            tensor = theirs[name]
            if name == _MASK_TOKENS and tensor.ndim:
                if len(tensor) > (most := self.predictor_sizes().mask_tokens):
                    raise UserError(f"{self.path}: expected {most} mask tokens, got {len(tensor)}.")
                ours |= {f"mask_tokens.{i}": token for i, token in enumerate(tensor.unbind())}
            elif ".attention.query." in name:
                split = [name.replace("query", which) for which in _QKV]
                if all(each in theirs for each in split):
                    self._check_alike(split, theirs)
                    key = _renamed(name).replace("query", "qkv")
                    ours[key] = torch.cat([theirs[each] for each in split])
            elif ".attention.key." not in name and ".attention.value." not in name:
                ours[_renamed(name)] = tensor
        return ours

    def _check_alike(self, names: list[str], tensors: Mapping[str, Tensor]) -> None:
        """Queries, keys and values that add up to the right size by chance are not right."""
        shapes = {name: list(tensors[name].shape) for name in names}
        if len({str(shape) for shape in shapes.values()}) > 1 or not tensors[names[0]].ndim:
            raise UserError(f"{self.path}: expected tensors of one shape, got {shapes}")

    def _floats(self, names: list[str]) -> dict[str, Tensor]:
        """Tensors by their names, float32 whatever they are stored in, and finite."""
        tensors: dict[str, Tensor] = {}
        for file in sorted({self.files[name] for name in names}):
            here = [f"{self.within}{name}" for name in names if self.files[name] == file]
            for stored, tensor in mapped(file, _REMEDY, here).items():
                name = stored.removeprefix(self.within)
                if not tensor.is_floating_point():
                    raise UserError(
                        f"{file}: expected floating-point numbers, got {tensor.dtype}: "
                        f"{some([name])}"
                    )
                tensors[name] = tensor.float()
                check_finite({name: tensors[name]}, str(file), _REMEDY)
        return tensors

    def _read(self, sizes: type[_Sizes]) -> _Sizes:
        names = [field.name for field in fields(sizes) if field.name in self.config]
        stored = {name: self.config[name] for name in names}
        return read_settings(sizes, stored, str(self.path / _CONFIG))


@checked(frozen=True, config=CHECKED)
class _EncoderSizes:
    """Keys of VJEPA2Config, which always writes them."""

    crop_size: Pixels
    patch_size: Pixels
    tubelet_size: Frames
    hidden_size: Width
    num_hidden_layers: Layers
    num_attention_heads: Count
    mlp_ratio: Positive


@checked(frozen=True, config=CHECKED)
class _PredictorSizes:
    pred_hidden_size: Width
    pred_num_hidden_layers: Layers
    pred_num_attention_heads: Count
    pred_mlp_ratio: Positive
    pred_num_mask_tokens: Layers


_Sizes = TypeVar("_Sizes", _EncoderSizes, _PredictorSizes)


def _rounded_down(width: int, ratio: float) -> float:
    """The ratio of which hidden widths are rounded down, as they are there."""
    return int(width * ratio) / width


def export_vjepa2(
    folder: str | os.PathLike[str],
    encoder: VideoTransformer,
    predictor: MaskedPredictor | None = None,
    *,
    frames: int = 64,
) -> None:
    """Write an encoder, and its masked predictor if there is one, as a ``VJEPA2Model`` folder.

    Without a predictor, load it with ``VJEPA2Model.from_pretrained(folder)`` and
    ``skip_predictor=True`` in calls: `transformers` makes up a random one.

    Args:
        folder: Created if need be; config.json comes last.
        encoder: The encoder.
        predictor: Trained with it.
        frames: Length of the clips that it was trained on; only recorded.

    Raises:
        UserError: The layout has no form for this encoder.
    """
    sizes, folder = encoder.config, Path(folder)
    if not sizes.tiled_rope or sizes.vjepa_2_1 or not sizes.depth:
        raise UserError(
            "transformers knows V-JEPA 2 with the tiled rotary layout only, and this encoder has "
            "another; pretrain with encoder.tiled_rope=true to export."
        )
    config: dict[str, Any] = {
        "architectures": ["VJEPA2Model"],
        "model_type": _MODEL_TYPE,
        "dtype": "float32",
        **_FIXED,
        "frames_per_clip": frames,
        "crop_size": sizes.image_size,
        "patch_size": sizes.patch_size,
        "tubelet_size": sizes.tubelet,
        "hidden_size": sizes.width,
        "num_hidden_layers": sizes.depth,
        "num_attention_heads": sizes.heads,
        "mlp_ratio": _rounding_down(sizes.width, sizes.mlp_ratio),
    }
    tensors = _theirs(encoder.state_dict(), "encoder")
    if predictor is not None:
        own = predictor.sizes
        config |= {
            "pred_hidden_size": own.width,
            "pred_num_hidden_layers": own.depth,
            "pred_num_attention_heads": own.heads,
            "pred_mlp_ratio": _rounding_down(own.width, own.mlp_ratio),
            "pred_num_mask_tokens": own.mask_tokens,
        }
        tensors |= _theirs(predictor.state_dict(), "predictor")
    write_tensors(folder / _TENSORS, tensors, format="pt")
    write_json(folder / _CONFIG, config)


def is_vjepa2(folder: Path) -> bool:
    """Whether a folder of `transformers` holds V-JEPA 2.

    Raises:
        UserError: It has no intact config.json.
    """
    return bool(read_json(folder / _CONFIG, _REMEDY).get("model_type") == _MODEL_TYPE)


def download(name: str) -> Path:
    """Fetch a model's settings and safetensors from the Hugging Face hub, or find them cached.

    Raises:
        UserError: There is no such model, or no network.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        wanted = [_CONFIG, "*processor_config.json", "*.safetensors", _INDEX]
        return Path(snapshot_download(name, allow_patterns=wanted))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise UserError(
            f"'{name}' is no file or folder, and could not be fetched from the Hugging Face hub "
            f"({reason}). Give a path, or a name that the hub knows."
        ) from error


def weight_files(path: Path) -> dict[str, Path]:
    """The safetensors file in a folder that each tensor is in, by their names.

    Raises:
        UserError: Files are missing or damaged, or the index names others than those beside it.
    """
    if (path / _INDEX).is_file():
        index = read_json(path / _INDEX, _REMEDY).get("weight_map")
        if not isinstance(index, dict) or not all(map(_is_file_name, index.values())):
            raise UserError(
                f"{path / _INDEX} is damaged: expected weight_map of tensors to .safetensors files "
                f"beside it. {_REMEDY}"
            )
        listed = {name: path / file for name, file in index.items()}
        found = {name: file for file in set(listed.values()) for name in _names(file)}
        if wrong := sorted(set(listed) ^ set(found)):
            raise UserError(
                f"{path / _INDEX} and the files beside it differ on {some(wrong)}. "
                "Download the folder again."
            )
        return {name: listed[name] for name in found}
    return dict.fromkeys(_names(path / _TENSORS), path / _TENSORS)


def _is_file_name(file: object) -> bool:
    return isinstance(file, str) and bool(re.fullmatch(r"[\w.-]{1,200}\.safetensors", file))


def _names(file: Path) -> list[str]:
    return stored_names(file, "Download the folder again.")


def _renamed(name: str) -> str:
    for theirs, ours in _NAMES.items():
        if name.startswith(theirs):
            name = ours + name.removeprefix(theirs)
    return name.replace(".attention.", ".attn.")


def _theirs(tensors: Mapping[str, Tensor], part: str) -> dict[str, Tensor]:
    """Our tensors by their names."""
    renamed: dict[str, Tensor] = {}
    tokens: list[Tensor] = []
    for name, tensor in tensors.items():
        tensor = tensor.detach().cpu().contiguous()
        for theirs, ours in _NAMES.items():
            if theirs.startswith(part) and name.startswith(ours):
                name = theirs + name.removeprefix(ours)
                break
        name = name.replace(".attn.", ".attention.")
        if re.fullmatch(r"mask_tokens\.\d+", name):
            tokens.append(tensor)
        elif ".qkv." in name:
            for which, third in zip(_QKV, tensor.chunk(3), strict=True):
                renamed[name.replace("qkv", which)] = third.contiguous().clone()
        else:
            renamed[name] = tensor
    if tokens:
        renamed[_MASK_TOKENS] = torch.stack(tokens)
    return renamed


def _rounding_down(width: int, ratio: float) -> float:
    """A ratio of which ``int(width * ratio)`` is the MLP's width, as it is computed there."""
    hidden = round(width * ratio)
    return hidden / width if int(width * (hidden / width)) == hidden else (hidden + 0.5) / width
