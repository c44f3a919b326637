"""Draws greedy_trap.png: goal energies of a push over places of the gripper, side by side.

Usage: python docs/images/greedy_trap.py [key=value …], as for ``worldmodel landscape``
"""

import shutil
import sys
import tempfile
from pathlib import Path

from worldmodel.cli.main import main

with tempfile.TemporaryDirectory() as out:
    words = ["task=push", "plane=positions", "points=61", "truth=15", f"out={out}", *sys.argv[1:]]
    code = main(["landscape", *words])
    if code == 0:
        shutil.copy(Path(out) / "landscape.png", Path(__file__).with_suffix(".png"))
sys.exit(code)
