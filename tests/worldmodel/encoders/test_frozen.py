import pytest
import torch

from worldmodel.encoders.frozen import FrozenEncoder
from worldmodel.encoders.preprocessing import to_clip
from worldmodel.encoders.vision_transformer import EncoderConfig, VideoTransformer


def encoder(seed: int = 0, **sizes: int) -> FrozenEncoder:
    torch.manual_seed(seed)
    defaults = {"image_size": 24, "width": 24, "depth": 2, "heads": 2}
    return FrozenEncoder(VideoTransformer(EncoderConfig(**(defaults | sizes))))


def frames(batch: int, time: int, size: int = 24) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    shape = (batch, time, size, size, 3)
    return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)


def test_a_frame_is_encoded_alone_and_doubled() -> None:
    model, pixels = encoder(), frames(2, 3)
    latents = model.encode(pixels)
    twice = to_clip(pixels[1:2, 2:3].expand(-1, 2, -1, -1, -1))
    expected = torch.nn.functional.layer_norm(model.model(twice), (24,))
    torch.testing.assert_close(latents[1:2, 2], expected, atol=1e-5, rtol=1e-4)


def test_latents_carry_no_gradient_and_no_scale() -> None:
    latents = encoder().encode(frames(1, 2))
    assert latents.shape == (1, 2, 4, 24)
    assert not latents.requires_grad
    torch.testing.assert_close(latents.mean(-1), torch.zeros(1, 2, 4), atol=1e-5, rtol=0)


def test_grey_levels_follow_the_imagenet_statistics() -> None:
    white = to_clip(torch.full((1, 1, 2, 2, 3), 255, dtype=torch.uint8))[0, :, 0, 0, 0]
    expected = (1 - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor([0.229, 0.224, 0.225])
    torch.testing.assert_close(white, expected, atol=1e-5, rtol=1e-5)


def test_the_fingerprint_tells_weights_and_sizes_apart() -> None:
    reference = encoder().fingerprint()
    assert encoder().fingerprint() == reference
    assert encoder(seed=1).fingerprint() != reference
    assert encoder(heads=4).fingerprint() != reference  # the same weights, read otherwise


def test_cameras_side_by_side_are_encoded_apart_and_follow_one_another() -> None:
    two = FrozenEncoder(encoder().model, cameras=2)
    left, right = frames(2, 3), frames(2, 3).flip(0)
    latents = two.encode(torch.cat([left, right], dim=3))
    assert (two.image_size, two.tokens, two.width) == (24, 8, 24)
    apart = [encoder().encode(camera) for camera in (left, right)]
    torch.testing.assert_close(latents, torch.cat(apart, dim=2), atol=1e-5, rtol=1e-5)
    assert two.fingerprint() != encoder().fingerprint()
    assert FrozenEncoder(two.model).fingerprint() == encoder().fingerprint()
    with pytest.raises(ValueError, match=r"\[B,T,24,48,3\] for 2 cameras side by side, got"):
        two.encode(left)


def test_frames_of_another_size_are_refused_with_a_remedy() -> None:
    with pytest.raises(ValueError, match=r"\[B,T,24,24,3\], got \[1, 1, 32, 32, 3\]. Resize"):
        encoder().encode(frames(1, 1, size=32))


def test_frames_that_are_not_bytes_are_refused() -> None:
    with pytest.raises(ValueError, match="uint8 RGB"):
        encoder().encode(frames(1, 1).float())
