"""What the stages of training a vector predictor share: rows to draw, and the optimiser's loop.

Shapes: see ``worldmodel.predictors.vector``; E episodes and F frames of the data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor, nn

from worldmodel.dynamics.recordings import Recordings
from worldmodel.dynamics.vector.recognition import nearness
from worldmodel.predictors.vector import VectorPredictor
from worldmodel.schedule import rising_cosine
from worldmodel.training_log import TrainingLog
from worldmodel.training_loop import TrainingLoop

__all__ = ["TrainingRun", "planning_latents"]

_SUBGOALS = 0.3  # share of goals encoded as the present is, from which sub-goals are imagined


@torch.no_grad()
def planning_latents(
    model: VectorPredictor, tokens: Tensor, references: Tensor, batch: int = 128
) -> Tensor:
    """Planning latents ``[F, Z]`` of frozen tokens ``[F, N, D]``.

    ``references`` are the rows ``[F]`` of the reference frames.
    """
    parts = zip(tokens.split(batch), references.split(batch), strict=True)
    return torch.cat([model.encode(part.float(), tokens[rows].float()) for part, rows in parts])


class _StageTraining(Protocol):
    """What `TrainingRun.optimise` reads of a stage's settings."""

    @property
    def steps(self) -> int: ...
    @property
    def learning_rate(self) -> float: ...


class TrainingRun:
    """A model, the data it learns from, and the stream of random numbers of one run.

    Args:
        model: Trained in place; its scalings are fitted.
        data: Cached latents.
        generator: Of everything drawn.
        log: Where losses go.
        done: Iterations of earlier stages.
    """

    def __init__(
        self,
        model: VectorPredictor,
        data: Recordings,
        generator: torch.Generator,
        log: TrainingLog,
        done: int = 0,
    ) -> None:
        self.model, self.data, self.generator = model, data, generator
        self._log, self._done = log, done
        with torch.no_grad():
            self.features = model.state_features(data.states)
            self._actions = model.scale_actions(data.actions)

    @property
    def stride(self) -> int:
        """Control steps per imagined step."""
        return self.model.config.stride

    @cached_property
    def first(self) -> Tensor:
        """For every row, the first row of its episode, ``[F]``."""
        return self.data.first_rows()

    @cached_property
    def latents(self) -> Tensor:
        """Planning latents ``[F, Z]``, for the stages after those that train the planning head.

        Their reference is the end of their episode, where a plan has its goal.
        """
        return planning_latents(self.model, self.data.latents, self.data.last_rows())

    @cached_property
    def goal_latents(self) -> Tensor:
        """Those of frames as goals, whose reference is the start of their episode, as in plans."""
        return planning_latents(self.model, self.data.latents, self.data.first_rows())

    @property
    def object_latents(self) -> Tensor:
        """Object latents ``[F, C]`` of `latents`."""
        return self.model.object_latents(self.latents)

    def goals(self, frames: Tensor, with_proprio: Tensor) -> Tensor:
        """Goal rows ``[..., G]``, the input of value and prior, of frames at rows ``[...]``.

        Most are encoded as goals of plans are, the others as sub-goals.
        """
        subgoals = self.uniform(*frames.shape, 1) < _SUBGOALS
        latents = torch.where(subgoals, self.latents[frames], self.goal_latents[frames])
        return self.model.goals(latents, with_proprio)

    @cached_property
    def scenes(self) -> Tensor:
        """`object_latents` with the arm taken out, ``[F, C]``, once that stage is trained.

        With the same reference, two frames of an episode differ most clearly.
        """
        with torch.no_grad():
            return self.model.scenes(self.object_latents, self.features)

    @cached_property
    def near(self) -> Tensor:
        """The distance of `scenes` below which two are the same."""
        # Object latents that are scenes themselves are exact enough for the least of differences.
        unmoved = 0.5 if self.model.config.scene_width else 0.25
        return nearness(self.scenes, self.data, self.stride, unmoved)

    def shows(
        self, frames: Tensor, goals: Tensor, with_proprio: Tensor, proprio_near: float
    ) -> Tensor:
        """Whether frames show what goals do; all are rows ``[...]``, and axes broadcast.

        Args:
            frames: Of whom it is asked.
            goals: What they should show.
            with_proprio: Whether the arm must be there too.
            proprio_near: Distance of the arm's features, each of unit variance, that counts as
                there.
        """
        scene = (self.scenes[frames] - self.scenes[goals]).norm(dim=-1) < self.near
        apart = (self.features[frames] - self.features[goals]) * self.model.state_features.visible
        return scene & ((apart.norm(dim=-1) < proprio_near) | ~with_proprio)

    def actions(self, frames: Tensor, steps: int | None = None) -> Tensor:
        """The scaled actions of ``steps`` control steps from each frame on, ``[..., steps * A]``.

        ``steps`` is the stride if it is not given.
        """
        offsets = torch.arange(self.stride if steps is None else steps)
        return self._actions[frames[..., None] + offsets].flatten(-2)

    def windows(self, rows: Tensor, batch: int, steps: int) -> Tensor:
        """Rows ``[batch, steps + 1]`` of random windows, ``stride`` apart."""
        return self.draw(rows, batch)[:, None] + self.stride * torch.arange(steps + 1)

    def draw(self, rows: Tensor, batch: int) -> Tensor:
        """Some of the rows, ``[batch]``."""
        return rows[torch.randint(len(rows), (batch,), generator=self.generator)]

    def uniform(self, *shape: int) -> Tensor:
        """Random numbers in [0, 1)."""
        return torch.rand(shape, generator=self.generator)

    def ahead(self, rate: float, count: int) -> Tensor:
        """Frames to hindsight goals: geometric, at least 1, ``rate`` the chance to stop at each."""
        uniform = self.uniform(count).clamp(min=1e-9)
        return 1 + (uniform.log() / torch.tensor(1 - rate).log()).long()

    def normal(self, shape: torch.Size) -> Tensor:
        """Standard normal numbers."""
        return torch.randn(shape, generator=self.generator)

    def optimise(
        self,
        stage: str,
        parameters: Iterable[nn.Parameter],
        config: _StageTraining,
        losses: Callable[[], dict[str, Tensor]],
        parts: int = 1,
    ) -> None:
        """Minimise the sum of the losses: AdamW with warm-up, cosine decay and clipped gradients.

        With no steps nothing happens, and what would be trained stays as it was.

        Args:
            stage: Its name, for the log.
            parameters: What is trained.
            config: Optimiser steps, and the peak of the learning rate.
            losses: Draws one part of a step's batch, and says what it costs.
            parts: How often a step asks for them.

        Raises:
            UserError: A loss or the gradient was not finite, or a loss after the last step is not.
        """
        steps, learning_rate = config.steps, config.learning_rate
        if steps == 0:
            return
        loop = TrainingLoop(
            f"Training of stage {stage}",
            torch.optim.AdamW(parameters, lr=learning_rate, weight_decay=1e-4),
            lambda _: losses(),
            steps,
            learning_rate,
            lambda step: rising_cosine(step, steps),
            parts=parts,
            clip=1.0,
        )
        for step in loop:
            self._done += 1
            self._log.advance()
            if step % 100 == 0 or step == steps:
                figures = {f"{stage}/{name}": value for name, value in loop.figures().items()}
                self._log.write(self._done, figures)
        loop.require_finite(self.generator)
