"""A backend is found, or the missing package is named."""

from __future__ import annotations

import pytest

from envs.rendering import choose_backend


def test_the_users_choice_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUJOCO_GL", "glfw")
    assert choose_backend(works=lambda backend: False) == "glfw"


@pytest.mark.parametrize(("broken", "chosen"), [((), "egl"), (("egl",), "osmesa")])
def test_osmesa_stands_in_for_egl(
    monkeypatch: pytest.MonkeyPatch, broken: tuple[str, ...], chosen: str
) -> None:
    monkeypatch.delenv("MUJOCO_GL", raising=False)
    assert choose_backend(works=lambda backend: backend not in broken) == chosen
    monkeypatch.delenv("MUJOCO_GL", raising=False)


def test_without_any_backend_the_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MUJOCO_GL", raising=False)
    with pytest.raises(RuntimeError, match=r"libegl1.*libosmesa6"):
        choose_backend(works=lambda backend: False)
