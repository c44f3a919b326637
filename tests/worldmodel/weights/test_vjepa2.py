"""V-JEPA 2, 2.1 and 2-AC reproduce their reference code in float32, and refuse what is no such."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from worldmodel.dynamics.tokens import token_losses, unroll
from worldmodel.errors import UserError
from worldmodel.predictors.token_world import TokenWorld
from worldmodel.weights import load_vjepa2, load_vjepa2_ac, load_vjepa2_masked_predictor

Figures = dict[str, torch.Tensor]
Edit = Callable[[Path, Callable[[dict], object]], Path]


@pytest.fixture(autouse=True)
def _no_grad() -> Iterator[None]:
    with torch.no_grad():
        yield


@pytest.fixture(scope="module")
def world(vjepa2_ac_pt: Path) -> TokenWorld:
    return load_vjepa2_ac(vjepa2_ac_pt, image_size=64)


def assert_equal(ours: torch.Tensor, reference: torch.Tensor) -> None:
    """To 1e-5 of the largest value."""
    assert ours.shape == reference.shape
    assert float((ours - reference).abs().max() / reference.abs().max()) <= 1e-5


@pytest.mark.parametrize("weights", ["encoder", "target_encoder"])
def test_the_chosen_encoder_is_reproduced(vjepa2_pt: Path, expected: Figures, weights: str) -> None:
    encoder = load_vjepa2(vjepa2_pt, weights=weights, image_size=64)
    assert_equal(encoder(expected["clip"]), expected[f"{weights}_out"])


def test_an_encoder_of_visible_tokens_is_reproduced(vjepa2_pt: Path, expected: Figures) -> None:
    encoder = load_vjepa2(vjepa2_pt, weights="encoder", image_size=64)
    assert_equal(encoder(expected["clip"], expected["context_ids"]), expected["encoder_masked_out"])


def test_the_masked_predictor_is_reproduced(vjepa2_pt: Path, expected: Figures) -> None:
    predictor = load_vjepa2_masked_predictor(vjepa2_pt, image_size=64)
    given = (expected["encoder_masked_out"], expected["context_ids"], expected["target_ids"])
    assert_equal(predictor(*given, mask_index=0), expected["masked_predictor_out"])


@pytest.mark.parametrize("weights", ["encoder", "ema_encoder"])
def test_v_jepa_2_1_is_reproduced(vjepa2_1_pt: Path, expected_2_1: Figures, weights: str) -> None:
    encoder = load_vjepa2(vjepa2_1_pt, weights=weights, image_size=64)
    clip, kept = expected_2_1["clip"], expected_2_1["context_ids"]
    assert_equal(encoder(clip), expected_2_1["encoder_out"])
    assert_equal(encoder(clip, kept), expected_2_1["encoder_masked_out"])
    assert_equal(encoder(expected_2_1["image"]), expected_2_1["image_out"])
    assert_equal(encoder.levels(clip), expected_2_1["four_outputs"])


def test_frames_are_encoded_one_by_one_as_in_the_reference(
    world: TokenWorld, expected: Figures
) -> None:
    assert_equal(world.encoder.encode_pixels(expected["images"]), expected["frame_tokens"])


def test_the_action_conditioned_predictor_is_reproduced(
    world: TokenWorld, expected: Figures
) -> None:
    given = expected["frame_tokens"][:, :3], expected["actions"], expected["states"][:, :3]
    assert_equal(world.predictor(*given), expected["predictor_raw_out"])
    assert_equal(world.predictor.teacher_forced(*given), expected["teacher_forced"])


@pytest.mark.parametrize(("steps", "name"), [(2, "rollout_2step"), (3, "rollout_3step_gt_states")])
def test_rollouts_are_reproduced_with_cached_keys_and_values(
    world: TokenWorld, expected: Figures, steps: int, name: str
) -> None:
    latents, actions, states = (expected[k] for k in ("frame_tokens", "actions", "states"))
    assert_equal(unroll(world.predictor, latents[:, :1], actions, states, steps), expected[name])
    known = latents[:, :1]
    for t in range(1, steps + 1):
        forced = world.predictor.teacher_forced(known, actions[:, :t], states[:, :t])
        known = torch.cat((known, forced[:, -1:]), dim=1)
    assert_equal(known[:, 1:], expected[name])


def test_both_losses_are_reproduced(world: TokenWorld, expected: Figures) -> None:
    recorded = (expected[k] for k in ("frame_tokens", "actions", "states"))
    losses = token_losses(world.predictor, *recorded, rollout=2, context=1)
    assert_equal(losses["teacher_forcing"], expected["loss_teacher_forcing"])
    assert_equal(losses["rollout"], expected["loss_rollout"])


def test_a_world_imagines_what_its_predictor_does_along_composed_states(
    world: TokenWorld, expected: Figures
) -> None:
    latents, actions, states = (expected[k] for k in ("frame_tokens", "actions", "states"))
    imagined = world.rollout(latents[:, :1], states[:, :1], actions[:, None])
    path = torch.cat((states[:, :1], imagined.states[:, 0]), 1)
    along = unroll(world.predictor, latents[:, :1], actions, path, 3)
    assert_equal(imagined.latents[:, 0], along)


def test_extrinsics_are_used_when_asked_for(vjepa2_ac_pt: Path, expected: Figures) -> None:
    world = load_vjepa2_ac(vjepa2_ac_pt, image_size=64, use_extrinsics=True)
    given = expected["frame_tokens"][:, :3], expected["actions"], expected["states"][:, :3]
    cameras = torch.zeros(2, 3, 6)
    before = world.predictor(*given, cameras)
    assert not torch.allclose(before, world.predictor(*given, cameras + 1), atol=1e-3)
    recorded = (expected[k] for k in ("frame_tokens", "actions", "states"))
    losses = token_losses(world.predictor, *recorded, rollout=2, context=1, extrinsics=cameras)
    assert all(loss.isfinite() for loss in losses.values())
    assert losses["teacher_forcing"] != expected["loss_teacher_forcing"]


def test_sizes_are_read_off_the_weights(world: TokenWorld) -> None:
    encoder, predictor = world.encoder.model.config, world.predictor.config
    assert (encoder.width, encoder.depth, encoder.patch_size, encoder.tubelet) == (128, 2, 16, 2)
    assert (encoder.heads, encoder.mlp_ratio, predictor.heads) == (2, 4.0, 2)
    assert (predictor.tokens, predictor.token_width, predictor.width) == (16, 128, 128)


def test_the_model_is_made_of_the_very_tensors_that_the_file_is_mapped_to(
    vjepa2_pt: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, load = [], torch.load

    def recorded(*args: object, **settings: object) -> object:
        assert settings["mmap"] is settings["weights_only"] is True
        read.append(load(*args, **settings))
        return read[-1]

    monkeypatch.setattr(torch, "load", recorded)
    encoder = load_vjepa2(vjepa2_pt, image_size=64)
    stored = {
        name.removeprefix("module.backbone."): tensor.data_ptr()
        for name, tensor in read[0]["target_encoder"].items()
    }
    assert {name: t.data_ptr() for name, t in encoder.state_dict().items()} == stored


def test_a_stored_pos_embed_is_harmless(vjepa2_pt: Path, expected: Figures, edited: Edit) -> None:
    def change(content: dict) -> None:
        content["encoder"]["module.backbone.pos_embed"] = torch.zeros(1, 64, 128)

    encoder = load_vjepa2(edited(vjepa2_pt, change), weights="encoder", image_size=64)
    assert_equal(encoder(expected["clip"]), expected["encoder_out"])


def test_what_is_merely_called_like_something_harmless_is_refused(
    vjepa2_pt: Path, edited: Edit
) -> None:
    def change(content: dict) -> None:
        content["target_encoder"]["module.backbone.pos_embed_temporal"] = torch.zeros(4)

    assert not unsaid(edited(vjepa2_pt, change), "unexpected: pos_embed_temporal")


# Bad input: every error names the file, and where there is one the key.


def unsaid(path: Path, *words: str, load: Callable = load_vjepa2, **settings: object) -> list[str]:
    """What the refusal to load a path, in one line, does not say of these words and the path."""
    with pytest.raises(UserError) as caught:
        load(path, **{"image_size": 64, **settings})
    message = str(caught.value)
    assert "\n" not in message
    return [word for word in (str(path), *words) if word not in message]


def test_weights_that_a_file_lacks_are_refused(vjepa2_1_pt: Path) -> None:
    assert not unsaid(vjepa2_1_pt, "expected 'target_encoder'", "found encoder, ema_encoder")
    with pytest.raises(UserError, match="did you mean 'ema_encoder'"):
        load_vjepa2(vjepa2_1_pt, weights="ema_encode")


def test_a_missing_and_a_left_over_key_are_both_listed(vjepa2_pt: Path, edited: Edit) -> None:
    def change(content: dict) -> None:
        weights = content["target_encoder"]
        weights["module.backbone.cls_token"] = weights.pop("module.backbone.blocks.0.norm1.bias")

    assert not unsaid(
        edited(vjepa2_pt, change), "missing: blocks.0.norm1.bias", "unexpected: cls_token"
    )


def test_a_wrong_shape_is_listed(vjepa2_pt: Path, edited: Edit) -> None:
    def change(content: dict) -> None:
        content["target_encoder"]["module.backbone.norm.weight"] = torch.zeros(7)

    assert not unsaid(edited(vjepa2_pt, change), "norm.weight (expected [128], got [7])")


def test_a_number_in_place_of_a_matrix_is_refused(vjepa2_pt: Path, edited: Edit) -> None:
    def change(content: dict) -> None:
        content["target_encoder"]["module.backbone.blocks.0.mlp.fc1.weight"] = torch.tensor(1.0)

    assert not unsaid(edited(vjepa2_pt, change), "expected a matrix", "blocks.0.mlp.fc1.weight")


def test_an_absent_block_is_missed(vjepa2_pt: Path, edited: Edit) -> None:
    def change(content: dict) -> None:
        weights = content["target_encoder"]
        for name in [name for name in weights if ".blocks.1." in name]:
            weights[name.replace("blocks.1", "blocks.2")] = weights.pop(name)

    assert not unsaid(edited(vjepa2_pt, change), "missing: blocks.1.norm1.weight")


def test_what_is_no_tensor_is_refused(vjepa2_pt: Path, edited: Edit) -> None:
    def change(content: dict) -> None:
        content["target_encoder"]["module.backbone.norm.weight"] = "ones"

    assert not unsaid(edited(vjepa2_pt, change), "got str", "norm.weight")


def test_two_names_of_one_tensor_are_refused(vjepa2_pt: Path, edited: Edit) -> None:
    def change(content: dict) -> None:
        content["target_encoder"]["norm.weight"] = torch.ones(128)

    assert not unsaid(edited(vjepa2_pt, change), "one tensor for 'norm.weight'", ": norm.weight")


def test_sparse_tensors_are_refused(vjepa2_pt: Path, edited: Edit) -> None:
    def change(content: dict) -> None:
        content["target_encoder"]["module.backbone.norm.weight"] = torch.ones(128).to_sparse()

    assert not unsaid(edited(vjepa2_pt, change), "dense tensors", "norm.weight")


@pytest.mark.parametrize(
    "tensor",
    [
        torch.zeros(1).expand(10**12),
        torch.zeros(1).as_strided((10**6, 10**6), (0, 0)),
        torch.zeros(10**12, device="meta"),
    ],
    ids=["expanded", "strided", "meta"],
)
def test_tensors_larger_than_what_is_stored_are_refused_at_once(
    vjepa2_pt: Path, edited: Edit, tensor: torch.Tensor
) -> None:
    def change(content: dict) -> None:
        content["target_encoder"]["module.backbone.norm.weight"] = tensor

    assert not unsaid(edited(vjepa2_pt, change), "norm.weight")


@pytest.mark.parametrize("number", [torch.nan, torch.inf, 1e300])
def test_numbers_that_are_not_finite_in_float32_are_refused(
    vjepa2_pt: Path, edited: Edit, number: float
) -> None:
    def change(content: dict) -> None:
        bias = content["target_encoder"]["module.backbone.norm.bias"].double()
        bias[3] = number
        content["target_encoder"]["module.backbone.norm.bias"] = bias

    assert not unsaid(edited(vjepa2_pt, change), "finite", "module.backbone.norm.bias")


def test_a_changed_bit_is_found(tmp_path: Path, vjepa2_pt: Path) -> None:
    norm = torch.load(vjepa2_pt, weights_only=True)["target_encoder"]["module.backbone.norm.bias"]
    whole = bytearray(vjepa2_pt.read_bytes())
    whole[whole.rindex(norm.numpy().tobytes())] ^= 1
    (tmp_path / "flipped.pt").write_bytes(whole)
    assert not unsaid(tmp_path / "flipped.pt", "norm.bias has not its checksum")
    load_vjepa2(tmp_path / "flipped.pt", weights="encoder", image_size=64)  # which is intact


def test_a_file_that_was_written_without_checksums_is_read(vjepa2_pt: Path, tmp_path: Path) -> None:
    content = torch.load(vjepa2_pt, weights_only=True)
    torch.serialization.set_crc32_options(False)
    try:
        torch.save(content, tmp_path / "plain.pt")
    finally:
        torch.serialization.set_crc32_options(True)
    ours, theirs = (
        load_vjepa2(p, image_size=64).state_dict() for p in (tmp_path / "plain.pt", vjepa2_pt)
    )
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())


def test_a_compressed_file_which_may_take_any_memory_is_refused(
    tmp_path: Path, vjepa2_pt: Path
) -> None:
    with zipfile.ZipFile(vjepa2_pt) as old, zipfile.ZipFile(tmp_path / "small.pt", "w") as new:
        for info in old.infolist():
            new.writestr(info.filename, old.read(info), zipfile.ZIP_DEFLATED)
    assert not unsaid(tmp_path / "small.pt", "is compressed")


def test_names_that_are_no_words_are_refused(vjepa2_pt: Path, edited: Edit) -> None:
    def change(content: dict) -> None:
        content.clear()
        content[3] = {"a": torch.ones(1)}

    assert not unsaid(edited(vjepa2_pt, change), "expected 'target_encoder', found 3")


def test_sizes_beyond_all_bounds_are_refused_before_anything_is_built(
    vjepa2_ac_pt: Path, edited: Edit
) -> None:
    def change(content: dict) -> None:
        content["predictor"]["module.action_encoder.weight"] = torch.zeros(128, 2**15)

    assert not unsaid(
        edited(vjepa2_ac_pt, change),
        "['predictor']: expected actions of 7 numbers",
        load=load_vjepa2_ac,
    )


@pytest.mark.parametrize(
    ("number", "word"),
    [("99999999", "found blocks.99999999"), (5000 * "9", "unexpected: blocks.999")],
)
def test_a_block_far_beyond_the_others_is_refused_at_once(
    vjepa2_pt: Path, edited: Edit, number: str, word: str
) -> None:
    def change(content: dict) -> None:
        content["target_encoder"][f"module.backbone.blocks.{number}.norm1.bias"] = torch.ones(128)

    assert not unsaid(edited(vjepa2_pt, change), word)


class Planted:
    def __reduce__(self) -> tuple:
        return print, ("executed",)


def test_code_in_a_file_is_refused_and_not_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save({"target_encoder": Planted()}, tmp_path / "planted.pt")
    assert not unsaid(tmp_path / "planted.pt", "more than tensors and plain values", "print")
    (tmp_path / "planted.pkl").write_bytes(pickle.dumps(Planted()))
    assert not unsaid(tmp_path / "planted.pkl")
    assert "executed" not in capsys.readouterr().out


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_truncated_file_is_refused(tmp_path: Path, vjepa2_pt: Path, share: float) -> None:
    whole = vjepa2_pt.read_bytes()
    (tmp_path / "cut.pt").write_bytes(whole[: int(share * len(whole))])
    assert not unsaid(tmp_path / "cut.pt", "truncated, or no PyTorch checkpoint")


def test_an_image_encoder_is_refused(vjepa2_pt: Path, edited: Edit) -> None:
    def change(content: dict) -> None:
        content["target_encoder"]["module.backbone.patch_embed.proj.weight"] = torch.zeros(
            128, 3, 16, 16
        )

    assert not unsaid(edited(vjepa2_pt, change), "patch_embed.proj.weight", "[128, 3, 16, 16]")


def test_another_architecture_is_refused(tmp_path: Path, vjepa2_pt: Path) -> None:
    torch.save({"target_encoder": torch.nn.Linear(2, 2).state_dict()}, tmp_path / "linear.pt")
    assert not unsaid(tmp_path / "linear.pt", "no patch_embed.proj.weight")
    assert not unsaid(vjepa2_pt, "no action_encoder.weight", load=load_vjepa2_ac)


def test_a_masked_predictor_is_not_an_action_conditioned_one(vjepa2_ac_pt: Path) -> None:
    assert not unsaid(vjepa2_ac_pt, "no mask_tokens.0", load=load_vjepa2_masked_predictor)


def test_a_predictor_of_other_latents_is_refused(vjepa2_ac_pt: Path, edited: Edit) -> None:
    def change(content: dict) -> None:
        content["predictor"]["module.predictor_embed.weight"] = torch.zeros(128, 96)

    assert not unsaid(
        edited(vjepa2_ac_pt, change), "predictor_embed.weight", "128", load=load_vjepa2_ac
    )


def test_sizes_that_contradict_each_other_are_refused(vjepa2_pt: Path) -> None:
    assert not unsaid(vjepa2_pt, "multiple of patch_size=16", image_size=60)
    assert not unsaid(vjepa2_pt, "heads that divide a width of 128", heads=3)
    for size in (0, -64):
        assert not unsaid(vjepa2_pt, f"image_size of at least 1, got {size}", image_size=size)


def test_heads_that_nothing_tells_must_be_passed(vjepa2_pt: Path, edited: Edit) -> None:
    def change(content: dict) -> None:
        content["target_encoder"] = {"patch_embed.proj.weight": torch.zeros(96, 3, 2, 16, 16)} | {
            f"blocks.0.{name}": torch.zeros(1) for name in ("mlp.fc1.weight",)
        }

    assert not unsaid(edited(vjepa2_pt, change), "width of 96", "Pass their number")


def test_actions_of_another_width_are_refused(world: TokenWorld, expected: Figures) -> None:
    latents, states = expected["frame_tokens"][:, :3], expected["states"][:, :3]
    with pytest.raises(ValueError, match=r"actions of shape \[2, 3, 7\], got \[2, 3, 6\]"):
        world.predictor(latents, expected["actions"][..., :6], states)


def test_a_source_that_does_not_exist_is_named(tmp_path: Path) -> None:
    assert not unsaid(tmp_path / "none.pt", "does not exist")
    (tmp_path / "empty").mkdir()
    assert not unsaid(tmp_path / "empty", "config.json")
