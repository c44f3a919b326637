"""One place that training loops report to: progress bar, TensorBoard and ``metrics.jsonl``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from tqdm import tqdm

from worldmodel.extras import MissingExtraError, required
from worldmodel.files.atomic import write_text
from worldmodel.files.disk import needing_room

if TYPE_CHECKING:
    from worldmodel.event_file import EventFile

__all__ = ["TrainingLog"]


class TrainingLog:
    """Writes the figures of a run; a resumed run continues the same files.

    Without the extra ``tensorboard`` it writes ``metrics.jsonl`` only, and prints how to get more.

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
            self._events = _event_file(folder / "tensorboard", start)
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
        if self._events is not None:
            with suppress(OSError):
                self._events.close()

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
            if self._events is not None:
                self._events.write(step, figures)
        self._shown.update({name: f"{value:.3g}" for name, value in figures.items()})
        self._bar.set_postfix(self._shown)


def _event_file(folder: Path, start: int) -> EventFile | None:
    try:
        required("tensorboard", extra="tensorboard")
    except MissingExtraError as missing:
        print(f"no curves for TensorBoard: {missing}")
        return None
    from worldmodel.event_file import EventFile

    return EventFile(folder, start)


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
