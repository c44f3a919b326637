"""Torques move joints through a speed that no picture shows; the state model learns both."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from worldmodel.dynamics.recordings import Recordings
from worldmodel.dynamics.state_model import StateModelTraining, state_errors, state_losses
from worldmodel.dynamics.vector.proprio import ProprioTraining, train_proprio
from worldmodel.dynamics.vector.run import TrainingRun
from worldmodel.predictors.proprioception import StateLayout
from worldmodel.predictors.vector import VectorPredictor, VectorPredictorConfig
from worldmodel.spec import ActionSpec, CameraSpec, Spec, StateSpec
from worldmodel.training_log import TrainingLog

EPISODES, LENGTH = 40, 30
SPEC = Spec(
    ActionSpec(("torque",), (-1.0,), (1.0,), (0.0,), "torque"),
    StateSpec(("joint", "speed"), periodic=("joint",)),
    (CameraSpec("front", 8, 8),),
)


@pytest.fixture(scope="module")
def data() -> Recordings:
    """A pendulum without gravity; tokens show sine and cosine of its joint."""
    rng = np.random.default_rng(0)
    torques = rng.uniform(-1, 1, (EPISODES, LENGTH, 1))
    speed, joint = np.zeros((EPISODES, 1)), rng.uniform(-np.pi, np.pi, (EPISODES, 1))
    states = np.zeros((EPISODES, LENGTH, 2))
    for step in range(LENGTH):
        states[:, step] = np.concatenate([(joint + np.pi) % (2 * np.pi) - np.pi, speed], 1)
        speed = 0.8 * speed + 0.5 * torques[:, step]
        joint = joint + speed
    rows = torch.from_numpy(states.reshape(-1, 2)).float()
    shown = torch.stack([rows[:, 0].sin(), rows[:, 0].cos()], -1)
    lengths = np.full(EPISODES, LENGTH)
    order = np.arange(EPISODES)
    return Recordings(
        shown[:, None, :].repeat(1, 4, 1),
        torch.from_numpy(torques.reshape(-1, 1)).float(),
        rows,
        np.cumsum(lengths) - lengths,
        lengths,
        order[:30],
        order[30:],
        spec=SPEC,
    )


@pytest.fixture(scope="module")
def model(data: Recordings) -> VectorPredictor:
    torch.manual_seed(0)
    sizes = VectorPredictorConfig(
        tokens=4,
        token_width=2,
        action_width=1,
        state_width=2,
        states=StateLayout(composed=False, angles=(0,)),
        stride=1,
        width=8,
        depth=1,
        head_width=8,
        prior_width=8,
        proprio_width=32,
        state_model_width=64,
        memory=8,
    )
    made = VectorPredictor(sizes)
    rows = data.rows(data.train)
    made.scale_actions.fit(data.actions[rows], data.rest)
    made.state_features.fit(data.states[rows], data.hidden or ())
    return made


def test_predicted_proprioception_beats_holding_still(
    model: VectorPredictor, data: Recordings
) -> None:
    assert model.state_model is not None
    config = StateModelTraining(steps=500, batch=128)
    losses = state_losses(model, data, config, 1, torch.Generator().manual_seed(0))
    optimiser = torch.optim.AdamW(model.state_model.parameters(), lr=3e-3)
    for _ in range(config.steps):
        optimiser.zero_grad()
        losses()["state"].backward()
        optimiser.step()
    found = state_errors(model, data, stride=1, steps=10)
    assert found is not None
    assert found.control_steps == tuple(range(1, 11))
    for error, held in zip(found.error, found.held, strict=True):
        assert error < 0.5 * held


def test_a_state_that_no_frame_shows_is_found_and_left_out_of_goals(
    model: VectorPredictor, data: Recordings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with TrainingLog(tmp_path, "test", total=400, start=0) as log:
        run = TrainingRun(model, data, torch.Generator().manual_seed(0), log)
        train_proprio(run, ProprioTraining(steps=400, batch=64, learning_rate=3e-3))
    assert "hidden states, which held-out frames do not show: speed" in capsys.readouterr().out
    assert model.state_features.visible.tolist() == [1.0, 1.0, 0.0]
    goals = model.proprio(model.encode(data.latents[:5], data.latents[:5]))
    assert not goals[:, 2].any()
    assert goals[:, :2].abs().sum() > 0
