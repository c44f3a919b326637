"""A task: its budget, how its goals are pursued, and what that means for a planner."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Annotated, Any

from omegaconf import MISSING
from pydantic import AfterValidator
from pydantic.dataclasses import dataclass

from worldmodel.errors import UserError
from worldmodel.planners import METRICS, REDUCTIONS, HierarchicalConfig, RetrievalConfig
from worldmodel.planners.settings import distinct
from worldmodel.presets import preset
from worldmodel.registry import GOAL_ENERGIES, PLANNERS, UNCERTAINTIES
from worldmodel.settings import CHECKED, AnyCount, Count, Dimension, Frames, Weight, among

__all__ = [
    "DECIDED",
    "ENERGIES",
    "GoalImageConfig",
    "TaskConfig",
    "planner_changes",
    "planner_for",
    "task_for",
]

ENERGIES = GOAL_ENERGIES.builtin
_PUBLISHED = {
    "energy": "latent",
    "metric": "l1",
    "reduce": "final",
    "closeness": 0.0,
    "world_energy": (),
    "prior": False,
    "goal_weight": 1.0,
}
"""What V-JEPA 2-AC minimises: the L1 distance at the last step, and nothing else."""
DECIDED = {
    "horizon": "horizon",
    "receding_horizon": "receding_horizon",
    "std": "search_std",
    "warm_start": "warm_start",
    "active_dims": "active_dims",
}
"""Settings of a planner, by the settings of a task that they follow."""


@dataclass(frozen=True, config=CHECKED)
class TaskConfig:
    """A task and how its goals are pursued.

    Attributes:
        name: Of a task of `worldmodel.envs`, or of a registered environment.
        budget_steps: Control steps in which to act.
        hold_steps: Steps at rest after them, before success is judged.
        judged: When: in the ``end``, or at the ``first_hit``.
        energy: E_goal: ``latent`` distance, that of the ``proprio`` features alone, the hindsight
            ``value``, ``reachability``, or a registered one.
        metric: Of latent distance: ``l1``, ``l2`` or ``cosine``.
        reduce: Of latent distance over imagined steps: ``final``, ``sum`` or ``closest``.
        goal_proprio: Whether the robot's place in the goal image counts for all that is learned.
        pessimism: Of the value, about what its critics do not agree on.
        closeness: Of the value: imagined steps that a latent distance of a typical one counts as,
            where a path comes closest to the goal; 0 for the value alone. It counts the robot's
            place, too.
        goal_weight: λ of E_world + λ·E_goal.
        rescore: Best candidates of a round that all critics and terms judge, after one critic alone
            has put them first; 0 for all candidates. Of ``value`` only.
        world_energy: Uncertainty terms whose mean is E_world; () for none.
        prior: Whether the policy prior proposes candidates.
        prior_noise: Spread of its candidates, in scaled actions.
        margin: Imagined steps that another plan has to save, as critics agree, for the prior's own
            choice to be left; None to do what is of lowest energy.
        horizon: Control steps that planners look ahead.
        receding_horizon: Control steps of a plan that are carried out before planning again.
        search_std: Spread of the planner's first candidates, as a share of half the action range.
        warm_start: Whether a plan starts from the rest of the last one.
        stage_steps: Control steps spent on each sub-goal image but the last; () uses the goal only.
        active_dims: Action dimensions that planners search over; None for all that ever moved.
    """

    name: str = MISSING
    budget_steps: Count = 40
    hold_steps: AnyCount = 3
    judged: Annotated[str, among("end", "first_hit")] = "end"
    energy: Annotated[str, AfterValidator(GOAL_ENERGIES.check)] = "latent"
    metric: Annotated[str, among(*METRICS)] = "l1"
    reduce: Annotated[str, among(*REDUCTIONS)] = "final"
    goal_proprio: bool = False
    pessimism: Weight = 3.0
    closeness: Weight = 0.0
    goal_weight: Weight = 1.0
    rescore: AnyCount = 0
    world_energy: tuple[Annotated[str, AfterValidator(UNCERTAINTIES.check)], ...] = (
        "disagreement",
    )
    prior: bool = False
    prior_noise: Weight = 0.4
    margin: Weight | None = None
    horizon: Frames = 8
    receding_horizon: Frames = 2
    search_std: Weight = 0.35
    warm_start: bool = True
    stage_steps: tuple[Count, ...] = ()
    active_dims: tuple[Dimension, ...] | None = None

    def __post_init__(self) -> None:
        distinct(self, "active_dims")
        if self.closeness and self.energy == "value" and not self.goal_proprio:
            raise UserError(
                "Expected closeness of 0 unless goal_proprio=true, as a distance counts the "
                f"robot's place; got {self.closeness}"
            )
        if self.rescore and self.energy != "value":
            raise UserError(
                "Expected rescore of 0 unless energy=value, whose critics can be asked singly; got "
                f"{self.rescore} with {self.energy}"
            )


@dataclass(frozen=True, config=CHECKED)
class GoalImageConfig(TaskConfig):
    """A task of any environment: what the value learned of goals, around what the prior does.

    The robot's own place in the goal image counts. The margin was the best on tuning seeds of PushT
    and OGBench's cube.
    """

    budget_steps: Count = 50
    hold_steps: AnyCount = 0
    judged: Annotated[str, among("end", "first_hit")] = "first_hit"
    energy: Annotated[str, AfterValidator(GOAL_ENERGIES.check)] = "value"
    goal_proprio: bool = True
    closeness: Weight = 6.0
    prior: bool = True
    margin: Weight | None = 0.5
    horizon: Frames = 10
    receding_horizon: Frames = 1
    search_std: Weight = 0.2
    warm_start: bool = False


def planner_for(name: str, task: TaskConfig, changes: Mapping[str, Any] | None = None) -> Any:
    """The settings of a planner for a task: the planner's own, and those that the task decides.

    Args:
        name: Of a registered planner, such as ``icem``.
        task: What is planned for.
        changes: Settings of the user's, which outweigh both.

    Raises:
        UserError: There is no such planner.
        SettingsError: A setting is unknown or out of its bounds.
    """
    return preset("planner", name, **_merged(planner_changes(name, task), changes or {}))


def planner_changes(name: str, task: TaskConfig) -> dict[str, Any]:
    """What a task decides of a planner; this is the only place that does.

    Horizon, receding horizon, spread of the first candidates, warm start and searched dimensions
    follow the task. V-JEPA 2-AC's planner stays as it was published.
    """
    if name == "vjepa2_ac":
        return {}
    kind = PLANNERS.find(name).config
    if kind in (HierarchicalConfig, RetrievalConfig):
        assert kind is not None
        return {"low_level": _decided(type(kind().low_level), task)}
    return _decided(kind, task)


def task_for(name: str, planner: str, changes: Mapping[str, Any] | None = None) -> TaskConfig:
    """The settings of a task, by its name; V-JEPA 2-AC's planner minimises what it published."""
    published = _PUBLISHED if planner == "vjepa2_ac" else {}
    task = preset("task", name, **{**published, **(changes or {})})
    assert isinstance(task, TaskConfig)
    return task


def _decided(kind: type[Any] | None, task: TaskConfig) -> dict[str, Any]:
    names = [field.name for field in fields(kind)] if is_dataclass(kind) else []
    return {name: getattr(task, own) for name, own in DECIDED.items() if name in names}


def _merged(settings: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Both, the changes outweighing; nested mappings likewise."""
    merged = dict(settings)
    for name, value in changes.items():
        below = merged.get(name)
        nested = isinstance(below, Mapping) and isinstance(value, Mapping)
        merged[name] = _merged(below, value) if nested else value  # type: ignore[arg-type]
    return merged
