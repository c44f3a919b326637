"""What the commands know of a task: its name, its budget and how its goals are pursued."""

from __future__ import annotations

from dataclasses import dataclass

from omegaconf import MISSING

from worldmodel.errors import UserError, nearest
from worldmodel.predictors.doubts import TERMS

__all__ = ["TaskConfig"]

ENERGIES = ("latent", "value")


@dataclass(frozen=True)
class TaskConfig:
    """A task and how its goals are pursued.

    Attributes:
        name: Task of ``envs``.
        budget_steps: Control steps in which to act.
        hold_steps: Steps at rest after them, before success is judged.
        energy: E_goal: ``latent`` distance, or the hindsight ``value``.
        goal_arm: Whether the arm's place in the goal image counts for value and prior.
        goal_weight: λ of E_world + λ·E_goal.
        world_energy: Terms whose mean is E_world (`worldmodel.predictors.doubts`); () for none.
        prior: Whether the policy prior proposes candidates.
        horizon: Control steps that planners look ahead.
        search_std: Spread of the planner's first candidates, as a share of half the action range.
        warm_start: Whether a plan starts from the rest of the last one.
        stage_steps: Control steps spent on each sub-goal image but the last; () uses the goal only.
        active_dims: Action dimensions that planners search over.
    """

    name: str = MISSING
    budget_steps: int = 40
    hold_steps: int = 3
    energy: str = "latent"
    goal_arm: bool = False
    goal_weight: float = 1.0
    world_energy: tuple[str, ...] = ("disagreement",)
    prior: bool = False
    horizon: int = 8
    search_std: float = 0.35
    warm_start: bool = True
    stage_steps: tuple[int, ...] = ()
    active_dims: tuple[int, ...] = (0, 1, 2)

    def __post_init__(self) -> None:
        if self.energy not in ENERGIES:
            raise ValueError(f"Expected task.energy latent or value, got '{self.energy}'")
        for name in self.world_energy:
            if name not in TERMS:
                raise UserError(f"unknown task.world_energy '{name}'; {nearest(name, TERMS)}")
        if self.budget_steps < 1 or self.hold_steps < 0:
            raise ValueError(
                "Expected task.budget_steps of at least 1 and task.hold_steps of at least 0, got "
                f"{self.budget_steps} and {self.hold_steps}"
            )
