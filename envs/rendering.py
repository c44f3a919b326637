"""Off-screen rendering on whatever OpenGL this machine has: EGL, else OSMesa.

MuJoCo reads ``MUJOCO_GL`` once, when it is imported, so `choose_backend` must run before that;
``envs/__init__.py`` sees to it. A choice of the user's is believed until it fails.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib import import_module

__all__ = ["RenderingError", "choose_backend", "import_mujoco", "rendering_error"]

_BACKENDS = ("egl", "osmesa")
_GLFW = ("glfw", "glx", "enable", "enabled", "on", "true", "1")  # as MuJoCo reads them
_OFF = ("disable", "disabled", "off", "false", "0")
_INSTALL = (
    "install one of them, "
    "e.g. `apt-get install libegl1 libgl1-mesa-dri` or `apt-get install libosmesa6`"
)
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


class RenderingError(RuntimeError):
    """This process cannot draw pictures; says why, and what to do."""


def choose_backend(works: Callable[[str], bool] = _works) -> str:
    """Set ``MUJOCO_GL`` to the first backend that works, unless the user has set it.

    Args:
        works: Tells whether a backend can open a context.

    Returns:
        The backend's name. Worker processes inherit it and do not probe again.

    Raises:
        RenderingError: No backend works; names the system packages that bring one. Or
            ``PYOPENGL_PLATFORM`` forbids the backend.
    """
    allowed = os.environ.get("PYOPENGL_PLATFORM", "")
    if not _wish():
        if platform.system() != "Linux":
            return ""  # MuJoCo has one backend there
        for backend in sorted(_BACKENDS, key=lambda name: name != allowed.lower()):
            if works(backend):
                os.environ["MUJOCO_GL"] = backend
                break
        else:
            raise RenderingError(f"MuJoCo can render neither with EGL nor with OSMesa: {_INSTALL}")
    if allowed and _wish() in _BACKENDS and allowed.lower() != _wish():
        raise _failure(f"PYOPENGL_PLATFORM={allowed} forbids it", _BACKENDS, works)
    return os.environ["MUJOCO_GL"]


def import_mujoco() -> None:
    """Import MuJoCo, which loads the backend.

    Raises:
        RenderingError: The backend does not load; see `rendering_error`.
    """
    try:
        import_module("mujoco")
    except ModuleNotFoundError:
        raise
    except Exception as error:
        raise rendering_error(error) from error


def rendering_error(error: Exception, works: Callable[[str], bool] = _works) -> RenderingError:
    """What to raise where MuJoCo's backend fails: the variable, its value, why, and what works."""
    taken = getattr(sys.modules.get("mujoco"), "GLContext", None)
    taken = taken and taken.__module__.rpartition(".")[2]
    if taken and _wish() in _BACKENDS and taken != _wish():
        return RenderingError(
            f"MuJoCo cannot render with {taken}, which it took because it was imported before envs "
            f"had set MUJOCO_GL: import envs first, or set MUJOCO_GL={_wish()} before Python starts"
        )
    return _failure(_cause(error), [name for name in _BACKENDS if name != _wish()], works)


def _failure(cause: str, others: Sequence[str], works: Callable[[str], bool]) -> RenderingError:
    """Name what was set, why it fails, and the first of other backends that works."""
    other = next((name for name in others if works(name)), None)
    if other is None:
        remedy = f"none of {', '.join(others)} works here either: {_INSTALL}"
    else:
        allowed = os.environ.get("PYOPENGL_PLATFORM", other)
        unset = "" if allowed.lower() == other else " and unset PYOPENGL_PLATFORM"
        remedy = f"{other} works here: set MUJOCO_GL={other}{unset}"
    setting = f"MUJOCO_GL={os.environ.get('MUJOCO_GL', '')}"
    return RenderingError(f"MuJoCo cannot render with {setting}: {cause}; {remedy}")


def _wish() -> str:
    """``MUJOCO_GL`` as MuJoCo reads it."""
    return os.environ.get("MUJOCO_GL", "").lower().strip()


def _cause(error: Exception) -> str:
    if _wish() in _OFF:
        return "this turns rendering off"
    told = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    display = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if _wish() in _GLFW and platform.system() == "Linux":
        found = f"{display} gave none ({told})" if display else "DISPLAY is not set"
        return f"this needs a display, and {found}"
    return told
