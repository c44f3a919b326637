"""LeWorldModel's training: its loss is the published one, and a killed run goes on to the same."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from worldmodel.dynamics.lewm import LewmWorldTraining, lewm_losses, train_lewm
from worldmodel.encoders.lewm import LewmEncoder, LewmEncoderConfig
from worldmodel.predictors.lewm import LewmPredictor, LewmPredictorConfig
from worldmodel.pretraining.clips import Clips, ClipSampler
from worldmodel.training_state import TrainingState

DIRECTIONS = 6
CPU = torch.device("cpu")
TRAINING = LewmWorldTraining(
    steps=4, batch=3, directions=DIRECTIONS, log_every=1, save_every=2, bf16=False
)


def _networks(stride: int = 1, dropout: float = 0.0) -> tuple[LewmEncoder, LewmPredictor]:
    torch.manual_seed(0)
    encoder = LewmEncoder(
        LewmEncoderConfig(
            image_size=16, width=12, depth=1, heads=2, latent_width=6, projection_width=8
        )
    )
    sizes = LewmPredictorConfig(
        latent_width=6, stride=stride, width=8, depth=2, heads=2, head_width=4, dropout=dropout
    )
    predictor = LewmPredictor(replace(sizes, mlp_width=10, projection_width=8))
    for parameter in (*encoder.parameters(), *predictor.parameters()):
        parameter.data.normal_(std=0.3)
    return encoder, predictor


def _windows(stride: int = 1) -> ClipSampler:
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (30, 16, 16, 3), dtype=np.uint8)
    actions = rng.normal(size=(30, 2)).astype(np.float32)
    return ClipSampler(frames, actions, np.arange(10), 4, stride)


def _epps_pulley(values: Tensor) -> float:
    """``M`` times the weighted squared distance of characteristic functions, over -3 to 3."""
    t = torch.linspace(-3, 3, 33, dtype=torch.float64)
    empirical = torch.exp(1j * t[:, None] * values.double()).mean(1)
    normal = torch.exp(-t.square() / 2)
    height = (empirical - normal).abs().square() * normal
    return len(values) * float(torch.trapezoid(height, t))


@pytest.mark.parametrize("stride", [1, 2])
def test_the_loss_is_that_of_the_paper(stride: int) -> None:
    encoder, predictor = _networks(stride)
    encoder.eval()
    predictor.eval()  # so that rows do not share batch statistics, and may be taken one by one
    clips = _windows(stride).sample(np.random.default_rng(1), 5)
    assert clips.actions.shape == (5, 3, stride, 2)
    with torch.no_grad():
        losses = lewm_losses(encoder, predictor, clips, np.random.default_rng(2), DIRECTIONS)
        latents = torch.stack(
            [encoder.latents(clips.frames[:, t : t + 1])[:, 0] for t in range(4)], 1
        )
        errors = []
        for t in range(3):  # each from true latents up to it, and the actions since
            seen = Clips(latents[:, : t + 1], clips.actions[:, : t + 1])
            errors.append(predictor(*seen)[:, -1] - latents[:, t + 1])
    naive = float(torch.stack(errors).square().mean())
    assert float(losses["prediction"]) == pytest.approx(naive, rel=1e-4)
    drawn = np.random.default_rng(2).standard_normal((6, DIRECTIONS), np.float32)
    unit = torch.from_numpy(drawn / np.linalg.norm(drawn, axis=0))
    moments = [latents[:, t] @ unit[:, k] for t in range(4) for k in range(DIRECTIONS)]
    sigreg = np.mean([_epps_pulley(values) for values in moments])
    assert float(losses["sigreg"]) == pytest.approx(sigreg, rel=1e-4)


def test_both_terms_train_both_networks_and_targets_too() -> None:
    encoder, predictor = _networks()
    frozen = _networks()[0].requires_grad_(False)
    clips = _windows().sample(np.random.default_rng(1), 5)
    losses = lewm_losses(encoder, predictor, clips, np.random.default_rng(2), DIRECTIONS)
    losses["prediction"].backward()
    for network in (encoder, predictor):
        apart = ("state_model.", "inverse.")  # which are trained afterwards
        named = [(n, p) for n, p in network.named_parameters() if not n.startswith(apart)]
        assert all(p.grad is not None for _, p in named)
    through = encoder.projector[3].weight.grad
    latents = encoder.latents(clips.frames)
    stopped = predictor(latents[:, :-1], clips.actions) - frozen.latents(clips.frames)[:, 1:]
    encoder.zero_grad()
    stopped.square().mean().backward()
    assert not torch.allclose(through, encoder.projector[3].weight.grad)


def _trained(folder: Path, training: LewmWorldTraining, dropout: float = 0.2) -> dict[str, Tensor]:
    encoder, predictor = _networks(dropout=dropout)
    state = TrainingState(folder, {"anything": 1})
    train_lewm(encoder, predictor, _windows(), training, state, CPU)
    assert not encoder.training
    assert not predictor.training
    return {**encoder.state_dict(), **{f"p.{k}": v for k, v in predictor.state_dict().items()}}


def test_a_killed_run_goes_on_to_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = _trained(tmp_path / "whole", TRAINING)
    sample, calls = ClipSampler.sample, []

    def killing(self: ClipSampler, rng: np.random.Generator, batch: int) -> Clips:
        calls.append(1)
        if len(calls) == 4:  # after the state of step 2, which is checked once more
            raise KeyboardInterrupt
        return sample(self, rng, batch)

    monkeypatch.setattr(ClipSampler, "sample", killing)
    with pytest.raises(KeyboardInterrupt):
        _trained(tmp_path / "killed", TRAINING)
    monkeypatch.undo()
    resumed = _trained(tmp_path / "killed", TRAINING)
    for name, tensor in whole.items():
        assert torch.equal(resumed[name], tensor), name
    lines = (tmp_path / "whole" / "metrics.jsonl").read_text().splitlines()
    for entry in map(json.loads, lines):
        total = entry["prediction"] + TRAINING.sigreg_weight * entry["sigreg"]
        assert entry["loss"] == pytest.approx(total, rel=1e-5)


def test_to_check_a_step_does_not_count_in_batch_statistics(tmp_path: Path) -> None:
    often = _trained(tmp_path / "often", replace(TRAINING, save_every=1))
    seldom = _trained(tmp_path / "seldom", replace(TRAINING, save_every=4))
    assert all(torch.equal(seldom[name], tensor) for name, tensor in often.items())
