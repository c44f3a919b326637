"""Off-screen rendering on whatever OpenGL this machine has: EGL, else OSMesa.

MuJoCo reads ``MUJOCO_GL`` once, when it is imported, so `choose_backend` must run before that;
``envs/__init__.py`` sees to it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

__all__ = ["choose_backend"]

_PROBE = "import mujoco; mujoco.GLContext(8, 8).make_current()"


def _works(backend: str) -> bool:
    # A broken driver may abort the process rather than raise, so it is tried in another one.
    environment = {k: v for k, v in os.environ.items() if k != "PYOPENGL_PLATFORM"}
    probe = subprocess.run(
        [sys.executable, "-c", _PROBE],
        env=environment | {"MUJOCO_GL": backend},
        capture_output=True,
        check=False,
    )
    return probe.returncode == 0


def choose_backend(works: Callable[[str], bool] = _works) -> str:
    """Set ``MUJOCO_GL`` to the first backend that works, unless the user has set it.

    Args:
        works: Tells whether a backend can open a context.

    Returns:
        The backend's name. Worker processes inherit it and do not probe again.

    Raises:
        RuntimeError: No backend works; names the system packages that bring one.
    """
    if "MUJOCO_GL" not in os.environ:
        for backend in ("egl", "osmesa"):
            if works(backend):
                os.environ["MUJOCO_GL"] = backend
                break
        else:
            raise RuntimeError(
                "MuJoCo can render neither with EGL nor with OSMesa: install one of them, "
                "e.g. `apt-get install libegl1 libgl1-mesa-dri` or `apt-get install libosmesa6`"
            )
    return os.environ["MUJOCO_GL"]
