from dataclasses import replace

import pytest
import torch

from worldmodel.predictors.tokens import TokenPredictor, TokenPredictorConfig

TINY = TokenPredictorConfig(tokens=4, token_width=12, width=24, depth=2, heads=2)


def predictor(**settings: bool) -> TokenPredictor:
    torch.manual_seed(0)
    config = TokenPredictorConfig(tokens=4, token_width=12, width=24, depth=2, heads=2, **settings)
    model = TokenPredictor(config).eval()
    # Larger weights than a fresh model's, so that every input makes a visible difference.
    for parameter in model.parameters():
        parameter.data.normal_(std=0.3)
    return model


def window(frames: int = 4, batch: int = 2) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    shapes = ((batch, frames, 4, 12), (batch, frames, 7), (batch, frames, 7))
    latents, actions, states = (torch.randn(shape, generator=generator) for shape in shapes)
    return latents, actions, states


def test_a_cached_rollout_equals_an_uncached_one() -> None:
    model, (latents, actions, states) = predictor(), window()
    with torch.no_grad():
        caches = model.prefill(latents[:, :1], actions, states)
        hidden, cached = latents[:, 1], []
        for t in (1, 2, 3):
            hidden = model.advance(hidden, actions[:, t], states[:, t], t, caches)
            cached.append(hidden)
        known = latents[:, :2]
        for t in (1, 2, 3):
            forced = model.teacher_forced(known, actions[:, : t + 1], states[:, : t + 1])
            known = torch.cat((known, forced[:, -1:]), dim=1)
    torch.testing.assert_close(torch.stack(cached, 1), known[:, 2:], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("which", [0, 1, 2])
def test_a_frame_s_prediction_uses_that_frame_and_the_past_but_not_the_future(which: int) -> None:
    model, inputs = predictor(), window()
    with torch.no_grad():
        before = model(*inputs)
        inputs[which][:, 2] += 1
        after = model(*inputs)
    torch.testing.assert_close(after[:, :2], before[:, :2], atol=1e-5, rtol=1e-5)
    changed = (after - before).abs().amax((0, 2, 3)) > 1e-3
    assert changed[2:].all()


def test_teacher_forced_predictions_are_layer_normed() -> None:
    with torch.no_grad():
        predicted = predictor().teacher_forced(*window())
    torch.testing.assert_close(predicted.mean(-1), torch.zeros(2, 4, 4), atol=1e-5, rtol=0)
    torch.testing.assert_close(
        predicted.var(-1, correction=0), torch.ones(2, 4, 4), atol=1e-3, rtol=0
    )


def test_a_silent_residual_predictor_copies_and_a_plain_one_does_not() -> None:
    latents, actions, states = window()
    latents = torch.nn.functional.layer_norm(latents, (12,))
    for residual in (True, False):
        model = predictor(residual=residual)
        torch.nn.init.zeros_(model.predictor_proj.weight)
        torch.nn.init.zeros_(model.predictor_proj.bias)
        with torch.no_grad():
            copied = torch.allclose(model(latents, actions, states), latents, atol=1e-3)
        assert copied == residual


def test_a_full_turn_of_the_wrist_changes_nothing_unless_states_are_raw() -> None:
    latents, actions, states = window()
    turned = states.clone()
    turned[..., 3] += 2 * torch.pi
    for raw in (False, True):
        model = predictor(raw_inputs=raw)
        with torch.no_grad():
            same = torch.allclose(
                model(latents, actions, states), model(latents, actions, turned), atol=1e-4
            )
        assert same != raw


def test_the_unit_of_actions_is_absorbed_by_the_statistics() -> None:
    model, (latents, actions, states) = predictor(), window()
    with torch.no_grad():
        model.scale_actions.fit(actions.flatten(0, 1))
        in_metres = model(latents, actions, states)
        model.scale_actions.fit(1000 * actions.flatten(0, 1))
        in_millimetres = model(latents, 1000 * actions, states)
    torch.testing.assert_close(in_metres, in_millimetres, atol=1e-5, rtol=1e-4)


def test_parameters_have_the_names_of_v_jepa_2_ac() -> None:
    names = {name.split(".")[0] for name, _ in TokenPredictor(TINY).named_parameters()}
    assert names == {
        "predictor_embed",
        "action_encoder",
        "state_encoder",
        "predictor_blocks",
        "predictor_norm",
        "predictor_proj",
    }


def test_tokens_that_make_no_square_are_refused() -> None:
    with pytest.raises(ValueError, match="square number of tokens"):
        TokenPredictorConfig(tokens=5)


def with_extrinsics() -> TokenPredictor:
    torch.manual_seed(0)
    model = TokenPredictor(replace(TINY, extrinsics=True)).eval()
    for parameter in model.parameters():
        parameter.data.normal_(std=0.3)
    return model


def test_the_camera_s_pose_makes_a_difference_from_its_own_frame_on() -> None:
    model, inputs, cameras = with_extrinsics(), window(), torch.zeros(2, 4, 6)
    with torch.no_grad():
        before = model(*inputs, cameras)
        cameras[:, 2] += 1
        after = model(*inputs, cameras)
    torch.testing.assert_close(after[:, :2], before[:, :2], atol=1e-5, rtol=1e-5)
    assert ((after - before).abs().amax((0, 2, 3)) > 1e-3)[2:].all()


def test_a_cached_rollout_knows_the_camera() -> None:
    model, (latents, actions, states) = with_extrinsics(), window()
    cameras = torch.randn(2, 4, 6, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        caches = model.prefill(latents[:, :3], actions, states, cameras)
        newest = (latents[:, 3], actions[:, 3], states[:, 3])
        cached = model.advance(*newest, 3, caches, cameras[:, 3])
        forced = model.teacher_forced(latents, actions, states, cameras)[:, -1]
    torch.testing.assert_close(cached, forced, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("which", [0, 1, 2])
def test_inputs_of_another_width_are_refused(which: int) -> None:
    inputs = list(window())
    inputs[which] = inputs[which][..., :-1]
    with pytest.raises(ValueError, match=r"Expected (latents|actions|states) of shape"):
        predictor()(*inputs)


def test_extrinsics_come_with_a_predictor_that_uses_them() -> None:
    with pytest.raises(ValueError, match="Expected no extrinsics"):
        predictor()(*window(), torch.zeros(2, 4, 6))
    with pytest.raises(ValueError, match="Expected extrinsics, as this predictor was built"):
        with_extrinsics()(*window())
