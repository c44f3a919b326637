"""What readings of goal energies come to: figures per episode, means with intervals, a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from worldmodel.diagnostics.rankings import mean_interval, spearman
from worldmodel.diagnostics.readings import Reading

__all__ = ["Ruler", "episode_figures", "steps_apart", "summary", "table"]

Array = NDArray[np.float64]
Figures = dict[str, float | None]


@dataclass(frozen=True)
class Ruler:
    """In what energies are measured.

    Attributes:
        window: Control steps after which an energy should have fallen.
        stride: Control steps per imagined step.
        discount: Of the value, per imagined step.
        longest: Imagined steps beyond which nothing is told apart.
    """

    window: int
    stride: int
    discount: float
    longest: float

    def steps(self, name: str, energy: Array) -> Array | None:
        """The imagined steps that an energy predicts; None if it does not count steps."""
        if name == "reachability":
            return energy
        if name == "value":
            left = 1 - (1 - self.discount) * energy
            least = self.discount**self.longest
            return np.log(left.clip(least, None)) / np.log(self.discount)
        return None


def episode_figures(reading: Reading, ruler: Ruler) -> dict[str, Figures]:
    """Of every energy in one episode.

    ``falls``: share of moments after which it is lower by the end of the window; ``path``: its rank
    correlation with the true remaining steps; ``seen`` and ``imagined``: that of candidates, on
    average over forks; ``bias``: predicted minus true steps, on average along the path.
    """
    to_go = np.array([moment.to_go for moment in reading.trial.path])
    figures: dict[str, Figures] = {}
    for name, energy in reading.path.items():
        falls = energy[ruler.window :] < energy[: -ruler.window]
        figures[name] = {
            "falls": float(falls.mean()) if len(falls) else None,
            "path": spearman(energy, to_go),
            "seen": _ranking(reading, reading.ends, name),
            "imagined": _ranking(reading, reading.imagined, name),
        }
        if (errors := steps_apart(reading, ruler, name)) is not None:
            figures[name]["bias"] = float(errors.mean())
    return figures


def steps_apart(reading: Reading, ruler: Ruler, name: str) -> Array | None:
    """Predicted minus true remaining imagined steps along the path, ``[T]``."""
    predicted = ruler.steps(name, reading.path[name])
    if predicted is None:
        return None
    true = np.array([moment.to_go for moment in reading.trial.path]) / ruler.stride
    return predicted - true.clip(max=ruler.longest)


def _ranking(reading: Reading, energies: Sequence[Mapping[str, Array]], name: str) -> float | None:
    """Mean over forks of the rank correlation of candidates' energies with their true cost."""
    found = [
        spearman(energy[name], [end.to_go for end in fork.ends])
        for fork, energy in zip(reading.trial.forks, energies, strict=True)
        if name in energy
    ]
    known = [value for value in found if value is not None]
    return float(np.mean(known)) if known else None


def summary(readings: Sequence[Reading], ruler: Ruler) -> dict[str, dict[str, Any]]:
    """Of every energy: each figure's mean over episodes with its interval, and the error's spread.

    ``spread`` is the standard deviation of predicted minus true steps over all moments.
    """
    figures = [episode_figures(reading, ruler) for reading in readings]
    found: dict[str, dict[str, Any]] = {}
    for name, first in figures[0].items():
        found[name] = {kind: mean_interval([f[name][kind] for f in figures]) for kind in first}
        errors = [steps_apart(reading, ruler, name) for reading in readings]
        if known := [error for error in errors if error is not None]:
            found[name]["spread"] = float(np.concatenate(known).std())
    return found


def table(scenes: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
    """Summaries by scene, for the eye."""
    heads = ("falls", "rank on the path", "rank, seen", "rank, imagined", "steps off (spread)")
    lines = [f"{'':<26}" + "".join(f"{head:>22}" for head in heads)]
    for scene, energies in scenes.items():
        for name, found in energies.items():
            cells = [_cell(found[kind], kind) for kind in ("falls", "path", "seen", "imagined")]
            if "bias" in found:
                cells.append(f"{found['bias']['mean']:+.1f} ({found['spread']:.1f})")
            lines.append(f"{scene:<11}{name:<15}" + "".join(f"{cell:>22}" for cell in cells))
    return "\n".join(lines)


def _cell(figure: Mapping[str, Any], kind: str) -> str:
    if figure["mean"] is None:
        return "–"
    low, high = figure["ci95"]
    if kind == "falls":
        return f"{figure['mean']:.0%} [{low:.0%}, {high:.0%}]"
    return f"{figure['mean']:.2f} [{low:.2f}, {high:.2f}]"
