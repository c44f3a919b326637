"""Damages a sound file again and again, reads it, and tells how that ended."""

from __future__ import annotations

import resource
import tempfile
import time
from collections import Counter
from pathlib import Path
from random import Random

import torch
from formats import Format
from mutations import mutated

from worldmodel.errors import UserError

__all__ = ["OUTCOMES", "attempts"]

SECONDS, BYTES = 10, 4 * 2**30
OUTCOMES = ("refused", "same", "other")
"""How reading a damaged file may end; ``other`` where no digest tells one number from another."""


def attempts(name: str, kind: Format, count: int, seed: int) -> tuple[Counter[str], list[str]]:
    """How many damaged files of a kind ended how, and what went wrong."""
    outcomes, wrong = Counter[str](), []
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        torch.manual_seed(0)
        kind.make(folder)
        sound, files = kind.read(folder), sorted(p for p in folder.rglob("*") if p.is_file())
        before = {path: path.read_bytes() for path in files}
        for number in range(count):
            random = Random(f"{name} {seed} {number}")
            path = random.choice(files)
            path.write_bytes(mutated(before[path], path.name, random))
            outcome = attempt(kind, folder, sound)
            outcomes[outcome if outcome in OUTCOMES else "wrong"] += 1
            if outcome not in OUTCOMES:
                wrong.append(f"{name} seed={seed} number={number} {path.name}: {outcome}")
            for other in folder.rglob("*"):
                if other.is_file() and other not in before:
                    other.unlink()
            path.write_bytes(before[path])
    return outcomes, wrong


def attempt(kind: Format, folder: Path, sound: str) -> str:
    """How reading a folder ended; a word for the three ends that are right."""
    begun, memory = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        outcome = "same" if kind.read(folder) == sound else "other"
        if outcome == "other" and kind.sealed:
            outcome = "accepted with another result"
    except UserError as error:
        outcome = "refused" if "\n" not in str(error) else f"more than a line: {error!r}"
    except Exception as error:
        outcome = f"{type(error).__name__}: {error}"[:300]
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory) * 1024
    if time.monotonic() - begun > SECONDS or grown > BYTES:
        outcome = f"took {time.monotonic() - begun:.0f} s, {grown / 2**30:.1f} GB ({outcome})"
    return outcome
