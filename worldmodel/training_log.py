"""One place that training loops report to: progress bar, TensorBoard and ``metrics.jsonl``."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.summary.writer.record_writer import RecordWriter
from torch.utils.tensorboard.summary import scalar
from tqdm import tqdm

from worldmodel.files.atomic import write_text
from worldmodel.files.disk import needing_room

__all__ = ["TrainingLog"]


class TrainingLog:
    """Writes the figures of a run; a resumed run continues the same files.

    >>> with TrainingLog(Path("out"), "pretrain", total=100) as log:  # doctest: +SKIP
    ...     log.advance()
    ...     log.write(1, {"loss": 0.5})
    """

    def __init__(self, folder: Path, title: str, *, total: int, start: int = 0) -> None:
        """Open the log.

        Args:
            folder: Where ``metrics.jsonl`` and ``tensorboard/`` go.
            title: Shown by the progress bar.
            total: Steps of the whole run.
            start: Steps already done; later entries of a killed run are dropped.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / "metrics.jsonl"
        kept = _entries_before(self._path, start)
        write_text(self._path, "".join(kept))
        self._lines = self._path.open("a", buffering=1)
        with needing_room(self._path):
            self._board = _Board(folder / "tensorboard", start)
        self._bar = tqdm(desc=title, total=total, initial=start, unit="step", mininterval=1)
        self._shown: dict[str, str] = {}

    def __enter__(self) -> TrainingLog:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bar.close()
        with suppress(OSError):  # of what did not fit, and was told of when it was written
            self._lines.close()
        with suppress(OSError):
            self._board.close()

    def advance(self) -> None:
        """One step done."""
        self._bar.update()

    def write(self, step: int, figures: Mapping[str, float]) -> None:
        """Record figures of a step.

        Raises:
            NoRoomError: The disk is full.
        """
        with needing_room(self._path):
            self._lines.write(json.dumps({"step": step, **figures}) + "\n")
            self._board.write(step, figures)
        self._shown.update({name: f"{value:.3g}" for name, value in figures.items()})
        self._bar.set_postfix(self._shown)


class _Board:
    """TensorBoard's event file.

    Its own writer writes in a thread, which a full disk ends with a traceback.
    """

    def __init__(self, folder: Path, start: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{time.time():.6f}.{socket.gethostname()}.{os.getpid()}"
        self._file = (folder / name).open("ab")
        self._records = RecordWriter(self._file)
        self._add(Event(file_version="brain.Event:2"))
        # Events from this step on, of a run that was killed, are void.
        self._add(Event(step=start + 1, session_log=SessionLog(status=SessionLog.START)))

    def write(self, step: int, figures: Mapping[str, float]) -> None:
        for name, value in figures.items():
            self._add(Event(step=step, summary=scalar(name, value)))

    def close(self) -> None:
        self._file.close()

    def _add(self, event: Event) -> None:
        event.wall_time = time.time()
        self._records.write(event.SerializeToString())
        self._records.flush()


def _entries_before(path: Path, start: int) -> list[str]:
    if start == 0 or not path.exists():
        return []
    kept: list[str] = []
    for line in path.read_text().splitlines(keepends=True):
        try:
            entry = json.loads(line)
        except json.JSONDecodeError:
            break  # the line a kill cut short
        if int(entry["step"]) <= start:
            kept.append(line)
    return kept
