"""What is drawn of an energy landscape: energies over planes of actions, and a search.

Every point of a plane is an action held for the whole horizon. It moves along two axes; along the
third, if there is one, the energies are scanned as well, and their mean and their minimum kept. All
other dimensions stay at rest. A plan need not lie in such a plane; it is drawn where its mean
action is.

Shapes: n points along either axis of a plane, m along the third, D axes, C candidates, H control
steps, A action, S samples of an iteration.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from worldmodel.diagnostics.landscape.axes import ActionAxis, shared, told
from worldmodel.diagnostics.landscape.scene import Scene
from worldmodel.diagnostics.marks import Edge, at_edge
from worldmodel.planners import Problem, Trajectory

__all__ = [
    "Landscape",
    "Mark",
    "Panel",
    "Plane",
    "Population",
    "evaluate",
    "held",
    "panels",
    "planes",
]

Array = NDArray[np.float32]
Places = NDArray[np.floating[Any]]
EnergyTerms = Callable[[Trajectory], Mapping[str, Tensor]]

_UNKNOWN = "(not known to the planner)"
_BYTES = 2**30  # of imagined latents and what an energy makes of them, at once
_NEAR = 1e-6  # share of a range by which float32 may leave it


class Plane(NamedTuple):
    """Which axis lies across, which upright, and which is scanned."""

    across: ActionAxis
    upright: ActionAxis
    third: ActionAxis | None = None

    @property
    def ends(self) -> list[int]:
        """Places of the first two among the axes."""
        return [self.across.place, self.upright.place]

    @property
    def down(self) -> bool:
        """Whether the upright axis points down: x of the table, which is towards the camera."""
        cm = self.across.unit == self.upright.unit == "cm"
        return cm and (self.across.dim, self.upright.dim) == (1, 0)

    @property
    def searched(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """What is searched across and upright, in the units of the axes."""
        (left, right), (low, high) = (
            (axis.factor * axis.low, axis.factor * axis.high)
            for axis in (self.across, self.upright)
        )
        return (left, right), (low, high)

    def shown(self, places: Places) -> Places:
        """Places ``[..., D]`` in the picture, ``[..., 2]``, in the units of its axes."""
        factors = np.array([self.across.factor, self.upright.factor], places.dtype)
        return places[..., self.ends] * factors


def planes(axes: Sequence[ActionAxis]) -> tuple[Plane, ...]:
    """The planes over two axes, or over three: of the first with the second, and with the third."""
    first, second, *more = axes
    if not more:
        return (_plane(first, second),)
    return _plane(first, second, more[0]), _plane(first, more[0], second)


def _plane(first: ActionAxis, second: ActionAxis, third: ActionAxis | None = None) -> Plane:
    """Two axes and a third; x of the table lies upright, as the camera sees it."""
    turned = Plane(second, first, third)
    return turned if turned.down else Plane(first, second, third)


@dataclass(frozen=True)
class Panel:
    """One energy over one plane.

    Attributes:
        energy: Its name.
        plane: Over what.
        reduction: ``mean`` or ``min``, over the third axis; empty without one.
        values: ``[n, n]``; rows go along ``plane.upright``.
        lowest_at: Where along the third axis the energy is lowest, ``[n, n]``, physical units.
    """

    energy: str
    plane: Plane
    reduction: str
    values: Array
    lowest_at: Array | None = None

    @property
    def title(self) -> str:
        """What is drawn and what was done."""
        third = self.plane.third
        return (
            self.energy if third is None else f"{self.energy}, {self.reduction} over {third.name}"
        )


class Population(NamedTuple):
    """The samples of an iteration: mean actions ``[S, D]`` (physical units), energies ``[S]``."""

    actions: Array
    energy: Array


class Mark(NamedTuple):
    """An action ``[D]`` (physical units) that is drawn over the energies.

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


@dataclass(frozen=True)
class Landscape:
    """All that is drawn; actions in physical units.

    Attributes:
        scene: Where to plan from and to.
        axes: D of them.
        points: Along every axis, ``[D, n]``, from the lowest that is drawn to the highest.
        panels: In the order in which they are drawn.
        populations: Of the search, by iteration.
        plan: ``[H, D]``.
    """

    scene: Scene
    axes: Sequence[ActionAxis]
    points: Array
    panels: Sequence[Panel]
    populations: Sequence[Population]
    plan: Array

    @property
    def square(self) -> bool:
        """Whether a length means the same along all axes."""
        return shared(self.axes)

    @property
    def beyond_search(self) -> bool:
        """Whether more is drawn than is searched."""
        searched = np.array([(axis.low, axis.high) for axis in self.axes])
        drawn = self.points[:, [0, -1]]
        return bool((np.ptp(drawn, -1) > np.ptp(searched, -1) * (1 + _NEAR)).any())

    @property
    def marks(self) -> list[Mark]:
        """The plan, and what is true; the names of those beyond the axes say where they lie."""
        scene, plan = self.scene, self.plan
        dims = [axis.dim for axis in self.axes]
        found = [Mark("plan", "plan, mean", plan.mean(0))]
        if len(plan) > 1:
            found.append(Mark("first", "plan, first action", plan[0]))
        if scene.true_actions is not None:
            true = scene.true_actions[:, dims].mean(0)
            found.append(Mark("true", f"{scene.true_name} {_UNKNOWN}", true))
        if scene.way is not None and all(axis.unit == "cm" for axis in self.axes):
            start, end = (scene.way[:, dims] / len(plan)).astype(np.float32)
            found.append(Mark("way", f"way to the true goal {_UNKNOWN}", end, start))
        return [self._named(mark) if self.outside(mark) else mark for mark in found]

    def outside(self, mark: Mark) -> bool:
        """Whether a mark lies beyond the axes."""
        return bool(np.abs(self._shares(mark.place)).max() > 1 + _NEAR)

    def edge(self, plane: Plane, mark: Mark) -> Edge | None:
        """Where a picture tells of a mark beyond it, in the units of its axes; None within it."""
        place = self._shares(mark.place)[plane.ends]
        if np.abs(place).max() <= 1 + _NEAR:
            return None
        start = None if mark.start is None else self._shares(mark.start)[plane.ends]
        found = at_edge(place, 1, start)
        assert found is not None
        low, high = plane.shown(self.points[:, [0, -1]].T).astype(np.float64)
        at = low + (found.place + 1) / 2 * (high - low)
        return found._replace(place=at.clip(low, high))

    def _named(self, mark: Mark) -> Mark:
        """The mark with its place in its name."""
        return mark._replace(name=f"{mark.name}, outside, at {told(self.axes, mark.place)}")

    def _shares(self, place: Array) -> NDArray[np.float64]:
        """A place ``[D]`` as shares of what is drawn, from -1 to 1."""
        low, high = self.points[:, [0, -1]].T.astype(np.float64)
        return (place - (low + high) / 2) / ((high - low) / 2)


def held(
    over: Sequence[Plane], points: Tensor, thirds: Tensor, horizon: int, rest: Tensor
) -> Tensor:
    """Actions held for the horizon, at every point of every plane: ``[C, H, A]``.

    Args:
        over: The planes.
        points: Along every axis, ``[D, n]``, physical units.
        thirds: Along every axis where it is the third, ``[D, m]``.
        horizon: H.
        rest: Of the dimensions that are not drawn, ``[A]``.

    Returns:
        For each plane all ``[n, n, m]``: upright, across, third; ``[n, n, 1]`` without a third.
    """
    grids: list[Tensor] = []
    for plane in over:
        along = [points[plane.upright.place], points[plane.across.place]]
        dims = [plane.upright.dim, plane.across.dim]
        if plane.third is not None:
            along.append(thirds[plane.third.place])
            dims.append(plane.third.dim)
        places = torch.cartesian_prod(*along)
        grid = rest.repeat(len(places), 1)
        grid[:, dims] = places
        grids.append(grid)
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


def panels(
    energies: Mapping[str, Tensor], over: Sequence[Plane], points: int, thirds: Tensor
) -> list[Panel]:
    """Every energy over every plane, reduced by mean and by minimum over the third axis.

    Args:
        energies: ``[C]`` of the actions that ``held`` gives, by name.
        over: The planes.
        points: n.
        thirds: As ``held`` had it, ``[D, m]``.
    """
    made: list[Panel] = []
    for name, energy in energies.items():
        grids = energy.view(len(over), points, points, -1)
        for plane, grid in zip(over, grids, strict=True):
            if plane.third is None:
                made.append(Panel(name, plane, "", grid[..., 0].numpy()))
                continue
            low, index = grid.min(-1)
            reduced = {"mean": grid.mean(-1), "min": low}
            at = thirds[plane.third.place][index].numpy()
            made += [Panel(name, plane, how, some.numpy(), at) for how, some in reduced.items()]
    return made
