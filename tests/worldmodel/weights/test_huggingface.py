"""Folders of `transformers` compute here what they compute there, and what goes out opens there."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from worldmodel.encoders.vision_transformer import EncoderConfig, VideoTransformer
from worldmodel.errors import UserError
from worldmodel.weights import export_vjepa2, load_vjepa2, load_vjepa2_masked_predictor


@pytest.fixture(autouse=True)
def _no_grad() -> Iterator[None]:
    with torch.no_grad():
        yield


def reference(head_width: int = 64) -> transformers.VJEPA2Model:
    """A small model whose random weights are large enough for every position to matter."""
    config = transformers.VJEPA2Config(
        crop_size=64,
        frames_per_clip=8,
        hidden_size=2 * head_width,
        num_attention_heads=2,
        num_hidden_layers=2,
        mlp_ratio=3.0,
        pred_hidden_size=2 * head_width,
        pred_num_attention_heads=2,
        pred_num_hidden_layers=2,
        pred_num_mask_tokens=3,
        pred_zero_init_mask_tokens=False,
        num_pooler_layers=1,
    )
    torch.manual_seed(0)
    model = transformers.VJEPA2Model(config).eval()
    for parameter in model.parameters():
        parameter.data.normal_(std=0.1)
    return model


@pytest.fixture(scope="module", params=[64, 80], ids=["64 channels a head", "80 channels a head"])
def model(request: pytest.FixtureRequest) -> transformers.VJEPA2Model:
    return reference(request.param)


@pytest.fixture(scope="module")
def folder(model: transformers.VJEPA2Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("hub")
    model.save_pretrained(path)
    return path


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A folder to be damaged."""
    reference().save_pretrained(tmp_path / "small")
    return tmp_path / "small"


def clip(frames: int, height: int, width: int) -> torch.Tensor:
    return torch.randn(2, 3, frames, height, width, generator=torch.Generator().manual_seed(1))


def assert_equal(ours: torch.Tensor, theirs: torch.Tensor) -> None:
    """To 1e-5 of the largest value."""
    assert ours.shape == theirs.shape
    assert float((ours - theirs).abs().max() / theirs.abs().max()) <= 1e-5


@pytest.mark.parametrize("frames", [1, 2, 8])
@pytest.mark.parametrize("size", [(64, 64), (64, 96), (96, 32), (128, 128)])
def test_the_encoder_agrees(
    model: transformers.VJEPA2Model, folder: Path, frames: int, size: tuple[int, int]
) -> None:
    video = clip(frames, *size)
    theirs = model(video.transpose(1, 2), skip_predictor=True).last_hidden_state
    assert_equal(load_vjepa2(folder)(video), theirs)


@pytest.mark.parametrize("frames", [1, 4])
@pytest.mark.parametrize("size", [(64, 64), (64, 96)])
def test_the_masked_predictor_agrees(
    model: transformers.VJEPA2Model, folder: Path, frames: int, size: tuple[int, int]
) -> None:
    video = clip(frames, *size)
    tokens = (frames + 1) // 2 * size[0] * size[1] // 256
    order = torch.randperm(tokens, generator=torch.Generator().manual_seed(2))
    context, target = order[:12].sort().values, order[12:25].sort().values
    both = context.expand(2, -1), target.expand(2, -1)
    theirs = model(
        video.transpose(1, 2), context_mask=[both[0]], target_mask=[both[1]]
    ).predictor_output.last_hidden_state
    latents = load_vjepa2(folder)(video)[:, context]
    # They always take the second mask token.
    ours = load_vjepa2_masked_predictor(folder)(latents, context, target, mask_index=1)
    assert_equal(ours, theirs)


def test_shards_are_put_together(model: transformers.VJEPA2Model, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path, max_shard_size="400KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    video = clip(2, 64, 64)
    theirs = model(video.transpose(1, 2), skip_predictor=True).last_hidden_state
    assert_equal(load_vjepa2(tmp_path)(video), theirs)


def test_a_pt_file_and_a_folder_agree_on_frames_of_the_trained_size(
    vjepa2_pt: Path, tmp_path: Path
) -> None:
    encoder = load_vjepa2(vjepa2_pt, image_size=64)
    export_vjepa2(tmp_path, encoder)
    video = clip(4, 64, 64)
    assert torch.equal(load_vjepa2(tmp_path)(video), encoder(video))


def test_an_exported_encoder_and_predictor_open_there(vjepa2_pt: Path, tmp_path: Path) -> None:
    encoder = load_vjepa2(vjepa2_pt, image_size=64)
    predictor = load_vjepa2_masked_predictor(vjepa2_pt, image_size=64)
    export_vjepa2(tmp_path, encoder, predictor)
    model, loading = transformers.VJEPA2Model.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(loading[kind] for kind in ("missing_keys", "unexpected_keys"))
    video, context, target = clip(4, 64, 64), torch.arange(12), torch.arange(12, 32)
    masks = {"context_mask": [context.expand(2, -1)], "target_mask": [target.expand(2, -1)]}
    theirs = model.eval()(video.transpose(1, 2), **masks)
    assert_equal(encoder(video), theirs.last_hidden_state)
    ours = predictor(encoder(video)[:, context], context, target, mask_index=1)
    assert_equal(ours, theirs.predictor_output.last_hidden_state)


def test_an_encoder_of_any_mlp_width_opens_there(tmp_path: Path) -> None:
    """Widths over each other need not be a number that multiplies back, as 6144 over 1408."""
    for width, hidden in ((24, 71), (88, 384), (36, 49)):
        sizes = EncoderConfig(
            24, 12, width=width, depth=1, heads=2, mlp_ratio=hidden / width, tiled_rope=True
        )
        encoder = VideoTransformer(sizes).eval()
        assert encoder.blocks[0].mlp.fc1.out_features == hidden
        export_vjepa2(tmp_path, encoder)
        model = transformers.VJEPA2Model.from_pretrained(tmp_path).eval()
        video = clip(2, 24, 24)
        theirs = model(video.transpose(1, 2), skip_predictor=True).last_hidden_state
        assert_equal(encoder(video), theirs)
        assert_equal(load_vjepa2(tmp_path)(video), theirs)


def test_an_encoder_with_another_rotary_layout_cannot_go_out(tmp_path: Path) -> None:
    encoder = VideoTransformer(EncoderConfig(24, 12, width=24, depth=1, heads=2))
    with pytest.raises(UserError, match="tiled_rope=true"):
        export_vjepa2(tmp_path / "out", encoder)
    assert not (tmp_path / "out").exists()


# Bad input


def unsaid(path: Path, *words: str, load: Callable = load_vjepa2) -> list[str]:
    """What the refusal to load a path does not say of these words and the path."""
    with pytest.raises(UserError) as caught:
        load(path)
    return [word for word in (str(path), *words) if word not in str(caught.value)]


def edit_config(folder: Path, **settings: object) -> None:
    config = json.loads((folder / "config.json").read_text()) | settings
    (folder / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"model_type": "vit"}, ("model_type", "'vit'")),
        ({"hidden_act": "relu"}, ("hidden_act=gelu", "'relu'")),
        ({"hidden_size": 96}, ("wrong shape", "norm1.bias (expected [96], got [128])")),
        ({"num_hidden_layers": 3}, ("missing: blocks.2.norm1.weight",)),
        ({"num_hidden_layers": 1}, ("unexpected: blocks.1.",)),
        ({"num_attention_heads": 0}, ("num_attention_heads of at least 1",)),
        ({"num_attention_heads": 3}, ("config.json", "heads that divide a width of 128")),
        ({"num_attention_heads": 64}, ("config.json", "even parts of 6 or more, got 64")),
        ({"crop_size": 60}, ("multiple of patch_size=16",)),
        ({"num_hidden_layers": True}, ("a whole number for num_hidden_layers", "True")),
        ({"num_hidden_layers": 10**6}, ("num_hidden_layers of at most 256",)),
        ({"hidden_size": 2**31}, ("hidden_size of at most",)),
        ({"mlp_ratio": float("nan")}, ("a finite number for 'mlp_ratio'",)),
        ({"mlp_ratio": 1e-300}, ("mlp_ratio above 0",)),
        ({"mlp_ratio": "4"}, ("a number for mlp_ratio",)),
        ({"in_chans": [3]}, ("in_chans=3, got [3]",)),
    ],
)
def test_settings_that_contradict_the_tensors_are_refused(
    small: Path, settings: dict[str, object], words: tuple[str, ...]
) -> None:
    edit_config(small, **settings)
    assert not unsaid(small, *words)


def test_heads_which_leave_no_trace_take_no_default(small: Path) -> None:
    config = json.loads((small / "config.json").read_text())
    del config["num_attention_heads"]
    (small / "config.json").write_text(json.dumps(config))
    assert not unsaid(small, "expected also num_attention_heads")


def test_sizes_of_the_predictor_are_bounded_too(small: Path) -> None:
    for key, value in (("pred_num_attention_heads", 0), ("pred_hidden_size", 2**31)):
        edit_config(small, **{key: value})
        assert not unsaid(small, f"{key} of at", load=load_vjepa2_masked_predictor)


def test_mask_tokens_beyond_those_told_are_refused_at_once(small: Path) -> None:
    tensors = load_file(small / "model.safetensors")
    tensors["predictor.embeddings.mask_tokens"] = torch.zeros(10**9, 0)
    save_file(tensors, small / "model.safetensors")
    assert not unsaid(small, "expected 3 mask tokens", load=load_vjepa2_masked_predictor)


@pytest.mark.parametrize("number", [torch.nan, -torch.inf])
def test_numbers_that_are_not_finite_are_refused(small: Path, number: float) -> None:
    tensors = load_file(small / "model.safetensors")
    tensors["encoder.layer.1.norm1.bias"][5] = number
    save_file(tensors, small / "model.safetensors")
    assert not unsaid(small, "model.safetensors", "infinities", "encoder.layer.1.norm1.bias")


def test_weights_of_half_precision_are_computed_with_in_float32(small: Path) -> None:
    tensors = load_file(small / "model.safetensors")
    save_file({k: v.bfloat16() for k, v in tensors.items()}, small / "model.safetensors")
    norm = load_vjepa2(small).norm.weight
    assert torch.equal(norm, tensors["encoder.layernorm.weight"].bfloat16().float())


def test_a_folder_with_a_classifier_is_refused(small: Path) -> None:
    tensors = load_file(small / "model.safetensors")
    save_file(tensors | {"classifier.weight": torch.zeros(2)}, small / "model.safetensors")
    assert not unsaid(small, "classifier.weight")


def test_an_incomplete_attention_is_refused(small: Path) -> None:
    tensors = load_file(small / "model.safetensors")
    del tensors["encoder.layer.0.attention.key.weight"]
    save_file(tensors, small / "model.safetensors")
    assert not unsaid(small, "missing: blocks.0.attn.qkv.weight")


def test_attention_of_unequal_parts_is_refused(small: Path) -> None:
    tensors = load_file(small / "model.safetensors")
    wide, narrow = (f"encoder.layer.0.attention.{name}.weight" for name in ("query", "key"))
    tensors[wide], tensors[narrow] = torch.zeros(160, 128), torch.zeros(96, 128)
    save_file(tensors, small / "model.safetensors")
    assert not unsaid(small, "of one shape", "key.weight", "[96, 128]")


def test_whole_numbers_are_no_weights(small: Path) -> None:
    tensors = load_file(small / "model.safetensors")
    tensors["encoder.layernorm.bias"] = torch.zeros(128, dtype=torch.int32)
    save_file(tensors, small / "model.safetensors")
    assert not unsaid(small, "floating-point", "encoder.layernorm.bias")


def test_tokens_are_numbered_along_the_trained_grid_whatever_size_is_asked_for(small: Path) -> None:
    wide = clip(2, 128, 128)
    assert_equal(load_vjepa2(small, image_size=128)(wide), load_vjepa2(small)(wide))


def test_a_truncated_or_missing_file_is_named(small: Path) -> None:
    file = small / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    assert not unsaid(small, "model.safetensors", "damaged or truncated")
    file.unlink()
    assert not unsaid(small, "model.safetensors", "does not exist")


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    reference().save_pretrained(tmp_path, max_shard_size="400KB")
    shard = max(tmp_path.glob("*.safetensors"))
    shard.unlink()
    assert not unsaid(tmp_path, shard.name, "does not exist")


@pytest.mark.parametrize("file", ["../a.safetensors", "/a.safetensors", 1, "x" * 300, "model.pt"])
def test_shards_lie_in_the_folder(small: Path, file: object) -> None:
    index = {"weight_map": dict.fromkeys(load_file(small / "model.safetensors"), file)}
    (small / "model.safetensors.index.json").write_text(json.dumps(index))
    assert not unsaid(small, "index.json is damaged", "files beside it")


def test_a_folder_holds_one_set_of_weights(small: Path) -> None:
    assert not unsaid(
        small, "'target_encoder' only", load=lambda p: load_vjepa2(p, weights="encoder")
    )


def test_a_name_that_the_hub_does_not_know_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match="could not be fetched"):
        load_vjepa2("nobody/vjepa2-none")
