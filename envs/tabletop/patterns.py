"""Procedural patterns for surfaces: random fields ``[SIDE, SIDE]`` in [0, 1]."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from worldmodel.envs.tabletop.pose import Array

__all__ = [
    "SIDE",
    "Pattern",
    "checkers",
    "dots",
    "gradient",
    "grain",
    "noise",
    "rings",
    "stripes",
    "zigzag",
]

Pattern = Callable[[np.random.Generator], Array]

SIDE = 256  # texels
_V, _U = np.mgrid[:SIDE, :SIDE] / SIDE


def noise(rng: np.random.Generator) -> Array:
    """Clouds, from coarse to fine."""
    frequency = np.fft.fftfreq(SIDE, 1 / SIDE)
    falloff = (1 + np.hypot(frequency, frequency[:, None])) ** rng.uniform(1.0, 2.0)
    spectrum = np.fft.fft2(rng.standard_normal((SIDE, SIDE))) / falloff
    field = np.fft.ifft2(spectrum).real
    return (field - field.min()) / np.ptp(field)


def stripes(rng: np.random.Generator) -> Array:
    """Bands of two widths in any direction."""
    return (_turns(rng, 3, 10) % 1 < rng.uniform(0.3, 0.7)).astype(float)


def checkers(rng: np.random.Generator) -> Array:
    """Squares."""
    count = rng.integers(4, 13)
    return (np.floor(count * _U) + np.floor(count * _V)) % 2


def gradient(rng: np.random.Generator) -> Array:
    """From dark to light and back, once, in any direction."""
    return np.abs(2 * (_turns(rng, 0.8, 1.4) % 1) - 1)


def dots(rng: np.random.Generator) -> Array:
    """Discs on a grid."""
    count = rng.integers(4, 11)
    from_middle = np.hypot(count * _U % 1 - 0.5, count * _V % 1 - 0.5)
    return (from_middle < rng.uniform(0.2, 0.4)).astype(float)


def rings(rng: np.random.Generator) -> Array:
    """Circles around any point."""
    middle = rng.uniform(0.2, 0.8, 2)
    radius = np.hypot(_U - middle[0], _V - middle[1])
    return 0.5 + 0.5 * np.cos(2 * np.pi * rng.uniform(4, 10) * radius)


def zigzag(rng: np.random.Generator) -> Array:
    """Bands that turn back and forth."""
    count = rng.integers(3, 8)
    bend = np.abs(2 * (count * _U % 1) - 1)
    return ((count * _V + bend) % 1 < rng.uniform(0.4, 0.6)).astype(float)


def grain(rng: np.random.Generator) -> Array:
    """Wood: bands that meander."""
    meander = rng.uniform(1.0, 2.0) * noise(rng)
    return 0.5 + 0.5 * np.cos(2 * np.pi * (_turns(rng, 3, 6) + meander))


def _turns(rng: np.random.Generator, fewest: float, most: float) -> Array:
    """The phase of a plane wave in any direction, with so many turns across the square."""
    angle, count = rng.uniform(0, 2 * np.pi), rng.uniform(fewest, most)
    return count * (np.cos(angle) * _U + np.sin(angle) * _V) + rng.random()
