"""Pretraining on a tiny world: a bright square drifting over a fixed noise background."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from worldmodel.encoders.frozen import FrozenEncoder
from worldmodel.encoders.vision_transformer import EncoderConfig, VideoTransformer
from worldmodel.errors import UserError
from worldmodel.finite import NotFiniteError
from worldmodel.pretraining.clips import Clips, ClipSampler
from worldmodel.pretraining.ijepa import IjepaTraining
from worldmodel.pretraining.jepa import JepaObjective, JepaTraining
from worldmodel.pretraining.lewm import LewmTraining
from worldmodel.pretraining.objective import PretrainingConfig
from worldmodel.pretraining.probe import LatentProbe, LatentReport
from worldmodel.pretraining.trainer import train_encoder
from worldmodel.weights.encoder import load_encoder

ENCODER = EncoderConfig(image_size=24, patch_size=6, width=24, depth=1, heads=2)
CONFIG = JepaTraining(
    steps=6,
    batch=4,
    clip_frames=4,
    predictor_width=24,
    predictor_depth=1,
    predictor_heads=2,
    min_rank=1.0,
    log_every=1,
    probe_every=3,
)

IJEPA = IjepaTraining(
    steps=6,
    batch=16,
    predictor_width=24,
    predictor_depth=1,
    predictor_heads=2,
    min_rank=1.0,
    log_every=1,
    probe_every=3,
)

LEWM: dict[str, Any] = {
    "steps": 6,
    "batch": 4,
    "clip_frames": 4,
    "head_width": 16,
    "predictor_width": 16,
    "min_rank": 0.0,
    "probe_every": 3,
}


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    rng = np.random.default_rng(0)
    background = rng.integers(0, 100, (24, 24, 3), dtype=np.uint8)
    frames = np.repeat(background[None], 80, 0)
    for i, frame in enumerate(frames):
        frame[i % 18 : i % 18 + 6, i // 4 : i // 4 + 4] = 255
    return frames


def run(
    frames: np.ndarray,
    out: Path,
    config: PretrainingConfig = CONFIG,
    data: str = "a",
    encoder: EncoderConfig = ENCODER,
) -> LatentReport:
    actions = np.random.default_rng(0).normal(size=(80, 2)).astype(np.float32)
    clips = ClipSampler(frames, actions, np.arange(60), config.clip_frames)
    probe = LatentProbe.draw(frames, np.arange(60), np.arange(60, 80), {}, samples=40)
    return train_encoder(encoder, config, clips, probe, {"data": data}, out, torch.device("cpu"))


def losses(out: Path) -> dict[int, float]:
    entries = map(json.loads, (out / "metrics.jsonl").read_text().splitlines())
    return {entry["step"]: entry["loss"] for entry in entries if "loss" in entry}


@pytest.mark.parametrize("config", [CONFIG, IJEPA], ids=["vjepa", "ijepa"])
def test_a_killed_run_goes_on_to_the_same_losses_and_weights(
    frames: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: PretrainingConfig
) -> None:
    run(frames, tmp_path / "whole", config)
    sample, calls = ClipSampler.sample, 0

    def killed(self: ClipSampler, rng: np.random.Generator, batch: int) -> Clips:
        nonlocal calls
        calls += 1
        if calls == 6:  # at step 5: the state of step 3 took one more look
            raise KeyboardInterrupt
        return sample(self, rng, batch)

    with monkeypatch.context() as patch:
        patch.setattr(ClipSampler, "sample", killed)
        with pytest.raises(KeyboardInterrupt):
            run(frames, tmp_path / "killed", config)
    assert max(losses(tmp_path / "killed")) == 4
    run(frames, tmp_path / "killed", config)
    assert losses(tmp_path / "killed") == losses(tmp_path / "whole")
    fingerprints = [load_encoder(tmp_path / n).fingerprint() for n in ("whole", "killed")]
    assert fingerprints[0] == fingerprints[1]


def test_a_finished_run_is_not_run_again(frames: np.ndarray, tmp_path: Path) -> None:
    run(frames, tmp_path)
    before = losses(tmp_path)
    run(frames, tmp_path)
    assert losses(tmp_path) == before


def test_no_steps_save_a_random_encoder(frames: np.ndarray, tmp_path: Path) -> None:
    for name, config in (("a", CONFIG), ("b", CONFIG), ("c", replace(CONFIG, seed=1))):
        run(frames, tmp_path / name, replace(config, steps=0))
    a, b, c = (load_encoder(tmp_path / name).fingerprint() for name in "abc")
    assert a == b != c


@pytest.mark.parametrize("config", [CONFIG, IJEPA], ids=["vjepa", "ijepa"])
def test_training_lowers_the_loss(
    frames: np.ndarray, tmp_path: Path, config: PretrainingConfig
) -> None:
    run(frames, tmp_path, replace(config, steps=60, probe_every=60))
    course = losses(tmp_path)
    assert np.mean([course[s] for s in range(51, 61)]) < 0.9 * course[1]


def test_sigreg_keeps_the_rank_up_where_masked_prediction_alone_loses_it(
    frames: np.ndarray, tmp_path: Path
) -> None:
    plain = replace(
        CONFIG,
        steps=60,
        batch=8,
        learning_rate=3e-3,
        momentum=(0.9, 0.99),
        variance_weight=0.0,
        covariance_weight=0.0,
        probe_every=60,
    )
    before = run(frames, tmp_path / "random", replace(plain, steps=0)).rank
    without = run(frames, tmp_path / "plain", plain).rank
    with_sigreg = run(frames, tmp_path / "sigreg", replace(plain, sigreg_weight=0.1)).rank
    assert without < with_sigreg - 1 < before


def test_pixels_are_saved_as_they_are_and_never_trained(frames: np.ndarray, tmp_path: Path) -> None:
    pixels = replace(ENCODER, depth=0)
    run(frames, tmp_path, replace(CONFIG, steps=0), encoder=pixels)
    saved = load_encoder(tmp_path).fingerprint()
    assert saved == FrozenEncoder(VideoTransformer(pixels)).fingerprint()
    with pytest.raises(ValueError, match=r"Use training\.steps=0"):
        run(frames, tmp_path, CONFIG, encoder=pixels)


def test_a_collapsed_run_stops_and_says_so(frames: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"collapsed at step 3: effective rank .* Raise variance"):
        run(frames, tmp_path, replace(CONFIG, min_rank=24.1))


def test_collapse_is_forgiven_during_the_warmup(frames: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="collapsed at step 6"):
        run(frames, tmp_path, replace(CONFIG, min_rank=24.1, warmup=0.5))


def test_other_settings_do_not_go_on_with_an_old_run(frames: np.ndarray, tmp_path: Path) -> None:
    run(frames, tmp_path)
    with pytest.raises(UserError, match=r"run with other settings \(seed, steps\)"):
        run(frames, tmp_path, replace(CONFIG, steps=9, seed=2))
    with pytest.raises(UserError, match=r"run with other settings \(data\)"):
        run(frames, tmp_path, data="b")


def test_a_damaged_training_state_is_named(frames: np.ndarray, tmp_path: Path) -> None:
    run(frames, tmp_path)
    state = tmp_path / "training_state.pt"
    state.write_bytes(state.read_bytes()[:1000])
    with pytest.raises(UserError, match=r"training_state.pt is damaged"):
        run(frames, tmp_path)


def test_the_kept_weights_are_the_targets_or_the_encoders(
    frames: np.ndarray, tmp_path: Path
) -> None:
    run(frames, tmp_path / "target")
    run(frames, tmp_path / "online", replace(CONFIG, keep_target=False))
    state = torch.load(tmp_path / "target" / "training_state.pt", weights_only=True)["objective"]
    for name, prefix in (("target", "target."), ("online", "encoder.")):
        kept = load_encoder(tmp_path / name).model.state_dict()
        assert all(torch.equal(value, state[prefix + key]) for key, value in kept.items())


def test_a_batch_that_mask_groups_do_not_divide_is_refused() -> None:
    with pytest.raises(ValueError, match="divides into 2 mask groups"):
        JepaTraining(batch=3)


@pytest.mark.parametrize("bad", [2, 4, 6])
def test_the_first_loss_that_is_not_finite_leaves_the_last_good_state_and_no_encoder(
    frames: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bad: int
) -> None:
    asked, whole = 0, JepaObjective.losses

    def poisoned(self: JepaObjective, *arguments: Any) -> dict[str, torch.Tensor]:
        nonlocal asked
        asked += torch.is_grad_enabled()
        found = whole(self, *arguments)
        return found | ({"variance": found["variance"] * torch.nan} if asked == bad else {})

    monkeypatch.setattr(JepaObjective, "losses", poisoned)
    with pytest.raises(NotFiniteError, match=f"stopped at step {bad}: .* variance = nan"):
        run(frames, tmp_path)
    state = tmp_path / "training_state.pt"
    saved = torch.load(state, weights_only=True)["step"] if state.exists() else 0
    assert saved == 3 * ((bad - 1) // 3)
    assert not (tmp_path / "config.json").exists()


@pytest.mark.parametrize("objective", [CONFIG, LewmTraining(**LEWM)])
def test_a_last_step_that_spoils_the_encoder_is_an_error_that_says_so(
    frames: np.ndarray, tmp_path: Path, objective: PretrainingConfig
) -> None:
    config = replace(objective, steps=1, learning_rate=1e30, warmup=0)
    with pytest.raises(NotFiniteError, match="Pretraining stopped at step 1: expected finite"):
        run(frames, tmp_path, config)
    assert not (tmp_path / "config.json").exists()
    assert not (tmp_path / "training_state.pt").exists()


def test_statistics_of_batches_do_not_count_the_look_beyond_a_saved_step(
    frames: np.ndarray, tmp_path: Path
) -> None:
    def means(probe_every: int) -> torch.Tensor:
        out = tmp_path / str(probe_every)
        run(frames, out, LewmTraining(**LEWM | {"probe_every": probe_every}))
        saved = torch.load(out / "training_state.pt", weights_only=True)["objective"]
        found: torch.Tensor = saved["head.read.1.running_mean"]
        return found

    assert torch.equal(means(1), means(6))
