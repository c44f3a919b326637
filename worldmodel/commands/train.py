"""``worldmodel train``: train an action-conditioned predictor on cached latents."""

from worldmodel.dynamics.train import TrainConfig as Config
from worldmodel.dynamics.train import run_training as run

__all__ = ["Config", "run"]
