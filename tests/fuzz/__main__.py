"""Damages sound files in thousands of ways, and reads them: ``python tests/fuzz --count 10000``.

Whatever a file holds, reading it ends in a result or in a `UserError`, within seconds and bounded
memory; and files that carry a digest never give another result than they did before.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from random import Random

import av
import torch
from formats import FORMATS, Format
from mutations import mutated

from worldmodel.errors import UserError

SECONDS, BYTES = 10, 4 * 2**30


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
            outcomes[outcome if outcome in ("same", "other", "refused") else "wrong"] += 1
            if outcome not in ("same", "other", "refused"):
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


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000, help="damaged files, over all formats")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--format", choices=FORMATS, action="append", help="only this one")
    chosen = parser.parse_args()
    names = chosen.format or list(FORMATS)
    av.logging.set_level(av.logging.PANIC)
    torch.set_num_threads(1)
    failures: list[str] = []
    for name in names:
        outcomes, wrong = attempts(name, FORMATS[name], chosen.count // len(names), chosen.seed)
        told = ", ".join(
            f"{outcomes[word]} {word}" for word in ("refused", "same", "other", "wrong")
        )
        print(f"{name:<16} {told}", flush=True)
        failures += wrong
    for failure in failures[:50]:
        print(failure, file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
