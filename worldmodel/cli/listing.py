"""The commands by name: listing them imports none of them."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["COMMANDS", "PATHS", "Command"]

# Keys whose values are paths, whatever the command: ``~`` is expanded in them, none may be empty.
PATHS = (
    "out",
    "data",
    "video",
    "cache",
    "checkpoint",
    "encoder_checkpoint",
    "random_encoder_checkpoint",
    "init",
    "source",
    "start",
    "goal",
)


@dataclass(frozen=True)
class Command:
    """A module of ``worldmodel.commands`` with a dataclass ``Config`` and ``run(config)``.

    Attributes:
        summary: One line for ``worldmodel --help``.
        groups: Configuration groups (folders of ``configs/``) that the command composes.
        module: The module, where it is not named like the command.
        subject: The key that may be given as a word of its own, without ``key=``.
    """

    summary: str
    groups: tuple[str, ...] = ()
    module: str | None = None
    subject: str | None = None

    def load(self, name: str) -> tuple[type[Any], Callable[[Any], float | None]]:
        """Config dataclass and ``run``, which returns what a sweeper may optimise, if anything."""
        module = importlib.import_module(f"worldmodel.commands.{self.module or name}")
        return module.Config, module.run


COMMANDS = {
    "collect": Command("record exploration episodes as a LeRobot v3 dataset", ("task",)),
    "convert": Command(
        "turn recordings of other layouts into a LeRobot v3 dataset: convert SOURCE out=…",
        subject="source",
    ),
    "pretrain": Command("train the video encoder", ("encoder", "training")),
    "train": Command("train an action-conditioned predictor on cached latents", ("predictor",)),
    "import": Command(
        "keep released weights of V-JEPA 2 or another encoder: import SOURCE out=…",
        module="import_weights",  # the other is a word of the language
        subject="source",
    ),
    "evaluate": Command("judge a world on recordings, without a simulator"),
    "plan": Command("plan episodes to goal images and report success", ("task", "planner")),
    "landscape": Command("draw the energies that a planner searches", ("task", "planner")),
    "subgoals": Command("draw the sub-goals of a planner on two time scales", ("task", "planner")),
    "diagnose": Command("hold goal energies against the simulator's true cost", ("task",)),
    "acceptance": Command("judge uncertainties by the true errors of plans", ("task", "planner")),
    "study": Command("compare encoders: pretrain, train and plan with each of them"),
    "benchmark": Command(
        "run a public benchmark: a planner and its peers on the same pairs", ("task", "planner")
    ),
    "bench": Command("measure plan latency", ("planner",)),
}
