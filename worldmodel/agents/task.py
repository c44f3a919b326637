"""What the commands know of a task: its name, its budget and how its goals are pursued."""

from __future__ import annotations

from typing import Annotated

from omegaconf import MISSING
from pydantic import Field
from pydantic.dataclasses import dataclass

from worldmodel.errors import UserError
from worldmodel.planners import METRICS, REDUCTIONS
from worldmodel.planners.settings import distinct
from worldmodel.predictors.uncertainty import TERMS
from worldmodel.settings import CHECKED, AnyCount, Count, Frames, Weight, among

__all__ = ["ENERGIES", "TaskConfig"]

ArmDimension = Annotated[int, Field(ge=0, lt=7)]
"""Number of a dimension of the built-in arm's actions."""
ENERGIES = ("latent", "value", "reachability")


@dataclass(frozen=True, config=CHECKED)
class TaskConfig:
    """A task and how its goals are pursued.

    Attributes:
        name: Task of ``envs``.
        budget_steps: Control steps in which to act.
        hold_steps: Steps at rest after them, before success is judged.
        energy: E_goal: ``latent`` distance, the hindsight ``value``, or ``reachability``.
        metric: Of latent distance: ``l1``, ``l2`` or ``cosine``.
        reduce: Of latent distance over imagined steps: ``final``, ``sum`` or ``closest``.
        goal_proprio: Whether the arm's place in the goal image counts for all that is learned.
        pessimism: Of the value, about what its critics do not agree on.
        goal_weight: λ of E_world + λ·E_goal.
        rescore: Best candidates of a round that all critics and terms judge, after one critic alone
            has put them first; 0 for all candidates. Of ``value`` only.
        world_energy: Terms whose mean is E_world (`worldmodel.predictors.uncertainty`); () for
            none.
        prior: Whether the policy prior proposes candidates.
        prior_noise: Spread of its candidates, in scaled actions.
        horizon: Control steps that planners look ahead.
        receding_horizon: Control steps of a plan that are carried out before planning again.
        search_std: Spread of the planner's first candidates, as a share of half the action range.
        warm_start: Whether a plan starts from the rest of the last one.
        stage_steps: Control steps spent on each sub-goal image but the last; () uses the goal only.
        active_dims: Action dimensions that planners search over.
    """

    name: str = MISSING
    budget_steps: Count = 40
    hold_steps: AnyCount = 3
    energy: Annotated[str, among(*ENERGIES)] = "latent"
    metric: Annotated[str, among(*METRICS)] = "l1"
    reduce: Annotated[str, among(*REDUCTIONS)] = "final"
    goal_proprio: bool = False
    pessimism: Weight = 3.0
    goal_weight: Weight = 1.0
    rescore: AnyCount = 0
    world_energy: tuple[Annotated[str, among(*TERMS)], ...] = ("disagreement",)
    prior: bool = False
    prior_noise: Weight = 0.4
    horizon: Frames = 8
    receding_horizon: Frames = 2
    search_std: Weight = 0.35
    warm_start: bool = True
    stage_steps: tuple[Count, ...] = ()
    active_dims: tuple[ArmDimension, ...] = (0, 1, 2)

    def __post_init__(self) -> None:
        distinct(self, "active_dims")
        if self.rescore and self.energy != "value":
            raise UserError(
                "Expected rescore of 0 unless energy=value, whose critics can be asked singly; got "
                f"{self.rescore} with {self.energy}"
            )
