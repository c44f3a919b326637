"""End-to-end training from pixels: the next latent under the action, kept apart by SIGReg.

After LeWorldModel (Maes et al. 2026, arXiv:2603.19312): encoder, planning latent and
predictor are trained together by two terms, with neither a moving-average target nor a stopped
gradient. It deviates by using this project's encoder and, in place of a transformer over the last
frames, a residual perceptron that imagines several steps from one frame. Head and predictor are
scaffolding: what a run leaves behind is the encoder, frozen, as of any other objective.

Shapes: B clips of T frames, N tokens of width D, Z latent, A action, S control steps per frame.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from worldmodel.encoders.preprocessing import to_clip
from worldmodel.encoders.vision_transformer import VideoTransformer
from worldmodel.nn.blocks import normalise
from worldmodel.nn.mlp import mlp
from worldmodel.nn.standardisation import ActionScaling
from worldmodel.pretraining.clips import Clips, ClipSampler
from worldmodel.pretraining.objective import Objective, PretrainingConfig
from worldmodel.pretraining.sigreg import sigreg_loss
from worldmodel.settings import CHECKED, Batch, Depth, Weight, Width

__all__ = ["LewmObjective", "LewmTraining"]


@dataclass(frozen=True, config=CHECKED)
class LewmTraining(PretrainingConfig):
    """``training=lewm``.

    Attributes:
        batch: Clips per step.
        clip_frames: Frames per clip: one that is seen, and those that are imagined.
        latent_width: Z.
        head_width: Of the hidden layer between tokens and latent.
        predictor_width: Of the predictor's hidden layers.
        predictor_depth: Its hidden layers.
        sigreg_weight: Weight of SIGReg, on the latents of one moment at a time.
    """

    batch: Batch = 64
    clip_frames: Annotated[int, Field(ge=2, le=4096)] = 5
    latent_width: Width = 32
    head_width: Width = 256
    predictor_width: Width = 512
    predictor_depth: Depth = 3
    sigreg_weight: Weight = 0.05

    def objective(self, encoder: VideoTransformer, clips: ClipSampler) -> LewmObjective:
        """Next-latent prediction with the actions of these clips."""
        objective = LewmObjective(encoder, self, clips.actions.shape[1], clips.stride)
        objective.scale_actions.fit(torch.from_numpy(clips.actions[clips.firsts]))
        return objective


class LewmObjective(Objective):
    """Encoder, head and predictor, all of which both terms train."""

    def __init__(
        self, encoder: VideoTransformer, config: LewmTraining, action_width: int, stride: int
    ) -> None:
        super().__init__()
        sizes, latent = encoder.config, config.latent_width
        self.encoder = encoder
        self.head = _Head(sizes.grid**2, sizes.width, config.head_width, latent)
        self.scale_actions = ActionScaling(action_width)
        self.predictor = mlp(
            latent + stride * action_width, config.predictor_width, config.predictor_depth, latent
        )
        self.weights = {"prediction": 1.0, "sigreg": config.sigreg_weight}

    def losses(self, clips: Clips, rng: np.random.Generator) -> dict[str, Tensor]:
        """Mean squared error of the imagined latents, and SIGReg of the seen ones."""
        seen = self.latents(clips.frames)
        actions = self.scale_actions(clips.actions).flatten(-2)
        imagined = [seen[:, 0]]
        for k in range(actions.shape[1]):
            now = imagined[-1]
            imagined.append(now + self.predictor(torch.cat([now, actions[:, k]], -1)))
        error = torch.stack(imagined[1:], 1) - seen[:, 1:]
        return {
            "prediction": error.square().mean(),
            "sigreg": sigreg_loss(seen.transpose(0, 1), rng),
        }

    def latents(self, frames: Tensor) -> Tensor:
        """Latents ``[B, T, Z]`` of frames ``uint8 [B, T, h, w, 3]``, each encoded alone."""
        single = to_clip(frames.flatten(0, 1).unsqueeze(1))
        doubled = single.expand(-1, -1, self.encoder.config.tubelet, -1, -1)
        return self.head(normalise(self.encoder(doubled))).unflatten(0, frames.shape[:2])

    def kept(self) -> VideoTransformer:
        """The encoder."""
        return self.encoder


class _Head(nn.Module):
    """All tokens of a frame, each reduced to a few numbers first, to one latent.

    Batch norm comes before the last layer: layer norm would hold every latent to one length, which
    SIGReg could not undo.
    """

    def __init__(
        self, tokens: int, width: int, hidden: int, latent: int, reduced: int = 16
    ) -> None:
        super().__init__()
        self.reduce = nn.Linear(width, reduced)
        self.read = nn.Sequential(
            nn.Linear(tokens * reduced, hidden),
            nn.BatchNorm1d(hidden),
            nn.GELU(),
            nn.Linear(hidden, latent),
        )

    def forward(self, tokens: Tensor) -> Tensor:
        return self.read(nn.functional.gelu(self.reduce(tokens)).flatten(1))
