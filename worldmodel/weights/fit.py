"""Tensors into a model: every name, shape and type has to be the model's own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

import torch
from torch import Tensor, nn

from worldmodel.errors import UserError
from worldmodel.weights.sizes import naming
from worldmodel.weights.tensor_file import some

__all__ = ["built", "check_fit", "load_into"]

_Module = TypeVar("_Module", bound=nn.Module)


def built(
    build: Callable[[], _Module],
    tensors: Mapping[str, Tensor],
    source: str,
    unused: tuple[str, ...] = (),
) -> _Module:
    """A frozen model of these very tensors, float32 as their readers give them.

    Args:
        build: Makes it, without memory.
        tensors: By parameter and buffer name.
        source: What to call them in errors.
        unused: Keys that the model need not have; see `load_into`.

    Raises:
        UserError: As `load_into`, or the sizes contradict one another.
    """
    with naming(source), torch.device("meta"):
        model = build()
    load_into(
        model, tensors, source=f"{source}: these weights", assign=True, allow_unexpected=unused
    )
    return model.eval().requires_grad_(False)


def load_into(
    module: nn.Module,
    tensors: Mapping[str, Tensor],
    *,
    source: str = "The weights",
    assign: bool = False,
    allow_missing: Iterable[str] = (),
    allow_unexpected: Iterable[str] = (),
) -> None:
    """Copy tensors into a module; every key must fit unless told which may not.

    Args:
        module: Receives the tensors.
        tensors: By parameter and buffer name.
        source: What to call them in errors.
        assign: Put the tensors themselves in place instead of copying them: a module built on the
            ``meta`` device, which has no memory of its own, is complete afterwards.
        allow_missing: Keys that the tensors need not hold; one that ends with a dot stands for all
            that begin with it.
        allow_unexpected: Keys that the module need not have, likewise.

    Raises:
        UserError: Lists missing keys, unexpected keys, wrong shapes and wrong types.
    """
    check_fit(module, tensors, source, allow_missing, allow_unexpected)
    own = module.state_dict()
    fitting = {k: v for k, v in tensors.items() if k in own}
    module.load_state_dict(fitting, strict=False, assign=assign)


def check_fit(
    module: nn.Module,
    tensors: Mapping[str, Tensor],
    source: str,
    allow_missing: Iterable[str] = (),
    allow_unexpected: Iterable[str] = (),
) -> None:
    """Compare without a look at any number: tensors stay in their file, and a model on ``meta``.

    Raises:
        UserError: As `load_into`.
    """
    own = module.state_dict()
    both = [k for k in own if k in tensors]
    problems = {
        "missing": [k for k in own if k not in tensors and not _is_among(k, allow_missing)],
        "unexpected": [k for k in tensors if k not in own and not _is_among(k, allow_unexpected)],
        "wrong shape": [
            f"{k} (expected {list(own[k].shape)}, got {list(tensors[k].shape)})"
            for k in both
            if own[k].shape != tensors[k].shape
        ],
        "wrong type": [
            f"{k} (expected {own[k].dtype}, got {tensors[k].dtype})"
            for k in both
            if own[k].dtype != tensors[k].dtype
        ],
    }
    if told := [f"{title}: {some(keys)}" for title, keys in problems.items() if keys]:
        raise UserError(
            f"{source} do not fit {type(module).__name__}: {'; '.join(told)}. "
            "The checkpoint belongs to a model of another kind or size."
        )


def _is_among(key: str, names: Iterable[str]) -> bool:
    return any(key.startswith(name) if name.endswith(".") else key == name for name in names)
