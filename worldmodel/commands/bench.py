"""``worldmodel bench``: measure plan latency, or run a study of success against plan time."""

from __future__ import annotations

from dataclasses import field, fields
from pathlib import Path
from typing import Any

import pydantic.dataclasses
from omegaconf import MISSING

from worldmodel.files.results import Results
from worldmodel.latency.bench import BenchConfig, run_bench
from worldmodel.planners import ICEMConfig
from worldmodel.settings import CHECKED
from worldmodel.studies import anytime, frontier, scaling
from worldmodel.studies.plans import Machine

__all__ = ["Config", "run"]

_HEEDED = {
    "out",
    "study",
    "frontier",
    "scaling",
    "anytime",
    "checkpoint",
    "device",
    "dtype",
    "threads",
}
_STUDIES: dict[str, Any] = {"frontier": frontier, "scaling": scaling, "anytime": anytime}


@pydantic.dataclasses.dataclass(frozen=True, config=CHECKED)
class Config(BenchConfig):
    """What to measure; see `BenchConfig` for the keys of ``study=latency``.

    Attributes:
        out: Folder for ``latency.json``, or a study's JSON and PNG of its name.
        study: ``latency``, or one of the below.
        frontier: Success against plan time: planners × budgets, over the same episodes.
        scaling: Plan time against samples, horizon, tokens and episodes, with the fitted slope.
        anytime: Energy and success against the deadline.
    """

    out: str = MISSING
    planner: Any = MISSING  # with a default, no option of another class would merge
    study: str = "latency"
    frontier: frontier.FrontierConfig = field(default_factory=frontier.FrontierConfig)
    scaling: scaling.ScalingConfig = field(default_factory=scaling.ScalingConfig)
    anytime: anytime.AnytimeConfig = field(default_factory=anytime.AnytimeConfig)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.study not in (known := ("latency", *_STUDIES)):
            raise ValueError(f"Expected study among {', '.join(known)}, got '{self.study}'")


def run(cfg: Config) -> float | None:
    """Measure, print a table and write it; the median of a plan's milliseconds, if it is one."""
    if cfg.study == "latency":
        found = run_bench(cfg)
        print(f"{found}\nWritten to {cfg.out}/latency.json")
        return found.p50_ms
    usual = Config(out=cfg.out, planner=ICEMConfig())
    for name in (f.name for f in fields(cfg) if f.name not in _HEEDED):
        if getattr(cfg, name) != getattr(usual, name):
            raise ValueError(
                f"Expected {name} with study=latency only, got study={cfg.study}; leave it out, or "
                f"see what {cfg.study}.… sets in `worldmodel bench --help`"
            )
    study, out = _STUDIES[cfg.study], Results(Path(cfg.out)).out
    machine = Machine(cfg.checkpoint, cfg.device, cfg.dtype, cfg.threads)
    report = study.measure(getattr(cfg, cfg.study), out, machine)
    print(study.table(report))  # whatever becomes of the files
    study.write(report, out)
    return None
