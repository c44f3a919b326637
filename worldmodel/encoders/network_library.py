"""What a library of networks offers: building one by its registry, and reading its tokens."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from torch import Tensor, nn

__all__ = ["NetworkLibrary"]


class NetworkLibrary(NamedTuple):
    """Two functions.

    Attributes:
        build: A network with random weights, of settings that come from a file; raises a UserError
            where the library's own registry has no such network.
        read: Tokens ``[n, L, D]`` of a network's normalised frames ``[n, 3, h, w]``, patches last.
    """

    build: Callable[[Mapping[str, Any]], nn.Module]
    read: Callable[[nn.Module, Tensor], Tensor]
