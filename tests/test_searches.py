"""Every search over actions, in the shipped world and with the energies of a task."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from worldmodel import envs
from worldmodel.agents.objective import projected, task_objective
from worldmodel.agents.planner import Bounds, make_planner
from worldmodel.cli.configuration import composed, load, typed
from worldmodel.planners import Problem
from worldmodel.predictors.vector_world import VectorWorld
from worldmodel.weights.world import load_vector_world

SMALL = "planner.iterations=2 planner.samples=16 planner.proposals=4"
SEARCHES = {
    "cem": f"{SMALL} planner.elites=4",
    "icem": f"{SMALL} planner.elites=4",
    "mppi": SMALL,
    "shooting": SMALL,
    "gradient": SMALL,
    "cem_gradient": f"{SMALL} planner.elites=4 planner.refined=2 planner.steps=2",
    "collocation": SMALL,
}
TERMS = "disagreement,density,leap,error"


@pytest.fixture(scope="module")
def world() -> VectorWorld:
    return load_vector_world()


@pytest.fixture(scope="module")
def start(world: VectorWorld) -> tuple[Tensor, Tensor, Tensor]:
    """Latents of the start of a push and of its goal, and the arm's state."""
    env = envs.make("push", world.image_size)
    seen, _ = env.reset(seed=0)
    env.close()
    frame, goal, state = (torch.from_numpy(seen[k])[None, None] for k in ("image", "goal", "state"))
    return *projected(world, frame, goal), state


@pytest.fixture(scope="module")
def posed(
    world: VectorWorld, start: tuple[Tensor, Tensor, Tensor], arm_bounds: Bounds
) -> Callable[..., tuple[Problem, Any]]:
    """Makes a problem of a push, and a planner for it, of words of the command."""

    def pose(*words: str) -> tuple[Problem, Any]:
        load("plan")
        plan = typed(composed("plan", ["task=push", "out=x", *words]))
        here, there, state = start
        pursued = task_objective(world, plan.task)(there[:, 0])
        problem = Problem(world, here, state, pursued.energy, pursued.proposal, there[:, 0])
        return problem, make_planner(world, plan.task, plan.planner, *arm_bounds)

    return pose


@pytest.mark.parametrize("name", SEARCHES)
def test_a_push_can_be_searched(name: str, posed: Callable[..., tuple[Problem, Any]]) -> None:
    problem, planner = posed(f"planner={name}", *SEARCHES[name].split())
    found, _ = planner.plan(problem, planner.init(1), generator=torch.Generator().manual_seed(0))
    high = torch.from_numpy(envs.ACTION_HIGH)
    assert found.energy.isfinite().all()
    assert found.trace.shape[1] > 1
    assert (found.trace[:, 1:] <= found.trace[:, :-1]).all()
    assert (found.actions.abs() <= high).all()
    assert (found.actions[..., 3:] == 0).all()  # a push turns nothing
    assert found.actions.abs().sum() > 0
    assert found.nonfinite == 0


@pytest.mark.parametrize("name", ["cem", "icem", "mppi", "shooting"])
@pytest.mark.parametrize("energy", ["value", "reachability"])
def test_no_round_of_a_push_waits_for_the_device(
    name: str,
    energy: str,
    posed: Callable[..., tuple[Problem, Any]],
    count_waits: Callable[[], Any],
) -> None:
    words = [f"planner={name}", f"task.world_energy=[{TERMS}]", f"task.energy={energy}"]
    words += [*SEARCHES[name].split(), *(["task.rescore=8"] if energy == "value" else [])]
    waits = []
    for rounds in (1, 3):
        problem, planner = posed(*words, f"planner.iterations={rounds}")
        state, generator = planner.init(1), torch.Generator().manual_seed(0)
        with count_waits() as counter:
            planner.plan(problem, state, generator=generator)
        waits.append(counter.count)
    assert waits[0] == waits[1] > 0
