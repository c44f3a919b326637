"""What is drawn of an energy landscape: energies over planes of displacements, and a search.

Every point of a plane is an action held for the whole horizon. It moves along two axes; along the
third the energies are scanned as well, and their mean and their minimum kept. Rotation and gripper
stay at rest. A plan need not lie in such a plane; it is drawn where its mean action is.

Shapes: n points along either axis of a plane, m along the third, C candidates, H control steps,
A action, S samples of an iteration.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from worldmodel.diagnostics.landscape.scene import Scene
from worldmodel.planners import Problem, Trajectory

__all__ = [
    "PLANES",
    "Landscape",
    "Mark",
    "Panel",
    "Plane",
    "Population",
    "evaluate",
    "held",
    "panels",
]

Array = NDArray[np.float32]
EnergyTerms = Callable[[Trajectory], Mapping[str, Tensor]]

_CM = 100.0
_UNKNOWN = "(not known to the planner)"
_AXES = ("Δx", "Δy", "Δz")
_BYTES = 2**30  # of imagined latents and what an energy makes of them, at once


class Plane(NamedTuple):
    """Which displacements lie across, which upright, and which are scanned: indices of xyz."""

    across: int
    upright: int
    third: int

    @property
    def names(self) -> tuple[str, str, str]:
        """Of the three, as they are written."""
        return _AXES[self.across], _AXES[self.upright], _AXES[self.third]


# Of the table as the camera sees it, x points downwards: towards the camera.
PLANES = (Plane(1, 0, 2), Plane(0, 2, 1))


@dataclass(frozen=True)
class Panel:
    """One energy over one plane.

    Attributes:
        energy: Its name.
        plane: Over what.
        reduction: ``mean`` or ``min``, over the third axis.
        values: ``[n, n]``; rows go along ``plane.upright``.
        lowest_at: Where along the third axis the energy is lowest, ``[n, n]`` (m per step).
    """

    energy: str
    plane: Plane
    reduction: str
    values: Array
    lowest_at: Array

    @property
    def title(self) -> str:
        """What is drawn and what was done."""
        return f"{self.energy}, {self.reduction} over {self.plane.names[2]}"


class Population(NamedTuple):
    """The samples of an iteration: mean displacements ``[S, 3]`` (m per step), energies ``[S]``."""

    displacements: Array
    energy: Array


class Mark(NamedTuple):
    """A displacement ``[3]`` (m per step) that is drawn over the energies.

    Attributes:
        key: Which one: ``plan``, ``first``, ``true`` or ``way``.
        name: For the legend.
        place: Where it lies; of the way, its end.
        start: Where the way begins; None for the others.
    """

    key: str
    name: str
    place: Array
    start: Array | None = None

    def outside(self, limit: float) -> bool:
        """Whether it lies beyond displacements of ``limit`` both ways."""
        return bool(np.abs(self.place).max() > limit)

    def told(self) -> Mark:
        """The same with its place in its name."""
        x, y, z = _CM * self.place
        return self._replace(name=f"{self.name}, outside, at x {x:+.1f} y {y:+.1f} z {z:+.1f} cm")


@dataclass(frozen=True)
class Landscape:
    """All that is drawn; displacements in m per step.

    Attributes:
        scene: Where to plan from and to.
        axis: Both axes of every plane, ``[n]``, from minus the largest displacement to it.
        panels: In the order in which they are drawn.
        populations: Of the search, by iteration.
        plan: Displacements ``[H, 3]``.
    """

    scene: Scene
    axis: Array
    panels: Sequence[Panel]
    populations: Sequence[Population]
    plan: Array

    @property
    def limit(self) -> float:
        """Largest displacement that is drawn, m per step."""
        return float(self.axis[-1])

    @property
    def beyond_search(self) -> bool:
        """Whether more is drawn than is searched."""
        return self.limit > float(self.scene.bounds[:3].max()) * (1 + 1e-6)

    @property
    def marks(self) -> list[Mark]:
        """The plan, and what is true; the names of those beyond the axes say where they lie."""
        scene, plan = self.scene, self.plan
        found = [Mark("plan", "plan, mean", plan.mean(0))]
        if len(plan) > 1:
            found.append(Mark("first", "plan, first action", plan[0]))
        if scene.true_actions is not None:
            true = scene.true_actions[:, :3].mean(0)
            found.append(Mark("true", f"{scene.true_name} {_UNKNOWN}", true))
        if scene.way is not None:
            start, end = (scene.way / len(plan)).astype(np.float32)
            found.append(Mark("way", f"way to the true goal {_UNKNOWN}", end, start))
        return [mark.told() if mark.outside(self.limit) else mark for mark in found]


def held(axis: Tensor, third: Tensor, horizon: int, width: int) -> Tensor:
    """Actions held for the horizon, at every point of every plane: ``[C, H, A]``.

    Args:
        axis: Displacements along either axis of a plane, ``[n]`` (m).
        third: Along the third, ``[m]`` (m).
        horizon: H.
        width: A.

    Returns:
        For each of ``PLANES`` all ``[n, n, m]``: upright, across, third.
    """
    grids: list[Tensor] = []
    for plane in PLANES:
        grid = axis.new_zeros(len(axis), len(axis), len(third), width)
        grid[..., plane.upright] = axis[:, None, None]
        grid[..., plane.across] = axis[None, :, None]
        grid[..., plane.third] = third
        grids.append(grid.flatten(0, 2))
    return torch.cat(grids)[:, None].expand(-1, horizon, -1)


def evaluate(problem: Problem, terms: EnergyTerms, actions: Tensor) -> dict[str, Tensor]:
    """Energies ``[C]`` of one episode's candidates ``[C, H, A]``, by name, on the CPU.

    As many candidates are imagined at once as keep their latents within a GiB or so; an energy
    that weighs candidates against each other knows of no others. Vector worlds never come near.
    """
    frame = problem.latents[0, -1]
    steps = actions.shape[1] // problem.world.stride
    at_once = max(1, _BYTES // (3 * 4 * steps * frame.numel()))
    found: dict[str, list[Tensor]] = {}
    chunks = actions.split(at_once)
    for some in tqdm(chunks, desc="energies", unit="chunk", disable=len(chunks) == 1):
        imagined = problem.world.rollout(problem.latents, problem.states, some[None])
        for name, energy in terms(imagined).items():
            found.setdefault(name, []).append(energy[0].float().cpu())
    return {name: torch.cat(parts) for name, parts in found.items()}


def panels(energies: Mapping[str, Tensor], points: int, third: Tensor) -> list[Panel]:
    """Every energy over every plane, reduced by mean and by minimum.

    Args:
        energies: ``[C]`` of the actions that ``held`` gives, by name.
        points: n.
        third: As ``held`` had it, ``[m]``.
    """
    made: list[Panel] = []
    for name, energy in energies.items():
        grids = energy.view(len(PLANES), points, points, len(third))
        for plane, grid in zip(PLANES, grids, strict=True):
            low, index = grid.min(-1)
            reduced = {"mean": grid.mean(-1), "min": low}
            at = third[index].numpy()
            made += [Panel(name, plane, how, some.numpy(), at) for how, some in reduced.items()]
    return made
