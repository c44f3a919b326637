"""The picture of a diagnosis: agreement with the simulator, and predicted against true steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from worldmodel.diagnostics.agreement import Ruler
from worldmodel.diagnostics.marks import told_unknown
from worldmodel.diagnostics.readings import Reading

__all__ = ["drawn"]

_TITLES = {
    "path": "rank agreement with remaining steps\nalong solved episodes",
    "seen": "rank agreement with true cost\nof candidates' true futures",
    "imagined": "rank agreement with true cost\nof candidates' imagined futures",
}


def drawn(
    scenes: Mapping[str, Mapping[str, Mapping[str, Any]]],
    readings: Mapping[str, Sequence[Reading]],
    ruler: Ruler,
) -> Figure:
    """The picture.

    Args:
        scenes: Summaries by scene.
        readings: What they are of.
        ruler: In what energies are measured.
    """
    figure = Figure((4.2 * (len(_TITLES) + 1), 4.2), layout="constrained")
    axes = figure.subplots(1, len(_TITLES) + 1)
    for panel, (kind, title) in zip(axes, _TITLES.items(), strict=False):
        _bars(panel, scenes, kind)
        panel.set_title(title, fontsize=10)
    axes[1].legend(fontsize=8, loc="lower left")
    _calibration(axes[-1], readings, ruler)
    return figure


def _bars(axes: Axes, scenes: Mapping[str, Mapping[str, Mapping[str, Any]]], kind: str) -> None:
    """A group of bars per energy, one for each scene, with intervals."""
    names = list(next(iter(scenes.values())))
    height = 0.8 / len(scenes)
    for index, (scene, energies) in enumerate(scenes.items()):
        known = [
            (row, energies[name][kind])
            for row, name in enumerate(names)
            if energies[name][kind]["mean"] is not None
        ]
        rows = np.array([row for row, _ in known]) + height * (index - (len(scenes) - 1) / 2)
        means = np.array([figure["mean"] for _, figure in known])
        bounds = np.array([figure["ci95"] for _, figure in known]).reshape(-1, 2).T
        axes.barh(rows, means, height, xerr=abs(bounds - means), label=scene, capsize=2)
        for row, name in enumerate(names):
            if energies[name][kind]["mean"] is None:
                place = row + height * (index - (len(scenes) - 1) / 2)
                told_unknown(axes, f"unknown, {scene}", 0.51, place)
    downwards = (len(names) - 0.5, -0.5)  # from above, and room for those without a bar
    axes.set(yticks=range(len(names)), yticklabels=names, xlim=(-1, 1), ylim=downwards)
    axes.axvline(0, color="black", linewidth=0.6)
    axes.set_xlabel("Spearman (95 % bootstrap over episodes)")


def _calibration(axes: Axes, readings: Mapping[str, Sequence[Reading]], ruler: Ruler) -> None:
    """Mean predicted steps of every number of true ones."""
    largest = 0.0
    for name, style in (("reachability", "-"), ("value", "--")):
        for index, (scene, seen) in enumerate(readings.items()):
            true, predicted = _told(seen, ruler, name)
            if not len(true):
                continue
            levels = np.unique(true)
            means = np.array([predicted[true == level].mean() for level in levels])
            axes.plot(levels, means, style, color=f"C{index}", marker=".", label=f"{name}, {scene}")
            if wrong := int((~np.isfinite(means)).sum()):
                axes.plot([], [], " ", label=f"({wrong} of them not finite, not drawn)")
            largest = max(largest, float(levels[-1]))
    axes.plot([0, largest], [0, largest], color="black", linewidth=0.6)
    axes.set_title("steps to the goal along solved episodes", fontsize=10)
    axes.set(xlabel="true remaining imagined steps", ylabel="predicted")
    if largest:
        axes.legend(fontsize=8)


def _told(seen: Sequence[Reading], ruler: Ruler, name: str) -> tuple[np.ndarray, np.ndarray]:
    """True and predicted remaining imagined steps of all moments."""
    true: list[float] = []
    predicted: list[float] = []
    for reading in seen:
        if name in reading.path and (steps := ruler.steps(name, reading.path[name])) is not None:
            predicted += steps.tolist()
            true += [moment.to_go / ruler.stride for moment in reading.trial.path]
    return np.array(true), np.array(predicted)
