"""Training the compact predictor teaches it the world, the way to goals, and its own doubts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from worldmodel.dynamics.arm import ArmTraining
from worldmodel.dynamics.code import CodeTraining
from worldmodel.dynamics.compact import CompactTraining, train_compact
from worldmodel.dynamics.ensemble import EnsembleTraining
from worldmodel.dynamics.reachability import ReachabilityTraining
from worldmodel.dynamics.recordings import Recordings
from worldmodel.dynamics.stage import planning_latents
from worldmodel.dynamics.validation import calibrate, open_loop
from worldmodel.dynamics.value import ValueTraining
from worldmodel.errors import UserError
from worldmodel.predictors.compact import CompactConfig, CompactPredictor
from worldmodel.training_log import TrainingLog
from worldmodel.training_state import TrainingState

SIZES = CompactConfig(
    tokens=4,
    token_width=8,
    action_width=1,
    state_width=1,
    code_width=2,
    width=32,
    depth=2,
    head_width=32,
)
SHORT = CompactTraining(
    code=CodeTraining(steps=400, batch=128),
    arm=ArmTraining(steps=100),
    dynamics=EnsembleTraining(steps=250, batch=64),
    value=ValueTraining(steps=900, batch=128),
    reachability=ReachabilityTraining(steps=500, batch=128),
)


def _trained(data: Recordings, folder: Path, config: CompactTraining = SHORT) -> CompactPredictor:
    torch.manual_seed(0)
    model = CompactPredictor(SIZES)
    train_compact(model, data, config, TrainingState(folder, {}))
    return model


def _codes(model: CompactPredictor, data: Recordings) -> torch.Tensor:
    return model.codes(planning_latents(model, data.latents))


def _goals(model: CompactPredictor, data: Recordings) -> torch.Tensor:
    return model.goals(planning_latents(model, data.latents), with_arm=False)


@pytest.fixture(scope="module")
def model(data: Recordings, tmp_path_factory: pytest.TempPathFactory) -> CompactPredictor:
    return _trained(data, tmp_path_factory.mktemp("run"))


def test_imagined_futures_beat_copying_the_last_frame(
    model: CompactPredictor, data: Recordings
) -> None:
    found = open_loop(model, data, _codes(model, data), windows=200)
    assert found.control_steps == (2, 4, 6, 8)
    for imagined, copied in zip(found.latent_error, found.copy_error, strict=True):
        assert imagined < 0.5 * copied


def test_value_falls_with_the_distance_to_the_goal(
    model: CompactPredictor, data: Recordings
) -> None:
    codes, goals = _codes(model, data), _goals(model, data)
    features = model.state_features(data.states)
    assert data.objects is not None
    places = data.objects[:, 0]
    goal = int(places.argmax())
    value = model.value(codes, features, goals[goal].expand(len(codes), -1))
    distance = (places - places[goal]).abs()
    near, far = value[distance < 0.2].mean(), value[distance > 1.0].mean()
    assert near > far + 1.0


def test_reachability_is_smaller_where_the_goal_is_nearer(
    model: CompactPredictor, data: Recordings
) -> None:
    latents, goals = planning_latents(model, data.latents), _goals(model, data)
    assert data.objects is not None
    places = data.objects[:, 0]
    goal = int(places.argmax())
    with torch.no_grad():
        steps = model.steps(latents, goals[goal])
    distance = (places - places[goal]).abs()
    near, middle = (distance < 0.2), (distance > 0.5) & (distance < 0.9)
    assert steps[near].mean() + 1.5 < steps[middle].mean()
    assert steps[middle].mean() + 1.5 < steps[distance > 1.3].mean()


def test_the_prior_moves_towards_the_goal(model: CompactPredictor, data: Recordings) -> None:
    codes, goals = _codes(model, data), _goals(model, data)
    features = model.state_features(data.states)
    assert data.objects is not None
    places = data.objects[:, 0]
    middle = places.abs() < 0.2
    for goal, sign in ((int(places.argmax()), 1), (int(places.argmin()), -1)):
        there = goals[goal].expand(int(middle.sum()), -1)
        actions = model.prior(codes[middle], features[middle], there)
        assert float((sign * actions[:, 0]).detach().mean()) > 0.3


def test_calibration_stores_the_held_out_quantiles(
    model: CompactPredictor, data: Recordings
) -> None:
    calibrate(model, data, _codes(model, data), windows=50)
    assert bool((model.disagreement_q90 > 0).all())
    assert bool((model.disagreement_q99 > model.disagreement_q90).all())
    assert model.disagreement_q90[3] > model.disagreement_q90[0]


def test_the_same_seed_trains_the_same_model(data: Recordings, tmp_path: Path) -> None:
    one, two = _trained(data, tmp_path / "one"), _trained(data, tmp_path / "two")
    for first, second in zip(one.parameters(), two.parameters(), strict=True):
        assert torch.equal(first, second)


def test_no_stage_reads_held_out_episodes_or_privileged_positions(
    model: CompactPredictor, data: Recordings, tmp_path: Path
) -> None:
    latents = data.latents.clone()
    latents[data.rows(data.held_out)] = 7.0
    other = _trained(replace(data, latents=latents, objects=None), tmp_path)
    for first, second in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(first, second)


@pytest.mark.parametrize("stage", ["code", "arm", "dynamics", "value", "reachability"])
def test_a_run_killed_in_any_stage_goes_on_to_the_same_weights(
    data: Recordings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    brief = CompactTraining(
        code=CodeTraining(steps=3),
        arm=ArmTraining(steps=4),
        dynamics=EnsembleTraining(steps=5),
        value=ValueTraining(steps=6),
        reachability=ReachabilityTraining(steps=7),
    )
    whole = _trained(data, tmp_path / "whole", brief)
    reference = torch.get_rng_state()
    with monkeypatch.context() as patch:
        patch.setattr(TrainingLog, "write", _killed_in(stage))
        with pytest.raises(KeyboardInterrupt):
            _trained(data, tmp_path / "killed", brief)
    steps: list[TrainingLog] = []
    with monkeypatch.context() as patch:
        patch.setattr(TrainingLog, "advance", lambda log: steps.append(log))
        resumed = _trained(data, tmp_path / "killed", brief)
    assert (
        len(steps) == {"code": 25, "arm": 22, "dynamics": 18, "value": 13, "reachability": 7}[stage]
    )
    assert not resumed.training
    finished = _trained(data, tmp_path / "killed", brief)
    for name, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name
        assert torch.equal(finished.state_dict()[name], value), name
    assert torch.equal(torch.get_rng_state(), reference)
    logs = [(tmp_path / name / "metrics.jsonl").read_text() for name in ("whole", "killed")]
    assert logs[0] == logs[1]


def _killed_in(stage: str) -> Callable[[TrainingLog, int, Mapping[str, float]], None]:
    """A log that is interrupted by the first figures of a stage."""
    write = TrainingLog.write

    def interrupted(log: TrainingLog, step: int, figures: Mapping[str, float]) -> None:
        write(log, step, figures)
        if any(name.startswith(stage) for name in figures):
            raise KeyboardInterrupt

    return interrupted


def test_windows_longer_than_every_episode_are_refused(data: Recordings) -> None:
    with pytest.raises(UserError, match="at least 31 frames"):
        data.rows(data.train, 31)
