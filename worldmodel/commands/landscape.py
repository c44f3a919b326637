"""``worldmodel landscape``: draw what a planner minimises, over actions or places in x and y.

Over actions, every point of the picture is one action held for the planner's whole horizon, so the
plane is a slice of the search space. A plan need not lie in it; it is drawn where its mean action
is. Beside E_total stand its terms, if it has more than one. Over places of the gripper, goal
energies are drawn side by side (`worldmodel.commands.positions`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from omegaconf import MISSING
from torch import Tensor

from envs import ACTION_HIGH, TabletopEnv
from envs.reach import ReachEnv
from planners import CEM, CEMConfig, Problem
from worldmodel.commands.evaluation import SEED_OFFSET, Image, environments
from worldmodel.commands.policies import CameraWorld, compared, task_energy, task_objective
from worldmodel.commands.positions import Plane, draw_plane, energy_panels, true_steps
from worldmodel.commands.recorder import Recorder
from worldmodel.commands.task import ENERGIES
from worldmodel.data.atomic import replacing
from worldmodel.errors import UserError
from worldmodel.weights.world import load_world

__all__ = ["LandscapeConfig", "held_actions", "run"]

_CM = 100.0
_TITLES = {"total": "E_total", "goal": "E_goal", "world": "E_world"}


@dataclass(frozen=True)
class LandscapeConfig:
    """Which moment of which episode to draw, and whose energies.

    Attributes:
        out: Folder of landscape.png.
        task: Task and energies (group).
        planner: Search settings (group).
        checkpoint: Folder of a world checkpoint, or ``default``.
        seed: Of the episode, whose start is drawn, and of the search; as in ``worldmodel plan``.
        points: Actions or places along x and along y.
        plane: ``actions``, or ``positions`` of the gripper.
        energies: Of the plane of positions: goal energies to draw, as ``task.energy`` names them.
        height: Of the plane of positions, m.
        truth: Places along x and y at which the expert is asked for the true steps, for a panel
            beside the energies; 0 leaves it out. Privileged, and drawn for the reader only.
    """

    out: str = MISSING
    task: Any = MISSING
    planner: Any = MISSING
    checkpoint: str = "default"
    seed: int = 0
    points: int = 61
    plane: str = "actions"
    energies: tuple[str, ...] = ENERGIES
    height: float = 0.03
    truth: int = 0

    def __post_init__(self) -> None:
        if self.points < 2:
            raise ValueError(f"Expected points of at least 2, got {self.points}")
        if self.truth < 0 or self.truth == 1:
            raise ValueError(f"Expected truth of 0, or of at least 2, got {self.truth}")
        if self.plane not in ("actions", "positions"):
            raise ValueError(f"Expected plane actions or positions, got '{self.plane}'")
        for name in self.energies:
            if name not in ENERGIES:
                raise ValueError(f"Expected energies among {', '.join(ENERGIES)}, got '{name}'")
        if not self.energies:
            raise ValueError(f"Expected an energy or more of {', '.join(ENERGIES)}, got none")


@dataclass(frozen=True)
class _Scene:
    """The start of an episode; all but the last field is what a planner gets to see."""

    image: Image
    goal: Image
    state: NDArray[np.float32]
    way: NDArray[np.float64]  # [2, 2], m: from where to where, as seen from the gripper


@torch.inference_mode()
def run(cfg: LandscapeConfig) -> None:
    """Evaluate the energies over the plane, and draw them.

    Raises:
        UserError: The checkpoint or the output folder cannot be used, or the planner has levels.
    """
    if not isinstance(cfg.planner, CEMConfig):
        raise UserError(
            "Expected planner=cem: a landscape shows one search; `worldmodel subgoals` draws what "
            "a planner on two time scales sets itself"
        )
    torch.set_num_threads(1)
    camera = load_world(cfg.checkpoint)
    figure = _positions(cfg, camera) if cfg.plane == "positions" else _actions(cfg, camera)
    path = Path(cfg.out) / "landscape.png"
    try:
        with replacing(path) as partial:
            figure.savefig(partial, format="png", dpi=110)
    except OSError as error:
        raise UserError(f"Cannot write to out={cfg.out} ({error.strerror})") from error
    print(f"picture: {path}")


def _positions(cfg: LandscapeConfig, world: CameraWorld) -> Figure:
    """The goal energies of the gripper at every place, and the true steps if asked for."""
    with environments(cfg.task.name, 1, world.image_size) as (env,):
        observation, _ = env.reset(seed=SEED_OFFSET + cfg.seed)
        tool, thing = env.tool_pose()[:2], env.object_position()[:2]
        tool_goal, thing_goal = env.goal_state[:2], env.goal_object[:2]
        true = {"true steps": true_steps(env, cfg.height, cfg.truth)} if cfg.truth else {}
    images = (observation["image"], observation["goal"])
    energies = {name: task_energy(world, replace(cfg.task, energy=name)) for name in cfg.energies}
    state = observation["state"]
    panels = energy_panels(world, energies, images, state, cfg.height, cfg.points)
    titled = {f"E_goal: {name}": panel for name, panel in panels.items()} | true
    return draw_plane(Plane(cfg.height, titled, tool, tool_goal, thing, thing_goal), images)


def _actions(cfg: LandscapeConfig, camera: CameraWorld) -> Figure:
    """The energies of the grid of held actions, and a plan."""
    world = Recorder(camera)
    with environments(cfg.task.name, 1, camera.image_size) as (env,):
        scene = _scene(env, cfg.seed, staged=bool(cfg.task.stage_steps))
    start, goal = (torch.from_numpy(image)[None, None] for image in (scene.image, scene.goal))
    states = torch.from_numpy(scene.state)[None, None]
    seen, aim = compared(camera, start, goal)
    energy, proposal = task_objective(camera, cfg.task)(aim[:, 0])
    problem = Problem(world, seen, states, energy, proposal)

    high = torch.from_numpy(ACTION_HIGH)
    cem, generator = CEM(cfg.planner, -high, high), torch.Generator().manual_seed(cfg.seed)
    plan, _ = cem.plan(problem, cem.init(batch=1), generator=generator)
    tried = world.populations[-1][0, :, :, :2].mean(1).numpy()

    axis = torch.linspace(-1, 1, cfg.points) * high[0]
    held = held_actions(axis, cfg.planner.horizon)
    total, terms = energy(world.rollout(problem.latents, states, held))
    panels = {"total": total, **(terms if len(terms) > 1 else {})}
    drawn = _Drawn(
        axis.numpy(),
        {name: term.view(cfg.points, cfg.points).numpy() for name, term in panels.items()},
        plan.actions[0, :, :2].numpy(),
        tried,
        scene.way / cfg.planner.horizon,
    )
    lowest = int(total.argmin())
    _print("lowest held action", held[0, lowest, 0], total[0, lowest])
    _print("mean of the plan", plan.actions[0].mean(0), plan.energy[0])
    return _figure(scene, drawn)


def _print(name: str, action: Tensor, energy: Tensor) -> None:
    x, y = (_CM * action[:2]).tolist()
    print(f"{name:<18}  x {x:+.1f} y {y:+.1f} cm per step, E_total {float(energy):.4f}")


def held_actions(axis: Tensor, horizon: int, width: int = len(ACTION_HIGH)) -> Tensor:
    """Actions held for the horizon, one per point of a grid: ``[1, n * n, H, A]``.

    Args:
        axis: What x and y take, ``[n]`` (m); x varies slowest, all other dimensions are zero.
        horizon: H.
        width: A.
    """
    actions = torch.zeros(len(axis), len(axis), horizon, width)
    actions[..., 0] = axis[:, None, None]
    actions[..., 1] = axis[None, :, None]
    return actions.flatten(0, 1)[None]


def _scene(env: TabletopEnv, seed: int, *, staged: bool) -> _Scene:
    observation, info = env.reset(seed=SEED_OFFSET + seed)
    tool = env.tool_pose()[:2]
    if isinstance(env, ReachEnv):
        way = np.stack([tool, env.goal_state[:2]])
    else:
        way = np.stack([env.object_position()[:2], env.goal_object[:2]])
    goal = info["subgoals"][0] if staged else observation["goal"]
    return _Scene(observation["image"], goal, observation["state"], way - tool)


@dataclass(frozen=True)
class _Drawn:
    """What is drawn into every panel; x and y in m per step."""

    axis: NDArray[np.float32]
    panels: dict[str, NDArray[np.float32]]  # [n, n] each, x varies over rows
    plan: NDArray[np.float32]  # [H, 2]
    tried: NDArray[np.float32]  # [S, 2]
    way: NDArray[np.float64]  # [2, 2]


def _figure(scene: _Scene, drawn: _Drawn) -> Figure:
    count = len(drawn.panels)
    figure = Figure((2.3 + 4.0 * count, 4.4), layout="constrained")
    grid = figure.add_gridspec(2, 1 + count, width_ratios=[0.52, *[1.0] * count])
    for row, (title, image) in enumerate([("start", scene.image), ("goal image", scene.goal)]):
        axes = figure.add_subplot(grid[row, 0])
        axes.imshow(image)
        axes.set_title(title, fontsize=10)
        axes.set_axis_off()
    for column, name in enumerate(drawn.panels, start=1):
        axes = figure.add_subplot(grid[:, column])
        _panel(axes, drawn, name)
        if column == 1:
            axes.set_ylabel("Δx, cm per step (towards the camera)")
            handles, labels = axes.get_legend_handles_labels()
            columns = 5 if count > 1 else 2
            figure.legend(handles, labels, loc="outside lower right", ncols=columns, fontsize=8)
    return figure


def _panel(axes: Axes, drawn: _Drawn, name: str) -> None:
    """One energy; y to the right and x downwards, as the camera sees the table."""
    axis, energy = _CM * drawn.axis, drawn.panels[name]
    heat = axes.pcolormesh(axis, axis, energy, cmap="viridis", shading="gouraud")
    if np.ptp(energy) > 0:
        axes.contour(axis, axis, energy, levels=12, colors="white", linewidths=0.4, alpha=0.6)
    axes.figure.colorbar(heat, ax=axes, shrink=0.75)
    x, y = _CM * drawn.tried.T
    axes.scatter(y, x, s=9, c="white", edgecolors="black", linewidths=0.3, label="candidates, mean")
    (x, first_x), (y, first_y) = _CM * np.stack([drawn.plan.mean(0), drawn.plan[0]]).T
    axes.plot(y, x, "*", color="red", markersize=13, markeredgecolor="white", label="plan, mean")
    axes.plot(
        first_y, first_x, "o", markerfacecolor="none", color="red", label="plan, first action"
    )
    (x, goal_x), (y, goal_y) = _CM * drawn.way.T
    arrow = {"arrowstyle": "->", "color": "orange", "linewidth": 2}
    way = axes.annotate("", (goal_y, goal_x), (y, x), arrowprops=arrow, annotation_clip=False)
    assert way.arrow_patch is not None
    way.arrow_patch.set_clip_path(axes.patch)
    axes.plot([], [], color="orange", label="way to the true goal (not known to the planner)")
    axes.set(xlim=(axis[0], axis[-1]), ylim=(axis[-1], axis[0]), aspect="equal")
    axes.set_title(_TITLES[name], fontsize=10)
    axes.set_xlabel("Δy, cm per step")
