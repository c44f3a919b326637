"""What actions, states and cameras mean; it travels with data, checkpoints and reports.

An environment states its own in ``env.metadata``, as plain values:

- ``render_fps``: control steps a second,
- ``actions``: ``names``, ``kind`` and ``rest``,
- ``states``: ``names``, ``kind``, ``periodic``, ``half_turn`` and ``hidden``.

What is not stated is taken as nothing in particular (kind ``generic``), never guessed from a width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError
from pydantic.dataclasses import dataclass

from worldmodel.errors import UserError
from worldmodel.settings import (
    CHECKED,
    Coordinate,
    Count,
    Pixels,
    Positive,
    among,
    described,
    read_settings,
)

__all__ = [
    "ACTION_KINDS",
    "FITS",
    "POSE_ACTIONS",
    "POSE_STATES",
    "STATE_KINDS",
    "ActionSpec",
    "CameraSpec",
    "Look",
    "Spec",
    "SpecChanges",
    "StateSpec",
    "read_spec",
    "require_alike",
    "usual_rest",
]

ACTION_KINDS = ("pose_delta", "delta", "absolute", "velocity", "torque", "generic")
"""What an action is: ``pose_delta`` is the change of a pose as in V-JEPA 2-AC."""
STATE_KINDS = ("pose", "generic")
"""What a state is: ``pose`` is xyz (m), extrinsic-xyz Euler angles (rad), closedness in [0, 1]."""
FITS = ("crop", "pad", "squeeze")
"""How a frame becomes square: its centre, black bars, or another aspect ratio."""
POSE_ACTIONS = ("dx", "dy", "dz", "droll", "dpitch", "dyaw", "dgripper")
POSE_STATES = ("x", "y", "z", "roll", "pitch", "yaw", "gripper")
_BOUND_TOLERANCE = 1e-4  # share of the range by which equal bounds may differ, as float32 does


@dataclass(frozen=True, config=CHECKED)
class ActionSpec:
    """Actions of A numbers, physical units per control step.

    Attributes:
        names: Of each number.
        low: Lower bounds.
        high: Upper bounds.
        rest: What does nothing.
        kind: One of `ACTION_KINDS`.
        recorded: Whether nobody stated bounds and rest, so that they are those of a recording.

    Raises:
        ValueError: Lengths differ, bounds are reversed, rest is out of bounds, or a pose's change
            has not 7 numbers.
    """

    names: tuple[str, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    rest: tuple[float, ...]
    kind: Annotated[str, among(*ACTION_KINDS)] = "generic"
    recorded: bool = False

    def __post_init__(self) -> None:
        for name in ("low", "high", "rest"):
            if len(getattr(self, name)) != self.width:
                raise ValueError(
                    f"Expected {name} of the {self.width} actions {', '.join(self.names)}, got "
                    f"{len(getattr(self, name))} numbers"
                )
        for name, low, rest, high in zip(self.names, self.low, self.rest, self.high, strict=True):
            if not low <= rest <= high:
                raise ValueError(
                    f"Expected low <= rest <= high of action {name}, got {low:g}, {rest:g}, "
                    f"{high:g}"
                )
        if self.kind == "pose_delta" and self.width != len(POSE_ACTIONS):
            raise ValueError(
                f"Expected {len(POSE_ACTIONS)} numbers of kind pose_delta "
                f"({', '.join(POSE_ACTIONS)}), got {self.width}"
            )

    @property
    def width(self) -> int:
        """A."""
        return len(self.names)


@dataclass(frozen=True, config=CHECKED)
class StateSpec:
    """Proprioception of P numbers, physical units; P may be 0.

    Attributes:
        names: Of each number.
        kind: One of `STATE_KINDS`.
        periodic: Those that are angles (rad), where a whole turn is none.
        half_turn: Angles after half a turn of which the robot looks the same.
        hidden: Those that a picture cannot show, such as velocities; None to find them in the data.

    Raises:
        ValueError: ``periodic``, ``half_turn`` or ``hidden`` name no state, or a pose has not 7
            numbers.
    """

    names: tuple[str, ...] = ()
    kind: Annotated[str, among(*STATE_KINDS)] = "generic"
    periodic: tuple[str, ...] = ()
    half_turn: tuple[str, ...] = ()
    hidden: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        for key in ("periodic", "half_turn", "hidden"):
            for name in getattr(self, key) or ():
                if name not in self.names:
                    raise ValueError(
                        f"Expected {key} among the states {', '.join(self.names) or '(none)'}, got "
                        f"'{name}'"
                    )
        if self.kind == "pose" and self.width != len(POSE_STATES):
            raise ValueError(
                f"Expected {len(POSE_STATES)} numbers of kind pose ({', '.join(POSE_STATES)}), got "
                f"{self.width}"
            )

    @property
    def width(self) -> int:
        """P."""
        return len(self.names)

    def renamed(self, names: Sequence[str]) -> StateSpec:
        """With other names ``[P]``."""
        new = dict(zip(self.names, names, strict=True))
        periodic, half_turn, hidden = (
            old and tuple(new[name] for name in old)
            for old in (self.periodic, self.half_turn, self.hidden)
        )
        return StateSpec(tuple(names), self.kind, periodic or (), half_turn or (), hidden)

    def places(self, names: Sequence[str]) -> tuple[int, ...]:
        """Where states of these names stand."""
        return tuple(place for place, name in enumerate(self.names) if name in names)

    @property
    def angles(self) -> tuple[int, ...]:
        """Where states stand that enter as sine and cosine: a pose's Euler angles, or periodic."""
        if self.kind == "pose":
            return (3, 4, 5)
        return self.places((*self.periodic, *self.half_turn))


@dataclass(frozen=True, config=CHECKED)
class CameraSpec:
    """A camera: its name, and its frames' height and width in pixels."""

    name: str
    height: Pixels
    width: Pixels


@dataclass(frozen=True, config=CHECKED)
class SpecChanges:
    """What a user states of data or an environment that does not say it; None changes nothing.

    Attributes:
        action_names: Of each number of an action.
        action_kind: One of `ACTION_KINDS`.
        rest: The action that does nothing.
        state_names: Of each number of a state.
        state_kind: One of `STATE_KINDS`.
        periodic: As in `StateSpec`.
        half_turn: As in `StateSpec`.
        hidden: As in `StateSpec`.
        rate: As in `Spec`.
        unit: As in `Spec`.
    """

    action_names: tuple[str, ...] | None = None
    action_kind: Annotated[str, among(*ACTION_KINDS)] | None = None
    rest: tuple[Coordinate, ...] | None = None
    state_names: tuple[str, ...] | None = None
    state_kind: Annotated[str, among(*STATE_KINDS)] | None = None
    periodic: tuple[str, ...] | None = None
    half_turn: tuple[str, ...] | None = None
    hidden: tuple[str, ...] | None = None
    rate: Positive | None = None
    unit: str | None = None


_LATER = {"chunked": False}
"""What the first specs do not say, and what they meant."""


@dataclass(frozen=True, config=CHECKED)
class Spec:
    """What an environment, a data set or a checkpoint says of robot and cameras.

    Attributes:
        actions: What can be done in a control step.
        states: What the robot feels.
        cameras: In the order in which a model reads them.
        rate: Control steps a second; None where nobody says.
        repeat: Environment steps for which an action is held.
        unit: Of the judge's distance, for reports; empty where nobody says.
        fit: How frames become square for the encoder: ``crop``, ``pad`` or ``squeeze``.
        chunked: Whether an action is a chunk instead, one for each of these steps.
    """

    actions: ActionSpec
    states: StateSpec
    cameras: tuple[CameraSpec, ...]
    rate: Positive | None = None
    repeat: Count = 1
    unit: str = ""
    fit: Annotated[str, among(*FITS)] = "crop"
    chunked: bool = False

    @property
    def composed(self) -> bool:
        """Whether a state follows from an action by composing poses; others are predicted."""
        return self.states.kind == "pose" and self.actions.kind == "pose_delta"

    def __str__(self) -> str:
        a, s, manner = self.actions, self.states, "a chunk of" if self.chunked else "held for"
        bounds = ", ".join(
            f"{name} [{low:.3g}, {high:.3g}]"
            for name, low, high in zip(a.names, a.low, a.high, strict=True)
        )
        hidden = "found in training" if s.hidden is None else ", ".join(s.hidden) or "none"
        lines = [
            f"actions  {a.kind}: {bounds}; rest {', '.join(f'{x:.3g}' for x in a.rest)}"
            + ("; as recorded" if a.recorded else ""),
            f"states   {s.kind}: {', '.join(s.names) or 'none'}"
            + (f"; angles {', '.join(s.names[i] for i in s.angles)}" if s.angles else "")
            + (f"; hidden {hidden}" if s.names else ""),
            "cameras  "
            + ", ".join(f"{c.name} {c.height} x {c.width}" for c in self.cameras)
            + (
                f", {self.fit} to squares" if any(c.height != c.width for c in self.cameras) else ""
            ),
            f"rate     {'unknown' if self.rate is None else f'{self.rate:g} a second'}"
            + (f", each {manner} {self.repeat} environment steps" if self.repeat > 1 else ""),
        ]
        return "\n".join(lines)

    def stored(self) -> dict[str, Any]:
        """As JSON holds it, without what is `_LATER` and usual; `read_spec` reads it."""
        content = asdict(self)
        return {key: value for key, value in content.items() if (key, value) not in _LATER.items()}

    def changed(self, changes: SpecChanges) -> Spec:
        """With what a user states otherwise.

        Raises:
            UserError: There are no such actions or states, or not as many as are named.
        """
        actions, states = self.actions, self.states
        given = {name: value for name, value in vars(changes).items() if value is not None}
        for key, part in (("action_names", actions), ("state_names", states)):
            if key in given:
                _check_names(key, part.names, given[key])
        if "state_names" in given:
            states = states.renamed(given.pop("state_names"))
        of_actions = {"action_names": "names", "action_kind": "kind", "rest": "rest"}
        of_states = {"state_kind": "kind"} | {
            name: name for name in ("periodic", "half_turn", "hidden")
        }
        parts = [
            {key: given.pop(name) for name, key in names.items() if name in given}
            for names in (of_actions, of_states)
        ]
        try:
            actions, states = replace(actions, **parts[0]), replace(states, **parts[1])
            return replace(self, actions=actions, states=states, **given)
        except ValidationError as error:
            raise UserError(described(error)) from error

    def completed(self, trained: Spec) -> Spec:
        """With the kind and the rest of actions of a world's spec, where this one states no kind.

        Args:
            trained: What the world was trained on; as `require_alike` wants it.
        """
        own, theirs = self.actions, trained.actions
        if own.kind != "generic" or theirs.kind == "generic":
            return self
        rest = tuple(np.clip(theirs.rest, own.low, own.high).tolist())
        return replace(self, actions=replace(own, kind=theirs.kind, rest=rest))


class Look(NamedTuple):
    """How an environment is made for a world: as its training data were.

    Attributes:
        image_size: Side of square images, pixels; None for the environment's own.
        repeat: Environment steps for which an action is held; None for the environment's own.
        chunked: Whether an action is a chunk instead, one for each of them.
    """

    image_size: int | None = None
    repeat: int | None = None
    chunked: bool = False

    @classmethod
    def of(cls, spec: Spec | None, image_size: int) -> Look:
        """That of a spec; images that are not square are the environment's own.

        Args:
            spec: What a world was trained on, where that is known.
            image_size: What its encoder reads, for where it is not.
        """
        if spec is None:
            return cls(image_size)
        camera = spec.cameras[0]
        size = camera.height if camera.height == camera.width else None
        return cls(size, spec.repeat, spec.chunked)


def usual_rest(
    low: NDArray[Any], high: NDArray[Any], centre: NDArray[Any], kind: str
) -> tuple[float, ...]:
    """What does nothing, where nobody states it: zero, or the centre where zero is no such thing.

    That is where zero is out of bounds, or where actions are ``absolute``.

    Args:
        low: Lower bounds ``[A]``, physical units.
        high: Upper bounds ``[A]``.
        centre: Of the actions, ``[A]``.
        kind: One of `ACTION_KINDS`.
    """
    nowhere = (kind == "absolute") | (low > 0) | (high < 0)
    return tuple(np.where(nowhere, centre, 0.0).clip(low, high).tolist())


def read_spec(stored: Mapping[str, Any], source: str | Path) -> Spec:
    """A spec from JSON.

    Raises:
        UserError: It is none.
    """
    content = {**_LATER, **stored} if isinstance(stored, Mapping) else stored
    return read_settings(Spec, content, str(source))


def require_alike(expected: Spec, got: Spec, *, of: str, against: str, bounds: bool = True) -> None:
    """Compare two specs where both say something.

    A rate of None says nothing, and a kind of ``generic`` neither, but to a world that composes
    poses: it has to know that it meets them.

    Args:
        expected: What a model was trained for.
        got: What it meets.
        of: Whose ``expected`` is, for the error, such as ``the checkpoint``.
        against: Whose ``got`` is.
        bounds: Compare the bounds of actions, too, where both state them.

    Raises:
        UserError: They differ; it names the field.
    """
    mine, theirs = expected.actions, got.actions
    pairs: list[tuple[str, object, object]] = [
        ("chunked", expected.chunked, got.chunked),  # or the width would be blamed
        ("action_width", mine.width, theirs.width),
        ("state_width", expected.states.width, got.states.width),
        ("cameras", _told(expected.cameras), _told(got.cameras)),
        ("repeat", expected.repeat, got.repeat),
    ]
    kinds = [
        ("actions.kind", mine.kind, theirs.kind),
        ("states.kind", expected.states.kind, got.states.kind),
    ]
    pairs += [found for found in kinds if expected.composed or "generic" not in found]
    if expected.rate is not None and got.rate is not None:
        pairs.append(("rate", round(expected.rate, 2), round(got.rate, 2)))
    for name, ours, other in pairs:
        if ours != other:
            raise UserError(_differs(name, of, ours, against, other))
    stated = bounds and not (mine.recorded or theirs.recorded)
    ends = ("low", "high", "rest") if mine.kind == theirs.kind else ("low", "high")
    for end in ends if stated else ():  # a rest that nobody states depends on the kind
        for place, name in enumerate(mine.names):
            ours, other = getattr(mine, end)[place], getattr(theirs, end)[place]
            reach = max(mine.high[place] - mine.low[place], abs(ours))
            if abs(ours - other) > _BOUND_TOLERANCE * reach:
                told = f"actions.{end} of {name}"
                raise UserError(_differs(told, of, f"{ours:g}", against, f"{other:g}"))


def _told(cameras: Sequence[CameraSpec]) -> str:
    return ", ".join(f"{c.name} {c.height} x {c.width}" for c in cameras)


def _check_names(key: str, old: Sequence[str], new: Sequence[str]) -> None:
    if not len(old) == len(new) == len({*new}):
        raise UserError(
            f"Expected {len(old)} different {key}, in place of {', '.join(old) or '(none)'}, got "
            f"{len(new)}: {', '.join(new)}; name each number once"
        )


def _differs(name: str, of: str, ours: object, against: str, other: object) -> str:
    return (
        f"{of}: expected {name} of {ours}, as it was trained on, got {other} of {against}; use "
        "data and environment of one robot, or train on these"
    )
