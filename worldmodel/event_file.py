"""TensorBoard's event file; importing this module needs the extra ``tensorboard``."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.summary.writer.record_writer import RecordWriter
from torch.utils.tensorboard.summary import scalar

__all__ = ["EventFile"]


class EventFile:
    """Figures of a run, for TensorBoard.

    TensorBoard's own writer writes in a thread, which a full disk ends with a traceback.

    Args:
        folder: Of the event files; made if absent.
        start: Steps already done; events of later steps in older files are void.
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
        """Record figures of a step."""
        for name, value in figures.items():
            self._add(Event(step=step, summary=scalar(name, value)))

    def close(self) -> None:
        """End the file."""
        self._file.close()

    def _add(self, event: Event) -> None:
        event.wall_time = time.time()
        self._records.write(event.SerializeToString())
        self._records.flush()
