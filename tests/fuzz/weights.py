"""Damaged weights, settings and images: what makes them, and what reads them.

``python tests/fuzz/weights.py 1000`` tries a thousand of each format and prints what is wrong.
"""

from __future__ import annotations

import hashlib
import json
import random
import struct
import sys
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from worldmodel.commands.image_files import read_image
from worldmodel.encoders.frozen import FrozenEncoder
from worldmodel.encoders.vision_transformer import EncoderConfig, VideoTransformer
from worldmodel.errors import UserError
from worldmodel.predictors.compact import CompactConfig, CompactPredictor
from worldmodel.predictors.compact_world import CompactWorld
from worldmodel.predictors.token_world import TokenWorld
from worldmodel.predictors.tokens import TokenPredictor, TokenPredictorConfig
from worldmodel.pretraining.masked_predictor import MaskedPredictor, MaskedSizes
from worldmodel.weights import (
    export_vjepa2,
    load_vjepa2,
    load_vjepa2_ac,
    load_vjepa2_masked_predictor,
)
from worldmodel.weights.encoder import load_encoder, save_encoder
from worldmodel.weights.masked_predictor import load_masked_predictor, save_masked_predictor
from worldmodel.weights.token_world import save_token_world
from worldmodel.weights.world import load_world, save_world

Make = Callable[[Path], None]
Load = Callable[[Path], str]
"""Gives what must not change without a word; of formats without a checksum, nothing."""

_SIZE = 24
_NUMBERS = (-1, 0, 1, 3, 10**5, 2**31, 2**63, 10**400, 0.5, 1e-300, 1e300, float("inf"))
_VALUES = (None, True, "no", "", [], {}, [1], {"a": 1}, "x" * 3000, float("nan"), *_NUMBERS)


def formats() -> dict[str, tuple[Make, Load]]:
    """By name: what writes intact files into a folder, and what reads them."""
    return {
        "encoder": (_encoder, lambda folder: _told(load_encoder(folder).model)),
        "encoder, format 1": (_first_format, lambda f: _told(load_encoder(f).model) and ""),
        "masked predictor": (_masked, lambda folder: _told(load_masked_predictor(folder))),
        "compact world": (_compact, lambda folder: _told(load_world(folder))),
        "token world": (_tokens, lambda folder: _told(load_world(folder))),
        "transformers": (_hub, _load_hub),
        "transformers shards": (_shards, _load_hub),
        "pt": (_pt, _load_pt),
        "pt pickle": (_pickle, _load_pickle),
        "png": (lambda folder: _image(folder / "goal.png"), _load_image),
        "jpeg": (lambda folder: _image(folder / "goal.jpg"), lambda f: _load_image(f) and ""),
    }


def mutants(content: bytes, rng: random.Random) -> bytes:
    """One damaged copy: of bytes, or of the settings among them."""
    if content[:1] == b"{" and rng.random() < 0.8:
        return _other_settings(content, rng)
    if content[8:9] == b"{" and rng.random() < 0.5:  # safetensors
        (length,) = struct.unpack("<Q", content[:8])
        header = _other_settings(content[8 : 8 + length], rng)
        return struct.pack("<Q", len(header)) + header + content[8 + length :]
    return _other_bytes(content, rng)


def _other_bytes(content: bytes, rng: random.Random) -> bytes:
    damaged, size = bytearray(content), len(content)
    # Headers are where damage does most, so half of it is near either end.
    near = rng.choice((64, 1024, size))
    at = (
        rng.randrange(min(near, size))
        if rng.random() < 0.5
        else -1 - rng.randrange(min(near, size))
    )
    at, length = at % size, rng.choice((1, 2, 4, 8, 64, 500))
    match rng.randrange(7):
        case 0:
            damaged[at] ^= 1 << rng.randrange(8)
        case 1:
            return content[:at]
        case 2:
            del damaged[at : at + length]
        case 3:
            damaged[at:at] = rng.randbytes(length)
        case 4:
            damaged[at : at + length] = rng.choice((b"\0", b"\xff")) * length
        case 5:
            source = rng.randrange(size)
            damaged[at : at + length] = content[source : source + length]
        case 6:
            damaged[at : at + length] = rng.randbytes(length)
    return bytes(damaged)


def _other_settings(content: bytes, rng: random.Random) -> bytes:
    settings = json.loads(content)
    places = list(_places(settings))
    inside, key = rng.choice(places)
    match rng.randrange(8):
        case 0:
            del inside[key]
        case 1 | 2:
            inside[key] = rng.choice(_VALUES)
        case 3:
            value = inside[key]
            inside[key] = str(value) if rng.random() < 0.5 else [value]
        case 4:
            elsewhere, other = rng.choice(places)
            inside[key] = 1 if isinstance(elsewhere[other], dict | list) else elsewhere[other]
        case 5 if isinstance(inside, dict):
            inside[rng.choice((f"{key}s", "a\nb", "\ud800", "x" * 5000))] = inside.pop(key)
        case 6:
            text = json.dumps(settings)
            deep = rng.choice((100, 10**5)) * "["
            return text.replace(json.dumps(inside[key]), deep, 1).encode()
        case _:
            value = inside[key]
            inside[key] = value * 2 if isinstance(value, int) else rng.choice(_NUMBERS)
    return json.dumps(settings).encode()


def _places(value: Any) -> Any:
    """Every container and key in it, at any depth."""
    for key in value if isinstance(value, dict) else range(len(value)):
        yield value, key
        if isinstance(value[key], dict | list):
            yield from _places(value[key])


def attempt(load: Load, folder: Path, intact: str) -> str:
    """What became of a folder: ``intact``, ``refused``, or what is wrong."""
    try:
        found = load(folder)
    except UserError as error:
        return "refused" if "\n" not in str(error) and len(str(error)) < 2000 else f"said {error!r}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"[:300]
    return "intact" if found == intact else "another result"


def attempts(name: str, count: int, seed: int) -> Counter[str]:
    """Damage a file of a format again and again, and count what becomes of it."""
    make, load = formats()[name]
    rng, found = random.Random(f"{name} {seed}"), Counter[str]()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        make(folder)
        intact = load(folder)
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        for _ in range(count):
            file = rng.choice(files)
            content = file.read_bytes()
            # Not written over: a model that is mapped from it may still be alive.
            file.unlink()
            file.write_bytes(mutants(content, rng))
            found[attempt(load, folder, intact)] += 1
            file.unlink()
            file.write_bytes(content)
    return found


def _told(model: nn.Module) -> str:
    """A digest of all that a model is."""
    digest = hashlib.sha256()
    for part in model.modules():
        digest.update(
            repr([v for k, v in vars(part).items() if "config" in k or "sizes" in k]).encode()
        )
    for name, tensor in model.state_dict().items():
        digest.update(name.encode() + tensor.numpy().tobytes())
    return digest.hexdigest()


def _sizes(**settings: Any) -> EncoderConfig:
    return EncoderConfig(_SIZE, 12, width=12, depth=1, heads=2, **settings)


def _encoder(folder: Path) -> None:
    torch.manual_seed(0)
    save_encoder(folder, VideoTransformer(_sizes()), {"note": "test", "loss": [0.5, 0.25]})


def _first_format(folder: Path) -> None:
    """As it was before there were digests."""
    _encoder(folder)
    content = json.loads((folder / "config.json").read_text())
    del content["sha256"]
    (folder / "config.json").write_text(json.dumps(content | {"format_version": 1}))


def _masked(folder: Path) -> None:
    torch.manual_seed(0)
    predictor = MaskedPredictor(_sizes(), MaskedSizes(width=12, depth=1, heads=2))
    save_masked_predictor(folder, predictor, {"note": "test"})


def _compact(folder: Path) -> None:
    torch.manual_seed(0)
    widths = ("width", "head_width", "prior_width", "sight_width", "arm_width", "points", "memory")
    sizes = CompactConfig(tokens=4, token_width=12, depth=1, **dict.fromkeys(widths, 8))
    encoder = FrozenEncoder(VideoTransformer(_sizes()))
    save_world(folder, CompactWorld(encoder, CompactPredictor(sizes)), {"note": "test"})


def _tokens(folder: Path) -> None:
    torch.manual_seed(0)
    sizes = TokenPredictorConfig(tokens=4, token_width=12, width=12, depth=1, heads=2)
    encoder = FrozenEncoder(VideoTransformer(_sizes()))
    save_token_world(folder, TokenWorld(encoder, TokenPredictor(sizes)), {"note": "test"})


def _hub(folder: Path) -> None:
    torch.manual_seed(0)
    sizes = _sizes(tiled_rope=True)
    predictor = MaskedPredictor(sizes, MaskedSizes(width=12, depth=1, heads=2))
    export_vjepa2(folder, VideoTransformer(sizes), predictor)


def _shards(folder: Path) -> None:
    _hub(folder)
    whole = folder / "model.safetensors"
    tensors = load_file(whole)
    listed = {name: f"model-{i % 2}.safetensors" for i, name in enumerate(sorted(tensors))}
    for file in set(listed.values()):
        save_file({name: tensors[name] for name, at in listed.items() if at == file}, folder / file)
    whole.unlink()
    index = {"metadata": {"total_size": 1}, "weight_map": listed}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def _load_hub(folder: Path) -> str:
    load_vjepa2(folder)
    load_vjepa2_masked_predictor(folder)
    return ""


def _pt(folder: Path) -> None:
    torch.manual_seed(0)
    sizes = _sizes(tiled_rope=True)
    tokens = TokenPredictorConfig(
        tokens=4, token_width=12, width=12, depth=1, heads=2, raw_inputs=True, tiled_rope=True
    )
    predictor = TokenPredictor(tokens).state_dict()
    unused = ("scale_actions.", "state_features.")
    parts = {
        "target_encoder": VideoTransformer(sizes).state_dict(),
        "predictor": {k: v for k, v in predictor.items() if not k.startswith(unused)},
    }
    named = {
        part: {f"module.backbone.{k}": v for k, v in tensors.items()}
        for part, tensors in parts.items()
    }
    torch.save({**named, "opt": None, "epoch": 3, "loss": 0.5}, folder / "ac.pt")


def _load_pt(folder: Path) -> str:
    world = load_vjepa2_ac(folder / "ac.pt", image_size=_SIZE, encoder_heads=2, predictor_heads=2)
    return _told(world)


@cache
def _records() -> dict[str, bytes]:
    """What is in a `.pt`."""
    with tempfile.TemporaryDirectory() as temporary:
        _pt(Path(temporary))
        with zipfile.ZipFile(Path(temporary) / "ac.pt") as archive:
            return {name: archive.read(name) for name in archive.namelist()}


def _pickle(folder: Path) -> None:
    """What is pickled in a file, apart, so that its checksum is right whatever it holds."""
    (folder / "pickled").write_bytes(_records()["ac/data.pkl"])


def _load_pickle(folder: Path) -> str:
    with tempfile.TemporaryDirectory() as temporary:
        with zipfile.ZipFile(Path(temporary) / "ac.pt", "w") as archive:
            for name, content in _records().items():
                pickled = name == "ac/data.pkl"
                archive.writestr(name, (folder / "pickled").read_bytes() if pickled else content)
        _load_pt(Path(temporary))
    return ""


def _image(file: Path) -> None:
    iio.imwrite(file, np.random.default_rng(0).integers(0, 256, (_SIZE, _SIZE, 3), np.uint8))


def _load_image(folder: Path) -> str:
    file = next(path for path in folder.iterdir())
    return hashlib.sha256(read_image("goal", file, _SIZE).tobytes()).hexdigest()


if __name__ == "__main__":
    for name in formats():
        began = time.monotonic()
        found = attempts(name, int(sys.argv[1]), int((sys.argv[2:] or ["0"])[0]))
        print(f"{name}: {dict(found)}, {time.monotonic() - began:.0f} s", flush=True)
