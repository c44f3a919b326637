"""Latent world-model planning: a frozen video encoder, a learned predictor, and planners in it.

- `load_world`: a checkpoint, ready to imagine.
- `make_env`, `make_agent`: an environment, and what drives it to a goal image.
- `evaluate`: episodes, their success, and baselines beside them.
- `validate`: a world judged on recordings, without a simulator.
- `collect`, `pretrain`, `train`: from exploration to a world of one's own.
- `open_dataset`, `write_dataset`, `convert`: recordings of one's own, in any known layout.
- `bench`: what a plan costs.
- `benchmark`: a planner and its peers on a public benchmark.
- `Spec`, `SpecChanges`: what actions, states and cameras mean, and what you state of them.
- `preset`: the settings behind a name, such as ``preset("planner", "icem", samples=96)``.
- `register_planner` and its like: parts of one's own.
- `errors`: what all of these raise.

Everything is imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from worldmodel.renamed import answer_old_names

if TYPE_CHECKING:
    from worldmodel import errors
    from worldmodel.agents.agent import PlanningAgent, make_agent
    from worldmodel.agents.collection import collect
    from worldmodel.agents.environment import make_env
    from worldmodel.agents.world import load_world
    from worldmodel.data.conversion import convert
    from worldmodel.data.reader import open_dataset
    from worldmodel.data.recording import Recording, write_dataset
    from worldmodel.dynamics.train import train
    from worldmodel.evaluation.evaluate import evaluate
    from worldmodel.evaluation.offline import validate
    from worldmodel.evaluation.report import Report
    from worldmodel.latency.bench import bench
    from worldmodel.presets import preset
    from worldmodel.pretraining.pretrain import pretrain
    from worldmodel.registration import (
        register_encoder,
        register_environment,
        register_goal_energy,
        register_planner,
        register_uncertainty,
    )
    from worldmodel.spec import Spec, SpecChanges
    from worldmodel.studies.benchmark.run import benchmark

    __version__: str

__all__ = [
    "PlanningAgent",
    "Recording",
    "Report",
    "Spec",
    "SpecChanges",
    "__version__",
    "bench",
    "benchmark",
    "collect",
    "convert",
    "errors",
    "evaluate",
    "load_world",
    "make_agent",
    "make_env",
    "open_dataset",
    "preset",
    "pretrain",
    "register_encoder",
    "register_environment",
    "register_goal_energy",
    "register_planner",
    "register_uncertainty",
    "train",
    "validate",
    "write_dataset",
]

_HOMES = {
    "PlanningAgent": "agents.agent",
    "Recording": "data.recording",
    "Report": "evaluation.report",
    "Spec": "spec",
    "SpecChanges": "spec",
    "bench": "latency.bench",
    "benchmark": "studies.benchmark.run",
    "collect": "agents.collection",
    "convert": "data.conversion",
    "evaluate": "evaluation.evaluate",
    "load_world": "agents.world",
    "make_agent": "agents.agent",
    "make_env": "agents.environment",
    "open_dataset": "data.reader",
    "pretrain": "pretraining.pretrain",
    "preset": "presets",
    "train": "dynamics.train",
    "validate": "evaluation.offline",
    "write_dataset": "data.recording",
    **{
        f"register_{kind}": "registration"
        for kind in ("encoder", "environment", "goal_energy", "planner", "uncertainty")
    },
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("worldmodel")
    if name == "errors":
        return import_module("worldmodel.errors")
    if name not in _HOMES:
        raise AttributeError(f"module 'worldmodel' has no attribute '{name}'")
    return getattr(import_module(f"worldmodel.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)


answer_old_names()
