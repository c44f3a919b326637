"""The pretraining loop: schedule, logging, collapse alarm, resume."""

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
from worldmodel.finite import LossGuard
from worldmodel.nn.decay import decay_groups
from worldmodel.precision import has_bfloat16
from worldmodel.predictors.masked import MaskedPredictor
from worldmodel.pretraining.clips import ClipSampler
from worldmodel.pretraining.objective import PretrainingConfig
from worldmodel.pretraining.probe import LatentProbe, LatentReport
from worldmodel.schedule import cosine_with_warmup
from worldmodel.training_log import TrainingLog
from worldmodel.training_state import TrainingState
from worldmodel.weights.encoder import save_encoder
from worldmodel.weights.masked_predictor import save_masked_predictor

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
    state = TrainingState(out, {"encoder": asdict(encoder), **asdict(config), **source})
    run = _Run(encoder, config, clips, state, device)
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
                run.guard.check()
                log.write(done, {name: float(value) for name, value in figures.items()})
            if done % config.probe_every == 0 or done == config.steps:
                run.require_finite(done, clips)
                report = probe.evaluate(run.kept())
                log.write(done, report.metrics())
                _alarm(report, done, config)
                run.save(done)
    if config.steps and (predictor := run.masked_predictor()) is not None:
        save_masked_predictor(out / "masked_predictor", predictor, {})
    save_encoder(out, run.kept().model)
    return report


class _Run:
    """Everything that changes while training, and how it is stored."""

    def __init__(
        self,
        encoder: EncoderConfig,
        config: PretrainingConfig,
        clips: ClipSampler,
        state: TrainingState,
        device: torch.device,
    ) -> None:
        self._config, self._state, self._device = config, state, device
        self.guard = LossGuard("Pretraining", config.learning_rate)
        torch.manual_seed(config.seed)
        self._objective = config.objective(VideoTransformer(encoder), clips).to(device)
        self._optimizer = torch.optim.AdamW(
            decay_groups(self._objective.parameters(), config.weight_decay),
            lr=config.learning_rate,
            betas=(0.9, 0.95),
            foreach=True,
        )

    def kept(self) -> FrozenEncoder:
        """A copy of the encoder that the run would leave behind now."""
        return FrozenEncoder(copy.deepcopy(self._objective.kept()))

    def masked_predictor(self) -> MaskedPredictor | None:
        return self._objective.masked_predictor()

    def step(self, step: int, clips: ClipSampler) -> dict[str, Tensor | float]:
        config, objective = self._config, self._objective
        rate = config.learning_rate * cosine_with_warmup(step, config.steps, config.warmup)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        terms = self._losses(step, clips)
        total = torch.stack([objective.weights[name] * term for name, term in terms.items()]).sum()
        self._optimizer.zero_grad(set_to_none=True)
        total.backward()
        figures = {name: value.detach() for name, value in {"loss": total, **terms}.items()}
        self.guard.see(step + 1, figures)
        self._optimizer.step()
        objective.follow(step / config.steps)
        return figures | {"learning_rate": rate}

    def require_finite(self, done: int, clips: ClipSampler) -> None:
        """Raise a UserError unless all losses were finite, and those of the next clips are."""
        self._objective.eval()  # statistics of batches must not count these clips
        with torch.no_grad():
            self.guard.require(done, self._losses(done, clips))
        self._objective.train()

    def _losses(self, step: int, clips: ClipSampler) -> dict[str, Tensor]:
        rng = np.random.default_rng((self._config.seed, step))
        batch = clips.sample(rng, self._config.batch).to(self._device)
        with torch.autocast(self._device.type, torch.bfloat16, enabled=bool(self._config.bf16)):
            return self._objective.losses(batch, rng)

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


def _alarm(report: LatentReport, step: int, config: PretrainingConfig) -> None:
    # A fresh random encoder has a low rank too, so the warm-up is let pass.
    if step > config.warmup * config.steps and not report.rank >= config.min_rank:
        raise UserError(
            f"Pretraining collapsed at step {step}: effective rank {report.rank:.1f} of "
            f"{report.width}, expected at least {config.min_rank:g}. "
            "Raise variance_weight, covariance_weight or sigreg_weight, or lower learning_rate."
        )
