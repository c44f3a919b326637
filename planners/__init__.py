"""Search over action sequences in the imagination of a world model.

- ``protocols``: all that a planner knows of a world, an energy and a prior.
- ``problem``: what a planner is given and gives back.
- ``box``: action bounds, and where searches start.
- ``search``: what every search over candidates does alike.
- ``cem``: the cross-entropy method.
- ``icem``, ``mppi``, ``shooting``: other searches by samples.
- ``gradient``, ``cem_gradient``, ``grasp``: searches by gradients through the world.
- ``vjepa2_ac``: the search that V-JEPA 2-AC was published with.
- ``family``: which settings are of which of these.
- ``hierarchical``: two time scales, a guide that names sub-goals and a fast planner.
- ``retrieval``: a guide that looks sub-goals up among recorded moments.
- ``energies``: what is minimised.
- ``coarse_to_fine``: a costly energy for the best few candidates only.
- ``agent``: acting on plans, step after step.
- ``realtime``: acting at a fixed rate, while another thread plans.
- ``clock``: the time that all of these go by.
"""

from planners.agent import Agent, PlanRecord
from planners.box import ActionBox, Start
from planners.cem import CEM, CEMConfig
from planners.cem_gradient import CEMGradient, CEMGradientConfig
from planners.coarse_to_fine import CoarseToFine
from planners.energies import (
    METRICS,
    REDUCTIONS,
    CalibratedDoubt,
    LatentDistance,
    MeanEnergy,
    TotalEnergy,
)
from planners.family import SearchConfig, follows_gradients, make_search, search_name
from planners.gradient import Gradient, GradientConfig
from planners.grasp import GRASP, GRASPConfig
from planners.hierarchical import (
    Guide,
    Hierarchical,
    HierarchicalConfig,
    MacroSearch,
    Moments,
    SlowWorld,
)
from planners.icem import ICEM, ICEMConfig
from planners.mppi import MPPI, MPPIConfig
from planners.problem import Objective, Plan, Planner, Problem, Way
from planners.protocols import (
    Doubt,
    Energy,
    Futures,
    GoalEnergy,
    Proposal,
    Total,
    Trajectory,
    World,
)
from planners.realtime import Pulse, RealTimeAgent, Slots
from planners.retrieval import Retrieval, RetrievalConfig
from planners.shooting import RandomShooting, RandomShootingConfig
from planners.vjepa2_ac import VJEPA2AC, VJEPA2ACConfig

__all__ = [
    "CEM",
    "GRASP",
    "ICEM",
    "METRICS",
    "MPPI",
    "REDUCTIONS",
    "VJEPA2AC",
    "ActionBox",
    "Agent",
    "CEMConfig",
    "CEMGradient",
    "CEMGradientConfig",
    "CalibratedDoubt",
    "CoarseToFine",
    "Doubt",
    "Energy",
    "Futures",
    "GRASPConfig",
    "GoalEnergy",
    "Gradient",
    "GradientConfig",
    "Guide",
    "Hierarchical",
    "HierarchicalConfig",
    "ICEMConfig",
    "LatentDistance",
    "MPPIConfig",
    "MacroSearch",
    "MeanEnergy",
    "Moments",
    "Objective",
    "Plan",
    "PlanRecord",
    "Planner",
    "Problem",
    "Proposal",
    "Pulse",
    "RandomShooting",
    "RandomShootingConfig",
    "RealTimeAgent",
    "Retrieval",
    "RetrievalConfig",
    "SearchConfig",
    "Slots",
    "SlowWorld",
    "Start",
    "Total",
    "TotalEnergy",
    "Trajectory",
    "VJEPA2ACConfig",
    "Way",
    "World",
    "follows_gradients",
    "make_search",
    "search_name",
]
