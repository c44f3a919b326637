"""A window onto a simulation, for ``render_mode="human"``."""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
import threading
import time
from copy import copy

import mujoco
import numpy as np

from worldmodel.envs.rendering import RenderingError

__all__ = ["Window"]

_PATIENCE = 5.0  # s for a window to close
_PROBE = "import glfw, sys; sys.exit(not glfw.init())"


class Window:
    """Shows a simulation in MuJoCo's interactive viewer, until the user or `close` closes it.

    The viewer writes to what it shows, so it has copies: nothing done in it changes the simulation.

    Args:
        model: What is simulated.
        data: Its state.
        fps: At most so many steps a second are shown.

    Raises:
        RuntimeError: There is no display.
    """

    def __init__(self, model: mujoco.MjModel, data: mujoco.MjData, fps: int) -> None:
        _require_display()
        from mujoco import viewer  # loads a library for windows

        self._model, self._data = copy(model), copy(data)
        self._interval, self._due = 1 / fps, 0.0
        others = set(threading.enumerate())
        self._viewer = viewer.launch_passive(
            self._model, self._data, show_left_ui=False, show_right_ui=False
        )
        self._threads = set(threading.enumerate()) - others
        # MuJoCo ends GLFW in an exit handler; one registered after it runs before it.
        atexit.register(self.close)

    def show(self, data: mujoco.MjData) -> None:
        """Show where the simulation is."""
        with self._viewer.lock():
            mujoco.mj_copyData(self._data, self._model, data)
        self._viewer.sync()

    def show_step(self, data: mujoco.MjData) -> None:
        """Wait for the time of the next step, then show where the simulation is."""
        time.sleep(max(0.0, self._due - time.monotonic()))
        self._due = time.monotonic() + self._interval
        self.show(data)

    def update_look(self, model: mujoco.MjModel) -> None:
        """Take over how the simulated model looks now."""
        with self._viewer.lock():
            for name in dir(model):
                values = getattr(model, name)
                if isinstance(values, np.ndarray) and values.flags.writeable:
                    getattr(self._model, name)[...] = values
            light, given = self._model.vis.headlight, model.vis.headlight
            light.ambient[:], light.diffuse[:] = given.ambient, given.diffuse
        for texture in range(model.ntex):
            self._viewer.update_texture(texture)

    def close(self) -> None:
        """Close the window, if it is open, and wait until it has let go of the display."""
        atexit.unregister(self.close)
        self._viewer.close()
        for thread in self._threads:
            thread.join(_PATIENCE)


def _require_display() -> None:
    # Without a display MuJoCo's viewer waits for ever, so another process looks for it.
    probe = subprocess.run([sys.executable, "-c", _PROBE], capture_output=True, check=False)
    if probe.returncode != 0:
        display = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
        found = f"DISPLAY={display} is none" if display else "DISPLAY is not set"
        raise RenderingError(
            f'render_mode="human" needs a display to open a window on, and {found}: use a desktop, '
            '`xvfb-run`, or render_mode="rgb_array"'
        )
