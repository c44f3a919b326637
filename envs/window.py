"""A window onto a simulation, for ``render_mode="human"``."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import mujoco

__all__ = ["Window"]

_PROBE = "import glfw, sys; sys.exit(not glfw.init())"


class Window:
    """Shows a simulation in MuJoCo's interactive viewer, until the user or `close` closes it.

    Args:
        model: What is simulated.
        data: Its state, which opening a window recomputes.
        fps: At most so many steps a second are shown.

    Raises:
        RuntimeError: There is no display.
    """

    def __init__(self, model: mujoco.MjModel, data: mujoco.MjData, fps: int) -> None:
        _require_display()
        from mujoco import viewer  # loads a library for windows

        self._textures = model.ntex
        self._interval, self._due = 1 / fps, 0.0
        self._viewer = viewer.launch_passive(model, data, show_left_ui=False, show_right_ui=False)

    def show(self) -> None:
        """Show where the simulation is."""
        self._viewer.sync()

    def show_step(self) -> None:
        """Wait for the time of the next step, then show where the simulation is."""
        time.sleep(max(0.0, self._due - time.monotonic()))
        self._due = time.monotonic() + self._interval
        self.show()

    def upload_textures(self) -> None:
        """Use the model's present textures."""
        for texture in range(self._textures):
            self._viewer.update_texture(texture)

    def close(self) -> None:
        """Close the window, if it is open."""
        self._viewer.close()


def _require_display() -> None:
    # Without a display MuJoCo's viewer waits for ever, so another process looks for it.
    probe = subprocess.run([sys.executable, "-c", _PROBE], capture_output=True, check=False)
    if probe.returncode != 0:
        display = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
        found = f"DISPLAY={display} is none" if display else "DISPLAY is not set"
        raise RuntimeError(
            f'render_mode="human" needs a display to open a window on, and {found}: use a desktop, '
            '`xvfb-run`, or render_mode="rgb_array"'
        )
