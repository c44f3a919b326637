"""Draws rich.png: scenes of the training split above scenes of the test split.

Usage: python docs/images/rich.py
"""

from pathlib import Path

import numpy as np
from PIL import Image

from worldmodel import envs

TASKS = ("push", "grasp", "pick_and_place", "reach")


def scene(task: str, split: str, seed: int) -> np.ndarray:
    """The start of an episode, ``uint8 [192, 192, 3]``."""
    env = envs.make(task, 192, "rich", split)
    image = env.reset(seed=seed)[0]["image"]
    env.close()
    return image


rows = [
    np.hstack([scene(task, split, first + seed) for seed, task in enumerate(TASKS)])
    for split, first in (("train", 40), ("test", 1_000_040))
]
path = Path(__file__).with_suffix(".png")
Image.fromarray(np.vstack(rows)).save(path, optimize=True)
