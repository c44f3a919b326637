"""``worldmodel evaluate``: judge a world on recordings, without a simulator."""

from worldmodel.evaluation.offline import OfflineConfig as Config
from worldmodel.evaluation.offline import run_validation

__all__ = ["Config", "run"]


def run(cfg: Config) -> float:
    """Judge and print; returns the latent error over that of copying, the mean over the steps."""
    loop = run_validation(cfg)["open_loop"]
    return sum(loop["latent_error"]) / max(sum(loop["copy_error"]), 1e-12)
