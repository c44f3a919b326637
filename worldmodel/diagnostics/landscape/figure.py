"""The picture of an energy landscape: a panel per energy, plane and reduction."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from worldmodel.diagnostics.landscape.grid import Landscape, Mark, Panel, Plane

__all__ = ["columns", "draw", "shades"]

_SHOWN = 60  # samples of an iteration; more would hide the energies
_LONG = 60  # characters of an entry of the legend of which four do not fit side by side
_STYLES: dict[str, dict[str, Any]] = {
    "plan": {"marker": "*", "markersize": 15, "color": "deepskyblue"},
    "first": {"marker": "P", "markersize": 8, "color": "deepskyblue"},
    "true": {"marker": "X", "markersize": 10, "color": "orange"},
    "way": {"marker": "", "markersize": 10, "color": "orange"},
}


def columns(landscape: Landscape) -> int:
    """Panels side by side: mean and minimum, and beside them those over the other plane.

    A single energy over two planes makes two rows of two; more of them a row each. Over one plane
    they stand side by side.
    """
    count, energies = len(landscape.panels), len({panel.energy for panel in landscape.panels})
    return min(count, 4) if energies > 1 or count == 1 else 2


def shades(iterations: int) -> list[tuple[float, float, float, float]]:
    """A colour per iteration, darker and darker."""
    return [colormaps["Reds"](share) for share in np.linspace(0.05, 0.95, iterations)]


def draw(landscape: Landscape) -> Figure:
    """The panels beside the images of start and goal."""
    across = columns(landscape)
    rows = -(-len(landscape.panels) // across)
    figure = Figure((2.3 + 4.0 * across, 0.4 + 4.0 * rows), layout="constrained")
    high = 2 if rows == 1 else 1  # rows of the grid for one of panels: the images take two
    grid = figure.add_gridspec(rows * high, 1 + across, width_ratios=[0.52, *[1.0] * across])
    scene = landscape.scene
    for row, (title, image) in enumerate([("start", scene.image), ("goal image", scene.goal)]):
        axes = figure.add_subplot(grid[row, 0])
        axes.imshow(image)
        axes.set_title(title, fontsize=10)
        axes.set_axis_off()
    for index, panel in enumerate(landscape.panels):
        top = high * (index // across)
        axes = figure.add_subplot(grid[top : top + high, 1 + index % across])
        _panel(axes, landscape, panel)
        if index == 0:
            handles, labels = axes.get_legend_handles_labels()
            beside = 4 if max(map(len, labels)) < _LONG else 2
            figure.legend(handles, labels, loc="outside lower center", ncols=beside, fontsize=8)
    return figure


def _panel(axes: Axes, landscape: Landscape, panel: Panel) -> None:
    plane = panel.plane
    x, y = plane.shown(landscape.points.T).T
    values = np.ma.masked_invalid(panel.values)
    heat = axes.pcolormesh(x, y, values, cmap="viridis", shading="gouraud")
    if np.ptp(values) > 0:
        axes.contour(x, y, values, levels=12, colors="white", linewidths=0.4, alpha=0.6)
    axes.figure.colorbar(heat, ax=axes, shrink=0.75)
    _samples(axes, landscape, plane)
    if landscape.beyond_search:
        _searched(axes, plane)
    for mark in landscape.marks:
        _mark(axes, landscape, plane, mark)
    upright = (y[-1], y[0]) if plane.down else (y[0], y[-1])
    axes.set(xlim=(x[0], x[-1]), ylim=upright)
    if landscape.square:
        axes.set_aspect("equal")
    else:
        axes.set_box_aspect(1)
    axes.set_title(panel.title, fontsize=10)
    axes.set_xlabel(plane.across.label)
    axes.set_ylabel(plane.upright.label)


def _samples(axes: Axes, landscape: Landscape, plane: Plane) -> None:
    """Some of every iteration's, the first and the last iteration named."""
    count = len(landscape.populations)
    for index, (population, shade) in enumerate(
        zip(landscape.populations, shades(count), strict=True), start=1
    ):
        tried = population.actions
        some = np.unique(np.linspace(0, len(tried) - 1, _SHOWN).round().astype(int))
        across, upright = plane.shown(tried[some]).T
        named = index in (1, count)
        label = f"samples, iteration {index}" if named else None
        axes.scatter(
            across, upright, s=11, color=shade, edgecolors="black", linewidths=0.3, label=label
        )


def _searched(axes: Axes, plane: Plane) -> None:
    """The box of the search, where more is drawn."""
    (left, right), (low, high) = plane.searched
    box = Rectangle(
        (left, low),
        right - left,
        high - low,
        fill=False,
        edgecolor="0.8",  # seen on the energies and in the legend
        linestyle="--",
        label="searched",
    )
    axes.add_patch(box)


def _mark(axes: Axes, landscape: Landscape, plane: Plane, mark: Mark) -> None:
    """A mark where it lies, or at the edge a triangle that points there."""
    style = {"markeredgecolor": "black", "linestyle": "none", **_STYLES[mark.key]}
    place, edge = plane.shown(mark.place), landscape.edge(plane, mark)
    if mark.start is not None:
        arrow = {"arrowstyle": "->", "color": style["color"], "linewidth": 2}
        (x, y), (from_x, from_y) = place, plane.shown(mark.start)
        drawn = axes.annotate("", (x, y), (from_x, from_y), arrowprops=arrow, annotation_clip=False)
        assert drawn.arrow_patch is not None
        drawn.arrow_patch.set_clip_path(axes.patch)
        axes.plot([], [], color=style["color"], label=mark.name)
    elif edge is None:
        axes.plot(*place, label=mark.name, clip_on=False, zorder=4, **style)
    else:  # the legend keeps the mark's own shape
        axes.plot([], [], label=mark.name, **style)
    if edge is not None:
        pointing = (3, 0, -edge.angle(down=plane.down))
        axes.plot(*edge.place, **style | {"marker": pointing}, clip_on=False, zorder=5)
