import pytest
import torch

from worldmodel.encoders.vision_transformer import EncoderConfig, VideoTransformer

TINY = EncoderConfig(image_size=24, patch_size=12, width=24, depth=2, heads=2)


def model() -> VideoTransformer:
    torch.manual_seed(0)
    return VideoTransformer(TINY).eval()


def test_hidden_tokens_leave_no_trace() -> None:
    encoder, clip = model(), torch.randn(2, 3, 4, 24, 24)
    kept = torch.tensor([0, 3, 5])
    seen = encoder(clip, kept)
    clip[:, :, 2:, :12, :12] = 9.0  # token 4, which is not kept
    torch.testing.assert_close(encoder(clip, kept), seen)
    clip[:, :, :2, :12, :12] = 9.0  # token 0, which is
    assert not torch.allclose(encoder(clip, kept), seen, atol=1e-3)


def test_ids_per_clip_equal_shared_ids() -> None:
    encoder, clip = model(), torch.randn(2, 3, 4, 24, 24)
    ids = torch.tensor([[0, 3, 5], [7, 1, 2]])
    each = torch.cat([encoder(clip[i : i + 1], ids[i]) for i in range(2)])
    torch.testing.assert_close(encoder(clip, ids), each, atol=1e-6, rtol=1e-5)


def test_all_ids_equal_no_ids() -> None:
    encoder, clip = model(), torch.randn(1, 3, 4, 24, 24)
    torch.testing.assert_close(encoder(clip, torch.arange(8)), encoder(clip))


def test_the_embedding_is_the_convolution_whose_weights_it_holds() -> None:
    encoder, clip = model(), torch.randn(2, 3, 4, 24, 24)
    positions = torch.tensor([[0, 0, 0], [0, 0, 1], [0, 1, 0], [0, 1, 1]])
    embed = encoder.patch_embed
    expected = embed.proj(clip)[:, :, 0].flatten(2).transpose(1, 2)
    torch.testing.assert_close(embed(clip, positions), expected, atol=1e-5, rtol=1e-4)


def test_parameters_have_the_names_of_v_jepa_2() -> None:
    names = set(VideoTransformer(TINY).state_dict())
    block = ["norm1", "norm2", "attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2"]
    layers = ["patch_embed.proj", "norm", *(f"blocks.{i}.{n}" for i in range(2) for n in block)]
    assert names == {f"{layer}.{kind}" for layer in layers for kind in ("weight", "bias")}


@pytest.mark.parametrize("shape", [(1, 3, 4, 24, 48), (1, 1, 4, 24, 24), (3, 4, 24, 24)])
def test_a_clip_of_another_size_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"Expected a clip of shape \[B,3,T,24,24\]"):
        model()(torch.zeros(shape))


def test_frames_that_do_not_fill_tubelets_are_refused() -> None:
    with pytest.raises(ValueError, match="divisible by the tubelet"):
        model()(torch.zeros(1, 3, 3, 24, 24))


def test_patches_that_do_not_tile_the_frame_are_refused() -> None:
    with pytest.raises(ValueError, match="multiple of patch_size=12"):
        EncoderConfig(image_size=50)
