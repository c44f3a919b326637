"""Commands as stages of a longer run: each leaves a mark when it is done, and is not run again."""

from __future__ import annotations

import hashlib
import json
import shlex
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from worldmodel.cli.configuration import composed, load, typed
from worldmodel.files.atomic import write_json
from worldmodel.weights.checkpoint import checkpoint_sha256
from worldmodel.weights.world import checkpoint_folder

__all__ = ["digest", "stage"]


def digest(words: Sequence[str], checkpoint: str) -> str:
    """A name for what a command makes of ``key=value`` and a checkpoint, whose weights count."""
    weights = checkpoint_sha256(checkpoint_folder(checkpoint))
    return hashlib.sha256(shlex.join([*words, weights]).encode()).hexdigest()[:8]


def stage(command: str, out: Path, words: Sequence[str]) -> float | None:
    """Run a command unless it is done; its minutes, None where a kill hides what it took.

    Args:
        command: Of ``worldmodel``.
        out: Its folder, beside which the mark is left.
        words: Its other ``key=value``.
    """
    mark = out.with_name(f"{out.name}.json")
    if mark.exists():
        minutes: float | None = json.loads(mark.read_text())["minutes"]
        return minutes
    fresh, start, threads = not out.exists(), time.monotonic(), torch.get_num_threads()
    print(f"worldmodel {command} {shlex.join(words)} out={out}", flush=True)
    _, work = load(command)
    work(typed(composed(command, [*words, f"out={out}"])))
    torch.set_num_threads(threads)  # `plan` sets its own
    minutes = (time.monotonic() - start) / 60 if fresh else None
    write_json(mark, {"minutes": minutes})
    return minutes
