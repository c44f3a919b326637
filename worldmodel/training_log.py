"""One place that training loops report to: progress bar, TensorBoard and ``metrics.jsonl``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from worldmodel.data.atomic import replacing

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
        path = folder / "metrics.jsonl"
        kept = _entries_before(path, start)
        with replacing(path) as partial:
            partial.write_text("".join(kept))
        self._lines = path.open("a")
        self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=start + 1)
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
        self._board.close()
        self._lines.close()

    def advance(self) -> None:
        """One step done."""
        self._bar.update()

    def write(self, step: int, figures: Mapping[str, float]) -> None:
        """Record figures of a step."""
        for name, value in figures.items():
            self._board.add_scalar(name, value, step)
            self._shown[name] = f"{value:.3g}"
        self._lines.write(json.dumps({"step": step, **figures}) + "\n")
        self._lines.flush()
        self._bar.set_postfix(self._shown)


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
