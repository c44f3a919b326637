"""Receding-horizon control of a batch of episodes: look, plan, act for a few steps, look again."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Generic, TypeVar

import torch
from torch import Tensor

from worldmodel.planners import clock
from worldmodel.planners.problem import Objective, Plan, Planner, Problem
from worldmodel.planners.protocols import Watchful, World
from worldmodel.planners.timing import synchronize

__all__ = ["Agent", "PlanRecord"]

StateT = TypeVar("StateT")


@dataclass(frozen=True)
class PlanRecord:
    """One plan of an episode batch.

    Attributes:
        step: Control step at which it was made.
        total_ms: Wall time from frames in to actions out.
        encode_ms: Of that, encoding frames.
        plan_ms: Of that, searching.
        plan: The plan; its ``timings`` split the search further if the agent profiles.
        strangeness: Of each episode: how unlike training frames the goal or what was seen is, at
            most; more than 1 is not to be relied on. 0 where the world does not say.
    """

    step: int
    total_ms: float
    encode_ms: float
    plan_ms: float
    plan: Plan
    strangeness: tuple[float, ...] = ()


@dataclass
class _Episode(Generic[StateT]):
    """All that changes while acting; a reset replaces it whole."""

    images: Tensor
    generator: torch.Generator
    planner_state: StateT
    strangeness: Tensor
    goals: Tensor | None = None
    objective: Objective | None = None
    stage: int = -1
    step: int = 0
    planned: int = 0
    looked: float = 0.0
    latents: list[Tensor] = field(default_factory=list[Tensor])
    states: list[Tensor] = field(default_factory=list[Tensor])
    actions: Tensor | None = None
    records: list[PlanRecord] = field(default_factory=list[PlanRecord])


class Agent(Generic[StateT]):
    """Drives B episodes towards goal images, in step.

    It knows no task: ``objective`` turns goal latents ``[B, N, D]`` into energies and a prior. It
    decides for B episodes as B agents with the same seed would decide for one each.

    Args:
        world: World model.
        planner: Search.
        objective: Called with the goal latents, once per goal.
        context: Frames the world is shown; the first frame is repeated until there are as many.
        stage_steps: With sub-goals, how many control steps each but the last is pursued.
        budget_s: Seconds from frames in to actions out; the search stops in time. None: no limit.
        profile: Split the search time further.
        compiled: Plan with what ``torch.compile`` makes of world and energy. The first plan then
            has no limit, for it compiles.
        device: Where frames and states are moved.
    """

    def __init__(
        self,
        world: World,
        planner: Planner[StateT],
        objective: Callable[[Tensor], Objective],
        *,
        context: int = 1,
        stage_steps: Sequence[int] = (),
        budget_s: float | None = None,
        profile: bool = False,
        compiled: bool = False,
        device: torch.device | str = "cpu",
    ) -> None:
        if context < 1:
            raise ValueError(f"Expected a context of at least 1 frame, got {context}")
        if budget_s is not None and not 0 <= budget_s < math.inf:
            raise ValueError(f"Expected a finite budget of at least 0 s, or None, got {budget_s}")
        self._world = world
        self._planner = planner
        self._objective = objective
        self._context = context
        self._stage_ends = list(accumulate(stage_steps))
        self._budget_s = budget_s
        self._profile, self._compiled, self._compiling = profile, compiled, compiled
        self._device = torch.device(device)
        self._episode: _Episode[StateT] | None = None

    @property
    def records(self) -> list[PlanRecord]:
        """The plans made since the last reset."""
        return self._running().records

    @torch.no_grad()
    def reset(self, goal_frames: Tensor, *, seed: int = 0) -> None:
        """Forget everything and take up new goals.

        For as many episodes as before, how long plans take is remembered.

        Args:
            goal_frames: ``uint8 [B, h, w, 3]``, or sub-goals in order ``[B, G, h, w, 3]``.
            seed: Of the search.
        """
        frames = goal_frames[:, None] if goal_frames.ndim == 4 else goal_frames
        if frames.ndim != 5 or frames.shape[1] != len(self._stage_ends) + 1:
            raise ValueError(
                f"Expected {len(self._stage_ends) + 1} goal image(s) per episode, as frames "
                f"[B,h,w,3] or [B,G,h,w,3], got {list(goal_frames.shape)}; "
                "give a number of steps in stage_steps for each sub-goal but the last"
            )
        last, alike = self._episode, None
        if last is not None and len(last.images) == len(frames):
            alike = last.planner_state
        images = self._world.encode(frames.to(self._device))
        self._episode = _Episode(
            images=images,
            strangeness=self._strangeness(images),
            generator=torch.Generator(self._device).manual_seed(seed),
            planner_state=self._planner.init(len(frames), alike),
        )

    @torch.no_grad()
    def act(self, frames: Tensor, states: Tensor) -> Tensor:
        """The next action of each episode.

        Args:
            frames: What the camera shows, ``uint8 [B, h, w, 3]``.
            states: Proprioception ``[B, P]``, physical units.

        Returns:
            Actions ``float32 [B, A]`` within the bounds, on the CPU.
        """
        episode = self._running()
        turn = episode.step % self._planner.receding_horizon
        if turn == 0 or self._context > 1:
            self.look(frames, states)
        if turn == 0:
            episode.actions = self.plan(episode.step).actions.float().cpu()
        episode.step += 1
        assert episode.actions is not None
        return episode.actions[:, turn]

    @torch.no_grad()
    def look(self, frames: Tensor, states: Tensor, at: float | None = None) -> None:
        """Take in what the camera shows, as in `act`, without deciding anything.

        Args:
            frames: ``uint8 [B, h, w, 3]``.
            states: ``[B, P]``.
            at: When it was seen, a ``time.perf_counter()`` reading; None for now.

        Raises:
            ValueError: The frames are not of as many episodes as there are goals.
        """
        episode = self._running()
        if len(frames) != len(episode.images):
            raise ValueError(
                f"Expected frames of {len(episode.images)} episodes, as many as goals, "
                f"got {list(frames.shape)}"
            )
        episode.looked = clock.now() if at is None else at
        seen = self._world.encode(frames[:, None].to(self._device))
        if episode.goals is None:
            episode.goals = self._world.project(episode.images, seen[:, 0])
        episode.strangeness = torch.maximum(episode.strangeness, self._strangeness(seen))
        latents = self._world.project(seen, episode.images[:, -1])
        new = self._context if not episode.latents else 1
        episode.latents += [latents] * new
        episode.states += [states[:, None].to(self._device)] * new
        del episode.latents[: -self._context], episode.states[: -self._context]

    @torch.no_grad()
    def plan(self, step: int, committed: Tensor | None = None, *, limited: bool = True) -> Plan:
        """Plan from what was seen last, at a control step, and record it.

        The time it has to do so began with that look.

        Args:
            step: When that was.
            committed: What is done from there on in any case, ``[B, d, A]``.
            limited: Keep the budget, if there is one.
        """
        episode = self._running()
        synchronize(self._device)
        encoded = clock.now()
        stage = bisect_right(self._stage_ends, step)
        assert episode.goals is not None
        if episode.objective is None or stage != episode.stage:
            episode.objective, episode.stage = self._objective(episode.goals[:, stage]), stage
        problem = Problem(
            self._world,
            torch.cat(episode.latents, 1),
            torch.cat(episode.states, 1),
            episode.objective.energy,
            episode.objective.proposal,
            episode.goals[:, stage],
            None if committed is None else committed.to(self._device),
            self._compiled,
            episode.objective.referee,
        )
        if self._budget_s is None or self._compiling:
            deadline = None
        else:  # no limit, too, is measured, for the plans that follow
            deadline = episode.looked + (self._budget_s if limited else math.inf)
        state = episode.planner_state
        if episode.records:
            state = self._planner.shift(state, step - episode.planned)
        plan, episode.planner_state = self._planner.plan(
            problem,
            state,
            generator=episode.generator,
            deadline=deadline,
            profile=self._profile,
        )
        self._compiling = False
        episode.planned = step
        synchronize(self._device)
        done = clock.now()
        episode.records.append(
            PlanRecord(
                step=step,
                total_ms=1e3 * (done - episode.looked),
                encode_ms=1e3 * (encoded - episode.looked),
                plan_ms=1e3 * (done - encoded),
                plan=plan,
                strangeness=tuple(episode.strangeness.tolist()),
            )
        )
        return plan

    def _strangeness(self, latents: Tensor) -> Tensor:
        """Of the strangest of each episode's encoded frames ``[B, T, N, D]``, ``[B]``."""
        if not isinstance(self._world, Watchful):
            return torch.zeros(len(latents))
        return self._world.strangeness(latents).amax(1)

    def _running(self) -> _Episode[StateT]:
        if self._episode is None:
            raise RuntimeError("The agent has no goal yet; call `reset(goal_frames)` first")
        return self._episode
