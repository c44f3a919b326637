from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from worldmodel.dynamics import tokens
from worldmodel.dynamics.recordings import Recordings
from worldmodel.dynamics.state_model import StateModelTraining
from worldmodel.dynamics.tokens import (
    TokenTraining,
    open_loop_tokens,
    token_losses,
    train_tokens,
    unroll,
)
from worldmodel.finite import NotFiniteError, not_finite
from worldmodel.predictors.proprioception import StateLayout
from worldmodel.predictors.tokens import TokenPredictor, TokenPredictorConfig
from worldmodel.training_log import TrainingLog
from worldmodel.training_state import TrainingState

SIZES = TokenPredictorConfig(
    tokens=4,
    token_width=8,
    action_width=1,
    state_width=1,
    states=StateLayout(composed=False),
    width=24,
    depth=1,
    heads=2,
)


@pytest.fixture
def normed(data: Recordings) -> Recordings:
    """The tiny world, its tokens layer-normed as an encoder's are."""
    return replace(data, latents=torch.nn.functional.layer_norm(data.latents, (8,)))


short = partial(TokenTraining, state_model=StateModelTraining(steps=20))


def fresh() -> TokenPredictor:
    torch.manual_seed(0)
    return TokenPredictor(SIZES)


@pytest.mark.slow
def test_training_beats_copying_the_last_frame(normed: Recordings, tmp_path: Path) -> None:
    model = fresh()
    config = short(steps=400, batch=16, learning_rate=5e-3, bf16=False)
    train_tokens(model, normed, config, TrainingState(tmp_path, {}))
    assert not model.training
    report = open_loop_tokens(model, normed, steps=4, windows=64)
    assert report.control_steps == (1, 2, 3, 4)
    assert all(e < 0.5 * c for e, c in zip(report.latent_error, report.copy_error, strict=True))
    assert report.object_cm[3] < 0.7 * report.object_copy_cm[3]


def test_a_killed_run_goes_on_to_the_same_weights(
    normed: Recordings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = short(steps=10, batch=4, log_every=1, save_every=3)
    whole, killed, resumed = fresh(), fresh(), fresh()
    train_tokens(whole, normed, config, TrainingState(tmp_path / "whole", {}))
    write, steps = TrainingLog.write, list[int]()

    def interrupted(log: TrainingLog, step: int, figures: Mapping[str, float]) -> None:
        write(log, step, figures)
        if step == 8:
            raise KeyboardInterrupt

    def counted(log: TrainingLog, step: int, figures: Mapping[str, float]) -> None:
        write(log, step, figures)
        steps.append(step)

    state = TrainingState(tmp_path / "killed", {})
    with monkeypatch.context() as patch:
        patch.setattr(TrainingLog, "write", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train_tokens(killed, normed, config, state)
        patch.setattr(TrainingLog, "write", counted)
        train_tokens(resumed, normed, config, state)
    assert steps == [7, 8, 9, 10]
    for name, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name
    logs = [(tmp_path / name / "metrics.jsonl").read_text() for name in ("whole", "killed")]
    assert logs[0] == logs[1]


def test_the_rollout_loss_compares_every_step_with_its_own_frame(normed: Recordings) -> None:
    """A predictor that knows the truth has no loss; one frame off, and it would have."""
    model, frames = fresh(), torch.arange(5)
    latents = normed.latents[frames][None]
    actions, states = normed.actions[frames][None], normed.states[frames][None]

    def forced(latents: torch.Tensor, *_: torch.Tensor) -> torch.Tensor:
        return normed.latents[frames[1:]][None]

    def advance(
        hidden: torch.Tensor,
        action: torch.Tensor,
        state: torch.Tensor,
        time: int,
        caches: object,
        extrinsics: None = None,
    ) -> torch.Tensor:
        return normed.latents[time + 1][None]

    model.teacher_forced, model.advance = forced, advance  # type: ignore[method-assign]
    losses = token_losses(model, latents, actions, states, rollout=3)
    assert losses["teacher_forcing"] == 0
    assert losses["rollout"] == 0


def trained(normed: Recordings, folder: Path, **settings: Any) -> TokenPredictor:
    model = fresh()
    config = short(steps=3, batch=6, bf16=False, **settings)
    train_tokens(model, normed, config, TrainingState(folder, {}))
    return model


@pytest.mark.parametrize("settings", [{"parts": 3}, {"checkpointing": True}])
def test_what_saves_memory_changes_no_weight(
    normed: Recordings, tmp_path: Path, settings: dict[str, Any]
) -> None:
    plain = trained(normed, tmp_path / "plain")
    saving = trained(normed, tmp_path / "saving", **settings)
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(saving.state_dict()[name], value, rtol=1e-3, atol=1e-5, msg=name)
    assert not saving.checkpointing


def test_activations_within_blocks_are_not_kept(normed: Recordings) -> None:
    def kept(checkpointing: bool) -> int:
        sizes: list[int] = []
        model = fresh().train()
        model.checkpointing = checkpointing
        window = torch.arange(6)

        def pack(tensor: torch.Tensor) -> torch.Tensor:
            sizes.append(tensor.numel())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            model(
                normed.latents[window][None],
                normed.actions[window][None],
                normed.states[window][None],
            )
        return sum(sizes)

    assert kept(checkpointing=True) < 0.3 * kept(checkpointing=False)


def test_windows_and_rollouts_are_as_long_as_asked_for(
    normed: Recordings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, int, int]] = []

    def recorded(
        model: TokenPredictor, latents: torch.Tensor, *rest: Any
    ) -> dict[str, torch.Tensor]:
        rollout, context = rest[2:4]
        seen.append((latents.shape[1], rollout, context))
        return token_losses(model, latents, *rest)

    monkeypatch.setattr("worldmodel.dynamics.tokens.token_losses", recorded)
    trained(normed, tmp_path, frames=6, rollout=3, rollout_context=1)
    assert set(seen) == {(6, 3, 1)}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"parts": 5}, "5 parts divide evenly, got 16"),
        ({"frames": 2}, "a rollout of 2 steps and its context of 1, got frames=2"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(
    settings: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        TokenTraining(**settings)


def test_gradients_of_the_rollout_reach_the_first_step(normed: Recordings) -> None:
    model = fresh()
    latents = normed.latents[None, :1].clone().requires_grad_()
    imagined = unroll(model, latents, normed.actions[None, :3], normed.states[None, :3], 3)
    (gradient,) = torch.autograd.grad(imagined[:, 2].abs().sum(), latents)
    assert float(gradient.abs().sum()) > 0
    before = imagined[:, 1]
    assert before.requires_grad


def test_short_episodes_are_validated_over_fewer_steps(normed: Recordings) -> None:
    short = replace(normed, lengths=np.minimum(normed.lengths, 5))
    report = open_loop_tokens(fresh().eval(), short, steps=8, windows=4)
    assert report.control_steps == (1, 2, 3, 4)


def test_validation_does_not_look_at_recorded_future_states(normed: Recordings) -> None:
    torch.manual_seed(1)
    normed = replace(normed, objects=None)
    wild = replace(normed, states=normed.states.clone())
    model = fresh()
    for parameter in model.parameters():
        parameter.data.normal_(std=0.3)
    model.eval()
    reference = open_loop_tokens(model, normed, steps=3, windows=1)
    firsts = normed.rows(normed.held_out, 5)
    first = int(firsts[torch.randperm(len(firsts), generator=torch.Generator().manual_seed(0))[0]])
    wild.states[first + 2 :] += 3
    assert open_loop_tokens(model, wild, steps=3, windows=1) == reference
    wild.states[first + 1] += 3
    assert open_loop_tokens(model, wild, steps=3, windows=1) != reference


def test_the_cameras_poses_reach_the_losses_of_a_predictor_that_uses_them(
    normed: Recordings, tmp_path: Path
) -> None:
    poses = torch.randn(len(normed.states), 6, generator=torch.Generator().manual_seed(0))
    config = short(steps=2, batch=4)
    seen = [replace(normed, extrinsics=camera) for camera in (poses, 2 * poses)]
    for uses in (True, False):
        trained = []
        for number, data in enumerate(seen):
            torch.manual_seed(0)
            model = TokenPredictor(replace(SIZES, extrinsics=uses))
            train_tokens(model, data, config, TrainingState(tmp_path / f"{uses}{number}", {}))
            trained.append(model.predictor_proj.weight)
        assert torch.equal(*trained) is not uses


def test_in_validation_the_camera_stands_still_from_the_last_seen_frame(
    normed: Recordings,
) -> None:
    torch.manual_seed(1)
    model = TokenPredictor(replace(SIZES, extrinsics=True))
    for parameter in model.parameters():
        parameter.data.normal_(std=0.3)
    model.eval()
    poses = torch.randn(len(normed.states), 6, generator=torch.Generator().manual_seed(0))
    data = replace(normed, objects=None, extrinsics=poses)
    reference = open_loop_tokens(model, data, steps=3, windows=1)
    firsts = data.rows(data.held_out, 5)
    first = int(firsts[torch.randperm(len(firsts), generator=torch.Generator().manual_seed(0))[0]])
    poses[first + 2 :] += 3
    assert open_loop_tokens(model, data, steps=3, windows=1) == reference
    poses[first + 1] += 3
    assert open_loop_tokens(model, data, steps=3, windows=1) != reference


@pytest.mark.parametrize("bad", [2, 5, 6])
def test_the_first_loss_that_is_not_finite_leaves_the_last_good_state(
    normed: Recordings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bad: int
) -> None:
    asked = 0

    def poisoned(*arguments: Any) -> dict[str, torch.Tensor]:
        nonlocal asked
        asked += torch.is_grad_enabled()
        found = token_losses(*arguments)
        return found | ({"rollout": found["rollout"] * torch.nan} if asked == bad else {})

    monkeypatch.setattr(tokens, "token_losses", poisoned)
    state = TrainingState(tmp_path, {})
    config = short(steps=8, batch=4, save_every=2, bf16=False)
    with pytest.raises(NotFiniteError, match=f"stopped at step {bad}: .* got rollout = nan"):
        train_tokens(fresh(), normed, config, state)
    saved = state.load()
    last = 2 * ((bad - 1) // 2)
    assert (0 if saved is None else saved["step"]) == last
    assert saved is None or not not_finite(saved)


def test_a_state_whose_next_loss_is_not_finite_is_not_kept(
    normed: Recordings, tmp_path: Path
) -> None:
    state = TrainingState(tmp_path, {})
    config = short(steps=1, batch=4, learning_rate=1e30, warmup=0, bf16=False)
    with pytest.raises(NotFiniteError, match=r"stopped at step 1: .* got teacher_forcing = nan"):
        train_tokens(fresh(), normed, config, state)
    assert state.load() is None
