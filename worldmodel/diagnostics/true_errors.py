"""True errors of imagined futures, measured beside an episode that goes on as it would.

Shapes: S candidates of which the first is the plan, H horizon, K imagined steps, A action.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from worldmodel.agents.policies import Policy
from worldmodel.diagnostics.recorder import Recorder
from worldmodel.envs.protocol import Simulator
from worldmodel.evaluation.crossed import RenderedWorld
from worldmodel.planners import PlanRecord
from worldmodel.predictors.vector import VectorPredictor
from worldmodel.predictors.vector_world import VectorWorld

__all__ = ["TRIVIAL", "Moment", "Watched"]

TRIVIAL = ("action_norm", "path_length", "step_index")
"""Predictors of the error that know nothing of the model."""


class Moment(NamedTuple):
    """One plan of an episode, with some of the candidates it was chosen from.

    Attributes:
        errors: Mean squared distance of imagined object latents to the true future's, ``[S, K]``.
        predictors: What might have told so beforehand, by name, ``[S, K]``.
    """

    errors: Tensor
    predictors: Mapping[str, Tensor]


class Watched:
    """An agent; at some of its plans, plan and candidates are carried out to see how they end.

    It fulfils ``worldmodel.agents.policies.Policy`` and decides as the agent alone would. Each
    candidate starts where the simulator is, and leaves it there.

    Args:
        agent: Plans for one episode, in the recorder.
        recorder: The world, as the agent sees it.
        world: That world.
        environment: The episode's simulator.
        every: Of so many plans the first is measured.
        candidates: Beside the plan, drawn from all that its search evaluated.
    """

    def __init__(
        self,
        agent: Policy,
        recorder: Recorder,
        world: VectorWorld,
        environment: Simulator,
        every: int,
        candidates: int,
    ) -> None:
        self._agent, self._recorder, self._world = agent, recorder, world
        self._truth = RenderedWorld(environment, world)
        self._every, self._candidates = every, candidates
        self.moments: list[Moment] = []

    @property
    def records(self) -> Sequence[PlanRecord]:
        """The agent's."""
        return self._agent.records

    def reset(self, goal_frames: Tensor, *, seed: int = 0) -> None:
        """Take up new goals, and forget what was measured."""
        self._agent.reset(goal_frames, seed=seed)
        images = goal_frames[:, None] if goal_frames.ndim == 4 else goal_frames
        self._look = self._world.encode(images[:, -1:])[:, 0]
        self._generator = torch.Generator().manual_seed(seed)
        self.moments = []

    def act(self, frames: Tensor, states: Tensor) -> Tensor:
        """The agent's action."""
        self._recorder.populations.clear()
        action = self._agent.act(frames, states)
        planned = bool(self._recorder.populations)
        if planned and (len(self.records) - 1) % self._every == 0:
            self.moments.append(self._measure(frames, states))
        return action

    @torch.inference_mode()
    def _measure(self, frames: Tensor, states: Tensor) -> Moment:
        plan, evaluated = self.records[-1].plan.actions, torch.cat(self._recorder.populations, 1)
        order = torch.randperm(evaluated.shape[1], generator=self._generator)
        actions = torch.cat([plan, evaluated[0, order[: self._candidates]]])[None]
        seen = self._world.encode(frames[:, None])
        context = self._world.project(seen, self._look), states[:, None]
        imagined = self._world.rollout(*context, actions)
        true = self._truth.rollout(*context, actions)
        model = self._world.predictor
        missed = model.object_latents(imagined.latents - true.latents).square().mean((-1, -2))[0]
        uncertainties = {
            name: known.uncertainty(imagined)[0]
            for name, known in self._world.uncertainties.items()
        }
        return Moment(missed, uncertainties | _trivial(model, actions[0], missed))


def _trivial(model: VectorPredictor, actions: Tensor, errors: Tensor) -> dict[str, Tensor]:
    """Norm of a step's scaled actions, its sum up to the step, and the step's number."""
    norms = model.scale_actions(actions).norm(dim=-1).unflatten(1, (errors.shape[1], -1)).sum(-1)
    steps = torch.arange(1.0, errors.shape[1] + 1).expand_as(errors)
    return dict(zip(TRIVIAL, (norms, norms.cumsum(-1), steps), strict=True))
