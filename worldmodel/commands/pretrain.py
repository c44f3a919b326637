"""``worldmodel pretrain``: train the video encoder."""

from worldmodel.pretraining.pretrain import PretrainConfig as Config
from worldmodel.pretraining.pretrain import run_pretraining as run

__all__ = ["Config", "run"]
