"""Training on a world that was trained before: it has to be one of its kind, robot and sizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any, TypeVar

from worldmodel.data.episode_dataset import EpisodeDataset
from worldmodel.errors import UserError
from worldmodel.predictors.lewm_world import LewmWorld
from worldmodel.predictors.token_world import TokenWorld
from worldmodel.predictors.trained_on import require_trained_on
from worldmodel.predictors.vector_world import VectorWorld
from worldmodel.spec import Spec
from worldmodel.weights.world import read_world

__all__ = ["refuse_other_sizes", "world_to_go_on_from"]

_NAMES = {VectorWorld: "vector", TokenWorld: "tokens", LewmWorld: "lewm"}
_World = TypeVar("_World", VectorWorld, TokenWorld, LewmWorld)


def world_to_go_on_from(
    init: str, kind: type[_World], spec: Spec, dataset: EpisodeDataset
) -> _World:
    """The world of ``init=…``.

    Raises:
        UserError: It is of another kind, or of another robot or camera than the dataset.
    """
    world = read_world(init)
    if not isinstance(world, kind):
        raise UserError(f"{init} holds a world of predictor={_NAMES[type(world)]}, train it as one")
    world.checkpoint = init
    require_trained_on(world, spec, against=str(dataset.root))
    return world


def refuse_other_sizes(init: str, key: str, asked: Any, own: Any, usual: Sequence[Any]) -> None:
    """A trained model keeps its sizes, so other ones must not seem to have been followed.

    Args:
        init: Where the model comes from.
        key: Of the sizes, for the error.
        asked: Sizes as they were asked for.
        own: Those of the model.
        usual: Sizes that an option of ``predictor`` brings along by itself, which is no wish.

    Raises:
        UserError: A size was asked for that is not the model's.
    """
    for field in fields(asked):
        wish, size = (getattr(sizes, field.name) for sizes in (asked, own))
        if wish != size and wish not in [getattr(sizes, field.name) for sizes in usual]:
            raise UserError(
                f"{init} was trained with {key}.{field.name}={size}, which training on cannot "
                f"change to {wish}. Leave it out, or train afresh."
            )
