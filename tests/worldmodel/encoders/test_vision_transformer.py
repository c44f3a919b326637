from dataclasses import replace

import pytest
import torch

from worldmodel.encoders.vision_transformer import EncoderConfig, VideoTransformer

TINY = EncoderConfig(image_size=24, patch_size=12, width=24, depth=2, heads=2)


def model() -> VideoTransformer:
    torch.manual_seed(0)
    return VideoTransformer(TINY).eval()


def strong(config: EncoderConfig) -> VideoTransformer:
    """With larger weights than a fresh model's, so that positions make a visible difference."""
    torch.manual_seed(0)
    encoder = VideoTransformer(config).eval()
    for parameter in encoder.parameters():
        parameter.data.normal_(std=0.3)
    return encoder


def newer() -> VideoTransformer:
    return strong(replace(TINY, depth=4, vjepa_2_1=True))


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


@pytest.mark.parametrize("shape", [(1, 3, 4, 24, 50), (1, 1, 4, 24, 24), (3, 4, 24, 24)])
def test_a_clip_that_patches_do_not_tile_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"multiples of the patch size \(12\), got \["):
        model()(torch.zeros(shape))


def test_frames_that_do_not_fill_tubelets_are_refused() -> None:
    with pytest.raises(ValueError, match="divisible by the tubelet"):
        model()(torch.zeros(1, 3, 3, 24, 24))


def test_patches_that_do_not_tile_the_frame_are_refused() -> None:
    with pytest.raises(ValueError, match="multiple of patch_size=12"):
        EncoderConfig(image_size=50)


def test_frames_need_not_be_square() -> None:
    """Tokens of a wide clip know their row: the same patches stacked otherwise differ."""
    encoder, clip = model(), torch.randn(1, 3, 2, 24, 48)
    assert encoder(clip).shape == (1, 8, 24)
    kept = torch.tensor([0, 1, 4, 5])  # its left half
    torch.testing.assert_close(encoder(clip, kept), encoder(clip[..., :24]), atol=1e-5, rtol=1e-4)


def test_a_fixed_grid_counts_the_tokens_of_any_clip_along_its_own_rows() -> None:
    fixed, free = strong(replace(TINY, fixed_grid=TINY.grid)), strong(TINY)
    wide = torch.randn(1, 3, 2, 24, 48)  # 2 × 4 patches where the grid has 2 × 2
    upper, lower = wide[..., :12, :], wide[..., 12:, :]
    # The same 8 patches in the same order, as two tubelets of 2 × 2.
    folded = torch.cat([torch.cat(half.split(24, -1), -2) for half in (upper, lower)], 2)
    torch.testing.assert_close(fixed(wide), fixed(folded), atol=1e-5, rtol=1e-4)
    assert not torch.allclose(free(wide), fixed(wide), atol=1e-3)


def test_a_single_frame_fills_the_tubelet() -> None:
    encoder, image = model(), torch.randn(1, 3, 1, 24, 24)
    torch.testing.assert_close(encoder(image), encoder(image.expand(-1, -1, 2, -1, -1)))


def test_v_jepa_2_1_sees_an_image_otherwise_than_a_still_video() -> None:
    encoder, image = newer(), torch.randn(1, 3, 1, 24, 24)
    still = encoder(image.expand(-1, -1, 2, -1, -1))
    assert still.shape == encoder(image).shape
    assert not torch.allclose(still, encoder(image), atol=1e-2)


def test_v_jepa_2_1_reads_out_four_depths_the_last_of_which_is_its_output() -> None:
    encoder, clip = newer(), torch.randn(2, 3, 4, 24, 24)
    levels = encoder.levels(clip).chunk(4, -1)
    assert torch.equal(levels[-1], encoder(clip))
    assert not any(torch.allclose(level, levels[-1], atol=1e-2) for level in levels[:-1])
    assert torch.equal(model().levels(clip), model()(clip))


@pytest.mark.parametrize(
    ("depth", "blocks"),
    [(12, (2, 5, 8, 11)), (24, (5, 11, 17, 23)), (40, (9, 19, 29, 39)), (48, (11, 23, 37, 47))],
)
def test_v_jepa_2_1_reads_after_the_released_blocks(depth: int, blocks: tuple[int, ...]) -> None:
    assert EncoderConfig(depth=depth, vjepa_2_1=True).read_after == blocks


def test_v_jepa_2_1_without_quarters_is_refused() -> None:
    with pytest.raises(ValueError, match="multiple of 4"):
        EncoderConfig(depth=6, vjepa_2_1=True)
