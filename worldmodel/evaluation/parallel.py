"""Episodes apart, spread over processes, for policies that need the simulator of their episode.

Such a policy plans for one episode only, and slowly where it carries out its candidates.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial

import torch

from worldmodel.agents.environment import capable
from worldmodel.agents.policies import Policy
from worldmodel.agents.task import TaskConfig
from worldmodel.envs.protocol import Simulator
from worldmodel.evaluation.episodes import Episode, environments, run_episodes
from worldmodel.spec import Look

__all__ = ["PolicyOn", "Scene", "run_apart", "simulator"]

Scene = tuple[str, int, str, str]
"""Name, image size, appearance and split of an environment, as `make_env` takes them."""

PolicyOn = Callable[[Simulator], Policy]
"""Makes the policy of one episode for the simulator that this episode runs in."""


@contextmanager
def simulator(scene: Scene, wanted_for: str) -> Iterator[Simulator]:
    """An environment whose truth may be read, closed at the end.

    Args:
        scene: What it is made of.
        wanted_for: What asks for it, for the error.

    Raises:
        EnvironmentContractError: Its truth cannot be read.
    """
    name, image_size, appearance, split = scene
    with environments(name, 1, Look(image_size), appearance, split) as (env,):
        yield capable(env, Simulator, wanted_for)


def run_apart(
    policy_on: PolicyOn,
    seeds: Sequence[int],
    task: TaskConfig,
    scene: Scene,
    *,
    workers: int | None = None,
    search_seed: int = 0,
) -> Iterator[Episode]:
    """`run_episodes`, with an environment and a policy for every episode, spread over processes.

    Args:
        policy_on: Makes the policies; it is pickled.
        seeds: One per episode.
        task: As for `run_episodes`.
        scene: What the environments are made of.
        workers: Episodes at once; None for one per CPU core.
        search_seed: As for `run_episodes`.

    Yields:
        Episodes in the order of ``seeds``, under the same protocol as every other policy.
    """
    # Pickled here, tensors are copied; left to the executor, they would be shared through open
    # files.
    one = partial(_episode, pickle.dumps(policy_on), task, scene, search_seed)
    processes = min(workers or len(os.sched_getaffinity(0)), len(seeds))
    # A forked process would inherit a GL context that it cannot use.
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, spawn, _begin) as workshop:
        yield from workshop.map(one, seeds)


def _begin() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends the workers on Ctrl-C
    torch.set_num_threads(1)


def _episode(
    packed: bytes,
    task: TaskConfig,
    scene: Scene,
    search_seed: int,
    seed: int,
) -> Episode:
    policy_on: PolicyOn = pickle.loads(packed)
    name, image_size, appearance, split = scene
    with environments(name, 1, Look(image_size), appearance, split) as made:
        policy = policy_on(capable(made[0], Simulator, "a policy of the simulator"))
        (episode,) = run_episodes(policy, made, [seed], task, search_seed=search_seed)
    return episode
