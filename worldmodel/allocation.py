"""Memory of a process that computes on a CPU."""

from __future__ import annotations

import ctypes

__all__ = ["keep_freed_memory"]

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # names of mallopt(3)
_LARGEST = 32 * 2**20  # bytes; what is larger, glibc maps apart whatever it is told


def keep_freed_memory() -> bool:
    """Have what tensors gave back taken again by the next ones, for as long as the process lives.

    By default glibc hands large blocks back to the system at once, and whoever takes them again
    pays page by page for zeros. Plans make and drop the same tensors over and over
    (``benchmarks/steps.py``). The process stays as large as it was at its largest.

    Returns:
        Whether there was anything to do: only for glibc, that is for most of Linux, there is.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another system, another C library
        return False
    return bool(mallopt(_MMAP_THRESHOLD, _LARGEST) and mallopt(_TRIM_THRESHOLD, -1))
