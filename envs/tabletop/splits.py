"""The visual splits: appearances for training, and others that nothing was trained on."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from worldmodel.envs.tabletop import patterns
from worldmodel.envs.tabletop.patterns import Pattern
from worldmodel.envs.tabletop.pose import Array

__all__ = ["SPLITS", "Interval", "Split"]

Interval = tuple[float, float]


@dataclass(frozen=True)
class Split:
    """Hues, light directions and patterns; no two splits share any.

    Attributes:
        hues: Intervals in turns of the colour wheel.
        azimuths: Where light comes from: intervals in turns around the table, from the camera on.
        patterns: Of the surfaces.
    """

    hues: tuple[Interval, ...]
    azimuths: tuple[Interval, ...]
    patterns: tuple[Pattern, ...]

    def colour(
        self,
        rng: np.random.Generator,
        saturation: Interval,
        value: Interval,
        hues: Sequence[Interval] | None = None,
    ) -> Array:
        """RGB ``[3]`` in [0, 1], of ranges of saturation and value and some of the hues."""
        hue = _drawn(rng, hues or self.hues) % 1.0
        return np.array([*colorsys.hsv_to_rgb(hue, rng.uniform(*saturation), rng.uniform(*value))])

    def direction(self, rng: np.random.Generator) -> Array:
        """A unit vector ``[3]`` from the table towards a light, which is 35 to 75 degrees up."""
        azimuth, elevation = 2 * np.pi * _drawn(rng, self.azimuths), rng.uniform(0.6, 1.3)
        level = np.cos(elevation) * np.array([np.cos(azimuth), np.sin(azimuth)])
        return np.array([*level, np.sin(elevation)])

    def pattern(self, rng: np.random.Generator) -> Array:
        """A field in [0, 1], see `envs.tabletop.patterns`."""
        return self.patterns[int(rng.integers(len(self.patterns)))](rng)


def _around(*twelfths: int) -> tuple[Interval, ...]:
    """Intervals around twelfths of the colour wheel, with gaps as wide between neighbours."""
    return tuple((twelfth / 12 - 0.025, twelfth / 12 + 0.025) for twelfth in twelfths)


SPLITS = {
    "train": Split(
        hues=_around(0, 2, 4, 6, 8, 10),  # red, yellow, green, cyan, blue, magenta
        azimuths=((0.0, 0.2), (0.5, 0.7)),
        patterns=(patterns.noise, patterns.stripes, patterns.checkers, patterns.gradient),
    ),
    "test": Split(
        hues=_around(1, 3, 5, 7, 9, 11),  # orange, lime, and so on between those for training
        azimuths=((0.25, 0.45), (0.75, 0.95)),
        patterns=(patterns.grain, patterns.zigzag, patterns.dots, patterns.rings),
    ),
}


def _drawn(rng: np.random.Generator, intervals: Sequence[Interval]) -> float:
    """From one of the intervals, each as likely."""
    return float(rng.uniform(*intervals[int(rng.integers(len(intervals)))]))
