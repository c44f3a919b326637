"""A backend is found, or the missing package is named; a choice that fails is named with a cure."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from worldmodel.envs.rendering import choose_backend, rendering_error


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MUJOCO_GL", "PYOPENGL_PLATFORM", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.setenv(name, "")  # so that what a test sets is undone
        monkeypatch.delenv(name)


def test_the_users_choice_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUJOCO_GL", "glfw")
    assert choose_backend(works=lambda backend: False) == "glfw"


@pytest.mark.parametrize(("broken", "chosen"), [((), "egl"), (("egl",), "osmesa")])
def test_osmesa_stands_in_for_egl(broken: tuple[str, ...], chosen: str) -> None:
    assert choose_backend(works=lambda backend: backend not in broken) == chosen


def test_an_empty_choice_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUJOCO_GL", "")
    assert choose_backend(works=lambda backend: True) == "egl"


def test_without_any_backend_the_packages_are_named() -> None:
    with pytest.raises(RuntimeError, match=r"libegl1.*libosmesa6"):
        choose_backend(works=lambda backend: False)


def test_the_backend_that_pyopengl_is_told_of_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYOPENGL_PLATFORM", "osmesa")
    assert choose_backend(works=lambda backend: True) == "osmesa"


def test_a_platform_of_pyopengl_that_forbids_the_backend_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MUJOCO_GL", "egl")
    monkeypatch.setenv("PYOPENGL_PLATFORM", "glx")
    with pytest.raises(
        RuntimeError, match=r"MUJOCO_GL=egl: PYOPENGL_PLATFORM=glx.*unset PYOPENGL_PLATFORM"
    ):
        choose_backend(works=lambda backend: backend == "egl")


@pytest.mark.parametrize(
    ("wish", "display", "cause"),
    [
        ("foo", "", "RuntimeError: of no such kind"),
        ("glfw", "", "needs a display, and DISPLAY is not set"),
        ("glfw", ":7", "needs a display, and :7 gave none"),
        ("off", "", "turns rendering off"),
    ],
)
def test_a_choice_that_fails_is_named_with_why_and_what_works(
    monkeypatch: pytest.MonkeyPatch, wish: str, display: str, cause: str
) -> None:
    monkeypatch.setenv("MUJOCO_GL", wish)
    monkeypatch.setenv("DISPLAY", display)
    error = RuntimeError("of no\n  such kind")
    told = str(rendering_error(error, works=lambda backend: backend == "osmesa"))
    assert told.startswith(f"MuJoCo cannot render with MUJOCO_GL={wish}: ")
    assert cause in told
    assert told.endswith("osmesa works here: set MUJOCO_GL=osmesa")
    assert "libegl1" in str(rendering_error(error, works=lambda backend: False))


def test_mujoco_imported_before_the_choice_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import mujoco

    taken = mujoco.GLContext.__module__.rpartition(".")[2]
    monkeypatch.setenv("MUJOCO_GL", "egl" if taken == "osmesa" else "osmesa")
    told = str(rendering_error(RuntimeError(), works=lambda backend: True))
    assert f"cannot render with {taken}" in told
    assert "imported before envs" in told


@pytest.mark.parametrize("wish", ["foo", "glfw"])
def test_the_users_choice_fails_in_one_line(wish: str) -> None:
    run = subprocess.run(
        [sys.executable, "-c", "import envs; envs.make('push', 64).reset(seed=0)"],
        env=os.environ | {"MUJOCO_GL": wish},
        capture_output=True,
        text=True,
        check=False,
    )
    told = f"RenderingError: MuJoCo cannot render with MUJOCO_GL={wish}: "
    assert any(told in line and "works here: set" in line for line in run.stderr.splitlines())
