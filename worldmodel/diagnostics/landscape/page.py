"""An energy landscape as one page of HTML: energies under the pointer, iterations by a slider.

The page holds all that it needs, plotly included, and opens without a network.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import imageio.v3 as iio
import numpy as np
import plotly.graph_objects as go
from matplotlib.colors import to_hex
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from worldmodel.agents.views import Image
from worldmodel.diagnostics.landscape.axes import ActionAxis, with_units
from worldmodel.diagnostics.landscape.figure import columns, shades
from worldmodel.diagnostics.landscape.grid import Landscape, Panel, Plane, Population

__all__ = ["page"]

_SIDE = 400  # pixels of a panel
_SYMBOLS = {
    "plan": ("star", "deepskyblue"),
    "first": ("cross", "deepskyblue"),
    "true": ("x", "orange"),
    "way": ("arrow", "orange"),
}


def page(landscape: Landscape) -> str:
    """The page."""
    across = columns(landscape)
    rows = -(-len(landscape.panels) // across)
    high = 2 if rows == 1 else 1  # rows of the grid for one of panels: the images take two
    titles: list[str] = []
    for row in range(rows):
        beside = ("start", "goal image", *[""] * rows)[row]
        titles += [beside, *(p.title for p in landscape.panels[row * across : (row + 1) * across])]
    spans: list[list[dict[str, int] | None]] = [
        [{}, *[{"rowspan": high} if row % high == 0 else None] * across]
        for row in range(rows * high)
    ]
    figure = make_subplots(
        rows * high,
        1 + across,
        specs=spans,
        subplot_titles=titles if high == 1 else [*titles, "goal image"],
        column_widths=[0.5, *[1.0] * across],
        horizontal_spacing=0.36 / (1 + across) ** 1.4,
        vertical_spacing=0.3 / rows**1.4,
    )
    for row, image in enumerate((landscape.scene.image, landscape.scene.goal), start=1):
        figure.add_trace(go.Image(source=_png(image), hoverinfo="skip"), row, 1)
        figure.update_xaxes(visible=False, row=row, col=1)
        figure.update_yaxes(visible=False, row=row, col=1)
    owners: list[int | None] = [None, None]  # iteration that each trace belongs to, if any
    for index, panel in enumerate(landscape.panels):
        place = (1 + high * (index // across), 2 + index % across)
        traces: list[tuple[int | None, Any]] = [(None, _heat(figure, landscape, panel, place))]
        traces += list(enumerate(_samples(landscape, panel.plane, legend=index == 0)))
        traces += [(None, mark) for mark in _marks(landscape, panel.plane, legend=index == 0)]
        for owner, trace in traces:
            figure.add_trace(trace, *place)
            owners.append(owner)
        _frame(figure, landscape, panel.plane, place)
    figure.update_layout(
        width=200 + (60 + _SIDE) * across,
        height=170 + (60 + _SIDE) * rows,
        sliders=[_slider(owners, len(landscape.populations))],
        legend={"orientation": "h", "y": 1.04 + 0.04 / rows, "yanchor": "bottom"},
        margin={"t": 130, "l": 20},
    )
    html: str = figure.to_html(include_plotlyjs=True, full_html=True)
    return html.replace("<head>", "<head><title>Energy landscape</title>", 1)


def _png(image: Image) -> str:
    coded = base64.b64encode(iio.imwrite("<bytes>", image, extension=".png")).decode()
    return f"data:image/png;base64,{coded}"


def _heat(
    figure: go.Figure, landscape: Landscape, panel: Panel, place: tuple[int, int]
) -> go.Heatmap:
    """A panel's energies; the pointer shows them all, and where along the third axis is lowest."""
    alike = [
        other
        for other in landscape.panels
        if (other.plane, other.reduction) == (panel.plane, panel.reduction)
    ]
    plane = panel.plane
    x, y = plane.shown(landscape.points.T).T
    lines = [", ".join(_told(*pair) for pair in ((plane.across, "x"), (plane.upright, "y")))]
    lines += [
        f"{other.energy}: {other.reduction} %{{customdata[{i}]:.4f}}"
        if other.reduction
        else f"{other.energy}: %{{customdata[{i}]:.4f}}"
        for i, other in enumerate(alike)
    ]
    data = [other.values for other in alike]
    if plane.third is not None and panel.lowest_at is not None:
        lowest = _told(plane.third, f"customdata[{len(alike)}]")
        lines.append(f"{panel.energy.split(' = ')[0]} lowest at {lowest}")
        data.append(plane.third.factor * panel.lowest_at)
    subplot = figure.get_subplot(*place)
    (_, right), (low, high) = subplot.xaxis.domain, subplot.yaxis.domain
    return go.Heatmap(
        x=x,
        y=y,
        z=panel.values,
        customdata=np.stack(data, -1),
        hovertemplate="<br>".join(lines) + "<extra></extra>",
        colorscale="Viridis",
        colorbar={
            "x": right + 0.004,
            "y": (low + high) / 2,
            "len": 0.9 * (high - low),
            "thickness": 10,
            "xpad": 0,
            "tickfont": {"size": 9},
        },
    )


def _told(axis: ActionAxis, variable: str) -> str:
    """A variable of the page, with its unit."""
    return with_units([axis], [axis.hover(variable)], "")


def _samples(landscape: Landscape, plane: Plane, *, legend: bool) -> list[go.Scatter]:
    """The samples of each iteration."""
    count, axes = len(landscape.populations), landscape.axes
    numbers = [axis.hover(f"customdata[{axis.place}]") for axis in axes]
    told = f"{with_units(axes, numbers, ', ')}<br>E_total %{{customdata[{len(axes)}]:.4f}}"
    return [
        go.Scatter(
            **_points(population.actions, plane),
            customdata=_sample_data(axes, population),
            mode="markers",
            marker={"size": 5, "color": to_hex(shade), "line": {"width": 0.5, "color": "black"}},
            hovertemplate=f"{told}<extra>iteration {index}</extra>",
            name=f"samples, iteration {index}",
            legendgroup=f"iteration {index}",
            showlegend=legend,
            visible=index == 1,
        )
        for index, (population, shade) in enumerate(
            zip(landscape.populations, shades(count), strict=True), start=1
        )
    ]


def _sample_data(axes: Sequence[ActionAxis], population: Population) -> NDArray[np.float32]:
    factors = np.array([axis.factor for axis in axes], np.float32)
    return np.column_stack([factors * population.actions, population.energy])


def _points(actions: NDArray[np.float32], plane: Plane) -> dict[str, NDArray[Any]]:
    x, y = plane.shown(actions).T
    return {"x": x, "y": y}


def _marks(landscape: Landscape, plane: Plane, *, legend: bool) -> list[go.Scatter]:
    """The plan, and what is true; triangles at the edge point to those beyond it."""
    traces: list[go.Scatter] = []
    for mark in landscape.marks:
        places = np.stack([mark.place] if mark.start is None else [mark.start, mark.place])
        symbol, colour = _SYMBOLS[mark.key]
        marker = {"color": colour, "line": {"width": 1, "color": "black"}}
        named = {"name": mark.name, "legendgroup": mark.name}
        traces.append(
            go.Scatter(
                **_points(places, plane),
                mode="markers" if len(places) == 1 else "markers+lines",
                marker={
                    **marker,
                    "size": 12 if len(places) == 1 else [0, 12],
                    "symbol": symbol,
                    "angleref": "previous" if symbol == "arrow" else "up",
                },
                line={"color": colour},
                showlegend=legend,
                **named,
            )
        )
        if (edge := landscape.edge(plane, mark)) is not None:
            (x, y), angle = edge.place, edge.angle(down=plane.down)
            pointing = {**marker, "size": 12, "symbol": "triangle-up", "angle": angle}
            traces.append(
                go.Scatter(
                    x=[x],
                    y=[y],
                    mode="markers",
                    marker=pointing,
                    cliponaxis=False,
                    showlegend=False,
                    **named,
                )
            )
    return traces


def _frame(figure: go.Figure, landscape: Landscape, plane: Plane, place: tuple[int, int]) -> None:
    row, column = place
    if landscape.beyond_search:
        (left, right), (low, high) = plane.searched
        dashed = {"color": "white", "dash": "dash", "width": 1}
        figure.add_shape(x0=left, x1=right, y0=low, y1=high, line=dashed, row=row, col=column)
    x, y = plane.shown(landscape.points[:, [0, -1]].T).T.tolist()
    figure.update_xaxes(range=x, title=plane.across.label, row=row, col=column)
    upright = y[::-1] if plane.down else y
    figure.update_yaxes(range=upright, title=plane.upright.label, row=row, col=column)


def _slider(owners: list[int | None], iterations: int) -> dict[str, Any]:
    """Shows the samples of one iteration, of all, or of none."""
    traces = [index for index, owner in enumerate(owners) if owner is not None]
    choices: list[tuple[str, set[int]]] = [
        ("none", set()),
        *((str(i + 1), {i}) for i in range(iterations)),
        ("all", set(range(iterations))),
    ]
    return {
        "active": 1,
        "currentvalue": {"prefix": "samples of iteration: "},
        "pad": {"t": 40},
        "steps": [
            {
                "label": label,
                "method": "restyle",
                "args": [{"visible": [owners[trace] in shown for trace in traces]}, traces],
            }
            for label, shown in choices
        ],
    }
