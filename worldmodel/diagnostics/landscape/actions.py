"""``worldmodel landscape``: draw what a planner minimises, over actions or places of the gripper.

Over actions, E_total and its terms are drawn over Δx and Δy and over Δx and Δz, with the samples of
a search on top: from the start of an episode, or between two image files. Over places of the
gripper, goal energies are drawn side by side (`worldmodel.diagnostics.landscape.positions`).
"""

from __future__ import annotations

from collections.abc import Mapping
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

from worldmodel.agents.objective import projected, task_energy, task_objective, world_energy
from worldmodel.agents.planner import make_planner
from worldmodel.agents.task import ENERGIES
from worldmodel.agents.world import CameraWorld, place_camera, require_widths
from worldmodel.devices import precision, usable_device
from worldmodel.diagnostics.landscape.figure import draw
from worldmodel.diagnostics.landscape.grid import Landscape, Population, evaluate, held, panels
from worldmodel.diagnostics.landscape.positions import Plane, draw_plane, energy_panels, true_steps
from worldmodel.diagnostics.landscape.scene import Scene, of_episode, of_files
from worldmodel.diagnostics.marks import holding
from worldmodel.diagnostics.recorder import RecordedEnergy
from worldmodel.envs import ACTION_HIGH
from worldmodel.errors import UserError
from worldmodel.evaluation.episodes import SEED_OFFSET, tabletops
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
from worldmodel.predictors.token_world import TokenWorld
from worldmodel.predictors.vector_world import VectorWorld
from worldmodel.settings import CHECKED, Coordinate, Places, Positive, Seed, Threads
from worldmodel.weights.world import read_world

__all__ = ["LandscapeConfig", "draw_landscape"]

_CM = 100.0


@pydantic.dataclasses.dataclass(frozen=True, config=CHECKED)
class LandscapeConfig:
    """Which moment to draw, and whose energies.

    Attributes:
        out: Folder of landscape.png, and of landscape.html where actions are drawn and the extra
            ``html`` is installed.
        task: Task and energies (group).
        planner: Search settings (group), of any planner without sub-goals.
        checkpoint: Folder of a world checkpoint, or ``default``.
        seed: Of the episode, whose start is drawn, and of the search; as in ``worldmodel plan``.
        start: Image file to plan from, in place of an episode.
        goal: Image file to plan to.
        state: Proprioception at ``start``: x, y, z (m), Euler angles (rad), gripper closedness.
        action: True action between the two images, to be drawn, if it is known.
        goal_state: State at ``goal``, of which the true action follows; instead of ``action``.
        camera_pose: As in ``worldmodel plan``.
        limit: Largest displacement per axis and step that is drawn and searched, m; null to search
            the built-in arm's, or 0.075 between image files, and to draw the true action as well.
        points: Actions or places along either axis of a plane.
        third: Actions along the axis that is not drawn, over which energies are reduced.
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
    checkpoint: str = "default"
    seed: Seed = 0
    start: str | None = None
    goal: str | None = None
    state: tuple[Coordinate, ...] = ()
    action: tuple[Coordinate, ...] = ()
    goal_state: tuple[Coordinate, ...] = ()
    camera_pose: tuple[Coordinate, ...] = ()
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
        self._check_files()

    def _check_files(self) -> None:
        if (self.start is None) != (self.goal is None):
            raise ValueError("Expected start=… and goal=… together; give both image files")
        given = [key for key in ("state", "action", "goal_state") if getattr(self, key)]
        if self.start is None and given:
            raise ValueError(
                f"Expected no {given[0]} without image files; give start=… and goal=… with it"
            )
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
    device = usable_device(cfg.device)
    world = read_world(cfg.checkpoint).to(device)
    place_camera(world, cfg.camera_pose)
    if cfg.plane == "positions":
        _save(results, _positions(cfg, world))
        return
    landscape = _actions(cfg, world.imagine_in(precision("auto", world)), device)
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


def _positions(cfg: LandscapeConfig, world: CameraWorld) -> Figure:
    """The goal energies of the gripper at every place, and the true steps if asked for."""
    with tabletops(cfg.task.name, 1, world.image_size) as (env,):
        observation, _ = env.reset(seed=SEED_OFFSET + cfg.seed)
        tool, object_position = env.tool_pose()[:2], env.object_position()[:2]
        tool_goal, object_goal = env.goal_state[:2], env.goal_object[:2]
        true = {"true steps": true_steps(env, cfg.height, cfg.truth)} if cfg.truth else {}
    images = (observation["image"], observation["goal"])
    energies = {name: task_energy(world, replace(cfg.task, energy=name)) for name in cfg.energies}
    state = observation["state"]
    panels = energy_panels(world, energies, images, state, cfg.height, cfg.points)
    titled = {f"E_goal: {name}": panel for name, panel in panels.items()} | true
    return draw_plane(
        Plane(cfg.height, titled, tool, tool_goal, object_position, object_goal), images
    )


def _actions(
    cfg: LandscapeConfig, camera: VectorWorld | TokenWorld, device: torch.device
) -> Landscape:
    """The energies of the grid of held actions, and a search."""
    horizon = cfg.planner.horizon
    scene = _scene(cfg, camera)
    images = (torch.from_numpy(image)[None, None].to(device) for image in (scene.image, scene.goal))
    seen, aim = projected(camera, *images)
    states = torch.from_numpy(scene.state)[None, None].to(device)
    energy, proposal = task_objective(camera, cfg.task)(aim[:, 0])
    recorded = RecordedEnergy(energy)
    problem = Problem(camera, seen, states, recorded, proposal)
    high = torch.from_numpy(scene.bounds).to(device)
    planner = make_planner(camera, cfg.task, cfg.planner, -high, high)
    generator = torch.Generator(device).manual_seed(cfg.seed)
    plan, _ = planner.plan(problem, planner.init(batch=1), generator=generator)

    searched = float(scene.bounds[:3].max())
    drawn = searched if cfg.limit is not None else holding(searched, _known(scene, plan))
    axis = torch.linspace(-drawn, drawn, cfg.points)
    third = torch.linspace(-searched, searched, cfg.third)
    actions = held(axis, third, horizon, camera.action_width)
    count = len(actions)
    if scene.true_actions is not None:
        actions = torch.cat([actions, torch.from_numpy(scene.true_actions)[None]])
    uncertainties = {
        f"E_world: {name}": world_energy(camera, [name]) for name in cfg.task.world_energy
    }
    terms = _Terms(
        energy,
        {k: uncertainty for k, uncertainty in uncertainties.items() if uncertainty},
        cfg.task.goal_weight,
    )
    energies = evaluate(problem, terms, actions.to(device))
    _tell(scene, actions, next(iter(energies.values())), plan)
    landscape = Landscape(
        scene,
        axis.numpy(),
        panels({name: values[:count] for name, values in energies.items()}, cfg.points, third),
        _populations(recorded, iterations=plan.trace.shape[1]),
        plan.actions[0, :, :3].cpu().numpy(),
    )
    _tell_of_range(landscape, searched)
    return landscape


def _known(scene: Scene, plan: Plan) -> list[NDArray[np.float32]]:
    """Displacements that the picture is to hold: the plan's, and what truly leads to the goal."""
    known = [plan.actions[0, :, :3].cpu().numpy()]
    return known if scene.true_actions is None else [*known, scene.true_actions[:, :3].mean(0)]


def _tell_of_range(landscape: Landscape, searched: float) -> None:
    """Whether more is drawn than is searched, and which marks lie outside of what is drawn."""
    drawn = f"{_CM * landscape.limit:.1f} cm per step"
    if landscape.beyond_search:
        print(
            f"drawn to {drawn}, for a mark lies beyond the {_CM * searched:.1f} cm that are "
            "searched; limit=… (m) sets both"
        )
    for mark in landscape.marks:
        if mark.outside(landscape.limit):
            print(f"{mark.name}: drawn to {drawn} (limit=…), a triangle at the edge points there")


def _scene(cfg: LandscapeConfig, world: VectorWorld | TokenWorld) -> Scene:
    if world.action_width != len(ACTION_HIGH):
        raise UserError(
            f"{cfg.checkpoint}: expected action_width of {len(ACTION_HIGH)}, the first three of "
            f"them displacements, got {world.action_width}; train on such actions"
        )
    horizon = cfg.planner.horizon
    if cfg.start is not None and cfg.goal is not None:
        return of_files(
            cfg.start,
            cfg.goal,
            world.image_size,
            cfg.state,
            world.predictor.config.state_width,
            horizon,
            action=cfg.action,
            goal_state=cfg.goal_state,
            limit=cfg.limit,
        )
    require_widths(world, cfg.checkpoint, len(ACTION_HIGH), len(ACTION_HIGH))  # a pose has as many
    with tabletops(cfg.task.name, 1, world.image_size) as (env,):
        staged = bool(cfg.task.stage_steps)
        return of_episode(env, cfg.seed, horizon, limit=cfg.limit, staged=staged)


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


def _populations(energy: RecordedEnergy, iterations: int) -> list[Population]:
    """The samples of each iteration; what was evaluated after the last is the plan itself."""
    return [
        Population(actions[0, :, :, :3].mean(1).cpu().numpy(), total[0].float().cpu().numpy())
        for actions, total in energy.judged[:iterations]
    ]


def _tell(scene: Scene, actions: Tensor, total: Tensor, plan: Plan) -> None:
    """The lowest of the actions drawn, the plan and the truth, in words."""
    of_grid = total if scene.true_actions is None else total[:-1]
    if unknown := int((~of_grid.isfinite()).sum()):
        print(f"{unknown} of {len(of_grid)} held actions have no finite energy and are left blank")
    lowest = int(of_grid.where(of_grid.isfinite(), torch.inf).argmin())
    _print("lowest held action", actions[lowest, 0], total[lowest])
    _print("mean of the plan", plan.actions[0].mean(0), plan.energy[0])
    if scene.true_actions is not None:
        _print(scene.true_name, actions[-1].mean(0), total[-1])


def _print(name: str, action: Tensor, energy: Tensor) -> None:
    x, y, z = (_CM * action[:3]).tolist()
    print(f"{name:<28}  x {x:+.1f} y {y:+.1f} z {z:+.1f} cm per step, E_total {float(energy):.4f}")
