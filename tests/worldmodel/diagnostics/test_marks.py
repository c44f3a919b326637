"""No mark that a legend names is lost beyond the axes of a picture."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.colors import same_color
from matplotlib.figure import Figure

from worldmodel.agents.planner import Bounds
from worldmodel.diagnostics.agreement_figure import _bars
from worldmodel.diagnostics.landscape.axes import action_axes
from worldmodel.diagnostics.landscape.figure import draw
from worldmodel.diagnostics.landscape.grid import Landscape, panels, planes
from worldmodel.diagnostics.landscape.page import page
from worldmodel.diagnostics.landscape.positions import Panel, Plane, draw_plane
from worldmodel.diagnostics.landscape.scene import Scene, limited, published
from worldmodel.diagnostics.marks import at_edge, holding, span

IMAGE = np.zeros((64, 64, 3), np.uint8)
LIMIT = 0.05


def landscape(true: list[float], way: list[float], drawn: float = LIMIT) -> Landscape:
    """One energy, a plan of two steps, and what is true at the places given, m per step."""
    actions = limited(published().actions, LIMIT)
    axes = action_axes(actions, Bounds.of(actions), None)
    over = planes(axes)
    points = torch.linspace(-drawn, drawn, 3).expand(3, -1)
    thirds = torch.linspace(-LIMIT, LIMIT, 3).expand(3, -1)
    energy = torch.arange(len(over) * 27).float()
    scene = Scene(
        IMAGE,
        IMAGE,
        np.zeros(7, np.float32),
        actions,
        np.array([[*true, 0, 0, 0, 0]], np.float32),
        way=2 * np.array([[0.3, 0.3, 0.3], way]),
    )
    plan = np.array([[0.01, 0.02, 0.0], [0.03, 0.0, 0.0]], np.float32)
    return Landscape(scene, axes, points.numpy(), panels({"E": energy}, over, 3, thirds), [], plan)


def pictures(figure: Figure) -> list[Axes]:
    """Those with energies."""
    return [axes for axes in figure.axes if "cm" in axes.get_xlabel()]


def seen(axes: Axes, colour: str) -> list[tuple[float, float]]:
    """Places of the marks of a colour that lie within the axes."""
    (left, right), (low, high) = sorted(axes.get_xlim()), sorted(axes.get_ylim())
    places = [
        (float(x), float(y))
        for line in axes.get_lines()
        if same_color(line.get_color(), colour)
        for x, y in np.transpose(line.get_data())
    ]
    return [(x, y) for x, y in places if left <= x <= right and low <= y <= high]


@pytest.mark.parametrize("true", [[0.2, 0.1, 0.0], [-0.2, 0.0, 0.0], [0.0, 0.0, 7.0]])
def test_what_lies_beyond_the_picture_is_at_its_edge_and_in_words(true: list[float]) -> None:
    drawn = landscape(true, way=[0.0, 0.9, 0.0])
    figure = draw(drawn)
    for axes, panel in zip(pictures(figure), drawn.panels, strict=True):
        ends = panel.plane.ends
        for place in (true, [0.0, 0.9, 0.0]):
            far = float(np.abs(np.array(place)[ends]).max())
            expected = 100 * np.array(place)[ends] * LIMIT / max(far, LIMIT)
            if far > LIMIT:
                assert any(np.allclose(mark, expected, atol=1e-3) for mark in seen(axes, "orange"))
    said = [text.get_text() for text in figure.legends[0].get_texts()]
    x, y, z = (f"{100 * number:+.1f}" for number in true)
    assert sum(f"outside, at x {x} y {y} z {z} cm" in text for text in said) == 1
    assert sum("outside, at x +0.0 y +90.0 z +0.0 cm" in text for text in said) == 1


def test_a_page_points_from_its_edge_to_what_lies_beyond() -> None:
    html = page(landscape([0.2, 0.0, 0.0], way=[0.01, 0.01, 0.0]))
    traces = json.JSONDecoder().raw_decode(html, html.index("[{", html.index("Plotly.newPlot(")))[0]
    edge = [trace for trace in traces if trace.get("marker", {}).get("symbol") == "triangle-up"]
    # x points downwards in the first plane and to the right in the second.
    assert [(t["x"], t["y"], t["marker"]["angle"] % 360) for t in edge] == [
        ([0.0], [pytest.approx(5.0)], 180.0),
        ([0.0], [pytest.approx(5.0)], 180.0),
        ([pytest.approx(5.0)], [0.0], 90.0),
        ([pytest.approx(5.0)], [0.0], 90.0),
    ]
    assert all("outside, at x +20.0 y +0.0 z +0.0 cm" in trace["name"] for trace in edge)


def test_what_lies_within_is_where_it_is_and_nothing_is_said() -> None:
    drawn = landscape([0.02, 0.03, 0.0], way=[0.01, 0.0, 0.0])
    figure = draw(drawn)
    assert all(seen(axes, "orange") for axes in pictures(figure))
    assert not any("outside" in text.get_text() for text in figure.legends[0].get_texts())
    assert "searched" not in [text.get_text() for text in figure.legends[0].get_texts()]


def test_where_more_is_drawn_than_is_searched_the_search_has_a_frame() -> None:
    figure = draw(landscape([0.09, 0.0, 0.0], way=[0.0, 0.0, 0.0], drawn=0.1))
    assert "searched" in [text.get_text() for text in figure.legends[0].get_texts()]
    assert all(seen(axes, "orange") for axes in pictures(figure))


def test_a_range_is_widened_only_where_something_lies_beyond() -> None:
    inside, beyond = np.array([0.04, -0.05]), np.array([0.0, -0.2])
    assert holding(LIMIT, [inside]) == LIMIT
    assert 0.2 < holding(LIMIT, [inside, beyond]) < 0.22
    assert at_edge(inside, LIMIT) is None
    edge = at_edge(np.array([0.3, 0.2]), LIMIT, np.array([-0.05, 0.02]))
    assert edge is not None
    np.testing.assert_allclose(edge.place, [-0.05 + 0.03 * 0.35 / 0.18, LIMIT])
    np.testing.assert_allclose(edge.towards, np.array([0.35, 0.18]) / np.hypot(0.35, 0.18))
    assert span(np.array([0.0, 1.0]), [0.2, 0.9]) == (0.0, 1.0)
    low, high = span(np.array([0.0, 1.0]), [-0.5, 0.9])
    assert (low < -0.5, high) == (True, 1.0)


def test_places_beyond_the_plane_of_positions_are_drawn() -> None:
    axis = np.linspace(0, 0.2, 3, dtype=np.float32)
    unknown = np.full((3, 3), np.nan, np.float32)
    lost = [np.array([-0.1, 0.1]), np.array([0.1, 0.4]), np.array([0.5, 0.1]), np.array([0.3, 0.3])]
    figure = draw_plane(Plane(0.03, {"E": Panel(axis, axis, unknown)}, *lost, 0.05), (IMAGE, IMAGE))
    (axes,) = pictures(figure)
    assert len(seen(axes, "white")) == 2
    (left, right), (low, high) = sorted(axes.get_xlim()), sorted(axes.get_ylim())
    for x, y in lost:
        assert left < 100 * y < right
        assert low < 100 * x < high
    assert not seen(axes, "red")  # there is no lowest of unknown energies


def test_an_agreement_that_is_not_known_is_told_from_one_of_zero() -> None:
    known = {"path": {"mean": 0.0, "ci95": [-0.1, 0.1]}}
    scenes: dict[str, Any] = {
        "plain": {"a": known, "b": {"path": {"mean": None, "ci95": None}}},
        "rich": {"a": known, "b": known},
    }
    axes = Figure().subplots()
    _bars(axes, scenes, "path")
    assert [text.get_text() for text in axes.texts] == ["unknown, plain"]
    low, high = sorted(axes.get_ylim())
    assert low < axes.texts[0].get_position()[1] < high
