"""`transformers` layout of ``VJEPA2Model``: config.json beside safetensors, in one or more files.

A folder holds an encoder and a masked predictor. Their parameters have other names there, and
queries, keys and values are stored apart. Source: ``transformers.models.vjepa2``, version 5.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from worldmodel.data.atomic import write_json
from worldmodel.encoders.vision_transformer import EncoderConfig, VideoTransformer
from worldmodel.errors import UserError
from worldmodel.nn.blocks import NORM_EPS
from worldmodel.pretraining.masked_predictor import MaskedPredictor, MaskedSizes
from worldmodel.settings import described
from worldmodel.weights.checkpoint import write_tensors
from worldmodel.weights.sizes import check_heads

__all__ = ["HuggingFaceFolder", "download", "export_vjepa2"]

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

# What other values would compute, nothing here does.
_FIXED = {"in_chans": 3, "hidden_act": "gelu", "qkv_bias": True, "layer_norm_eps": NORM_EPS}


@dataclass(frozen=True)
class HuggingFaceFolder:
    """A folder of the layout; tensors are read when they are asked for.

    Attributes:
        path: The folder.
        config: Its settings.
        files: The file that each tensor is in, by their names.
    """

    path: Path
    config: Mapping[str, Any]
    files: Mapping[str, Path]

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> HuggingFaceFolder:
        """Look into a folder.

        Raises:
            UserError: It holds another kind of model, or files are missing or damaged.
        """
        path = Path(path)
        config = _json(path / _CONFIG)
        if config.get("model_type") != _MODEL_TYPE:
            raise UserError(
                f"{path / _CONFIG}: expected model_type '{_MODEL_TYPE}', "
                f"got {config.get('model_type')!r}. This folder holds another kind of model."
            )
        for key, value in _FIXED.items():
            if config.get(key, value) != value:
                raise UserError(f"{path / _CONFIG}: expected {key}={value}, got {config[key]!r}.")
        files = _files(path)
        if strange := [n for n in files if not n.startswith((*_NAMES, _MASK_TOKENS))]:
            raise UserError(
                f"{path}: expected the encoder and predictor of VJEPA2Model, found also "
                f"{', '.join(strange[:5])}. This folder holds another kind of model."
            )
        return cls(path, config, files)

    def encoder_sizes(
        self, image_size: int | None = None, heads: int | None = None
    ) -> EncoderConfig:
        """What config.json says of the encoder, with other heads or frames if given."""
        heads = self._size("num_attention_heads") if heads is None else heads
        check_heads(str(self.path / _CONFIG), self._size("hidden_size"), heads)
        try:
            return EncoderConfig(
                image_size=self._size("crop_size") if image_size is None else image_size,
                patch_size=self._size("patch_size"),
                tubelet=self._size("tubelet_size"),
                width=self._size("hidden_size"),
                depth=self._size("num_hidden_layers"),
                heads=heads,
                mlp_ratio=self._ratio("mlp_ratio", self._size("hidden_size")),
                tiled_rope=True,
                fixed_grid=self._size("crop_size") // self._size("patch_size"),
            )
        except UserError:
            raise
        except ValueError as error:
            raise UserError(f"{self.path / _CONFIG}: {described(error)}") from error

    def predictor_sizes(self) -> MaskedSizes:
        """What config.json says of the masked predictor."""
        width = self._size("pred_hidden_size")
        return MaskedSizes(
            width,
            self._size("pred_num_hidden_layers"),
            self._size("pred_num_attention_heads"),
            self._ratio("pred_mlp_ratio", width),
            self._size("pred_num_mask_tokens"),
        )

    def tensors(self, part: str) -> dict[str, Tensor]:
        """Tensors of ``encoder`` or ``predictor``, by our names, mapped from the files."""
        theirs = self._read([name for name in self.files if name.startswith(f"{part}.")])
        ours: dict[str, Tensor] = {}
        for name in sorted(theirs):
            tensor = theirs[name]
            if not tensor.is_floating_point():
                raise UserError(
                    f"{self.files[name]}: expected floating-point numbers, got {tensor.dtype}: "
                    f"{name}"
                )
            if name == _MASK_TOKENS and tensor.ndim:
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
        if len({str(shape) for shape in shapes.values()}) > 1:
            raise UserError(f"{self.path}: expected tensors of one shape, got {shapes}")

    def _read(self, names: list[str]) -> dict[str, Tensor]:
        tensors: dict[str, Tensor] = {}
        for file in sorted({self.files[name] for name in names}):
            try:
                with safe_open(file, framework="pt") as stored:
                    for name in names:
                        if self.files[name] == file:
                            tensors[name] = stored.get_tensor(name)
            except (SafetensorError, OSError) as error:
                raise UserError(
                    f"{file} is damaged or truncated ({error}). Download it again."
                ) from error
        return tensors

    def _size(self, key: str) -> int:
        value = self.config.get(key, _DEFAULTS[key])
        if not isinstance(value, int) or value < 1:
            raise UserError(f"{self.path / _CONFIG}: expected {key} of at least 1, got {value!r}.")
        return value

    def _ratio(self, key: str, width: int) -> float:
        value = self.config.get(key, 4.0)
        if not isinstance(value, int | float) or value <= 0:
            raise UserError(f"{self.path / _CONFIG}: expected {key} above 0, got {value!r}.")
        return int(width * value) / width  # rounded down there


# Of VJEPA2Config: a config.json may leave out what it does not change.
_DEFAULTS = {
    "crop_size": 256,
    "patch_size": 16,
    "tubelet_size": 2,
    "hidden_size": 1024,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "pred_hidden_size": 384,
    "pred_num_hidden_layers": 12,
    "pred_num_attention_heads": 12,
    "pred_num_mask_tokens": 10,
}


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


def download(name: str) -> Path:
    """Fetch a model of this layout from the Hugging Face hub, or find it in the hub's cache.

    Raises:
        UserError: There is no such model, or no network.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        wanted = [_CONFIG, "*.safetensors", _INDEX]
        return Path(snapshot_download(name, allow_patterns=wanted))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise UserError(
            f"'{name}' is no file or folder, and could not be fetched from the Hugging Face hub "
            f"({reason}). Give a path, or a name that the hub knows."
        ) from error


def _files(path: Path) -> dict[str, Path]:
    if (path / _INDEX).is_file():
        index = _json(path / _INDEX).get("weight_map")
        if not isinstance(index, dict):
            raise UserError(f"{path / _INDEX} is damaged: expected weight_map. Download it again.")
        listed = {str(name): path / Path(str(file)).name for name, file in index.items()}
        found = {name: file for file in set(listed.values()) for name in _keys(file)}
        if wrong := sorted(set(listed) ^ set(found)):
            raise UserError(
                f"{path / _INDEX} and the files beside it differ on {', '.join(wrong[:5])}. "
                "Download the folder again."
            )
        return {name: listed[name] for name in found}
    return dict.fromkeys(_keys(path / _TENSORS), path / _TENSORS)


def _keys(file: Path) -> list[str]:
    if not file.is_file():
        raise UserError(f"{file} does not exist. Download the folder again.")
    try:
        with safe_open(file, framework="pt") as stored:
            return list(stored.keys())
    except (SafetensorError, OSError) as error:
        raise UserError(f"{file} is damaged or truncated ({error}). Download it again.") from error


def _json(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{file} cannot be read ({error}). Download it again.") from error
    if not isinstance(content, dict):
        raise UserError(f"{file} is damaged: expected settings by name. Download it again.")
    return content


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
