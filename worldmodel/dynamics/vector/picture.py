"""Stage 1, another way: the object latent is what the picture shows beside the robot.

Points that are found in a frame, and the robot's own state, must draw the frame, that is its frozen
tokens (`worldmodel.nn.keypoints`). The state is told, so the points are free for the rest: where
objects are, and how they are turned. Where a robot goes says little of that where it touches
objects seldom, or is moved by nothing (PushT).

An error counts by the root of what varies in its token over the data set, as if that were the
deviation of a Laplacian. So a robot that fills the picture does not drown a small thing beside it.
"""

from __future__ import annotations

from pydantic.dataclasses import dataclass
from torch import Tensor

from worldmodel.dynamics.vector.run import TrainingRun
from worldmodel.errors import UserError
from worldmodel.nn.keypoints import KeypointDecoder
from worldmodel.precision import rounded
from worldmodel.predictors.planning_head import Keypoints
from worldmodel.settings import CHECKED, Batch, LearningRate, Steps, Width

__all__ = ["PictureTraining", "train_picture"]

_ENOUGH = 4096  # frames, to tell what varies
_BARE = 0.02  # of the mean variance of a token, from which down one counts as bare background


@dataclass(frozen=True, config=CHECKED)
class PictureTraining:
    """How the object latent is trained to draw frames; see `train_picture`.

    Attributes:
        steps: Optimiser steps; 0 leaves it as it is.
        batch: Frames per step.
        channels: Of the network that draws, which is of use here only.
        learning_rate: Its peak.
        bf16: Run matrix products in bfloat16; None does so where the processor has them.
    """

    steps: Steps = 0
    batch: Batch = 96
    channels: Width = 64
    learning_rate: LearningRate = 1.5e-3
    bf16: bool | None = None


def train_picture(run: TrainingRun, config: PictureTraining) -> None:
    """Train what finds points in the tokens.

    Raises:
        UserError: The model reads frames in another way.
    """
    if not config.steps:
        return  # what draws would take random numbers
    points, data, sizes = run.model.head.code, run.data, run.model.config
    if not isinstance(points, Keypoints):
        raise UserError(
            f"Expected model.sight=grid with training.picture.steps={config.steps}, got "
            f"{sizes.sight}; set picture.steps=0, or read frames by a grid"
        )
    rows = data.rows(data.train)
    some = data.latents[rows[:: -(-len(rows) // _ENOUGH)]].float()
    usual, varies = some.mean(0), some.var(0).sum(-1)
    counts = 1 / (varies + _BARE * varies.mean()).clamp(min=1e-9).sqrt()
    counts /= (counts * varies).sum().clamp(min=1e-9)
    seen = run.features * run.model.state_features.visible
    draw = KeypointDecoder(
        len(points.centre) // (2 * sizes.cameras),
        seen.shape[-1],
        sizes.tokens,
        sizes.token_width,
        config.channels,
        sizes.cameras,
    )

    def losses() -> dict[str, Tensor]:
        here = run.draw(rows, config.batch)
        tokens = data.latents[here].float()
        with rounded(tokens.device, config.bf16):
            drawn = draw(points.find(tokens), seen[here])
        left = usual + drawn.float() - tokens
        return {"picture": (left.square().sum(-1) @ counts).mean()}

    run.optimise("picture", [*points.find.parameters(), *draw.parameters()], config, losses)
    points.fit(some)
