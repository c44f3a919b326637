"""Pretraining the video encoder, by masked latent prediction or otherwise."""

from __future__ import annotations

from dataclasses import field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from omegaconf import MISSING
from pydantic.dataclasses import dataclass

from worldmodel.data.by_camera import by_camera
from worldmodel.data.cameras import wanted_cameras
from worldmodel.data.episode_dataset import EpisodeDataset
from worldmodel.data.fitting import Fit, fitted_dataset, frames_told
from worldmodel.data.frames import decoded_frames
from worldmodel.data.oddities import oddities
from worldmodel.data.reader import DataSource, open_source
from worldmodel.data.specification import data_spec
from worldmodel.data.windows import episode_split, window_starts
from worldmodel.devices import usable_device
from worldmodel.encoders.vision_transformer import EncoderConfig, VideoTransformer
from worldmodel.model_memory import require_memory
from worldmodel.presets import EncoderOption, TrainingOption
from worldmodel.pretraining.clips import ClipSampler
from worldmodel.pretraining.objective import PretrainingConfig
from worldmodel.pretraining.probe import LatentProbe
from worldmodel.pretraining.trainer import train_encoder
from worldmodel.settings import CHECKED, Frames, ProperShare, configured
from worldmodel.training_state import sole_run

__all__ = ["PretrainConfig", "pretrain", "run_pretraining"]


@dataclass(frozen=True, config=CHECKED)
class PretrainConfig:
    """What to pretrain, on what video.

    Attributes:
        data: Folder or file of recordings, of any layout that `open_dataset` knows; in Python also
            an `EpisodeDataset`, or a list of `Recording`.
        out: Folder of the encoder checkpoint. A killed run continues there.
        encoder: Sizes of the encoder (group); ``encoder=pixels`` leaves nothing to train.
        training: By which objective it is trained, and how (group); ``training.steps=0`` saves a
            random encoder.
        camera: Which camera; may be left out when there is only one.
        cameras: Several cameras, each of which gives clips of its own; () for ``camera``.
        fit: How frames of another size become the encoder's square: ``crop`` takes the central
            square, ``pad`` adds black bars, ``squeeze`` changes the aspect ratio.
        allow_links_outside: Whether the dataset's files may be symbolic links that lead out of its
            folder, as in the cache of Hugging Face.
        cache: Folder of the decoded frames.
        holdout: Share of the episodes kept for the probe.
        frame_stride: Recorded frames from one frame of a clip to the next.
        device: ``cpu``, ``cuda`` or ``auto``.
    """

    data: DataSource = MISSING
    out: str = MISSING
    encoder: EncoderOption = field(default_factory=EncoderConfig)
    training: TrainingOption = MISSING
    camera: str | None = None
    cameras: tuple[str, ...] = ()
    fit: Fit = "crop"
    allow_links_outside: bool = False
    cache: str = "runs/cache"
    holdout: ProperShare = 0.1
    frame_stride: Frames = 1
    device: str = "auto"

    def __post_init__(self) -> None:
        if isinstance(self.training, PretrainingConfig):
            self.training.check(self.encoder)


def run_pretraining(config: PretrainConfig) -> float | None:
    """Decode the frames if that was not done yet, train, save the encoder, print its probe.

    Returns:
        The probe's error on held-out episodes, cm, the mean over what it reads from frames; None if
        there is nothing to read. Losses of different objectives could not be compared.
    """
    with sole_run(Path(config.out)):
        return _run(config)


pretrain = configured(PretrainConfig, training="vjepa")(run_pretraining)


def _run(config: PretrainConfig) -> float | None:
    size, device = config.encoder.image_size, usable_device(config.device)
    require_memory(lambda: VideoTransformer(config.encoder), "encoder", device)
    source = open_source(
        config.data,
        wanted_cameras(config.camera, config.cameras),
        allow_links_outside=config.allow_links_outside,
    )
    clip_frames = config.training.clip_frames
    if told := oddities(source, (clip_frames - 1) * config.frame_stride + 1):
        print(told)
    square = fitted_dataset(source, size, config.fit)
    if square is not source:
        print(frames_told(source, size, config.fit))
    dataset = by_camera(square)
    frames = decoded_frames(dataset, Path(config.cache))
    train, held_out = (
        np.concatenate([part + k * source.num_episodes for k in range(len(source.cameras))])
        for part in episode_split(source.num_episodes, config.holdout)
    )
    firsts = window_starts(dataset, train, clip_frames, config.frame_stride)
    report = train_encoder(
        config.encoder,
        config.training,
        ClipSampler(frames, dataset.actions, firsts, clip_frames, config.frame_stride),
        LatentProbe.draw(
            frames,
            window_starts(dataset, train, 1),
            window_starts(dataset, held_out, 1),
            probed_positions(dataset),
        ),
        {
            "data": dataset.fingerprint(),
            "holdout": config.holdout,
            "frame_stride": config.frame_stride,
        },
        Path(config.out),
        device,
    )
    figures = ", ".join(f"{name} {value:.2f}" for name, value in report.metrics().items())
    print(f"{config.out}: {figures}")
    return float(np.mean([*report.errors_cm.values()])) if report.errors_cm else None


def probed_positions(dataset: EpisodeDataset) -> dict[str, NDArray[np.float32]]:
    """What a probe reads from frames, m: objects on the table, and the gripper of poses."""
    positions: dict[str, NDArray[np.float32]] = {}
    if dataset.objects is not None:
        for index in range(dataset.objects.shape[1] // 3):
            name = f"object{index or ''}"
            positions[name] = dataset.objects[:, 3 * index : 3 * index + 2]
    if data_spec(dataset).states.kind == "pose":
        positions["gripper"] = dataset.states[:, :3]
    return positions
