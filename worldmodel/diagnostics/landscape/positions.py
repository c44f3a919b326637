"""Goal energies over places of the gripper: where does an energy want the arm to be?

The scene is that of a start image. The arm is put at every point of a plane at one height, as
imagination would put it: its part of the latent is told by its state. Where an object has to be
pushed, the straight way to the goal leads through it; an energy that knows the way wants the
gripper behind the object first. What is true, the simulator can be asked: `true_steps`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from worldmodel.agents.objective import EnergyTowards, projected
from worldmodel.agents.views import Image
from worldmodel.agents.world import CameraWorld, Grounded
from worldmodel.diagnostics.marks import span
from worldmodel.diagnostics.trials import steps_to_go
from worldmodel.envs.protocol import Places
from worldmodel.errors import UserError
from worldmodel.planners import Moments

__all__ = ["Panel", "Plane", "draw_plane", "energy_panels", "true_steps"]

_CM = 100.0
_BEHIND = 1.1  # sides of the object, from its middle to the gripper's before a push


class Panel(NamedTuple):
    """Energies ``[n, n]`` of the gripper at places along x and along y, ``[n]`` each (m)."""

    x: NDArray[np.float32]
    y: NDArray[np.float32]
    energy: NDArray[np.float32]


@dataclass(frozen=True)
class Plane:
    """What is drawn; places are ``[2]`` (m).

    Attributes:
        height: Of the plane, m.
        panels: Side by side, by title.
        tool: Where the gripper starts.
        tool_goal: Where it is in the goal image.
        object_position: Where the object starts.
        object_goal: Where it is in the goal image.
        object_size: Its side, m.
    """

    height: float
    panels: Mapping[str, Panel]
    tool: NDArray[np.float64]
    tool_goal: NDArray[np.float64]
    object_position: NDArray[np.float64]
    object_goal: NDArray[np.float64]
    object_size: float


def energy_panels(
    world: CameraWorld,
    energies: Mapping[str, EnergyTowards],
    images: tuple[Image, Image],
    state: NDArray[np.float32],
    workspace: NDArray[np.float64],
    height: float,
    points: int,
) -> dict[str, Panel]:
    """Goal energies of the gripper at every place.

    Args:
        world: Encodes the images, and tells the arm's part of latents by states.
        energies: From goal latents, by name.
        images: Of the start and of the goal.
        state: Proprioception at the start, ``[P]``, xyz (m) first.
        workspace: Lowest and highest xyz of the gripper, ``[2, 3]`` (m).
        height: Of the plane, m.
        points: n.

    Raises:
        UserError: The world reads the arm off images only.
    """
    if not isinstance(world, Grounded):
        raise UserError(
            "expected a checkpoint that tells the arm's part of a latent by its state, such as "
            "one of predictor=vector; draw plane=actions with this one"
        )
    pictures = (torch.from_numpy(image)[None, None] for image in images)
    start, goal = (latents[:, 0] for latents in projected(world, *pictures))
    x, y = _places(workspace, points)
    states = torch.from_numpy(state).repeat(points * points, 1)
    states[:, :2] = torch.cartesian_prod(x, y)
    states[:, 2] = height
    latents = world.grounded(start.expand(len(states), -1, -1), states)
    moments = Moments(latents[None, :, None], states[None, :, None])
    return {
        name: Panel(x.numpy(), y.numpy(), energy(goal)(moments).view(points, points).numpy())
        for name, energy in energies.items()
    }


def true_steps(env: Places, height: float, points: int, limit: int = 60) -> Panel:
    """Control steps that the scripted expert needs with the gripper at every place: privileged.

    Where the gripper would be inside the object there is no figure (NaN).

    Args:
        env: At the start of the episode, and again afterwards.
        height: Of the plane, m.
        points: n.
        limit: Steps after which the expert gives up.
    """
    start, closedness = env.snapshot(), float(env.proprioception()[6])
    x, y = (axis.numpy() for axis in _places(env.workspace, points))
    steps = np.full((points, points), np.nan, np.float32)
    for row, column in np.ndindex(points, points):
        xyz = np.array([x[row], y[column], height], np.float64)
        if np.abs(xyz - env.object_position()).max() > env.object_size:
            env.place_arm(xyz, closedness)
            steps[row, column] = steps_to_go(env, limit)
            env.restore(start)
    return Panel(x, y, steps)


def _places(workspace: NDArray[np.float64], points: int) -> tuple[Tensor, Tensor]:
    (low_x, low_y, _), (high_x, high_y, _) = workspace.tolist()
    return torch.linspace(low_x, high_x, points), torch.linspace(low_y, high_y, points)


def draw_plane(plane: Plane, images: tuple[Image, Image]) -> Figure:
    """The panels side by side, beside the images of start and goal."""
    count = len(plane.panels)
    figure = Figure((2.3 + 4.0 * count, 4.2), layout="constrained")
    grid = figure.add_gridspec(2, 1 + count, width_ratios=[0.52, *[1.0] * count])
    for row, (title, image) in enumerate(zip(("start", "goal image"), images, strict=True)):
        axes = figure.add_subplot(grid[row, 0])
        axes.imshow(image)
        axes.set_title(title, fontsize=10)
        axes.set_axis_off()
    for column, (title, panel) in enumerate(plane.panels.items(), start=1):
        axes = figure.add_subplot(grid[:, column])
        axes.set_title(title, fontsize=10)
        _draw(axes, plane, panel)
        if column == 1:
            axes.set_ylabel(
                f"x of the gripper, {_CM * plane.height:.0f} cm up, cm (towards the camera)"
            )
            handles, labels = axes.get_legend_handles_labels()
            figure.legend(handles, labels, loc="outside lower right", ncols=5, fontsize=8)
    return figure


def _draw(axes: Axes, plane: Plane, panel: Panel) -> None:
    """One panel; y to the right and x downwards, as the camera sees the table."""
    x, y, energy = _CM * panel.x, _CM * panel.y, np.ma.masked_invalid(panel.energy)
    heat = axes.pcolormesh(y, x, energy, cmap="viridis", shading="nearest")
    if np.ptp(energy) > 0:
        axes.contour(y, x, energy, levels=12, colors="white", linewidths=0.4, alpha=0.6)
    axes.figure.colorbar(heat, ax=axes, shrink=0.75)
    along = plane.object_goal - plane.object_position
    straight = along / max(float(np.linalg.norm(along)), 1e-6)
    behind = plane.object_position - _BEHIND * plane.object_size * straight
    marks = [
        (plane.tool, "o", "white", "gripper, start"),
        (plane.tool_goal, "s", "white", "gripper, goal image"),
        (behind, "P", "orange", "behind the object (true, not known to the planner)"),
    ]
    if energy.count():  # else there is no lowest one
        row, column = np.unravel_index(energy.argmin(), energy.shape)
        lowest = np.array([panel.x[row], panel.y[column]], np.float64)
        marks.insert(2, (lowest, "*", "red", "lowest energy"))
    for (px, py), marker, color, label in marks:
        axes.plot(
            _CM * py,
            _CM * px,
            marker,
            color=color,
            markersize=10,
            markeredgecolor="black",
            label=label,
            linestyle="none",
            clip_on=False,
        )
    (from_x, from_y), (to_x, to_y) = _CM * plane.object_position, _CM * plane.object_goal
    arrow = {"arrowstyle": "->", "color": "orange", "linewidth": 2}
    axes.annotate("", (to_y, to_x), (from_y, from_x), arrowprops=arrow, annotation_clip=False)
    axes.plot([], [], color="orange", label="object to its goal (likewise)")
    drawn = [_CM * place for place, *_ in marks] + [
        _CM * plane.object_position,
        _CM * plane.object_goal,
    ]
    across, down = (span(axis, [place[i] for place in drawn]) for axis, i in ((y, 1), (x, 0)))
    axes.set(xlim=across, ylim=down[::-1], aspect="equal")
    axes.set_xlabel("y of the gripper, cm")
