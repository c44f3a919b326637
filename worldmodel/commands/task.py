"""What the commands know of a task: its name, its budget and how its goals are pursued."""

from __future__ import annotations

from dataclasses import dataclass

from omegaconf import MISSING

from planners import METRICS, REDUCTIONS
from worldmodel.errors import UserError, nearest
from worldmodel.predictors.doubts import TERMS

__all__ = ["ENERGIES", "TaskConfig"]

ENERGIES = ("latent", "value", "reachability")


@dataclass(frozen=True)
class TaskConfig:
    """A task and how its goals are pursued.

    Attributes:
        name: Task of ``envs``.
        budget_steps: Control steps in which to act.
        hold_steps: Steps at rest after them, before success is judged.
        energy: E_goal: ``latent`` distance, the hindsight ``value``, or ``reachability``.
        metric: Of latent distance: ``l1``, ``l2`` or ``cosine``.
        reduce: Of latent distance over imagined steps: ``final``, ``sum`` or ``closest``.
        goal_arm: Whether the arm's place in the goal image counts for all that is learned.
        pessimism: Of the value, about what its critics do not agree on.
        goal_weight: λ of E_world + λ·E_goal.
        rescore: Best candidates of a round that all critics and terms judge, after one critic alone
            has put them first; 0 for all candidates. Of ``value`` only.
        world_energy: Terms whose mean is E_world (`worldmodel.predictors.doubts`); () for none.
        prior: Whether the policy prior proposes candidates.
        prior_noise: Spread of its candidates, in scaled actions.
        horizon: Control steps that planners look ahead.
        execute: Control steps of a plan that are carried out before planning again.
        search_std: Spread of the planner's first candidates, as a share of half the action range.
        warm_start: Whether a plan starts from the rest of the last one.
        stage_steps: Control steps spent on each sub-goal image but the last; () uses the goal only.
        active_dims: Action dimensions that planners search over.
    """

    name: str = MISSING
    budget_steps: int = 40
    hold_steps: int = 3
    energy: str = "latent"
    metric: str = "l1"
    reduce: str = "final"
    goal_arm: bool = False
    pessimism: float = 3.0
    goal_weight: float = 1.0
    rescore: int = 0
    world_energy: tuple[str, ...] = ("disagreement",)
    prior: bool = False
    prior_noise: float = 0.4
    horizon: int = 8
    execute: int = 2
    search_std: float = 0.35
    warm_start: bool = True
    stage_steps: tuple[int, ...] = ()
    active_dims: tuple[int, ...] = (0, 1, 2)

    def __post_init__(self) -> None:
        choices = {"energy": ENERGIES, "metric": METRICS, "reduce": REDUCTIONS}
        for choice, allowed in choices.items():
            if (given := getattr(self, choice)) not in allowed:
                raise UserError(f"unknown task.{choice} '{given}'; {nearest(given, allowed)}")
        for name in self.world_energy:
            if name not in TERMS:
                raise UserError(f"unknown task.world_energy '{name}'; {nearest(name, TERMS)}")
        if self.rescore < 0 or (self.rescore and self.energy != "value"):
            raise UserError(
                "Expected task.rescore of at least 0, and 0 unless task.energy=value, whose "
                f"critics can be asked singly; got {self.rescore} with {self.energy}"
            )
        if self.budget_steps < 1 or self.hold_steps < 0:
            raise ValueError(
                "Expected task.budget_steps of at least 1 and task.hold_steps of at least 0, got "
                f"{self.budget_steps} and {self.hold_steps}"
            )
