"""An energy landscape as one page of HTML: energies under the pointer, iterations by a slider.

The page holds all that it needs, plotly included, and opens without a network.
"""

from __future__ import annotations

import base64
from typing import Any

import imageio.v3 as iio
import numpy as np
import plotly.graph_objects as go
from matplotlib.colors import to_hex
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from worldmodel.agents.views import Image
from worldmodel.diagnostics.landscape.figure import columns, shades
from worldmodel.diagnostics.landscape.grid import Landscape, Panel, Plane, Population
from worldmodel.diagnostics.marks import at_edge

__all__ = ["page"]

_CM = 100.0
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
    titles: list[str] = []
    for row in range(rows):
        beside = ("start", "goal image", *[""] * rows)[row]
        titles += [beside, *(p.title for p in landscape.panels[row * across : (row + 1) * across])]
    figure = make_subplots(
        rows,
        1 + across,
        subplot_titles=titles,
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
        place = (1 + index // across, 2 + index % across)
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
    across, upright, third = panel.plane.names
    lines = [f"{across} %{{x:.2f}} cm, {upright} %{{y:.2f}} cm"]
    lines += [
        f"{other.energy}: {other.reduction} %{{customdata[{i}]:.4f}}"
        for i, other in enumerate(alike)
    ]
    lines.append(
        f"{panel.energy.split(' = ')[0]} lowest at {third} %{{customdata[{len(alike)}]:.2f}} cm"
    )
    subplot = figure.get_subplot(*place)
    (_, right), (low, high) = subplot.xaxis.domain, subplot.yaxis.domain
    axis = _CM * landscape.axis
    return go.Heatmap(
        x=axis,
        y=axis,
        z=panel.values,
        customdata=np.stack([*(other.values for other in alike), _CM * panel.lowest_at], -1),
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


def _samples(landscape: Landscape, plane: Plane, *, legend: bool) -> list[go.Scatter]:
    """The samples of each iteration."""
    count = len(landscape.populations)
    return [
        go.Scatter(
            **_points(population.displacements, plane),
            customdata=_sample_data(population),
            mode="markers",
            marker={"size": 5, "color": to_hex(shade), "line": {"width": 0.5, "color": "black"}},
            hovertemplate="Δx %{customdata[0]:.2f}, Δy %{customdata[1]:.2f}, "
            "Δz %{customdata[2]:.2f} cm<br>E_total %{customdata[3]:.4f}"
            f"<extra>iteration {index}</extra>",
            name=f"samples, iteration {index}",
            legendgroup=f"iteration {index}",
            showlegend=legend,
            visible=index == 1,
        )
        for index, (population, shade) in enumerate(
            zip(landscape.populations, shades(count), strict=True), start=1
        )
    ]


def _sample_data(population: Population) -> NDArray[np.float32]:
    return np.column_stack([_CM * population.displacements, population.energy])


def _points(displacements: NDArray[np.float32], plane: Plane) -> dict[str, NDArray[np.float32]]:
    moved = _CM * displacements
    return {"x": moved[:, plane.across], "y": moved[:, plane.upright]}


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
        ends = list(plane[:2])
        start = None if mark.start is None else mark.start[ends]
        if (edge := at_edge(mark.place[ends], landscape.limit, start)) is not None:
            (x, y), angle = _CM * edge.place, edge.angle(down=plane.upright == 0)
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
        x, y = (float(end) for end in _CM * landscape.scene.bounds[[plane.across, plane.upright]])
        dashed = {"color": "white", "dash": "dash", "width": 1}
        figure.add_shape(x0=-x, x1=x, y0=-y, y1=y, line=dashed, row=row, col=column)
    low, high = (_CM * float(landscape.axis[end]) for end in (0, -1))
    upright = [high, low] if plane.upright == 0 else [low, high]  # x points towards the camera
    figure.update_xaxes(
        range=[low, high], title=f"{plane.names[0]}, cm per step", row=row, col=column
    )
    figure.update_yaxes(range=upright, title=f"{plane.names[1]}, cm per step", row=row, col=column)


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
