"""The pretraining loop: schedule, logging, collapse alarm, resume."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from worldmodel.encoders.frozen import FrozenEncoder
from worldmodel.encoders.vision_transformer import EncoderConfig, VideoTransformer
from worldmodel.errors import UserError
from worldmodel.pretraining.clips import ClipSampler
from worldmodel.pretraining.masked_predictor import MaskedPredictor
from worldmodel.pretraining.masks import BlockMasks
from worldmodel.pretraining.objective import JepaObjective
from worldmodel.pretraining.probe import LatentProbe, LatentReport
from worldmodel.schedule import cosine_with_warmup
from worldmodel.training_log import TrainingLog
from worldmodel.training_state import TrainingState
from worldmodel.weights.encoder import save_encoder

__all__ = ["PretrainingConfig", "pretrain"]


@dataclass(frozen=True)
class PretrainingConfig:
    """Settings of masked latent prediction.

    Attributes:
        steps: Optimiser steps; 0 saves a randomly initialised encoder.
        batch: Clips per step.
        clip_frames: Frames per clip.
        hidden: Share of tokens hidden, one per group of clips.
        block_duration: Shortest share of the clip that a mask block spans.
        predictor_width: Width of the masked predictor.
        predictor_depth: Its blocks.
        predictor_heads: Its attention heads.
        learning_rate: Peak of the cosine schedule.
        warmup: Share of the steps that the learning rate rises.
        weight_decay: Of AdamW.
        momentum: Of the target encoder, at the start and at the end.
        std_target: Standard deviation between scenes that every feature should reach.
        variance_weight: Weight of the variance term; 0 with ``covariance_weight`` 0 collapses.
        covariance_weight: Weight of the covariance term.
        min_rank: Effective rank below which, after the warm-up, the run has collapsed.
        keep_target: Keep the EMA target's weights rather than the online encoder's.
        bf16: Run matrix products in bfloat16; None does so where the processor has them.
        log_every: Steps between log entries.
        probe_every: Steps between probes and saved training states.
        seed: Of initialisation, data order and masks.
    """

    steps: int = 1500
    batch: int = 32
    clip_frames: int = 8
    hidden: tuple[float, ...] = (0.5, 0.7)
    block_duration: float = 0.25
    predictor_width: int = 96
    predictor_depth: int = 2
    predictor_heads: int = 3
    learning_rate: float = 1e-3
    warmup: float = 0.1
    weight_decay: float = 0.04
    momentum: tuple[float, float] = (0.99, 0.999)
    std_target: float = 0.5
    variance_weight: float = 1.0
    covariance_weight: float = 0.04
    min_rank: float = 4.0
    keep_target: bool = True
    bf16: bool | None = None
    log_every: int = 10
    probe_every: int = 100
    seed: int = 0

    def __post_init__(self) -> None:
        if self.batch % len(self.hidden):
            raise ValueError(
                f"Expected a batch that divides into {len(self.hidden)} mask groups, "
                f"got {self.batch}."
            )


def pretrain(
    encoder: EncoderConfig,
    config: PretrainingConfig,
    clips: ClipSampler,
    probe: LatentProbe,
    source: Mapping[str, Any],
    out: Path,
    device: torch.device,
) -> LatentReport:
    """Train an encoder and write its checkpoint to ``out``.

    Clips and masks of a step depend on (seed, step) alone, so a killed run, called again, goes on
    to the same losses.

    Args:
        encoder: Its sizes.
        config: How it is trained.
        clips: What it sees.
        probe: Judges it.
        source: Settings that clips and probe were made with; a killed run goes on under the same.
        out: Folder of the checkpoint, the log and the training state.
        device: Where it is trained.

    Returns:
        The last probe's report.

    Raises:
        UserError: The latents collapsed, or ``out`` holds a run with other settings.
    """
    if config.bf16 is None:
        config = replace(config, bf16=_has_bf16(device))
    state = TrainingState(out, {"encoder": asdict(encoder), **asdict(config), **source})
    run = _Run(encoder, config, state, device)
    start = run.resume()
    report = probe.evaluate(run.kept())
    with TrainingLog(out, "pretrain", total=config.steps, start=start) as log:
        if start == 0:
            log.write(0, report.metrics())
        for step in range(start, config.steps):
            figures = run.step(step, clips)
            log.advance()
            done = step + 1
            if done % config.log_every == 0:
                log.write(done, {name: float(value) for name, value in figures.items()})
            if done % config.probe_every == 0 or done == config.steps:
                report = probe.evaluate(run.kept())
                log.write(done, report.metrics())
                _alarm(report, done, config)
                run.save(done)
    save_encoder(out, run.kept().model)
    return report


class _Run:
    """Everything that changes while training, and how it is stored."""

    def __init__(
        self,
        encoder: EncoderConfig,
        config: PretrainingConfig,
        state: TrainingState,
        device: torch.device,
    ) -> None:
        self._config, self._state, self._device = config, state, device
        torch.manual_seed(config.seed)
        model = VideoTransformer(encoder)
        predictor = MaskedPredictor(
            encoder,
            width=config.predictor_width,
            depth=config.predictor_depth,
            heads=config.predictor_heads,
            mask_tokens=len(config.hidden),
        )
        self._objective = JepaObjective(model, predictor, std_target=config.std_target).to(device)
        trained = [p for p in self._objective.parameters() if p.requires_grad]
        groups: list[dict[str, Any]] = [
            {"params": [p for p in trained if p.ndim > 1]},
            {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
        ]
        self._optimizer = torch.optim.AdamW(
            groups,
            lr=config.learning_rate,
            weight_decay=config.weight_decay,
            betas=(0.9, 0.95),
            foreach=True,
        )
        if config.clip_frames % encoder.tubelet:
            raise ValueError(
                f"Expected clip_frames to be a multiple of the tubelet ({encoder.tubelet}), "
                f"got {config.clip_frames}."
            )
        shape = (config.clip_frames // encoder.tubelet, encoder.grid, encoder.grid)
        self._masks = [
            BlockMasks(shape, hidden, duration=config.block_duration) for hidden in config.hidden
        ]

    def kept(self) -> FrozenEncoder:
        """A copy of the encoder that the run would leave behind now."""
        objective = self._objective
        model = objective.target if self._config.keep_target else objective.encoder
        return FrozenEncoder(copy.deepcopy(model))

    def step(self, step: int, clips: ClipSampler) -> dict[str, torch.Tensor | float]:
        config = self._config
        rng = np.random.default_rng((config.seed, step))
        frames = clips.sample(rng, config.batch).to(self._device)
        masks = [kind.sample(rng).to(self._device) for kind in self._masks]
        rate = config.learning_rate * cosine_with_warmup(step, config.steps, config.warmup)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        with torch.autocast(self._device.type, torch.bfloat16, enabled=bool(config.bf16)):
            losses = self._objective(frames, masks)
        total = (
            losses.prediction
            + config.variance_weight * losses.variance
            + config.covariance_weight * losses.covariance
        )
        self._optimizer.zero_grad(set_to_none=True)
        total.backward()
        self._optimizer.step()
        first, last = config.momentum
        self._objective.update_target(first + (last - first) * step / config.steps)
        figures = {"loss": total, **losses._asdict()}
        return {name: value.detach() for name, value in figures.items()} | {"learning_rate": rate}

    def save(self, step: int) -> None:
        self._state.save(
            {
                "step": step,
                "objective": self._objective.state_dict(),
                "optimizer": self._optimizer.state_dict(),
            }
        )

    def resume(self) -> int:
        """Restore the last saved state, if there is one; the steps already done."""
        saved = self._state.load(self._device)
        if saved is None:
            return 0
        self._objective.load_state_dict(saved["objective"])
        self._optimizer.load_state_dict(saved["optimizer"])
        return int(saved["step"])


def _has_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if not hasattr(torch.cpu, "get_capabilities"):  # before torch 2.11
        return False
    return bool(torch.cpu.get_capabilities().get("avx512_bf16", False))


def _alarm(report: LatentReport, step: int, config: PretrainingConfig) -> None:
    # A fresh random encoder has a low rank too, so the warm-up is let pass.
    if step > config.warmup * config.steps and not report.rank >= config.min_rank:
        raise UserError(
            f"Pretraining collapsed at step {step}: effective rank {report.rank:.1f} of "
            f"{report.width}, expected at least {config.min_rank:g}. "
            "Raise variance_weight or covariance_weight, or lower learning_rate."
        )
