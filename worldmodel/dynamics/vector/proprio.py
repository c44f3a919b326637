"""Stage 2, the proprio features: reading the robot's state off the image, wherever the robot is."""

from __future__ import annotations

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor
from torch.nn import functional as F

from worldmodel.dynamics.vector.run import TrainingRun
from worldmodel.precision import rounded
from worldmodel.settings import CHECKED, Batch, LearningRate, Steps

__all__ = ["ProprioTraining", "train_proprio"]

_LEAST_UNREAD = 0.75
"""Share of a state's variance that remains unread, from which on it counts as hidden."""


@dataclass(frozen=True, config=CHECKED)
class ProprioTraining:
    """How the proprio features are trained; see `train_proprio`.

    Attributes:
        steps: Optimiser steps; 0 leaves them as they are.
        batch: Frames per step.
        learning_rate: Its peak.
        bf16: Run matrix products in bfloat16; None does so where the processor has them.
    """

    steps: Steps = 3000
    batch: Batch = 256
    learning_rate: LearningRate = 1e-3
    bf16: bool | None = None


def train_proprio(run: TrainingRun, config: ProprioTraining) -> None:
    """Train what reads the proprio features off the tokens, by regression to the state features."""
    arm, data, seen = run.model.head.arm, run.data, run.model.state_features
    if not seen.width:
        return
    rows, visible = data.rows(data.train), seen.visible

    def losses() -> dict[str, Tensor]:
        here = _spread(run, rows, config.batch)
        with rounded(rows.device, config.bf16):
            read = arm(data.latents[here].float())
        return {"arm": F.smooth_l1_loss(read.float() * visible, run.features[here] * visible)}

    run.optimise("proprio", arm.parameters(), config, losses)
    if config.steps and data.hidden is None:
        _find_hidden(run)


@torch.no_grad()
def _find_hidden(run: TrainingRun, most: int = 4096) -> None:
    """Mark states as hidden that are not read off held-out frames; some show, and others do not.

    What a picture cannot show, such as a velocity, is read no better than its mean.
    """
    seen, data = run.model.state_features, run.data
    rows = data.rows(data.held_out)
    rows = rows[:: -(-len(rows) // most)]
    read = torch.cat([run.model.head.arm(data.latents[part].float()) for part in rows.split(256)])
    true = run.features[rows]
    left = (read - true).square().mean(0) / true.var(0).clamp(min=1e-6)
    lost: set[int] = set()
    for place, share in zip(seen.places, left.tolist(), strict=True):
        if share > _LEAST_UNREAD:
            lost.add(place)
    shown = [float(place not in lost) for place in seen.places]
    seen.visible.copy_(torch.tensor(shown))
    names = data.spec.states.names if data.spec is not None else ()
    if lost:
        told = ", ".join(names[place] for place in sorted(lost))
        print(f"hidden states, which held-out frames do not show: {told}")


def _spread(run: TrainingRun, rows: Tensor, batch: int, tries: int = 32) -> Tensor:
    """Rows whose states cover the range of positions evenly, however rare some are.

    Each is the nearest of a few random ones to a point drawn from the range.
    """
    seen = run.model.state_features
    dims = range(3) if run.model.config.states.composed else seen.visible.nonzero()[:, 0].tolist()
    places = run.features[:, list(dims)]
    low, high = places[rows].amin(0), places[rows].amax(0)
    candidates = run.draw(rows, batch * tries).view(batch, tries)
    points = low + (high - low) * run.uniform(batch, 1, len(low))
    nearest = (places[candidates] - points).norm(dim=-1).argmin(1, keepdim=True)
    return candidates.gather(1, nearest)[:, 0]
