"""Parts of a long run: each leaves a mark when it is done, and is not run again."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch

from worldmodel.files.atomic import write_json

__all__ = ["Stage", "stage"]


class Stage(NamedTuple):
    """What is known of a part that is done.

    Attributes:
        minutes: It took; None where a kill hides that.
        found: What it returned.
    """

    minutes: float | None
    found: Any


def stage(out: Path, work: Callable[[], Any]) -> Stage:
    """Do a part of a run, unless it is done.

    Args:
        out: The folder that it fills; the mark is left beside that.
        work: Does it; what it returns has to be JSON.
    """
    mark = out.with_name(f"{out.name}.json")
    if mark.exists():
        return Stage(**json.loads(mark.read_text(encoding="utf-8")))
    fresh, start, threads = not out.exists(), time.monotonic(), torch.get_num_threads()
    print(out, flush=True)
    found = work()
    torch.set_num_threads(threads)  # planning sets its own
    minutes = (time.monotonic() - start) / 60 if fresh else None
    write_json(mark, {"minutes": minutes, "found": found})
    return Stage(minutes, found)
