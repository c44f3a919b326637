"""The files that are read from disk: how a sound one is made, and what is read from it."""

from __future__ import annotations

import hashlib
import json
import runpy
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import torch

from worldmodel.data.lerobot.video import writing_video
from worldmodel.data.lerobot.writer import finish_dataset, write_shard
from worldmodel.data.reader import open_dataset
from worldmodel.encoders.frozen import FrozenEncoder
from worldmodel.encoders.vision_transformer import EncoderConfig, VideoTransformer
from worldmodel.evaluation.image_files import read_image
from worldmodel.predictors.masked import MaskedPredictor, MaskedSizes
from worldmodel.predictors.token_world import TokenWorld
from worldmodel.predictors.tokens import TokenPredictor, TokenPredictorConfig
from worldmodel.predictors.vector import VectorPredictor, VectorPredictorConfig
from worldmodel.predictors.vector_world import VectorWorld
from worldmodel.spec import CameraSpec
from worldmodel.training_state import TrainingState
from worldmodel.weights.encoder import (
    load_encoder,
    load_masked_predictor,
    save_encoder,
    save_masked_predictor,
)
from worldmodel.weights.huggingface import export_vjepa2
from worldmodel.weights.vjepa2 import load_vjepa2, load_vjepa2_ac, load_vjepa2_masked_predictor
from worldmodel.weights.world import read_world, save_world

__all__ = ["FORMATS", "Format"]

VJEPA2 = Path(__file__).parents[1] / "data" / "vjepa2"
ENCODER = EncoderConfig(image_size=24, width=16, depth=1, heads=2)


@dataclass(frozen=True)
class Format:
    """A kind of file.

    Attributes:
        make: Writes a sound one into an empty folder.
        read: Reads it as the toolkit does, and tells a digest of all that a result depends on.
        sealed: Whether every change of that is to be refused. Formats of others carry no digest,
            so that a changed number in them is another number.
    """

    make: Callable[[Path], object]
    read: Callable[[Path], str]
    sealed: bool = False


def digest(*parts: object) -> str:
    key = hashlib.sha256()
    for part in parts:
        array = part.detach().numpy() if isinstance(part, torch.Tensor) else part
        key.update(array.tobytes() if isinstance(array, np.ndarray) else repr(array).encode())
    return key.hexdigest()


def of_module(module: torch.nn.Module, *settings: object) -> str:
    state = module.state_dict()
    return digest(*settings, *state, *state.values())


# Checkpoints of our own.


def make_encoder(folder: Path) -> None:
    save_encoder(folder, VideoTransformer(ENCODER))


def read_encoder(folder: Path) -> str:
    model = load_encoder(folder).model
    return of_module(model, model.config)


def make_vector_world(folder: Path) -> None:
    sizes = VectorPredictorConfig(
        tokens=4, token_width=16, width=8, depth=1, head_width=8, prior_width=8, memory=4
    )
    encoder = FrozenEncoder(VideoTransformer(ENCODER))
    save_world(folder, VectorWorld(encoder, VectorPredictor(sizes)), {"training": {}})


def make_token_world(folder: Path) -> None:
    sizes = TokenPredictorConfig(tokens=4, token_width=16, width=16, depth=1, heads=2)
    encoder = FrozenEncoder(VideoTransformer(ENCODER))
    save_world(folder, TokenWorld(encoder, TokenPredictor(sizes)), {"training": {}})


def seen_world(folder: Path) -> str:
    world = read_world(folder)
    return of_module(world, world.encoder.model.config, world.predictor.config)


def make_masked_predictor(folder: Path) -> None:
    save_masked_predictor(folder, MaskedPredictor(ENCODER, MaskedSizes(width=12, heads=2)), {})


def read_masked_predictor(folder: Path) -> str:
    predictor = load_masked_predictor(folder)
    return of_module(predictor, predictor.encoder_sizes, predictor.sizes)


def make_state(folder: Path) -> None:
    TrainingState(folder, {"seed": 1}).save({"step": 3, "weights": {"a": torch.arange(999.0)}})


def read_state(folder: Path) -> str:
    content = TrainingState(folder, {"seed": 1}).load()
    return digest(None if content is None else (content["step"], content["weights"]["a"].tolist()))


# Weights of others.


def make_hub(folder: Path) -> None:
    sizes = EncoderConfig(image_size=24, width=16, depth=1, heads=2, tiled_rope=True)
    predictor = MaskedPredictor(sizes, MaskedSizes(width=16, depth=1, heads=2))
    export_vjepa2(folder, VideoTransformer(sizes), predictor)


def make_sharded_hub(folder: Path) -> None:
    make_hub(folder)
    names = ["model-00001-of-00001.safetensors", "model.safetensors.index.json"]
    (folder / "model.safetensors").rename(folder / names[0])
    from safetensors import safe_open

    with safe_open(folder / names[0], "pt") as file:
        index = {"metadata": {}, "weight_map": dict.fromkeys(file.keys(), names[0])}
    (folder / names[1]).write_text(json.dumps(index))


def read_hub(folder: Path) -> str:
    model, predictor = load_vjepa2(folder), load_vjepa2_masked_predictor(folder)
    return digest(of_module(model, model.config), of_module(predictor, predictor.sizes))


def make_pt(folder: Path) -> None:
    shutil.copy(VJEPA2 / "vjepa2_tiny.pt", folder / "a.pt")


def read_pt(folder: Path) -> str:
    model = load_vjepa2(folder / "a.pt", heads=2, image_size=32)
    return of_module(model, model.config)


def make_ac_pt(folder: Path) -> None:
    encoder = torch.load(VJEPA2 / "vjepa2_tiny.pt", weights_only=True)["target_encoder"]
    predictor = torch.load(VJEPA2 / "vjepa2_ac_predictor.pt", weights_only=True)["predictor"]
    torch.save({"target_encoder": encoder, "predictor": predictor}, folder / "a.pt")


def read_ac_pt(folder: Path) -> str:
    world = load_vjepa2_ac(folder / "a.pt", encoder_heads=2, predictor_heads=2, image_size=32)
    return of_module(world, world.encoder.model.config, world.predictor.config)


# Data.


@dataclass(frozen=True)
class Synthetic:
    frames: np.ndarray
    actions: np.ndarray
    states: np.ndarray
    objects: np.ndarray | None = None
    task: str = "push"

    @classmethod
    def of(cls, seed: int) -> Synthetic:
        rng = np.random.default_rng(seed)
        frames = np.repeat(np.arange(6, dtype=np.uint8) * 40, 24 * 24 * 3).reshape(6, 24, 24, 3)
        actions, states = rng.normal(size=(2, 6, 7)).astype(np.float32)
        return cls(frames, actions, states)


def make_dataset(folder: Path) -> None:
    for shard in (0, 1):
        write_shard(
            *(folder, shard, 2 * shard, 12 * shard, [2 * shard, 2 * shard + 1]),
            [Synthetic.of(2 * shard), Synthetic.of(2 * shard + 1)],
            tasks=["push"],
            fps=5,
            camera="front",
        )
    finish_dataset(folder, 2, fps=5, camera="front", tasks=["push"])


def make_foreign_dataset(folder: Path) -> None:
    make_dataset(folder)
    (folder / "meta/checksums.json").unlink(missing_ok=True)


def make_droid(folder: Path) -> None:
    rng, rows = np.random.default_rng(0), 8
    serials = {"ext1": "11111111", "wrist": "22222222"}
    described = {f"{name}_cam_serial": serial for name, serial in serials.items()}
    with h5py.File(folder / "trajectory.h5", "w") as file:
        file["observation/robot_state/cartesian_position"] = rng.normal(size=(rows, 6))
        file["observation/robot_state/gripper_position"] = rng.uniform(size=rows)
        file["observation/timestamp/control/step_start"] = 10**12 + np.arange(rows) * 66
        for serial in serials.values():
            file[f"observation/camera_extrinsics/{serial}_left"] = rng.normal(size=(rows, 6))
            video = folder / f"recordings/MP4/{serial}.mp4"
            video.parent.mkdir(parents=True, exist_ok=True)
            with writing_video(video, 60, 24, 32) as append:
                append(rng.integers(0, 256, (rows, 24, 32, 3), dtype=np.uint8))
    (folder / "metadata_x.json").write_text(json.dumps(described))


def read_dataset(folder: Path) -> str:
    dataset = open_dataset(folder, "ext1" if (folder / "trajectory.h5").exists() else None)
    frames = [dataset.frames(episode) for episode in range(dataset.num_episodes)]
    dataset.fingerprint()
    columns = (dataset.lengths, dataset.timestamps, dataset.actions, dataset.states)
    return digest(dataset.tasks, *columns, *frames)


LAYOUTS = runpy.run_path(str(Path(__file__).parents[1] / "worldmodel/data/layouts.py"))
"""What writes recordings as other programs do."""


def layout(name: str) -> Format:
    """Recordings of two cameras, laid out as by another program."""

    def make(folder: Path) -> None:
        LAYOUTS[name](folder)

    def read(folder: Path) -> str:
        root = folder / "v2"
        dataset = open_dataset(root if root.is_dir() else folder, ())
        frames = [
            np.stack([*dataset.camera_frames(camera, episode, np.arange(length))])
            for camera in dataset.cameras
            for episode, length in enumerate(dataset.lengths)
        ]
        dataset.fingerprint()
        columns = (dataset.lengths, dataset.timestamps, dataset.actions, dataset.states)
        return digest(dataset.tasks, *columns, *frames)

    return Format(make, read)


# Images.


def image_format(name: str, mode: str) -> Format:
    def make(folder: Path) -> None:
        from PIL import Image

        pixels = np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8)
        Image.fromarray(pixels).convert(mode).save(folder / name)

    def read(folder: Path) -> str:
        return digest(read_image("goal", folder / name, CameraSpec("front", 24, 24)))

    return Format(make, read)


FORMATS = {
    "encoder": Format(make_encoder, read_encoder, sealed=True),
    "masked_predictor": Format(make_masked_predictor, read_masked_predictor, sealed=True),
    "vector_world": Format(make_vector_world, seen_world, sealed=True),
    "token_world": Format(make_token_world, seen_world, sealed=True),
    "training_state": Format(make_state, read_state, sealed=True),
    "hub": Format(make_hub, read_hub),
    "sharded_hub": Format(make_sharded_hub, read_hub),
    "pt": Format(make_pt, read_pt),
    "ac_pt": Format(make_ac_pt, read_ac_pt),
    "dataset": Format(make_dataset, read_dataset, sealed=True),
    "foreign_dataset": Format(make_foreign_dataset, read_dataset),
    "droid": Format(make_droid, read_dataset),
    "lerobot_2": layout("lerobot_2"),
    "lerobot_2_images": layout("lerobot_2_images"),
    "robomimic": layout("robomimic"),
    "stable_worldmodel": layout("stable_worldmodel"),
    "ogbench": layout("ogbench"),
    "png": image_format("a.png", "RGB"),
    "palette_png": image_format("a.png", "P"),
    "jpeg": image_format("a.jpg", "RGB"),
}
