"""What a run leaves beside its results, for whoever wants to know how they were made."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

import worldmodel
from worldmodel.files.atomic import replacing, write_json

__all__ = ["FOLDERS", "keep", "version"]

FOLDERS = {"collect": "meta", "convert": "meta"}
"""Where in ``out`` it is kept, for commands that leave a LeRobotDataset, whose readers look there
for names they know only."""

_PACKAGES = ("worldmodel", "torch", "mujoco", "numpy", "hydra-core")


def keep(
    command: str,
    arguments: Sequence[str],
    config: DictConfig,
    out: Path,
    *,
    finished: bool = True,
) -> None:
    """Write run.json, and .hydra/config.yaml as Hydra does for every job of a sweep.

    A run that left no folder has nothing to be kept beside.

    Args:
        command: Of the command line.
        arguments: All that followed the program's name.
        config: Composed of them.
        out: Folder of the results.
        finished: Whether it came to its end. What is there may else be of the run before, so the
            record of that one stays.
    """
    folder = out / FOLDERS.get(command, ".")
    if not out.is_dir() or (not finished and (folder / "run.json").exists()):
        return
    with replacing(folder / ".hydra" / "config.yaml") as partial:
        partial.write_text(OmegaConf.to_yaml(config), encoding="utf-8")
    describe(command, arguments, out)


def describe(command: str, arguments: Sequence[str], out: Path) -> None:
    """Write run.json alone, where Hydra keeps the configuration itself."""
    content: dict[str, Any] = {
        "command": shlex.join(["worldmodel", *arguments]),
        "folder": os.getcwd(),
        "host": platform.node(),
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "versions": {"python": platform.python_version(), **{p: version(p) for p in _PACKAGES}},
        "commit": _commit(),
    }
    write_json(out / FOLDERS.get(command, ".") / "run.json", content)


def version(package: str = "worldmodel") -> str | None:
    """The installed version of a package; None if it is not installed as one."""
    try:
        return installed(package)
    except PackageNotFoundError:
        return None


def _commit() -> str | None:
    """The commit that this code is of, if it is run from its repository; with what was changed."""
    root = Path(worldmodel.__file__).parents[1]
    if not (root / ".git").exists():
        return None
    words = [
        "git",
        "-C",
        str(root),
        "describe",
        "--always",
        "--dirty",
        "--abbrev=40",
        "--exclude=*",
    ]
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
