"""Pretraining: losses of an objective, logging, collapse alarm, resume."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from worldmodel.encoders.frozen import FrozenEncoder
from worldmodel.encoders.vision_transformer import EncoderConfig, VideoTransformer
from worldmodel.errors import UserError
from worldmodel.nn.decay import decay_groups
from worldmodel.precision import has_bfloat16
from worldmodel.pretraining.clips import ClipSampler
from worldmodel.pretraining.objective import Objective, PretrainingConfig
from worldmodel.pretraining.probe import LatentProbe, LatentReport
from worldmodel.schedule import cosine_with_warmup
from worldmodel.training_log import TrainingLog
from worldmodel.training_loop import TrainingLoop
from worldmodel.training_state import TrainingState
from worldmodel.weights.encoder import save_encoder, save_masked_predictor

__all__ = ["train_encoder"]


def train_encoder(
    encoder: EncoderConfig,
    config: PretrainingConfig,
    clips: ClipSampler,
    probe: LatentProbe,
    source: Mapping[str, Any],
    out: Path,
    device: torch.device,
) -> LatentReport:
    """Train an encoder and write its checkpoint to ``out``.

    Clips, and all else that an objective draws in a step, depend on (seed, step) alone, so a killed
    run, called again, goes on to the same losses.

    Args:
        encoder: Its sizes.
        config: How it is trained, and by which objective.
        clips: What it sees.
        probe: Judges it.
        source: Settings that clips and probe were made with; a killed run goes on under the same.
        out: Folder of the checkpoint, the log and the training state; a masked predictor that was
            trained goes into ``masked_predictor`` in it.
        device: Where it is trained.

    Returns:
        The last probe's report.

    Raises:
        UserError: A loss was not finite, the latents collapsed, or ``out`` holds a run with other
            settings. The state saved before it stays.
        ValueError: There is nothing to train.
    """
    config.check(encoder)
    if config.bf16 is None:
        config = replace(config, bf16=has_bfloat16(device))
    torch.manual_seed(config.seed)
    objective = config.objective(VideoTransformer(encoder), clips).to(device)

    def losses(step: int) -> dict[str, Tensor]:
        objective.train(torch.is_grad_enabled())  # or statistics would count clips of a mere check
        rng = np.random.default_rng((config.seed, step))
        batch = clips.sample(rng, config.batch).to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=bool(config.bf16)):
            return objective.losses(batch, rng)

    loop = TrainingLoop(
        "Pretraining",
        torch.optim.AdamW(
            decay_groups(objective.parameters(), config.weight_decay),
            betas=(0.9, 0.95),
            foreach=True,
        ),
        losses,
        config.steps,
        config.learning_rate,
        lambda step: cosine_with_warmup(step, config.steps, config.warmup),
        weights=objective.weights,
    )
    state = TrainingState(out, {"encoder": asdict(encoder), **asdict(config), **source})
    start = 0
    if (saved := state.load(device)) is not None:
        objective.load_state_dict(saved["objective"])
        start = loop.load_state_dict(saved)
    report = probe.evaluate(_frozen(objective))
    with TrainingLog(out, "pretrain", total=config.steps, start=start) as log:
        if start == 0:
            log.write(0, report.metrics())
        for done in loop:
            objective.follow((done - 1) / config.steps)
            log.advance()
            if done % config.log_every == 0:
                log.write(done, loop.figures())
            if done % config.probe_every == 0 or done == config.steps:
                loop.require_finite()
                report = probe.evaluate(_frozen(objective))
                log.write(done, report.metrics())
                _alarm(report, done, config)
                state.save({**loop.state_dict(), "objective": objective.state_dict()})
    if config.steps and (predictor := objective.masked_predictor()) is not None:
        save_masked_predictor(out / "masked_predictor", predictor, {})
    save_encoder(out, objective.kept())
    return report


def _frozen(objective: Objective) -> FrozenEncoder:
    """A copy of the encoder that the run would leave behind now."""
    return FrozenEncoder(copy.deepcopy(objective.kept()))


def _alarm(report: LatentReport, step: int, config: PretrainingConfig) -> None:
    # A fresh random encoder has a low rank too, so the warm-up is let pass.
    if step > config.warmup * config.steps and not report.rank >= config.min_rank:
        raise UserError(
            f"Pretraining collapsed at step {step}: effective rank {report.rank:.1f} of "
            f"{report.width}, expected at least {config.min_rank:g}. "
            "Raise variance_weight, covariance_weight or sigreg_weight, or lower learning_rate."
        )
