"""The optimiser's loop, which everything that learns by gradient descent goes through."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from worldmodel.finite import LossGuard

__all__ = ["TrainingLoop"]


class TrainingLoop:
    """Takes one optimiser step per iteration; the caller logs and saves between them.

    Args:
        name: What trains, in words, for errors.
        optimizer: Of the parameters; its learning rate is set here.
        losses: Scalar terms by name of one part of a step's batch, given the step from 0 on.
        steps: Of the whole run.
        learning_rate: Its peak.
        schedule: Share of the peak at a step counted from 0; see ``worldmodel.schedule``.
        parts: How often a step asks for losses; gradients are of the mean over parts. Small parts
            take less memory, and their activations may stay in the cache.
        weights: Of the terms in the sum that is minimised, which is then logged as ``loss``; None
            for 1 each.
        clip: Largest norm of the gradient; None for any.

    Raises:
        NotFiniteError: While it is iterated: a loss or the clipped gradient was not finite. The
            weights are those before that step, or on an accelerator a few steps later.

    Example:
        >>> weight = nn.Parameter(torch.tensor(1.0))
        >>> sgd, error = torch.optim.SGD([weight]), lambda step: {"error": weight.square()}
        >>> loop = TrainingLoop("A run", sgd, error, 2, 0.25, lambda step: 1.0)
        >>> [(step, loop.figures()["error"]) for step in loop]
        [(1, 1.0), (2, 0.25)]
    """

    def __init__(
        self,
        name: str,
        optimizer: torch.optim.Optimizer,
        losses: Callable[[int], Mapping[str, Tensor]],
        steps: int,
        learning_rate: float,
        schedule: Callable[[int], float],
        *,
        parts: int = 1,
        weights: Mapping[str, float] | None = None,
        clip: float | None = None,
    ) -> None:
        self._optimizer, self._losses, self._steps = optimizer, losses, steps
        self._learning_rate, self._schedule = learning_rate, schedule
        self._parts, self._weights, self._clip = parts, weights, clip
        self._guard = LossGuard(name, learning_rate)
        self._done = 0
        self._figures: dict[str, Tensor] = {}

    def __iter__(self) -> Iterator[int]:
        """The steps done, after each of them."""
        while self._done < self._steps:
            for group in self._optimizer.param_groups:
                group["lr"] = self._rate(self._done)
            self._optimizer.zero_grad(set_to_none=True)
            self._figures = {}
            for _ in range(self._parts):
                self._descend(self._losses(self._done))
            seen = dict(self._figures)
            if self._clip is not None:
                trained = [p for group in self._optimizer.param_groups for p in group["params"]]
                seen["norm of the gradient"] = nn.utils.clip_grad_norm_(trained, self._clip)
            self._guard.see(self._done + 1, seen)
            self._optimizer.step()
            self._done += 1
            yield self._done

    def _rate(self, step: int) -> float:
        return self._learning_rate * self._schedule(step)

    def _descend(self, terms: Mapping[str, Tensor]) -> None:
        """Add the gradients of one part, and its share of the figures."""
        weights = self._weights or dict.fromkeys(terms, 1.0)
        total = torch.stack([weights[name] * term for name, term in terms.items()]).sum()
        (total / self._parts).backward()
        summed = {"loss": total} if self._weights else {}
        for name, term in {**summed, **terms}.items():
            self._figures[name] = self._figures.get(name, 0) + term.detach() / self._parts

    def figures(self) -> dict[str, float]:
        """The last step's terms, means over its parts, and its learning rate.

        Raises:
            NotFiniteError: Some step's losses were not finite.
        """
        self._guard.check()
        figures = {name: float(figure) for name, figure in self._figures.items()}
        return {**figures, "learning_rate": self._rate(self._done - 1)}

    def require_finite(self, *streams: torch.Generator) -> None:
        """Ask for the losses that the last step led to; a model that it spoilt is not worth saving.

        They are asked for without gradients, and draw what the next step will draw: global random
        numbers on the CPU and those of ``streams`` are put back.

        Raises:
            NotFiniteError: Those losses, or any before them, are not finite.
        """
        with torch.no_grad(), _put_back(streams):
            self._guard.require(self._done, self._losses(self._done))

    def state_dict(self) -> dict[str, Any]:
        """What the loop needs to go on: the steps done and the optimiser's state."""
        return {"step": self._done, "optimizer": self._optimizer.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> int:
        """Go on from a state; returns the steps done."""
        self._optimizer.load_state_dict(state["optimizer"])
        self._done = int(state["step"])
        return self._done


@contextmanager
def _put_back(streams: tuple[torch.Generator, ...]) -> Generator[None]:
    """Whatever is drawn within, later numbers are as they would have been."""
    states = [stream.get_state() for stream in streams]
    with torch.random.fork_rng(devices=()):
        yield
    for stream, state in zip(streams, states, strict=True):
        stream.set_state(state)
