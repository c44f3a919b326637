"""The search that V-JEPA 2-AC was published with, to compare with and not to improve on.

CEM as in arXiv:2506.09985, §4.2, with the settings and the order of operations of its released code
(github.com/facebookresearch/vjepa2, notebooks/utils): xyz and gripper are searched, rotation stays
zero; candidates are clipped to a box; mean and deviation of the elites of *this* round move the
Gaussian by their momenta; the plan is its final mean, with small gripper actions rounded to none.
Every plan starts afresh. The energy that goes with it is the L1 distance at the last step.

What is added changes no plan of the published setting: episodes are solved in a batch, the box
never leaves the action bounds, NaN is never elite, a deadline ends the search early, and the final
mean is evaluated once, so that its energy can be told. ``CEM`` is the better search.

Shapes: see ``planners.protocols``.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor

from worldmodel.planners.box import ActionBox
from worldmodel.planners.problem import Plan, Problem, count_nonfinite
from worldmodel.planners.settings import (
    CHECKED,
    Horizon,
    Iterations,
    Positive,
    Several,
    Share,
    no_more_than,
)
from worldmodel.planners.timing import Countdown, Pace, Stopwatch

__all__ = ["VJEPA2AC", "VJEPA2ACConfig", "VJEPA2ACState"]

_WIDTH = 7  # xyz, Euler angles, gripper
_SEARCHED = (0, 1, 2, 6)
_GRIPPER = 3  # among those searched


@dataclass(frozen=True, config=CHECKED)
class VJEPA2ACConfig:
    """Settings; the defaults are the published ones.

    Attributes:
        samples: Candidates per iteration.
        iterations: Rounds of sampling, evaluating and refitting.
        elites: Best candidates of a round that the Gaussian is moved towards.
        horizon: Control steps looked ahead; a multiple of the world's stride.
        box: Largest displacement per axis and step, m; the first standard deviation as well.
        gripper_box: Largest change of the gripper per step; its first deviation is 1.
        momentum_mean: Share of the old mean that is kept.
        momentum_std: Share of the old standard deviation that is kept.
        gripper_momentum_mean: The same for the gripper's mean.
        gripper_momentum_std: The same for its standard deviation.
        gripper_threshold: Gripper actions smaller than this become none.
        receding_horizon: Steps of a plan carried out before planning again.
    """

    samples: Several = 800
    iterations: Iterations = 10
    elites: Several = 10
    horizon: Horizon = 1
    box: Positive = 0.075
    gripper_box: Positive = 0.75
    momentum_mean: Share = 0.15
    momentum_std: Share = 0.75
    gripper_momentum_mean: Share = 0.15
    gripper_momentum_std: Share = 0.15
    gripper_threshold: Share = 0.25
    receding_horizon: Horizon = 1

    @property
    def active_dims(self) -> tuple[int, ...]:
        """Dimensions that are searched: no rotation."""
        return _SEARCHED

    def __post_init__(self) -> None:
        no_more_than(self, elites="samples", receding_horizon="horizon")


class VJEPA2ACState(NamedTuple):
    """All that a plan leaves to the next: of what it found, nothing.

    Attributes:
        batch: Episodes.
        pace: How long searches take.
    """

    batch: int
    pace: Pace = Pace()


class VJEPA2AC:
    """The search that V-JEPA 2-AC was published with (arXiv:2506.09985, §4.2).

    Args:
        config: Settings.
        low: Lower action bounds ``[7]``, physical units; their device is the planner's.
        high: Upper action bounds ``[7]``.
    """

    def __init__(self, config: VJEPA2ACConfig, low: Tensor, high: Tensor) -> None:
        if low.shape != (_WIDTH,) or high.shape != (_WIDTH,):
            raise ValueError(
                f"Expected bounds of {_WIDTH} actions (xyz, Euler angles, gripper), got {low} and "
                f"{high}; plan with planner=cem in other action spaces"
            )
        ActionBox(low, high, ())  # that they are bounds, around the rest that rotations stay at
        self.config = config
        box = low.new_tensor([config.box] * 3 + [config.gripper_box])
        searched = list(_SEARCHED)
        self._low, self._high = low[searched].maximum(-box), high[searched].minimum(box)
        # As published where bounds are alike both ways; else as far as the farther one.
        farthest = self._high.maximum(-self._low)
        self._std = torch.cat([farthest[:_GRIPPER], low.new_ones(1)])
        self._keep_mean = low.new_tensor(
            [config.momentum_mean] * 3 + [config.gripper_momentum_mean]
        )
        self._keep_std = low.new_tensor([config.momentum_std] * 3 + [config.gripper_momentum_std])

    @property
    def receding_horizon(self) -> int:
        """Steps of a plan to carry out before planning again."""
        return self.config.receding_horizon

    def init(self, batch: int, after: VJEPA2ACState | None = None) -> VJEPA2ACState:
        """The number of episodes."""
        return VJEPA2ACState(batch, Pace() if after is None else after.pace)

    def shift(self, state: VJEPA2ACState, steps: int) -> VJEPA2ACState:
        """The same: nothing is carried over."""
        return state

    @torch.inference_mode()
    def plan(
        self,
        problem: Problem,
        state: VJEPA2ACState,
        *,
        generator: torch.Generator,
        deadline: float | None = None,
        profile: bool = False,
    ) -> tuple[Plan, VJEPA2ACState]:
        """Search; see ``planners.problem.Planner.plan``. The plan is the mean, not the best.

        That mean is what no deadline leaves out: one more rollout, of a single candidate.

        Raises:
            FloatingPointError: Also where the mean's own energy is not finite.
        """
        problem.check_horizon(self.config.horizon)
        config, device = self.config, problem.latents.device
        countdown, watch = Countdown(device, deadline, state.pace), Stopwatch(device, profile)
        mean = self._low.new_zeros(len(problem.latents), config.horizon, len(_SEARCHED))
        std = self._std.expand_as(mean)
        lowest: list[Tensor] = []
        finite: list[Tensor] = []
        worthwhile = countdown.allows_search()
        for _ in range(config.iterations):
            if not worthwhile or not countdown.allows_another():
                break
            candidates = mean[:, None] + std[:, None] * self._noise(generator)
            candidates = candidates.clamp(self._low, self._high)
            watch.lap("update")
            tried = problem.begin(_whole(candidates))
            trajectory = problem.imagine(tried)
            watch.lap("rollout")
            energy, _ = problem.judge(trajectory)
            watch.lap("energy")
            valid = torch.isfinite(energy)
            best, index = energy.masked_fill(~valid, torch.inf).topk(config.elites, largest=False)
            elites = candidates.take_along_dim(index[:, :, None, None], 1)
            fitted, spread = _moments(elites, torch.isfinite(best))
            mean = fitted.lerp(mean, self._keep_mean)
            std = spread.lerp(std, self._keep_std)
            lowest.append(best[:, 0])
            finite.append(valid.sum(1))
            watch.lap("update")
        else:
            countdown.allows_another()  # notes what the last one took
        state = state._replace(pace=countdown.pace)
        if not finite:
            unknown = mean.new_full((len(mean),), torch.inf)
            rest = problem.begin(_whole(mean)[:, None])[:, 0]
            return Plan(rest, unknown, {}, unknown[:, None][:, :0], 0), state

        small = mean[..., _GRIPPER].abs() < config.gripper_threshold
        mean[..., _GRIPPER] = mean[..., _GRIPPER].masked_fill(small, 0.0)
        mean = mean.clamp(self._low, self._high)  # a mean can round out of them
        actions = problem.begin(_whole(mean)[:, None])
        own = problem.imagine(actions)
        energy, terms = problem.judge(own)
        watch.lap("rollout")
        # Fetched together, the only wait for the device.
        *searched, known = torch.stack([*finite, torch.isfinite(energy).sum(1)]).cpu()
        nonfinite = count_nonfinite(
            torch.stack(searched, 1), config.samples * len(finite) * len(mean)
        )
        if lost := (known == 0).nonzero().flatten().tolist():
            raise FloatingPointError(
                f"The mean of the elites, which is the plan, has no finite energy in episodes "
                f"{lost}; plan with planner=cem, whose plan is the best that was evaluated"
            )
        plan = Plan(
            actions[:, 0],
            energy[:, 0],
            {name: term[:, 0] for name, term in terms.items()},
            torch.stack(lowest, 1).cummin(1).values,
            nonfinite,
            watch.seconds,
        )
        return plan, state

    def _noise(self, generator: torch.Generator) -> Tensor:
        # Drawn step by step as published, and shared by all episodes.
        shape = (self.config.samples, len(_SEARCHED))
        device, dtype = self._low.device, self._low.dtype
        drawn = [
            torch.randn(shape, generator=generator, device=device, dtype=dtype)
            for _ in range(self.config.horizon)
        ]
        return torch.stack(drawn, 1)


def _whole(searched: Tensor) -> Tensor:
    """Actions ``[..., 7]`` of what is searched ``[..., 4]``: no rotation."""
    rest = searched.new_zeros(*searched.shape[:-1], 3)
    return torch.cat([searched[..., :_GRIPPER], rest, searched[..., _GRIPPER:]], -1)


def _moments(elites: Tensor, vote: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and unbiased deviation ``[B, H, 4]`` of elites ``[B, E, H, 4]`` that may vote."""
    weight = vote.to(elites.dtype)[:, :, None, None]
    count = weight.sum(1)
    mean = (weight * elites).sum(1) / count.clamp(min=1)
    variance = (weight * (elites - mean[:, None]).square()).sum(1) / (count - 1).clamp(min=1)
    return mean, variance.sqrt()
