"""Goal energies over places of the gripper: where does an energy want the arm to be?

The scene is that of a start image. The arm is put at every point of a plane at one height, as
imagination would put it: its part of the latent is told by its state. Where an object has to be
pushed, the straight way to the goal leads through it; an energy that knows the way wants the
gripper behind the object first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from envs.tabletop import CUBE, WORKSPACE
from planners import Energy
from worldmodel.commands.evaluation import Image
from worldmodel.commands.policies import CameraWorld, Grounded
from worldmodel.commands.simulator import Simulated
from worldmodel.errors import UserError

__all__ = ["Plane", "draw_plane", "energy_plane"]

_CM = 100.0
_BEHIND = 2.2 * CUBE  # m from the object's middle to the gripper's before a push


@dataclass(frozen=True)
class Plane:
    """What is drawn.

    Attributes:
        x: Places along x, ``[n]`` (m).
        y: Places along y, ``[m]`` (m).
        panels: Energies ``[n, m]`` by name.
        tool: Where the gripper starts, ``[2]`` (m).
        tool_goal: Where it is in the goal image.
        thing: Where the object starts.
        thing_goal: Where it is in the goal image.
    """

    x: NDArray[np.float32]
    y: NDArray[np.float32]
    panels: Mapping[str, NDArray[np.float32]]
    tool: NDArray[np.float64]
    tool_goal: NDArray[np.float64]
    thing: NDArray[np.float64]
    thing_goal: NDArray[np.float64]


def energy_plane(
    world: CameraWorld,
    energies: Mapping[str, Callable[[Tensor], Energy]],
    images: tuple[Image, Image],
    state: NDArray[np.float32],
    height: float,
    points: int,
) -> tuple[NDArray[np.float32], NDArray[np.float32], dict[str, NDArray[np.float32]]]:
    """Places along x ``[n]`` and y ``[n]``, and the energies ``[n, n]`` of the gripper there.

    Args:
        world: Encodes the images, and tells the arm's part of latents by states.
        energies: From goal latents, by name.
        images: Of the start and of the goal.
        state: Proprioception at the start, ``[P]``.
        height: Of the plane, m.
        points: n.

    Raises:
        UserError: The world reads the arm off images only.
    """
    if not isinstance(world, Grounded):
        raise UserError(
            "expected a checkpoint that tells the arm's part of a latent by its state, such as "
            "one of predictor=compact; draw plane=actions with this one"
        )
    start, goal = (world.encode(torch.from_numpy(image)[None, None])[:, 0] for image in images)
    (low_x, low_y, _), (high_x, high_y, _) = WORKSPACE.tolist()
    x, y = torch.linspace(low_x, high_x, points), torch.linspace(low_y, high_y, points)
    states = torch.from_numpy(state).repeat(points * points, 1)
    states[:, :2] = torch.cartesian_prod(x, y)
    states[:, 2] = height
    latents = world.grounded(start.expand(len(states), -1, -1), states)
    moments = Simulated(latents[None, :, None], states[None, :, None])
    panels = {
        name: energy(goal)(moments).view(points, points).numpy()
        for name, energy in energies.items()
    }
    return x.numpy(), y.numpy(), panels


def draw_plane(plane: Plane, images: tuple[Image, Image], height: float) -> Figure:
    """The panels side by side, beside the images of start and goal."""
    count = len(plane.panels)
    figure = Figure((2.3 + 4.0 * count, 4.2), layout="constrained")
    grid = figure.add_gridspec(2, 1 + count, width_ratios=[0.52, *[1.0] * count])
    for row, (title, image) in enumerate(zip(("start", "goal image"), images, strict=True)):
        axes = figure.add_subplot(grid[row, 0])
        axes.imshow(image)
        axes.set_title(title, fontsize=10)
        axes.set_axis_off()
    for column, name in enumerate(plane.panels, start=1):
        axes = figure.add_subplot(grid[:, column])
        _panel(axes, plane, name)
        if column == 1:
            axes.set_ylabel(f"x of the gripper at {_CM * height:.0f} cm, cm (towards the camera)")
            handles, labels = axes.get_legend_handles_labels()
            figure.legend(handles, labels, loc="outside lower right", ncols=5, fontsize=8)
    return figure


def _panel(axes: Axes, plane: Plane, name: str) -> None:
    """One energy; y to the right and x downwards, as the camera sees the table."""
    x, y, energy = _CM * plane.x, _CM * plane.y, plane.panels[name]
    heat = axes.pcolormesh(y, x, energy, cmap="viridis", shading="gouraud")
    if np.ptp(energy) > 0:
        axes.contour(y, x, energy, levels=12, colors="white", linewidths=0.4, alpha=0.6)
    axes.figure.colorbar(heat, ax=axes, shrink=0.75)
    lowest = np.unravel_index(energy.argmin(), energy.shape)
    along = plane.thing_goal - plane.thing
    behind = plane.thing - _BEHIND * along / max(float(np.linalg.norm(along)), 1e-6)
    marks = (
        (plane.tool, "o", "white", "gripper, start"),
        (plane.tool_goal, "s", "white", "gripper, goal image"),
        (np.array([plane.x[lowest[0]], plane.y[lowest[1]]]), "*", "red", "lowest energy"),
        (behind, "P", "orange", "behind the object (true, not known to the planner)"),
    )
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
        )
    (from_x, from_y), (to_x, to_y) = _CM * plane.thing, _CM * plane.thing_goal
    arrow = {"arrowstyle": "->", "color": "orange", "linewidth": 2}
    axes.annotate("", (to_y, to_x), (from_y, from_x), arrowprops=arrow)
    axes.plot([], [], color="orange", label="object to its goal (likewise)")
    axes.set(xlim=(y[0], y[-1]), ylim=(x[-1], x[0]), aspect="equal")
    axes.set_title(f"E_goal: {name}", fontsize=10)
    axes.set_xlabel("y of the gripper, cm")
