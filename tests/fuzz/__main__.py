"""Damages sound files in thousands of ways, and reads them: ``python tests/fuzz --count 10000``.

Whatever a file holds, reading it ends in a result or in a `UserError`, within seconds and bounded
memory; and files that carry a digest never give another result than they did before.
"""

from __future__ import annotations

import argparse
import sys
import warnings

import av
import torch
from formats import FORMATS
from fuzzing import OUTCOMES, attempts


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000, help="damaged files, over all formats")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--format", choices=FORMATS, action="append", help="only this one")
    chosen = parser.parse_args()
    names = chosen.format or list(FORMATS)
    av.logging.set_level(av.logging.PANIC)
    warnings.simplefilter("ignore")  # of the libraries that read the files
    torch.set_num_threads(1)
    failures: list[str] = []
    for name in names:
        outcomes, wrong = attempts(name, FORMATS[name], chosen.count // len(names), chosen.seed)
        told = ", ".join(f"{outcomes[word]} {word}" for word in (*OUTCOMES, "wrong"))
        print(f"{name:<16} {told}", flush=True)
        failures += wrong
    for failure in failures[:50]:
        print(failure, file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
