"""Training the vector predictor teaches it the world, the way to goals, and its uncertainty."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path

import pytest
import torch

from worldmodel.dynamics.recordings import Recordings
from worldmodel.dynamics.scaling import fit_scaling
from worldmodel.dynamics.state_model import StateModelTraining
from worldmodel.dynamics.validation import calibrate, open_loop
from worldmodel.dynamics.vector.ensemble import EnsembleTraining
from worldmodel.dynamics.vector.macros import MacrosTraining
from worldmodel.dynamics.vector.memory import remember
from worldmodel.dynamics.vector.object_latent import ObjectLatentTraining
from worldmodel.dynamics.vector.picture import PictureTraining
from worldmodel.dynamics.vector.prior import PriorTraining
from worldmodel.dynamics.vector.proprio import ProprioTraining
from worldmodel.dynamics.vector.reachability import ReachabilityTraining
from worldmodel.dynamics.vector.run import planning_latents
from worldmodel.dynamics.vector.scenes import ScenesTraining
from worldmodel.dynamics.vector.stages import VectorTraining, train_vector
from worldmodel.dynamics.vector.uncertainty import UncertaintyTraining
from worldmodel.dynamics.vector.value import ValueTraining
from worldmodel.errors import UserError
from worldmodel.finite import NotFiniteError, not_finite
from worldmodel.predictors.imagination import calibrated_uncertainties
from worldmodel.predictors.proprioception import StateLayout
from worldmodel.predictors.uncertainty import TERMS
from worldmodel.predictors.vector import VectorPredictor, VectorPredictorConfig
from worldmodel.training_log import TrainingLog
from worldmodel.training_state import TrainingState

pytestmark = pytest.mark.slow

SIZES = VectorPredictorConfig(
    tokens=4,
    token_width=8,
    action_width=1,
    state_width=1,
    states=StateLayout(composed=False),
    object_width=2,
    width=32,
    depth=2,
    sight_width=32,
    head_width=32,
    prior_width=32,
    macro_width=2,
    memory=64,
)
SHORT = VectorTraining(
    object_latent=ObjectLatentTraining(steps=800, batch=128),
    proprio=ProprioTraining(steps=100),
    scenes=ScenesTraining(steps=300, batch=256),
    state_model=StateModelTraining(steps=300),
    dynamics=EnsembleTraining(steps=250, batch=64),
    value=ValueTraining(steps=900, batch=128),
    prior=PriorTraining(steps=500, batch=128),
    uncertainty=UncertaintyTraining(steps=300, batch=64),
    macros=MacrosTraining(steps=400, batch=128),
    reachability=ReachabilityTraining(steps=500, batch=128),
)
# A glimpse needs a larger picture: see test_glimpse.py.
STAGES = [field.name for field in fields(SHORT) if field.name not in ("seed", "glimpse")]


def _trained(data: Recordings, folder: Path, config: VectorTraining = SHORT) -> VectorPredictor:
    torch.manual_seed(0)
    model = VectorPredictor(replace(SIZES, sight="grid") if config.picture.steps else SIZES)
    fit_scaling(model, data)
    train_vector(model, data, config, TrainingState(folder, {}))
    return model


def _latents(model: VectorPredictor, data: Recordings) -> torch.Tensor:
    return planning_latents(model, data.latents, data.last_rows())


def _codes(model: VectorPredictor, data: Recordings) -> torch.Tensor:
    return model.object_latents(_latents(model, data))


def _grounded(model: VectorPredictor, data: Recordings) -> torch.Tensor:
    return torch.cat([_codes(model, data), model.state_features(data.states)], -1)


def _goals(model: VectorPredictor, data: Recordings) -> torch.Tensor:
    return model.goals(_latents(model, data), with_proprio=False)


@pytest.fixture(scope="module")
def model(data: Recordings, tmp_path_factory: pytest.TempPathFactory) -> VectorPredictor:
    return _trained(data, tmp_path_factory.mktemp("run"))


def test_imagined_futures_beat_copying_the_last_frame(
    model: VectorPredictor, data: Recordings
) -> None:
    found = open_loop(model, data, _latents(model, data), windows=200)
    assert found.control_steps == (2, 4, 6, 8)
    for imagined, copied in zip(found.latent_error, found.copy_error, strict=True):
        assert imagined < 0.6 * copied


def test_value_falls_with_the_distance_to_the_goal(
    model: VectorPredictor, data: Recordings
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
    model: VectorPredictor, data: Recordings
) -> None:
    latents, goals = planning_latents(model, data.latents, data.last_rows()), _goals(model, data)
    assert data.objects is not None
    places = data.objects[:, 0]
    goal = int(places.argmax())
    with torch.no_grad():
        steps = model.steps(latents, goals[goal])
    distance = (places - places[goal]).abs()
    near, middle = (distance < 0.2), (distance > 0.5) & (distance < 0.9)
    assert steps[near].mean() + 1.5 < steps[middle].mean()
    assert steps[middle].mean() + 1.5 < steps[distance > 1.3].mean()


def test_the_prior_moves_towards_the_goal(model: VectorPredictor, data: Recordings) -> None:
    _moves_towards_goals(model, data)


def test_without_a_value_the_prior_learns_from_goals_ahead(
    data: Recordings, tmp_path: Path
) -> None:
    without = replace(
        SHORT,
        dynamics=replace(SHORT.dynamics, beta=0.1, bf16=True),
        value=ValueTraining(steps=0),
        prior=replace(SHORT.prior, temperature=0.0, ahead=True),
        uncertainty=UncertaintyTraining(steps=0),
        macros=MacrosTraining(steps=0),
        reachability=ReachabilityTraining(steps=0),
    )
    model = _trained(data, tmp_path, without)
    _moves_towards_goals(model, data)
    error = open_loop(model, data, _latents(model, data), steps=5)
    assert error.latent_error[-1] < 0.6 * error.copy_error[-1]


def _moves_towards_goals(model: VectorPredictor, data: Recordings) -> None:
    codes, goals = _codes(model, data), _goals(model, data)
    features = model.state_features(data.states)
    assert data.objects is not None
    places = data.objects[:, 0]
    middle = places.abs() < 0.2
    for goal, sign in ((int(places.argmax()), 1), (int(places.argmin()), -1)):
        there = goals[goal].expand(int(middle.sum()), -1)
        actions = model.prior(codes[middle], features[middle], there)
        assert float((sign * actions[:, 0]).detach().mean()) > 0.3


@torch.no_grad()
def test_macros_of_the_data_lead_where_its_actions_led_macro_after_macro(
    model: VectorPredictor, data: Recordings
) -> None:
    span, macros = SIZES.macro_steps, model.macros
    places, codes = _grounded(model, data), _codes(model, data)
    rows = data.rows(data.held_out, 3 * span + 1)
    now = places[rows]
    for k in range(1, 4):
        taken = rows[:, None] + (k - 1) * span + torch.arange(span)
        actions = model.scale_actions(data.actions[taken]).flatten(1)
        mean, _ = macros.distribution(places[rows + (k - 1) * span], actions)
        now = macros(now, mean)
        truth = codes[rows + k * span]
        error = (model.object_latents(now) - truth).square().mean()
        assert float(error) < 0.5 * float((codes[rows] - truth).square().mean())


@torch.no_grad()
def test_standard_normal_macros_lead_as_far_as_the_data_went(
    model: VectorPredictor, data: Recordings
) -> None:
    places = _grounded(model, data)
    rows = data.rows(data.train, SIZES.macro_steps + 1)
    generator = torch.Generator().manual_seed(0)
    macros = torch.randn(len(rows), SIZES.macro_width, generator=generator)
    imagined = (model.macros(places[rows], macros) - places[rows])[:, : SIZES.object_width]
    true = (places[rows + SIZES.macro_steps] - places[rows])[:, : SIZES.object_width]
    ratio = float(imagined.norm(dim=1).mean() / true.norm(dim=1).mean())
    assert 0.7 < ratio < 1.4


@torch.no_grad()
def test_the_macro_prior_leads_towards_the_goal(model: VectorPredictor, data: Recordings) -> None:
    places, goals = _grounded(model, data), _goals(model, data)
    assert data.objects is not None
    here = data.objects[:, 0].abs() < 0.2
    for goal in (int(data.objects[:, 0].argmax()), int(data.objects[:, 0].argmin())):
        macro = model.macros.prior(places[here], goals[goal].expand(int(here.sum()), -1))
        after = model.macros(places[here], macro)
        before, later = (
            (z - places[goal])[:, : SIZES.object_width].norm(dim=1).mean()
            for z in (places[here], after)
        )
        assert float(later) < 0.8 * float(before)


def test_without_steps_there_are_no_macros(data: Recordings, tmp_path: Path) -> None:
    brief = VectorTraining(
        object_latent=ObjectLatentTraining(steps=1),
        proprio=ProprioTraining(steps=1),
        scenes=ScenesTraining(steps=1),
        state_model=StateModelTraining(steps=2),
        dynamics=EnsembleTraining(steps=1),
        value=ValueTraining(steps=1),
        prior=PriorTraining(steps=1),
        reachability=ReachabilityTraining(steps=1),
        uncertainty=UncertaintyTraining(steps=1),
        macros=MacrosTraining(steps=0),
    )
    assert not _trained(data, tmp_path, brief).macros.trained


def test_what_is_remembered_are_moments_of_whole_training_episodes(
    model: VectorPredictor, data: Recordings
) -> None:
    remember(model, data, _codes(model, data))
    latents, rows = model.memory.recall()
    assert len(rows) == SIZES.memory
    assert torch.equal(latents, _grounded(model, data)[rows])
    apart = 2 * SIZES.stride
    assert rows[: 30 // apart].diff().eq(apart).all()
    assert not torch.isin(rows, data.rows(data.held_out)).any()


def test_a_typical_step_is_told_by_neighbours_that_are_remembered() -> None:
    model = VectorPredictor(SIZES)
    assert model.typical_step == 0  # nothing is remembered
    apart = 2 * SIZES.stride
    rows = torch.tensor([0, apart, 2 * apart, 500, 500 + apart])  # of two episodes
    moves = torch.tensor([0.0, 2.0, 4.0, 90.0, 92.0])[:, None].expand(-1, model.latent_width)
    model.memory.fill(moves, rows)
    assert model.typical_step == pytest.approx(1.0)  # half of what two steps change


def test_calibration_stores_the_held_out_quantiles(
    model: VectorPredictor, data: Recordings
) -> None:
    calibrate(model, data, _latents(model, data), windows=50)
    assert set(calibrated_uncertainties(model)) == set(TERMS)
    for name, known in calibrated_uncertainties(model).items():
        assert bool((known.q99 > known.q90).all()), name
    for name in ("disagreement", "error"):
        known = calibrated_uncertainties(model)[name]
        assert 0 < known.q90[0] < known.q90[3]


def test_the_same_seed_trains_the_same_model(data: Recordings, tmp_path: Path) -> None:
    one, two = _trained(data, tmp_path / "one"), _trained(data, tmp_path / "two")
    for first, second in zip(one.parameters(), two.parameters(), strict=True):
        assert torch.equal(first, second)


def test_no_stage_reads_held_out_episodes_or_privileged_positions(
    model: VectorPredictor, data: Recordings, tmp_path: Path
) -> None:
    latents = data.latents.clone()
    latents[data.rows(data.held_out)] = 7.0
    other = _trained(replace(data, latents=latents, objects=None), tmp_path)
    for first, second in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(first, second)


@pytest.mark.parametrize("stage", STAGES)
def test_a_run_killed_in_any_stage_goes_on_to_the_same_weights(
    data: Recordings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    brief = VectorTraining(
        object_latent=ObjectLatentTraining(steps=3),
        proprio=ProprioTraining(steps=4),
        scenes=ScenesTraining(steps=4),
        state_model=StateModelTraining(steps=2),
        dynamics=EnsembleTraining(steps=5),
        value=ValueTraining(steps=6),
        prior=PriorTraining(steps=10),
        reachability=ReachabilityTraining(steps=7),
        uncertainty=UncertaintyTraining(steps=8),
        macros=MacrosTraining(steps=9),
    )
    if stage == "picture":
        brief = replace(
            brief, object_latent=ObjectLatentTraining(steps=0), picture=PictureTraining(steps=3)
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
    left = STAGES[STAGES.index(stage) :]
    assert len(steps) == sum(getattr(brief, name).steps for name in left)
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


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_that_diverges_is_named_and_the_stages_before_it_are_kept(
    name: str, data: Recordings, tmp_path: Path
) -> None:
    stages = {name: replace(getattr(SHORT, name), steps=1, batch=16) for name in STAGES}
    stages[name] = replace(stages[name], learning_rate=1e30)
    unused = "object_latent" if name == "picture" else "picture"  # frames are read in one way
    stages[unused] = replace(stages[unused], steps=0)
    with pytest.raises(NotFiniteError, match=f"Training of stage {name} stopped at step 1: "):
        _trained(data, tmp_path, VectorTraining(**stages))
    saved = TrainingState(tmp_path, {}).load()
    before = list(asdict(VectorTraining())).index(name)
    assert (0 if saved is None else saved["stages"]) == before
    assert saved is None or not not_finite(saved)
