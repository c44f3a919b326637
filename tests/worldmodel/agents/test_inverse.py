"""An inverse model acts without a search, told how many blocks are left; untrained it does not."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from worldmodel.agents.inverse import inverse_agent
from worldmodel.agents.planner import Bounds
from worldmodel.agents.task import TaskConfig
from worldmodel.encoders.frozen import FrozenEncoder
from worldmodel.encoders.lewm import LewmEncoder, LewmEncoderConfig
from worldmodel.errors import UserError
from worldmodel.predictors.lewm import LewmPredictor, LewmPredictorConfig
from worldmodel.predictors.lewm_world import LewmWorld
from worldmodel.predictors.vector_world import VectorWorld

TASK = TaskConfig(name="two_room", world_energy=(), active_dims=(0,))
BOUNDS = Bounds(*(torch.tensor([end, end]) for end in (-0.1, 0.1, 0.0)))
SIDE = 16


@pytest.fixture
def world() -> LewmWorld:
    torch.manual_seed(0)
    encoder = LewmEncoderConfig(
        image_size=SIDE, width=12, depth=1, heads=2, latent_width=6, projection_width=8
    )
    sizes = LewmPredictorConfig(latent_width=6, stride=2, width=8, depth=1, heads=2, head_width=4)
    predictor = LewmPredictor(replace(sizes, inverse_width=16, inverse_ahead=4))
    predictor.inverse.trained.fill_(True)
    return LewmWorld(FrozenEncoder(LewmEncoder(encoder)), predictor)


def test_blocks_are_carried_out_and_counted_down_anew_in_every_episode(
    world: LewmWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[int] = []

    def inverse(self: object, latents: Tensor, goals: Tensor, left: Tensor) -> Tensor:
        assert latents.shape == goals.shape == (3, 6)
        told.append(int(left.unique()))
        return torch.tensor([[0.05, 0.05, -5.0, -5.0]]).expand(3, -1)

    monkeypatch.setattr(type(world.predictor.inverse), "forward", inverse)
    agent = inverse_agent(world, TASK, BOUNDS, ahead=5)  # control steps: three blocks of two
    frames, goals = torch.randint(0, 256, (2, 3, SIDE, SIDE, 3), dtype=torch.uint8)
    for _ in range(2):
        agent.reset(goals)
        acted = [agent.act(frames, torch.zeros(3, 0)) for _ in range(9)]
        assert [record.step for record in agent.records] == [0, 2, 4, 6, 8]
        for number, actions in enumerate(acted):  # within bounds, and at rest where it may not act
            expected = torch.tensor([[-0.1 if number % 2 else 0.05, 0.0]]).expand(3, -1)
            torch.testing.assert_close(actions, expected)
    assert told == [3, 2, 1, 1, 1] * 2


def test_a_world_without_a_trained_one_is_refused(
    world: LewmWorld, tiny_world: VectorWorld
) -> None:
    world.predictor.inverse.trained.fill_(False)
    world.checkpoint = "runs/world"
    with pytest.raises(UserError, match=r"untrained one in runs/world.*init=runs/world"):
        inverse_agent(world, TASK, BOUNDS, ahead=5)
    with pytest.raises(UserError, match="Expected a world of predictor=lewm"):
        inverse_agent(tiny_world, TASK, BOUNDS, ahead=5)
