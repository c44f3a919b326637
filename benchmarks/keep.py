"""Keep a world in the repository: its checkpoint alone, matrices in float16.

Usage: python benchmarks/keep.py runs/public/cube/planner benchmarks/checkpoints/cube/planner
"""

from __future__ import annotations

import argparse

from worldmodel.weights.checkpoint import checkpoint_record
from worldmodel.weights.world import read_world, save_world


def main() -> None:
    """Read, and write in half the room."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("world", help="folder of a world's checkpoint")
    parser.add_argument("to", help="folder to keep it in")
    words = parser.parse_args()
    save_world(words.to, read_world(words.world), checkpoint_record(words.world), half=True)


if __name__ == "__main__":
    main()
