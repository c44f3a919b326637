"""Numbers that have to be finite: losses while a model trains, and whatever is saved of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from worldmodel.errors import UserError

__all__ = ["LossGuard", "NotFiniteError", "not_finite", "remedy"]

_UNBOUNDED = ("lowest", "highest")  # ends of a range, infinite where nothing bounds it


class NotFiniteError(UserError):
    """Losses, weights or what follows of them are NaN or infinite: the model is of no use."""


def remedy(learning_rate: float | None = None) -> str:
    """What to do about numbers that are not finite, for the end of an error."""
    rate = "" if learning_rate is None else f" (now {learning_rate:g})"
    return f"Lower learning_rate{rate} and give another out, or look for extreme values in the data"


class LossGuard:
    """Ends a training loop at the first step whose losses are not finite.

    That step is remembered on the device of the losses, which is asked for it now and then only: a
    wait a step would cost more than the few steps trained in vain.

    Args:
        run: What trains, in words.
        learning_rate: Its peak, for the advice.
        every: Steps from one question to the next; None for every step on a CPU, which costs
            nothing there, and every 16th elsewhere.

    Example:
        >>> guard = LossGuard("Pretraining", learning_rate=10.0)
        >>> guard.see(1, {"prediction": torch.tensor(0.5)})
        >>> guard.see(2, {"prediction": torch.tensor(torch.nan)})  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        worldmodel.finite.NotFiniteError: Pretraining stopped at step 2: ... got prediction = nan...
    """

    def __init__(self, run: str, learning_rate: float, every: int | None = None) -> None:
        self._run, self._learning_rate, self._every = run, learning_rate, every
        self._names: tuple[str, ...] = ()
        self._step: Tensor | None = None
        self._values: Tensor | None = None
        self._unasked = 0

    def see(self, step: int, figures: Mapping[str, Tensor]) -> None:
        """Look at a step's figures, scalars of the same names every time.

        Raises:
            NotFiniteError: As `check`, which it calls now and then.
        """
        self._names = tuple(figures)
        values = torch.stack([figure.detach().float() for figure in figures.values()])
        if self._step is None or self._values is None:
            self._step = torch.full((), -1, dtype=torch.long, device=values.device)
            self._values = torch.zeros_like(values)
        first = ~values.isfinite().all() & (self._step < 0)
        self._step = torch.where(first, step, self._step)
        self._values = torch.where(first, values, self._values)
        self._unasked += 1
        if self._unasked >= (self._every or (1 if values.device.type == "cpu" else 16)):
            self.check()

    def require(self, step: int, figures: Mapping[str, Tensor]) -> None:
        """Check all there was, and then figures of other names, those that a step led to.

        Raises:
            NotFiniteError: As `check`.
        """
        self.check()
        other = LossGuard(self._run, self._learning_rate)
        other.see(step, figures)
        other.check()

    def check(self) -> None:
        """Wait for the device; call it before anything of the run is written.

        Raises:
            NotFiniteError: Some step's figures were not finite; it names the first one.
        """
        self._unasked = 0
        if self._step is None or self._values is None or (step := int(self._step)) < 0:
            return
        values = zip(self._names, self._values.cpu(), strict=True)
        wrong = [f"{name} = {float(value)}" for name, value in values if not value.isfinite()]
        raise NotFiniteError(
            f"{self._run} stopped at step {step}: expected finite losses, got {', '.join(wrong)}. "
            f"Nothing that came of it is saved. {remedy(self._learning_rate)}."
        )


def not_finite(content: Mapping[str, Any]) -> list[str]:
    """Names of the tensors, in containers too, that hold NaN or an infinity.

    The ends of a range may be infinite. On an accelerator this waits once.
    """
    names, flags = list[str](), list[Tensor]()
    for name, tensor in _tensors(content, ""):
        ends = torch.stack(tensor.aminmax())  # NaN where any is; takes no memory, as isfinite does
        unbounded = name.rpartition(".")[2] in _UNBOUNDED
        names.append(name)
        flags.append((ends.isnan() if unbounded else ~ends.isfinite()).any().reshape(1))
    if not flags:
        return []
    where = flags[0].device
    wrong = torch.cat([flag.to(where, non_blocking=True) for flag in flags]).tolist()
    return [name for name, bad in zip(names, wrong, strict=True) if bad]


def _tensors(content: Any, name: str) -> Iterator[tuple[str, Tensor]]:
    """The tensors of real numbers in nested containers, by dotted names."""
    if isinstance(content, Tensor):
        if content.is_floating_point() and content.numel():
            yield name, content.detach()
    elif isinstance(content, Mapping | list | tuple):
        pairs = content.items() if isinstance(content, Mapping) else enumerate(content)
        for key, value in pairs:
            yield from _tensors(value, f"{name}.{key}" if name else str(key))
