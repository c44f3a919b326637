"""What a command leaves in its folder: as much as there is room for."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryFile

from matplotlib.figure import Figure

from worldmodel.errors import UserError
from worldmodel.files.atomic import write_bytes
from worldmodel.files.disk import NoRoomError, allocate, needing_room

__all__ = ["Results", "write_png"]


class Results:
    """A folder that is found usable before any work is done, and files that are written after it.

    A file that cannot be written does not stop the others, nor the printing of what was found.

    Args:
        out: The folder; made if absent.
        least: Bytes to keep free for what matters most, until `release`.

    Raises:
        UserError: The folder cannot be written, or has no room for so much.
    """

    def __init__(self, out: Path, least: int = 1) -> None:
        self.out = out
        self._failed: dict[str, UserError] = {}
        try:
            with needing_room(out / "results", least):
                out.mkdir(parents=True, exist_ok=True)
                self._reserve = TemporaryFile(dir=out)  # noqa: SIM115, it is open until `release`
                allocate(self._reserve.fileno(), least)
        except OSError as error:
            raise UserError(
                f"Cannot write to out={out} ({error.strerror}); choose another"
            ) from error

    def release(self) -> None:
        """Give back the room that was kept, for what is written now."""
        self._reserve.close()

    def write(self, name: str, write: Callable[[Path], None]) -> None:
        """Write a file of the folder, or remember that it could not be written."""
        try:
            write(self.out / name)
        except NoRoomError as error:
            self._failed[name] = error
        except OSError as error:
            self._failed[name] = UserError(
                f"Cannot write to out={self.out} ({error.strerror}) for {name}."
            )
        else:
            self._failed.pop(name, None)

    def finish(self) -> None:
        """To be called last.

        Raises:
            UserError: Names what could not be written.
        """
        if self._failed:
            first, *others = self._failed
            more = f" Not written either: {', '.join(others)}." if others else ""
            raise UserError(f"{self._failed[first]}{more}") from self._failed[first]


def write_png(path: Path, figure: Figure) -> None:
    """Write a picture."""
    content = BytesIO()
    figure.savefig(content, format="png", dpi=110)
    write_bytes(path, content.getbuffer())
