"""Pictures of a model, taken off screen from any thread, in the process that opened OpenGL.

A context is current in one thread at a time, so it is let go after every picture. A forked process
inherits contexts without the driver's threads, and whatever it asked of them would wait for ever:
there, nothing is asked of them any more, not even to be freed.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import sys
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from worldmodel.envs.rendering import RenderingError, rendering_error

__all__ = ["OffscreenRenderer"]

_renderers: weakref.WeakSet[OffscreenRenderer] = weakref.WeakSet()
_opened = False  # whether this process, or one that it was forked from, has opened a context
_inherited = False  # whether that was a process that this one was forked from


class OffscreenRenderer:
    """Takes pictures of a model through one of its cameras.

    Any thread may use it, one at a time.

    Args:
        model: Its textures are read now, and again by `upload_textures`.
        width: Of the picture, in pixels.
        height: Of the picture, in pixels.

    Raises:
        RuntimeError: The backend does not work, or this process was forked after rendering.
    """

    def __init__(self, model: mujoco.MjModel, width: int, height: int) -> None:
        _refuse_inherited_context()
        self._renderer: mujoco.Renderer | None = _open(model, width, height)
        _renderers.add(self)
        _let_go(self._renderer._gl_context)

    def picture(self, data: mujoco.MjData, camera: str | mujoco.MjvCamera) -> NDArray[np.uint8]:
        """What a camera sees, ``uint8 [height, width, 3]``."""
        with self._current() as renderer:
            renderer.update_scene(data, camera=camera)
            return renderer.render()

    def upload_textures(self) -> None:
        """Use the model's present textures."""
        with self._current() as renderer:
            for texture in range(renderer.model.ntex):
                mujoco.mjr_uploadTexture(renderer.model, renderer._mjr_context, texture)

    def close(self) -> None:
        """Free the context."""
        if self._renderer is not None:
            with self._current() as renderer:
                self._renderer = None
                renderer.close()

    def abandon(self) -> None:
        """Forget the context without freeing it."""
        if self._renderer is not None:
            # An object with a reference too many is never freed.
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._renderer))
            self._renderer = None

    @contextmanager
    def _current(self) -> Iterator[Any]:
        _refuse_inherited_context()
        renderer = self._renderer
        if renderer is None:
            raise RuntimeError("Expected an open renderer, got one that is closed")
        context = renderer._gl_context
        context.make_current()
        try:
            yield renderer
        finally:
            _let_go(context)


def _open(model: mujoco.MjModel, width: int, height: int) -> mujoco.Renderer:
    global _opened
    _opened = True
    buffer = model.vis.global_
    size = buffer.offwidth, buffer.offheight
    buffer.offwidth, buffer.offheight = max(size[0], width), max(size[1], height)
    try:
        renderer = mujoco.Renderer(model, height, width)
    except Exception as error:
        raise rendering_error(error) from error
    finally:
        buffer.offwidth, buffer.offheight = size
    # MuJoCo terminates EGL in an exit handler; one registered after it runs before it.
    atexit.unregister(_close_all)
    atexit.register(_close_all)
    return renderer


def _close_all() -> None:
    for renderer in list(_renderers):
        renderer.close()


def _let_go(context: Any) -> None:
    """Make no context current in this thread, so that another thread may use this one."""
    module = sys.modules[type(context).__module__]
    match module.__name__:
        case "mujoco.egl":
            module.EGL.eglReleaseThread()
        case "mujoco.osmesa":
            module.osmesa.OSMesaMakeCurrent(None, None, module.GL.GL_FLOAT, 0, 0)
        case "mujoco.glfw":
            module.glfw.make_context_current(None)


def _refuse_inherited_context() -> None:
    if _inherited:
        raise RenderingError(
            "This process was forked from one that had opened OpenGL, so it cannot render: start "
            'it by spawn, e.g. gymnasium.vector.AsyncVectorEnv(..., context="spawn")'
        )


def _after_fork() -> None:
    """In a forked process: leave what was inherited alone."""
    global _inherited
    egl: Any = sys.modules.get("mujoco.egl")
    display = None if egl is None else egl.EGL_DISPLAY
    _inherited = _opened or display is not None
    for renderer in list(_renderers):
        renderer.abandon()
    if display is not None:
        atexit.unregister(egl.EGL.eglTerminate)


if hasattr(os, "register_at_fork"):  # there is no fork on Windows
    os.register_at_fork(after_in_child=_after_fork)
