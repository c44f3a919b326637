"""A model as a CUDA graph: one launch for the host, however many kernels it runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import _get_current_dispatch_mode

__all__ = ["Replayed", "observed"]

_WARM_UP = 3  # runs before what they allocate and choose is settled, as torch recommends


def observed() -> bool:
    """Whether a mode looks on, as one that counts operations: it sees none of compiled code."""
    return _get_current_dispatch_mode() is not None


class Replayed:
    """A function of tensors to a tensor, captured once for each of their shapes.

    A graph reads weights where they lay when it was captured: once they have moved, all are
    captured anew. Where gradients are recorded, or a mode counts operations, and on other devices
    than CUDA, the function itself is called.

    Args:
        function: It may not wait for the device. Some of its arguments may be None.
        model: Whose weights it reads.
    """

    def __init__(self, function: Callable[..., Tensor], model: nn.Module) -> None:
        self._function, self._model = function, model
        self._captures: dict[Any, _Capture] = {}
        self._weights: tuple[int, ...] = ()
        self._pool: Any = None

    def __call__(self, *given: Tensor | None) -> Tensor:
        """What the function gives, in memory of its own."""
        device = next(x.device for x in given if x is not None)
        if device.type != "cuda" or torch.is_grad_enabled() or observed():
            return self._function(*given)
        weights = tuple(x.data_ptr() for x in self._model.parameters())
        weights += tuple(x.data_ptr() for x in self._model.buffers())
        if weights != self._weights:
            self._captures, self._weights, self._pool = {}, weights, None
        form = (
            tuple(None if x is None else (x.shape, x.dtype) for x in given),
            torch.is_autocast_enabled("cuda") and torch.get_autocast_dtype("cuda"),
        )
        with torch.cuda.device(device):
            if form not in self._captures:
                self._captures[form] = self._captured(given)
            capture = self._captures[form]
            for kept, new in zip(capture.given, given, strict=True):
                if kept is not None and new is not None:
                    kept.copy_(new)
            capture.graph.replay()
            return capture.found.clone()

    def __getstate__(self) -> dict[str, Any]:
        """Without graphs, which no copy could use."""
        return {"_function": self._function, "_model": self._model}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Begin without graphs."""
        self.__init__(state["_function"], state["_model"])  # type: ignore[misc]

    @torch.inference_mode(False)  # so that it is good for whoever plans next
    @torch.no_grad()
    def _captured(self, given: tuple[Tensor | None, ...]) -> _Capture:
        # What graphs find is cloned before the next one runs, so that all can share their memory.
        self._pool = self._pool or torch.cuda.graph_pool_handle()
        kept = tuple(None if x is None else x.clone() for x in given)
        side, here = torch.cuda.Stream(), torch.cuda.current_stream()
        side.wait_stream(here)
        with torch.cuda.stream(side):
            for _ in range(_WARM_UP):
                self._function(*kept)
        here.wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            found = self._function(*kept)
        return _Capture(graph, kept, found)


class _Capture(NamedTuple):
    graph: torch.cuda.CUDAGraph
    given: tuple[Tensor | None, ...]
    found: Tensor
