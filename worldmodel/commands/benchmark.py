"""``worldmodel benchmark``: a planner and its peers on the field's benchmarks."""

from worldmodel.studies.benchmark.run import BenchmarkConfig as Config
from worldmodel.studies.benchmark.run import run_benchmark

__all__ = ["Config", "run"]


def run(cfg: Config) -> float | None:
    """Run it, and return the first row's success rate, which a sweeper may optimise."""
    rate: float = next(iter(run_benchmark(cfg)["rows"].values()))["rate"]
    return rate
