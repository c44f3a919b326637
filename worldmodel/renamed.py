"""Modules of release 0.1 by their old names: for one release they import, and say where to."""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

__all__ = ["MOVED", "answer_old_names"]

_LEROBOT = "alignment columns dataset layout metadata statistics video writer"
_FILES = "atomic checksums disk json_file locks paths"
_EVALUATION = "baselines crossed image_files oracle report simulator video"
_DIAGNOSTICS = "marks readings recorder rankings trials true_errors"
MOVED = {
    **{f"data.{name}": f"data.lerobot.{name}" for name in _LEROBOT.split()},
    **{f"data.{name}": f"files.{name}" for name in _FILES.split()},
    **{f"commands.{name}": f"evaluation.{name}" for name in _EVALUATION.split()},
    **{f"commands.{name}": f"diagnostics.{name}" for name in _DIAGNOSTICS.split()},
    "commands.evaluation": "evaluation.episodes",
    "commands.policies": "agents.policies",
    "commands.task": "agents.task",
    "dynamics.compact": "dynamics.vector.stages",
    "predictors.compact": "predictors.vector",
    "predictors.compact_world": "predictors.vector_world",
    "predictors.doubts": "predictors.uncertainty",
    "predictors.pose": "nn.pose",
    "predictors.scaling": "nn.standardisation",
    "predictors.slow_world": "predictors.high_level",
    "pretraining.masked_predictor": "predictors.masked",
}
"""New places by old ones, below ``worldmodel``."""


class _Finder(MetaPathFinder, Loader):
    """Asked last, so that it sees only names that no module has."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        package, _, name = fullname.partition(".")
        if package != "worldmodel" or name not in MOVED:
            return None
        return ModuleSpec(fullname, self)

    def create_module(self, spec: ModuleSpec) -> None:
        """A new module will do: what is in it comes from the other."""

    def exec_module(self, module: ModuleType) -> None:
        now = f"worldmodel.{MOVED[module.__name__.removeprefix('worldmodel.')]}"
        warnings.warn(f"{module.__name__} is now {now}", FutureWarning, stacklevel=2)
        found = vars(importlib.import_module(now))
        vars(module).update({name: value for name, value in found.items() if name[:2] != "__"})


def answer_old_names() -> None:
    """Have the old names found, once."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())
