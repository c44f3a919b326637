"""Collecting episodes with parallel workers into a LeRobotDataset, resumable after a kill.

Episode i comes from seed ``seed + i`` whoever makes it, so the data do not depend on the number of
workers. Each worker writes whole shards; a rerun skips the shards that are there.
"""

from __future__ import annotations

import os
import signal
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import cast

from tqdm import tqdm

from worldmodel.data.episode import Episode
from worldmodel.data.lerobot import layout
from worldmodel.data.lerobot.writer import finish_dataset, shard_range, write_shard
from worldmodel.errors import UserError
from worldmodel.files.atomic import write_json
from worldmodel.files.json_file import read_json
from worldmodel.files.locks import locked

__all__ = ["SETTINGS_PATH", "collect_episodes"]

SETTINGS_PATH = "meta/collection.json"
"""What a collection was started with; not part of LeRobotDataset, which ignores it."""

_LOCK_PATH = "meta/.lock"


@dataclass(frozen=True)
class _Job:
    """The part of a collection that a worker knows."""

    root: Path
    make_episode: Callable[[int], Episode]
    length: int
    seed: int
    tasks: Sequence[str]
    fps: float
    camera: str


@dataclass(frozen=True)
class _Shard:
    number: int
    first: int
    last: int


@dataclass(frozen=True)
class _Failure:
    error: str
    trace: str


def collect_episodes(
    out: Path,
    episodes: int,
    make_episode: Callable[[int], Episode],
    *,
    tasks: Sequence[str],
    length: int,
    fps: float,
    workers: int = 1,
    shard: int = 25,
    seed: int = 0,
    camera: str = "front",
    robot: str | None = None,
    names: Mapping[str, Sequence[str]] | None = None,
    settings: Mapping[str, str | int | float] | None = None,
    beside: Callable[[Path], None] | None = None,
) -> None:
    """Collects ``episodes`` episodes into ``out``, or what is missing of them.

    While another process collects into ``out``, it waits.

    Args:
        out: Folder of the dataset; made if absent.
        episodes: How many episodes the dataset is to have. More than before extends it.
        make_episode: From a seed to an episode. It runs in spawned processes, so it must be
            picklable (a module's function or a `functools.partial` of one).
        tasks: The tasks in words, of which every episode names its own.
        length: Frames that an episode has at most.
        fps: Control steps a second.
        workers: Processes that make episodes.
        shard: Episodes per file: what a killed worker loses at most.
        seed: Seed of the first episode.
        camera: The name of a camera that has none, or of one of several.
        robot: LeRobot's ``robot_type``.
        names: Names of the components of vector features, by feature key.
        settings: Everything else that the episodes depend on. A rerun with others is refused.
        beside: Writes what belongs to the dataset, before it is finished.

    Raises:
        UserError: ``out`` cannot be written or was collected with other settings, or an episode
            failed.
    """
    if min(episodes, workers, shard) < 1:
        raise UserError(
            "Expected at least one episode, worker and episode per shard, "
            f"got episodes={episodes}, workers={workers}, shard={shard}."
        )
    job = _Job(out, make_episode, length, seed, tasks, fps, camera)
    fixed = {
        "task": ",".join(tasks),
        "length": length,
        "seed": seed,
        "fps": fps,
        "camera": camera,
        "shard": shard,
        **(settings or {}),
    }
    title = f"collect {', '.join(tasks)}"
    busy = f"{title}: another process collects into {out}; waiting for it"
    try:
        with locked(out / _LOCK_PATH, busy):
            _claim(out, fixed)
            shards = [
                _Shard(number, first, min(first + shard, episodes))
                for number, first in enumerate(range(0, episodes, shard))
            ]
            _refuse_fewer(out, shards, camera)
            missing = [s for s in shards if shard_range(out, s.number, camera) != (s.first, s.last)]
            done = episodes - sum(s.last - s.first for s in missing)
            with tqdm(total=episodes, initial=done, desc=title, unit="episode") as bar:
                _run(job, missing, workers, bar.update)
            if beside is not None:
                beside(out)
            finish_dataset(out, len(shards), fps=fps, tasks=tasks, robot=robot, names=names)
    except OSError as error:
        raise UserError(
            f"Cannot write the dataset to {out}: {error}. Choose a writable folder with out=…"
        ) from error


def _claim(out: Path, fixed: Mapping[str, str | int | float]) -> None:
    """Records the settings in a folder without episodes; in a used one, insists on the same."""
    path = out / SETTINGS_PATH
    if not any((out / "meta/episodes").glob("*/*.parquet")):
        write_json(path, dict(fixed))
        return
    if not path.exists():
        raise UserError(f"{out} holds a dataset that was not collected here. Choose another out=…")
    before = read_json(path, "Copy the dataset again, or choose another out=…")
    changed = [
        f"{name}={before.get(name)} (now {fixed.get(name)})"
        for name in sorted({*before, *fixed})
        if before.get(name) != fixed.get(name)
    ]
    if changed:
        raise UserError(
            f"{out} was collected with {', '.join(changed)}. Use the same settings to continue it, "
            "or another out=… for a new dataset."
        )


def _refuse_fewer(out: Path, shards: Sequence[_Shard], camera: str) -> None:
    last = shards[-1]
    there = shard_range(out, last.number, camera)
    if layout.episodes_file(out, len(shards)).exists() or (there and there[1] > last.last):
        raise UserError(
            f"{out} holds more than the {last.last} episodes asked for. Ask for at least as many "
            "as before, or choose another out=…"
        )


def _run(job: _Job, shards: Sequence[_Shard], workers: int, tick: Callable[[], object]) -> None:
    """Hands out shards to workers until all are written; a failure ends every worker."""
    context = get_context("spawn")  # a forked process would inherit a GL context that it cannot use
    todo = deque(shards)
    processes: dict[Connection, BaseProcess] = {}
    busy_with: dict[Connection, int] = {}  # the seed that each working worker is at
    try:
        with _environment(OMP_NUM_THREADS="1"):
            for _ in range(min(workers, len(todo))):
                here, there = context.Pipe()
                processes[here] = context.Process(target=_work, args=(job, there), daemon=True)
                processes[here].start()
                there.close()
                busy_with[here] = job.seed + todo[0].first
                here.send(todo.popleft())
        while busy_with:
            for connection in cast("list[Connection]", wait(list(busy_with))):
                match _received(connection, processes[connection]):
                    case int(seed):
                        busy_with[connection] = seed
                        tick()
                    case _Shard() if todo:
                        connection.send(todo.popleft())
                    case _Shard():
                        del busy_with[connection]
                    case failure:
                        raise UserError(
                            f"Collecting stopped at the episode with seed {busy_with[connection]}: "
                            f"{failure.error}. Mend that and rerun: finished shards are kept."
                        ) from RuntimeError(failure.trace)
    finally:
        for connection, process in processes.items():
            connection.close()
            process.terminate()
            process.join()


def _received(connection: Connection, process: BaseProcess) -> int | _Shard | _Failure:
    try:
        message: int | _Shard | _Failure = connection.recv()
    except (EOFError, ConnectionError):
        process.join()
        error = f"the worker died with exit code {process.exitcode}, perhaps for want of memory"
        return _Failure(error, trace="")
    return message


def _work(job: _Job, parent: Connection) -> None:
    """A worker's life: shards come in; each seed that is begun, and each written shard, go out."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends the workers on Ctrl-C
    # A closed pipe means that the parent is gone; then there is nobody left to work for.
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            shard: _Shard = parent.recv()
            try:
                write_shard(
                    job.root,
                    shard.number,
                    shard.first,
                    shard.first * job.length,
                    range(job.seed + shard.first, job.seed + shard.last),
                    _episodes(job, shard, parent),
                    tasks=job.tasks,
                    fps=job.fps,
                    camera=job.camera,
                )
            except (BrokenPipeError, ConnectionResetError):
                raise
            except Exception as error:
                name = "" if isinstance(error, UserError) else f"{type(error).__name__}: "
                text = f"{name}{error}".rstrip(".")
                parent.send(_Failure(text, traceback.format_exc()))
                return
            parent.send(shard)


def _episodes(job: _Job, shard: _Shard, parent: Connection) -> Iterator[Episode]:
    for seed in range(job.seed + shard.first, job.seed + shard.last):
        parent.send(seed)
        episode = job.make_episode(seed)
        if not 0 < len(episode.actions) <= job.length:
            raise UserError(f"Expected up to {job.length} frames, got {len(episode.actions)}.")
        yield episode


@contextmanager
def _environment(**variables: str) -> Generator[None]:
    """Sets environment variables for processes started in the block."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
