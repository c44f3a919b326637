import numpy as np
import pytest
import torch

from worldmodel.encoders.frozen import FrozenEncoder
from worldmodel.encoders.vision_transformer import EncoderConfig, VideoTransformer
from worldmodel.finite import NotFiniteError
from worldmodel.pretraining.probe import LatentProbe, fit_ridge, position_error_cm


def test_ridge_reads_a_linear_code_and_generalises() -> None:
    generator = torch.Generator().manual_seed(0)
    positions = torch.rand(300, 2, generator=generator)
    code = torch.randn(2, 24, generator=generator)
    latents = (positions @ code + 0.01 * torch.randn(300, 24, generator=generator)).view(300, 3, 8)
    probe = fit_ridge(latents[:200], positions[:200] + 5)
    assert position_error_cm(probe(latents[200:]), positions[200:] + 5) < 1.5


def test_ridge_falls_back_to_the_mean_where_there_is_nothing_to_read() -> None:
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn(100, 4, 50, generator=generator)
    targets = torch.randn(100, 1, generator=generator)
    read = fit_ridge(latents, targets)(torch.randn(500, 4, 50, generator=generator))
    assert float(read.std()) < 0.5


def test_errors_are_mean_distances_in_cm() -> None:
    true = torch.zeros(2, 2)
    assert position_error_cm(torch.tensor([[0.03, 0.04], [0.0, 0.0]]), true) == pytest.approx(2.5)


def test_a_probe_finds_a_bright_spot_on_held_out_frames() -> None:
    rng = np.random.default_rng(0)
    places = rng.integers(0, 24, (400, 2))
    frames = np.zeros((400, 24, 24, 3), np.uint8)
    for frame, (row, column) in zip(frames, places, strict=True):
        frame[max(0, row - 2) : row + 3, max(0, column - 2) : column + 3] = 255
    probe = LatentProbe.draw(
        frames,
        np.arange(300),
        np.arange(300, 400),
        {"spot": (places / 100).astype(np.float32)},
        samples=300,
    )
    assert len(probe.held_out) == 100
    torch.manual_seed(0)
    sizes = EncoderConfig(image_size=24, patch_size=6, width=24, depth=1, heads=2)
    report = probe.evaluate(FrozenEncoder(VideoTransformer(sizes)))
    guess = position_error_cm(
        torch.full((100, 2), 0.115), torch.from_numpy(places[300:] / 100).float()
    )
    assert report.errors_cm["spot"] < guess / 3
    assert 1 < report.rank <= 24


def test_an_encoder_that_ignores_the_scene_has_no_std() -> None:
    torch.manual_seed(0)
    model = VideoTransformer(EncoderConfig(image_size=24, width=24, depth=1, heads=2))
    torch.nn.init.zeros_(model.patch_embed.proj.weight)
    frames = np.random.default_rng(0).integers(0, 256, (30, 24, 24, 3), dtype=np.uint8)
    probe = LatentProbe.draw(frames, np.arange(20), np.arange(20, 30), {}, samples=20)
    assert probe.evaluate(FrozenEncoder(model)).std < 1e-4


@pytest.mark.parametrize("number", [torch.nan, torch.inf, 1e30])
def test_latents_that_no_probe_can_be_fitted_to_are_an_error_that_says_so(number: float) -> None:
    latents = torch.randn(20, 2, 3)
    latents[4, 1, 2] = number
    with pytest.raises(NotFiniteError, match="finite numbers to fit a probe to, got others as squ"):
        fit_ridge(latents, torch.rand(20, 2))
