"""Search over action sequences in the imagination of a world model.

- ``protocols``: all that a planner knows of a world, an energy and a prior.
- ``problem``: what a planner is given and gives back.
- ``sequence``, ``search``, ``box``: what searches over action sequences share.
- ``optimizers``: a file an algorithm: CEM, iCEM, MPPI, shooting, gradients, collocation and more.
- ``hierarchical``: a guide that names sub-goals, and a low-level planner that pursues them.
- ``retrieval``: a guide that looks sub-goals up among recorded moments.
- ``energies``: what is minimised.
- ``coarse_to_fine``: a costly energy for the best few candidates only.
- ``agent``: acting on plans, step after step.
- ``realtime``: acting at a fixed rate, while another thread plans.
- ``clock``: the time that all of these go by.
"""

from worldmodel.planners.agent import Agent, PlanRecord
from worldmodel.planners.box import ActionBox, Start
from worldmodel.planners.coarse_to_fine import CoarseToFine
from worldmodel.planners.energies import (
    METRICS,
    REDUCTIONS,
    Approach,
    ApproachReferee,
    LatentDistance,
    MeanEnergy,
    TotalEnergy,
    UncertaintyPenalty,
)
from worldmodel.planners.hierarchical import (
    Guide,
    Hierarchical,
    HierarchicalConfig,
    HighLevelWorld,
    MacroSearch,
    Moments,
)
from worldmodel.planners.optimizers.cem import CEM, CEMConfig
from worldmodel.planners.optimizers.cem_gradient import CEMGradient, CEMGradientConfig
from worldmodel.planners.optimizers.collocation import Collocation, CollocationConfig
from worldmodel.planners.optimizers.gradient import Gradient, GradientConfig
from worldmodel.planners.optimizers.icem import ICEM, ICEMConfig
from worldmodel.planners.optimizers.mppi import MPPI, MPPIConfig
from worldmodel.planners.optimizers.shooting import RandomShooting, RandomShootingConfig
from worldmodel.planners.optimizers.vjepa2_ac import VJEPA2AC, VJEPA2ACConfig
from worldmodel.planners.problem import Objective, Plan, Planner, Problem, SubgoalPlan
from worldmodel.planners.protocols import (
    Energy,
    Futures,
    GoalEnergy,
    Proposal,
    Referee,
    Total,
    Trajectory,
    Uncertainty,
    World,
)
from worldmodel.planners.realtime import DeadlineStatistics, RateTimer, RealTimeAgent
from worldmodel.planners.retrieval import Retrieval, RetrievalConfig
from worldmodel.planners.sequence import SequenceConfig, SequencePlanner
from worldmodel.planners.settings import SearchConfig

__all__ = [
    "CEM",
    "ICEM",
    "METRICS",
    "MPPI",
    "REDUCTIONS",
    "VJEPA2AC",
    "ActionBox",
    "Agent",
    "Approach",
    "ApproachReferee",
    "CEMConfig",
    "CEMGradient",
    "CEMGradientConfig",
    "CoarseToFine",
    "Collocation",
    "CollocationConfig",
    "DeadlineStatistics",
    "Energy",
    "Futures",
    "GoalEnergy",
    "Gradient",
    "GradientConfig",
    "Guide",
    "Hierarchical",
    "HierarchicalConfig",
    "HighLevelWorld",
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
    "RandomShooting",
    "RandomShootingConfig",
    "RateTimer",
    "RealTimeAgent",
    "Referee",
    "Retrieval",
    "RetrievalConfig",
    "SearchConfig",
    "SequenceConfig",
    "SequencePlanner",
    "Start",
    "SubgoalPlan",
    "Total",
    "TotalEnergy",
    "Trajectory",
    "Uncertainty",
    "UncertaintyPenalty",
    "VJEPA2ACConfig",
    "World",
]

_RENAMED = {
    "CalibratedDoubt": "UncertaintyPenalty",
    "Doubt": "Uncertainty",
    "GRASP": "Collocation",
    "GRASPConfig": "CollocationConfig",
    "Pulse": "RateTimer",
    "Slots": "DeadlineStatistics",
    "SlowWorld": "HighLevelWorld",
    "Way": "SubgoalPlan",
}
"""Names of release 0.1, which answer with their new ones for one release."""


def __getattr__(name: str) -> object:
    if name in _RENAMED:
        raise AttributeError(f"{__name__}.{name} is now {__name__}.{_RENAMED[name]}")
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
