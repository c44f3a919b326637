"""End-to-end training on a tiny world: a bright bar that its action moves."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from worldmodel.encoders.vision_transformer import EncoderConfig, VideoTransformer
from worldmodel.pretraining.anticollapse import effective_rank
from worldmodel.pretraining.clips import ClipSampler
from worldmodel.pretraining.lewm import LewmObjective, LewmTraining

SIZES = EncoderConfig(image_size=24, patch_size=12, width=24, depth=1, heads=2)
CONFIG = LewmTraining(batch=16, clip_frames=3, latent_width=4, head_width=16, predictor_width=32)


@pytest.fixture(scope="module")
def clips() -> ClipSampler:
    rng = np.random.default_rng(0)
    moves = rng.integers(-4, 5, (400, 2))
    places = np.zeros((400, 2), int)
    for now, following, move in zip(places, places[1:], moves, strict=False):
        following[:] = np.clip(now + move, 0, 18)
    frames = np.zeros((400, 24, 24, 3), np.uint8)
    for frame, (row, column) in zip(frames, places, strict=True):
        frame[row : row + 6, column : column + 6] = 255
    actions = (0.01 * moves).astype(np.float32)
    return ClipSampler(frames, actions, np.arange(390), CONFIG.clip_frames, stride=2)


def objective(clips: ClipSampler, config: LewmTraining = CONFIG) -> LewmObjective:
    torch.manual_seed(0)
    return config.objective(VideoTransformer(SIZES), clips)


def trained(clips: ClipSampler, config: LewmTraining, steps: int = 120) -> LewmObjective:
    model = objective(clips, config)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for step in range(steps):
        rng = np.random.default_rng(step)
        terms = model.losses(clips.sample(rng, config.batch), rng)
        optimizer.zero_grad()
        torch.stack([model.weights[name] * term for name, term in terms.items()]).sum().backward()
        optimizer.step()
    return model


def error(model: LewmObjective, clips: ClipSampler, shuffled: bool = False) -> float:
    """Prediction error over the spread of latents, perhaps under the actions of other clips."""
    batch = clips.sample(np.random.default_rng(1000), 64)
    if shuffled:
        batch = batch._replace(actions=batch.actions.roll(1, 0))
    with torch.no_grad():
        spread = model.latents(batch.frames).var(0).mean()
        return float(model.losses(batch, np.random.default_rng(0))["prediction"] / spread)


def test_no_gradient_is_stopped(clips: ClipSampler) -> None:
    model = objective(clips)
    rng = np.random.default_rng(0)
    batch = clips.sample(rng, 8)
    for name in ("prediction", "sigreg"):
        model.zero_grad()
        model.losses(batch, rng)[name].backward()
        norm = model.encoder.patch_embed.proj.weight.grad
        assert norm is not None
        assert norm.abs().sum() > 0, name


def test_what_is_kept_is_the_encoder_that_was_trained(clips: ClipSampler) -> None:
    model = objective(clips)
    assert model.kept() is model.encoder


def test_actions_enter_at_unit_scale(clips: ClipSampler) -> None:
    scaled = objective(clips).scale_actions(torch.from_numpy(clips.actions[clips.firsts]))
    torch.testing.assert_close(scaled.square().mean(0), torch.ones(2))


def test_it_learns_what_actions_do_without_collapsing(clips: ClipSampler) -> None:
    model = trained(clips, CONFIG)
    assert error(model, clips) < 0.5 * error(model, clips, shuffled=True)
    with torch.no_grad():
        latents = model.latents(clips.sample(np.random.default_rng(1), 200).frames)[:, 0]
    without = trained(clips, replace(CONFIG, sigreg_weight=0.0))
    with torch.no_grad():
        collapsed = without.latents(clips.sample(np.random.default_rng(1), 200).frames)[:, 0]
    assert latents.std(0).mean() > 3 * collapsed.std(0).mean()
    assert effective_rank(latents - latents.mean(0)) > 2
