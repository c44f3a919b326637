"""Episodes that need no simulator, in a module that spawned workers can import."""

from __future__ import annotations

import errno
import os
import time
from dataclasses import dataclass

import numpy as np

from worldmodel.data.episode import Floats, Frames
from worldmodel.data.episode_dataset import EpisodeDataset

LENGTH, HEIGHT, WIDTH = 6, 24, 32


@dataclass(frozen=True)
class SyntheticEpisode:
    frames: Frames
    actions: Floats
    states: Floats
    objects: Floats | None
    task: str = "push"


def make_episode(seed: int, length: int = LENGTH) -> SyntheticEpisode:
    rng = np.random.default_rng(seed)

    def rows(width: int) -> Floats:
        return rng.normal(size=(length, width)).astype(np.float32)

    frames = rng.integers(0, 256, (length, HEIGHT, WIDTH, 3), dtype=np.uint8)
    return SyntheticEpisode(frames, rows(7), rows(7), rows(3))


def logged(seed: int, log: str) -> SyntheticEpisode:
    with open(log, "a") as file:
        file.write(f"{seed}\n")
    return make_episode(seed)


def held_from(seed: int, log: str, first: int, gate: str) -> SyntheticEpisode:
    """Seeds from `first` on take until there is a file called `gate`."""
    episode = logged(seed, log)
    while seed >= first and not os.path.exists(gate):
        time.sleep(0.01)
    return episode


def broken_at(seed: int, bad: int) -> SyntheticEpisode:
    if seed == bad:
        raise RuntimeError("the simulator exploded")
    return make_episode(seed)


def dying_at(seed: int, bad: int) -> SyntheticEpisode:
    if seed == bad:
        os._exit(3)
    return make_episode(seed)


def full_at(seed: int, bad: int) -> SyntheticEpisode:
    if seed == bad:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return make_episode(seed)


def telling_threads(seed: int) -> SyntheticEpisode:
    episode = make_episode(seed)
    episode.states[:] = float(os.environ["OMP_NUM_THREADS"])
    return episode


def each_episode(dataset: EpisodeDataset, first: int = 0) -> list[Frames]:
    """Frames of every episode from ``first`` on, as they are decoded in parts."""
    frames = np.concatenate(list(dataset.iter_parts(int(dataset.starts[first]))))
    return np.split(frames, np.cumsum(dataset.lengths[first:])[:-1])
