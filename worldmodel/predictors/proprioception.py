"""What actions make of the robot's own state, as a rollout imagines it.

A pose under pose deltas is composed, as V-JEPA 2-AC does. Anything else (joints, torques, absolute
targets) is predicted: a residual network on standardised proprioception and scaled actions.

Shapes: B episodes, S candidates, H control steps, K = H / stride imagined steps, P state,
F state features, A action.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from worldmodel.nn.mlp import mlp
from worldmodel.nn.pose import travelled
from worldmodel.nn.standardisation import POSE_ANGLES, POSE_WIDTH, ActionScaling, StateFeatures
from worldmodel.settings import CHECKED, Dimension

__all__ = ["ImaginedStates", "ProprioPredictor", "StateLayout", "StateModel", "imagined_states"]

_LEAST = 5e-2  # m or rad of a pose; less is held still


class StateModel(nn.Module):
    """The proprio features that follow from those before and the actions of an imagined step."""

    def __init__(self, features: int, actions: int, width: int) -> None:
        super().__init__()
        self.change = mlp(features + actions, width, 2, features)

    def forward(self, features: Tensor, actions: Tensor) -> Tensor:
        """Next features ``[..., F]`` of features ``[..., F]`` and scaled actions."""
        return features + self.change(torch.cat([features, actions], -1))


@dataclass(frozen=True, config=CHECKED)
class StateLayout:
    """How a predictor takes proprioception; it follows from the data's spec.

    Attributes:
        composed: States are poses and actions their changes, so that states are composed.
        angles: Where other states stand that are angles, rad.
        half_turn: Those of them after half a turn of which the robot looks the same.
    """

    composed: bool = True
    angles: tuple[Dimension, ...] = ()
    half_turn: tuple[Dimension, ...] = ()

    def features(self, width: int) -> StateFeatures:
        """The features of states of P numbers."""
        if self.composed:
            return StateFeatures(width, POSE_ANGLES, least=_LEAST)
        return StateFeatures(width, self.angles, self.half_turn)

    def model(self, features: int, actions: int, width: int) -> StateModel | None:
        """What predicts the features; None where they are composed, or there are none."""
        return None if self.composed or not features else StateModel(features, actions, width)

    def check(self, state_width: int, action_width: int) -> None:
        """Raise a ValueError where such states have no such layout."""
        if self.composed and (state_width, action_width) != (POSE_WIDTH, POSE_WIDTH):
            raise ValueError(
                f"Expected states and actions of {POSE_WIDTH} numbers to compose poses, got "
                f"{state_width} and {action_width}; set states.composed=false"
            )
        if any(place >= state_width for place in (*self.angles, *self.half_turn)):
            raise ValueError(
                f"Expected angles among {state_width} states, got {self.angles} and "
                f"{self.half_turn}"
            )


class ProprioPredictor(Protocol):
    """What imagining proprioception reads of a predictor, of vectors or of tokens."""

    @property
    def scale_actions(self) -> ActionScaling:
        """Physical actions to unit scale."""
        ...

    @property
    def state_features(self) -> StateFeatures:
        """States to features of unit scale."""
        ...

    @property
    def state_model(self) -> StateModel | None:
        """What predicts the features; None where poses are composed, or nothing is felt."""
        ...


class ImaginedStates(NamedTuple):
    """Proprioception along imagined steps, the start included.

    Attributes:
        features: ``[B, S, K + 1, F]``.
        states: ``[B, S, K + 1, P]``, physical units.
    """

    features: Tensor
    states: Tensor


def imagined_states(
    model: ProprioPredictor, states: Tensor, actions: Tensor, stride: int = 1
) -> ImaginedStates:
    """The states that actions lead to.

    Composed positions stay within the range of the data, as arms stop at the end of their
    workspace.

    Args:
        model: Composes poses if it has no state model.
        states: Start, ``[B, S, P]`` or ``[B, 1, P]``.
        actions: ``[B, S, H, A]``, physical units.
        stride: Control steps per imagined step.
    """
    states = states.expand(-1, actions.shape[1], -1)
    seen = model.state_features
    if model.state_model is None and not seen.width:
        nothing = states.unsqueeze(2).expand(-1, -1, actions.shape[2] // stride + 1, -1)
        return ImaginedStates(nothing, nothing)
    if model.state_model is None:
        path = travelled(states, actions, seen.lowest[:3], seen.highest[:3])[:, :, ::stride]
        return ImaginedStates(seen(path), path)
    chunks = model.scale_actions(actions).unflatten(2, (-1, stride)).flatten(-2)
    features = [seen(states)]
    for chunk in chunks.unbind(2):
        features.append(model.state_model(features[-1], chunk))
    imagined = torch.stack(features, 2)
    return ImaginedStates(imagined, seen.inverse(imagined))
