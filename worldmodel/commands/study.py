"""``worldmodel study``: what pretraining the encoder is worth, arm by arm and seed by seed."""

from worldmodel.studies.encoders import StudyConfig as Config
from worldmodel.studies.encoders import compare_encoders as run

__all__ = ["Config", "run"]
