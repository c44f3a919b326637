import pytest
import torch

from worldmodel.encoders.frozen import FrozenEncoder
from worldmodel.encoders.pixels import frequencies
from worldmodel.encoders.preprocessing import to_clip
from worldmodel.encoders.vision_transformer import EncoderConfig, VideoTransformer


def pixels(width: int, patch: int = 4) -> FrozenEncoder:
    sizes = EncoderConfig(image_size=24, patch_size=patch, width=width, depth=0, heads=1)
    return FrozenEncoder(VideoTransformer(sizes))


def picture() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (1, 1, 24, 24, 3), generator=generator, dtype=torch.uint8)


def undone(latents: torch.Tensor, patch: int) -> torch.Tensor:
    """The values of patches ``[N, 3, patch, patch]`` that layer-normed latents ``[N, D]`` tell."""
    constant = (3 * patch**2) ** 0.5
    scale = 2 * constant / (latents[:, -2] - latents[:, -1])
    mean = -(latents[:, -2] + latents[:, -1]) / 2
    told = (scale[:, None] * (latents + mean[:, None]))[:, :-2]
    basis = frequencies(patch)[: told.shape[1] // 3]
    return torch.einsum("nfc,fyx->ncyx", told.unflatten(1, (-1, 3)), basis)


def test_frequencies_are_an_orthonormal_basis_with_the_mean_first() -> None:
    basis = frequencies(6).flatten(1)
    torch.testing.assert_close(basis @ basis.T, torch.eye(36), atol=1e-6, rtol=0)
    torch.testing.assert_close(basis[0], torch.full((36,), 1 / 6))


def test_wide_tokens_hold_every_value_brightness_and_contrast_included() -> None:
    image = picture()
    clip = to_clip(image)[0, :, 0]
    patches = clip.unflatten(1, (6, 4)).unflatten(3, (6, 4)).permute(1, 3, 0, 2, 4).flatten(0, 1)
    told = undone(pixels(width=3 * 16 + 2).encode(image)[0, 0], patch=4)
    torch.testing.assert_close(told, patches, atol=1e-3, rtol=1e-3)


def test_narrow_tokens_tell_an_even_patch_of_any_colour_exactly() -> None:
    for level in (0, 118, 255):
        image = torch.full((1, 1, 24, 24, 3), level, dtype=torch.uint8)
        told = undone(pixels(width=8).encode(image)[0, 0], patch=4)
        expected = to_clip(image)[0, :, 0, 0, 0].view(3, 1, 1).expand_as(told)
        torch.testing.assert_close(told, expected, atol=1e-3, rtol=1e-3)


def test_nothing_is_drawn() -> None:
    fingerprints = set()
    for seed in (0, 1):
        torch.manual_seed(seed)
        fingerprints.add(pixels(width=8).fingerprint())
    assert len(fingerprints) == 1


def test_a_token_wider_than_its_patch_is_refused() -> None:
    with pytest.raises(ValueError, match="width of at most 50 for pixels"):
        pixels(width=52)
