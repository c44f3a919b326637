"""Search over action sequences in the imagination of a world model.

- ``protocols``: all that a planner knows of a world, an energy and a prior.
- ``problem``: what a planner is given and gives back.
- ``cem``: the cross-entropy method.
- ``energies``: what is minimised.
- ``agent``: acting on plans, step after step.
"""

from planners.agent import Agent, Objective, PlanRecord
from planners.cem import CEM, CEMConfig, CEMState
from planners.energies import METRICS, REDUCTIONS, Disagreement, LatentDistance, TotalEnergy
from planners.problem import Plan, Planner, Problem
from planners.protocols import Energy, Proposal, Trajectory, World

__all__ = [
    "CEM",
    "METRICS",
    "REDUCTIONS",
    "Agent",
    "CEMConfig",
    "CEMState",
    "Disagreement",
    "Energy",
    "LatentDistance",
    "Objective",
    "Plan",
    "PlanRecord",
    "Planner",
    "Problem",
    "Proposal",
    "TotalEnergy",
    "Trajectory",
    "World",
]
