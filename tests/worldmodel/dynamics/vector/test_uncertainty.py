"""Trained uncertainties tell where imagination errs, each in its own way.

The world: two numbers that follow two actions. To the right of 0 they are shaken at random, so no
model can follow; to the left they are not.
"""

from __future__ import annotations

from pathlib import Path as Folder

import numpy as np
import pytest
import torch

from worldmodel.dynamics.recordings import Recordings
from worldmodel.dynamics.vector.run import TrainingRun
from worldmodel.dynamics.vector.uncertainty import UncertaintyTraining, train_uncertainty
from worldmodel.predictors.imagination import calibrated_uncertainties, imagine, imagined_path
from worldmodel.predictors.proprioception import StateLayout
from worldmodel.predictors.uncertainty import Path
from worldmodel.predictors.vector import VectorPredictor, VectorPredictorConfig
from worldmodel.training_log import TrainingLog

EPISODES, LENGTH, K = 60, 30, 4
SIZES = VectorPredictorConfig(
    tokens=1,
    token_width=2,
    action_width=2,
    state_width=1,
    states=StateLayout(composed=False),
    object_width=2,
    stride=1,
    head_width=48,
)


class Follows(torch.nn.Module):
    """Dynamics that know all but the shaking."""

    def forward(
        self, codes: torch.Tensor, features: torch.Tensor, actions: torch.Tensor
    ) -> torch.Tensor:
        return codes + 0.3 * actions


@pytest.fixture(scope="module")
def data() -> Recordings:
    noise = torch.Generator().manual_seed(0)
    codes = torch.zeros(EPISODES, LENGTH, 2)
    actions = torch.randn(EPISODES, LENGTH, 2, generator=noise)
    codes[:, 0] = 2 * torch.rand(EPISODES, 2, generator=noise) - 1
    for t in range(LENGTH - 1):
        here = codes[:, t]
        actions[:, t] -= 0.5 * here
        shaking = torch.where(here[:, :1] > 0, 0.5, 0.02)
        shaken = shaking * torch.randn(EPISODES, 2, generator=noise)
        codes[:, t + 1] = here + 0.3 * actions[:, t] + shaken
    return Recordings(
        codes.flatten(0, 1)[:, None],
        actions.flatten(0, 1),
        torch.zeros(EPISODES * LENGTH, 1),
        np.arange(EPISODES, dtype=np.int64) * LENGTH,
        np.full(EPISODES, LENGTH, np.int64),
        np.arange(EPISODES - 6, dtype=np.int64),
        np.arange(EPISODES - 6, EPISODES, dtype=np.int64),
    )


def _run(data: Recordings, folder: Folder) -> TrainingRun:
    torch.manual_seed(0)
    model = VectorPredictor(SIZES)
    model.dynamics = Follows()
    model.state_features.fit(data.states)
    log = TrainingLog(folder, "uncertainties", total=1)
    run = TrainingRun(model, data, torch.Generator().manual_seed(0), log)
    run.latents = run.goal_latents = torch.cat([data.latents[:, 0], run.features], -1)
    return run


@pytest.fixture(scope="module")
def run(data: Recordings, tmp_path_factory: pytest.TempPathFactory) -> TrainingRun:
    run = _run(data, tmp_path_factory.mktemp("run"))
    train_uncertainty(run, UncertaintyTraining(steps=600, batch=128))
    return run


@pytest.fixture(scope="module")
def frames(data: Recordings) -> torch.Tensor:
    return data.rows(data.held_out, K + 1)[:, None] + torch.arange(K + 1)


@pytest.fixture(scope="module")
def recorded(run: TrainingRun, frames: torch.Tensor) -> Path:
    return Path(run.object_latents[frames], run.features[frames], run.actions(frames[:, :-1]))


def _rise(run: TrainingRun, name: str, recorded: Path, changed: Path) -> float:
    """By how much an uncertainty rises on average, in its own standard deviations."""
    with torch.no_grad():
        usual, now = (run.model.uncertainties.learned[name](path) for path in (recorded, changed))
    return float((now - usual).mean() / usual.std())


def test_the_expected_error_is_about_the_true_one(
    run: TrainingRun, data: Recordings, frames: torch.Tensor
) -> None:
    with torch.no_grad():
        rollout = imagine(run.model, *data.question(run.latents, frames, 1))
        expected = calibrated_uncertainties(run.model)["error"].uncertainty(rollout).squeeze(1)
        path = imagined_path(run.model, rollout)
    missed = (path.codes.squeeze(1) - run.object_latents[frames])[:, 1:].square().mean(-1)
    for k in range(K):
        sure, unsure = (half for half in expected[:, k].argsort().tensor_split(2))
        assert missed[unsure, k].mean() > 3 * missed[sure, k].mean()
        assert 0.5 < expected[:, k].mean() / missed[:, k].mean() < 2.0


def test_jumps_that_the_data_do_not_show_are_improbable(run: TrainingRun, recorded: Path) -> None:
    codes = recorded.codes.clone()
    codes[:, 1:] += 2.0 * torch.arange(1, K + 1)[:, None]
    assert _rise(run, "density", recorded, recorded._replace(codes=codes)) > 1.0


def test_a_rollout_that_drifts_is_not_where_a_leap_lands(run: TrainingRun, recorded: Path) -> None:
    codes = recorded.codes + torch.linspace(0, 2, K + 1)[:, None]
    assert _rise(run, "leap", recorded, recorded._replace(codes=codes)) > 0.5


def test_no_steps_leave_the_heads_as_they_were(data: Recordings, tmp_path: Folder) -> None:
    run = _run(data, tmp_path)
    before = [p.clone() for p in run.model.uncertainties.parameters()]
    train_uncertainty(run, UncertaintyTraining(steps=0))
    for old, new in zip(before, run.model.uncertainties.parameters(), strict=True):
        assert torch.equal(old, new)


def test_only_the_heads_are_trained(data: Recordings, tmp_path: Folder) -> None:
    run = _run(data, tmp_path)
    before = {n: p.clone() for n, p in run.model.named_parameters()}
    train_uncertainty(run, UncertaintyTraining(steps=2))
    changed = {
        name.split(".")[0]
        for name, p in run.model.named_parameters()
        if not torch.equal(p, before[name])
    }
    assert changed == {"uncertainties"}
