"""Search over action sequences in the imagination of a world model.

- ``protocols``: all that a planner knows of a world, an energy and a prior.
- ``problem``: what a planner is given and gives back.
- ``box``: action bounds, and where searches start.
- ``search``: what every search over candidates does alike.
- ``cem``: the cross-entropy method.
- ``vjepa2_ac``: the search that V-JEPA 2-AC was published with.
- ``hierarchical``: two time scales, a guide that names sub-goals and a fast planner.
- ``retrieval``: a guide that looks sub-goals up among recorded moments.
- ``energies``: what is minimised.
- ``agent``: acting on plans, step after step.
"""

from planners.agent import Agent, PlanRecord
from planners.box import ActionBox, Start
from planners.cem import CEM, CEMConfig
from planners.energies import (
    METRICS,
    REDUCTIONS,
    CalibratedDoubt,
    LatentDistance,
    MeanEnergy,
    TotalEnergy,
)
from planners.hierarchical import (
    Guide,
    Hierarchical,
    HierarchicalConfig,
    MacroSearch,
    Moments,
    SlowWorld,
)
from planners.problem import Objective, Plan, Planner, Problem, Way
from planners.protocols import (
    Doubt,
    Energy,
    Futures,
    GoalEnergy,
    Proposal,
    Trajectory,
    World,
)
from planners.retrieval import Retrieval, RetrievalConfig
from planners.vjepa2_ac import VJEPA2AC, VJEPA2ACConfig

__all__ = [
    "CEM",
    "METRICS",
    "REDUCTIONS",
    "VJEPA2AC",
    "ActionBox",
    "Agent",
    "CEMConfig",
    "CalibratedDoubt",
    "Doubt",
    "Energy",
    "Futures",
    "GoalEnergy",
    "Guide",
    "Hierarchical",
    "HierarchicalConfig",
    "LatentDistance",
    "MacroSearch",
    "MeanEnergy",
    "Moments",
    "Objective",
    "Plan",
    "PlanRecord",
    "Planner",
    "Problem",
    "Proposal",
    "Retrieval",
    "RetrievalConfig",
    "SlowWorld",
    "Start",
    "TotalEnergy",
    "Trajectory",
    "VJEPA2ACConfig",
    "Way",
    "World",
]
