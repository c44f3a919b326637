"""``worldmodel landscape``: draw what a planner minimises, over actions or places of the gripper.

Over actions, E_total and its terms are drawn over two of their dimensions, with the samples of a
search on top: from the start of an episode, or between two image files. Over places of the gripper,
goal energies are drawn side by side (`worldmodel.diagnostics.landscape.positions`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pydantic.dataclasses
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from omegaconf import MISSING
from pydantic import Field
from torch import Tensor

from worldmodel.agents.agent import Recipe
from worldmodel.agents.environment import capable, contract
from worldmodel.agents.hierarchy import action_search
from worldmodel.agents.objective import projected, task_energy, task_objective, world_energy
from worldmodel.agents.planner import Bounds, device_of, known_bounds, make_planner
from worldmodel.agents.task import ENERGIES
from worldmodel.agents.world import load_world, look_at, require_spec
from worldmodel.diagnostics.landscape.axes import (
    CM,
    ActionAxis,
    action_axes,
    ranges,
    third_points,
    told,
)
from worldmodel.diagnostics.landscape.figure import draw
from worldmodel.diagnostics.landscape.grid import (
    Landscape,
    Population,
    evaluate,
    held,
    panels,
    planes,
)
from worldmodel.diagnostics.landscape.positions import Plane, draw_plane, energy_panels, true_steps
from worldmodel.diagnostics.landscape.scene import Pair, Scene, of_episode, of_files, published
from worldmodel.diagnostics.recorder import RecordedEnergy
from worldmodel.envs import protocol
from worldmodel.errors import UserError
from worldmodel.evaluation.episodes import SEED_OFFSET, environments
from worldmodel.extras import MissingExtraError, required
from worldmodel.files.atomic import write_text
from worldmodel.files.results import Results, write_png
from worldmodel.planners import (
    Energy,
    HierarchicalConfig,
    Plan,
    Problem,
    RetrievalConfig,
    Total,
    Trajectory,
)
from worldmodel.planners.settings import distinct
from worldmodel.predictors.worlds import AnyWorld
from worldmodel.settings import (
    CHECKED,
    Coordinate,
    Dimension,
    Places,
    Positive,
    Seed,
    Threads,
)
from worldmodel.spec import Spec

__all__ = ["LandscapeConfig", "draw_landscape"]


@pydantic.dataclasses.dataclass(frozen=True, config=CHECKED)
class LandscapeConfig:
    """Which moment to draw, and whose energies.

    Attributes:
        out: Folder of landscape.png, and of landscape.html where actions are drawn and the extra
            ``html`` is installed.
        task: Task and energies (group).
        planner: Search settings (group), of any planner without sub-goals.
        env: Environment, as `worldmodel.make_env` takes it; None for that of the task. With it,
            ``task=goal_image`` is the default.
        checkpoint: Folder of a world checkpoint, or ``default``.
        seed: Of the episode, whose start is drawn, and of the search; as in ``worldmodel plan``.
        start: Image file to plan from, in place of an episode.
        goal: Image file to plan to.
        state: Proprioception at ``start``, as wide as the world's; of poses x, y, z (m), Euler
            angles (rad), gripper closedness.
        action: True action between the two images, to be drawn, if it is known.
        goal_state: Pose at ``goal``, of which the true action follows; instead of ``action``.
        camera_pose: As in ``worldmodel plan``.
        dims: Two or three dimensions of actions to draw over; null for the first three that the
            planner searches.
        limit: Of actions that are changes of a pose: largest displacement per axis and step that is
            drawn and searched, m. Null for the bounds of the environment, or of the checkpoint's
            spec between image files (0.075 without one), and to draw the true action as well.
        points: Actions or places along either axis of a plane.
        third: Actions along the axis that is not drawn, if there are three, over which energies
            are reduced.
        plane: ``actions``, or ``positions`` of the gripper.
        energies: Of the plane of positions: goal energies to draw, as ``task.energy`` names them.
        height: Of the plane of positions, m.
        truth: Places along x and y at which the expert is asked for the true steps, for a panel
            beside the energies; 0 leaves it out. Privileged, and drawn for the reader only.
        device: Such as ``cpu`` or ``cuda``.
        threads: Of a CPU; more pay only with large worlds.
    """

    out: str = MISSING
    task: Any = MISSING
    planner: Any = MISSING
    env: str | None = None
    checkpoint: str = "default"
    seed: Seed = 0
    start: str | None = None
    goal: str | None = None
    state: tuple[Coordinate, ...] = ()
    action: tuple[Coordinate, ...] = ()
    goal_state: tuple[Coordinate, ...] = ()
    camera_pose: tuple[Coordinate, ...] = ()
    dims: tuple[Dimension, ...] | None = None
    limit: Positive | None = None
    points: Places = 41
    third: Annotated[int, Field(ge=3, le=255)] = 5
    plane: str = "actions"
    energies: tuple[str, ...] = ENERGIES
    height: Coordinate = 0.03
    truth: Annotated[int, Field(ge=0, le=1024)] = 0
    device: str = "cpu"
    threads: Threads = 1

    def __post_init__(self) -> None:
        if self.third % 2 == 0:
            raise ValueError(f"Expected third to be odd, rest being one of them, got {self.third}")
        if self.truth == 1:
            raise ValueError(f"Expected truth of 0, or of at least 2, got {self.truth}")
        if self.plane not in ("actions", "positions"):
            raise ValueError(f"Expected plane actions or positions, got '{self.plane}'")
        for name in self.energies:
            if name not in ENERGIES:
                raise ValueError(f"Expected energies among {', '.join(ENERGIES)}, got '{name}'")
        if not self.energies:
            raise ValueError(f"Expected an energy or more of {', '.join(ENERGIES)}, got none")
        distinct(self, "dims")
        if self.dims is not None and len(self.dims) not in (2, 3):
            raise ValueError(
                f"Expected two or three dims, over which a landscape lies, got {list(self.dims)}"
            )
        self._check_files()

    def _check_files(self) -> None:
        if (self.start is None) != (self.goal is None):
            raise ValueError("Expected start=… and goal=… together; give both image files")
        given = [key for key in ("state", "action", "goal_state") if getattr(self, key)]
        if self.start is None and given:
            raise ValueError(
                f"Expected no {given[0]} without image files; give start=… and goal=… with it"
            )
        if self.start is not None and self.env is not None:
            raise ValueError("Expected no env between image files; leave it out")
        if self.start is not None and self.plane == "positions":
            raise ValueError("Expected plane=actions between image files, whose places are unknown")
        if self.action and self.goal_state:
            raise ValueError(
                "Expected action or goal_state, got both; the one follows of the other"
            )


@torch.no_grad()
def draw_landscape(cfg: LandscapeConfig) -> None:
    """Evaluate the energies, search, and draw.

    Raises:
        UserError: The checkpoint, an image, the device or the output folder cannot be used, or the
            planner has levels.
    """
    if isinstance(cfg.planner, HierarchicalConfig | RetrievalConfig):
        raise UserError(
            "Expected a planner without sub-goals, such as planner=cem: a landscape shows one "
            "search; `worldmodel subgoals` draws what a planner on two time scales sets itself"
        )
    results = Results(Path(cfg.out))
    torch.set_num_threads(cfg.threads)
    positions = cfg.plane == "positions"
    world = load_world(
        cfg.checkpoint,
        device=cfg.device,
        dtype="float32" if positions else "auto",
        camera_pose=cfg.camera_pose,
    )
    if positions:
        _save(results, _positions(cfg, world))
        return
    landscape = _actions(cfg, world)
    _save(results, draw(landscape), _page(landscape))


def _page(landscape: Landscape) -> str | None:
    """The page of HTML, or None and a printed line where plotly is not installed."""
    try:
        required("plotly", extra="html")
    except MissingExtraError as missing:
        print(f"no landscape.html: {missing}")
        return None
    from worldmodel.diagnostics.landscape.page import page

    return page(landscape)


def _save(results: Results, figure: Figure, html: str | None = None) -> None:
    results.write("landscape.png", partial(write_png, figure=figure))
    if html is not None:
        results.write("landscape.html", partial(write_text, text=html))
    results.finish()
    print(f"picture: {results.out / 'landscape.png'}")
    if html is not None:
        print(f"interactive: {results.out / 'landscape.html'}")


def _positions(cfg: LandscapeConfig, world: AnyWorld) -> Figure:
    """The goal energies of the gripper at every place, and the true steps if asked for."""
    name = cfg.env or cfg.task.name
    with environments(name, 1, look_at(world)) as (env,):
        capable(env, protocol.Simulator, "plane=positions")
        simulator = capable(env, protocol.Places, "plane=positions")
        spec = contract(env)
        if spec.states.kind != "pose":
            raise UserError(
                "Expected states of kind pose for plane=positions, which moves their xyz, got kind "
                f"{spec.states.kind} of {name}; draw plane=actions"
            )
        require_spec(world, spec)
        views = Recipe(world, cfg.task, cfg.planner, spec).views
        observation, _ = env.reset(seed=SEED_OFFSET + cfg.seed)
        tool, object_position = simulator.proprioception()[:2], simulator.object_position()[:2]
        tool_goal, object_goal = simulator.goal_state[:2], simulator.goal_object[:2]
        workspace, side = simulator.workspace, simulator.object_size
        true = {"true steps": true_steps(simulator, cfg.height, cfg.truth)} if cfg.truth else {}
    images = (views.seen(observation).numpy(), views.joined(observation["goal"], "goal").numpy())
    energies = {name: task_energy(world, replace(cfg.task, energy=name)) for name in cfg.energies}
    state = observation["state"]
    found = energy_panels(world, energies, images, state, workspace, cfg.height, cfg.points)
    titled = {f"E_goal: {name}": panel for name, panel in found.items()} | true
    plane = Plane(cfg.height, titled, tool, tool_goal, object_position, object_goal, side)
    return draw_plane(plane, images)


def _actions(cfg: LandscapeConfig, world: AnyWorld) -> Landscape:
    """The energies of the grid of held actions, and a search."""
    scene = _scene(cfg, world)
    bounds = Bounds.of(scene.actions)
    planner = make_planner(world, cfg.task, cfg.planner, *bounds)
    searched = known_bounds(world, bounds).only(action_search(cfg.planner).active_dims)
    axes = action_axes(scene.actions, searched, cfg.dims)
    device = device_of(world)
    images = (torch.from_numpy(image)[None, None].to(device) for image in (scene.image, scene.goal))
    seen, aim = projected(world, *images)
    states = torch.from_numpy(scene.state)[None, None].to(device)
    objective = task_objective(world, cfg.task)(aim[:, 0])
    recorded = RecordedEnergy(objective.energy)
    problem = Problem(world, seen, states, recorded, objective.proposal, referee=objective.referee)
    generator = torch.Generator(device).manual_seed(cfg.seed)
    plan, _ = planner.plan(problem, planner.init(batch=1), generator=generator)

    dims = [axis.dim for axis in axes]
    drawn = ranges(axes, [] if cfg.limit is not None else _known(scene, plan, dims))
    points = torch.stack(
        [torch.linspace(float(low), float(high), cfg.points) for low, high in drawn]
    )
    thirds = torch.stack([third_points(axis, cfg.third) for axis in axes])
    over = planes(axes)
    actions = held(over, points, thirds, cfg.planner.horizon, bounds.rest)
    count = len(actions)
    if scene.true_actions is not None:
        actions = torch.cat([actions, torch.from_numpy(scene.true_actions)[None]])
    uncertainties = {
        f"E_world: {name}": world_energy(world, [name]) for name in cfg.task.world_energy
    }
    terms = _Terms(
        objective.energy,
        {k: uncertainty for k, uncertainty in uncertainties.items() if uncertainty},
        cfg.task.goal_weight,
    )
    energies = evaluate(problem, terms, actions.to(device))
    _tell(scene, axes, actions, next(iter(energies.values())), plan)
    landscape = Landscape(
        scene,
        axes,
        points.numpy(),
        panels({name: v[:count] for name, v in energies.items()}, over, cfg.points, thirds),
        _populations(recorded, dims, iterations=plan.trace.shape[1]),
        plan.actions[0][:, dims].cpu().numpy(),
    )
    _tell_of_range(landscape)
    return landscape


def _known(scene: Scene, plan: Plan, dims: list[int]) -> list[NDArray[np.float32]]:
    """Actions that the picture is to hold: the plan's, and what truly leads to the goal."""
    known = [plan.actions[0][:, dims].cpu().numpy()]
    return known if scene.true_actions is None else [*known, scene.true_actions[:, dims].mean(0)]


def _tell_of_range(landscape: Landscape) -> None:
    """Whether more is drawn than is searched, and which marks lie outside of what is drawn."""
    axes, low, high = landscape.axes, landscape.points[:, 0], landscape.points[:, -1]
    if landscape.square and axes[0].unit == "cm" and low[0] == -high[0]:
        drawn = f"{CM * float(high[0]):.1f} cm per step"
        searched = f"the {CM * axes[0].high:.1f} cm that are searched; limit=… (m) sets both"
    else:
        drawn = f"{told(axes, low)}, and {told(axes, high)}"
        searched = "what is searched"
    if landscape.beyond_search:
        print(f"drawn to {drawn}, for a mark lies beyond {searched}")
    for mark in landscape.marks:
        if landscape.outside(mark):
            print(f"{mark.name}: drawn to {drawn} (limit=…), a triangle at the edge points there")


def _scene(cfg: LandscapeConfig, world: AnyWorld) -> Scene:
    horizon = cfg.planner.horizon
    if cfg.start is not None and cfg.goal is not None:
        pair = Pair(cfg.start, cfg.goal, cfg.state, cfg.action, cfg.goal_state)
        return of_files(pair, world.image_size, _spec(world), horizon, limit=cfg.limit)
    name = cfg.env or cfg.task.name
    with environments(name, 1, look_at(world)) as (env,):
        spec = contract(env)
        require_spec(world, spec)
        views = Recipe(world, cfg.task, cfg.planner, spec).views
        staged = bool(cfg.task.stage_steps)
        return of_episode(env, views, spec, cfg.seed, horizon, limit=cfg.limit, staged=staged)


def _spec(world: AnyWorld) -> Spec:
    """What a world says of actions and states; of poses under their changes what was published.

    Raises:
        UserError: It says nothing, or reads several cameras.
    """
    name, config = world.checkpoint, world.predictor.config
    if config.cameras > 1:
        raise UserError(
            f"{name}: expected a checkpoint of one camera between image files, got one of "
            f"{config.cameras}; leave out start and goal, and draw an episode"
        )
    if world.spec is not None:
        return world.spec
    if not config.states.composed:
        raise UserError(
            f"{name}: expected a checkpoint with a spec, which bounds its actions, got one "
            "without; leave out start and goal, and draw an episode, or train it again"
        )
    return published()


@dataclass(frozen=True)
class _Terms:
    """E_total and, where that is more than one of them, its terms by name."""

    energy: Total
    uncertainties: Mapping[str, Energy]
    goal_weight: float

    def __call__(self, trajectory: Trajectory) -> dict[str, Tensor]:
        total, parts = self.energy(trajectory)
        weight = "" if self.goal_weight == 1 else f"{self.goal_weight:g}·"
        if not self.uncertainties:
            return {f"E_total = {weight}E_goal": total}
        named = {name: uncertainty(trajectory) for name, uncertainty in self.uncertainties.items()}
        return {f"E_total = E_world + {weight}E_goal": total, "E_goal": parts["goal"], **named}


def _populations(energy: RecordedEnergy, dims: list[int], iterations: int) -> list[Population]:
    """The samples of each iteration; what was evaluated after the last is the plan itself."""
    return [
        Population(actions[0][..., dims].mean(1).cpu().numpy(), total[0].float().cpu().numpy())
        for actions, total in energy.judged[:iterations]
    ]


def _tell(
    scene: Scene, axes: Sequence[ActionAxis], actions: Tensor, total: Tensor, plan: Plan
) -> None:
    """The lowest of the actions drawn, the plan and the truth, in words."""
    of_grid = total if scene.true_actions is None else total[:-1]
    if unknown := int((~of_grid.isfinite()).sum()):
        print(f"{unknown} of {len(of_grid)} held actions have no finite energy and are left blank")
    lowest = int(of_grid.where(of_grid.isfinite(), torch.inf).argmin())
    _print("lowest held action", axes, actions[lowest, 0], total[lowest])
    _print("mean of the plan", axes, plan.actions[0].mean(0), plan.energy[0])
    if scene.true_actions is not None:
        _print(scene.true_name, axes, actions[-1].mean(0), total[-1])


def _print(name: str, axes: Sequence[ActionAxis], action: Tensor, energy: Tensor) -> None:
    place = action[[axis.dim for axis in axes]].cpu().numpy()
    rate = " per step" if axes[0].per_step else ""
    print(f"{name:<28}  {told(axes, place)}{rate}, E_total {float(energy):.4f}")
