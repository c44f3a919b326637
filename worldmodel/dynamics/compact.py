"""Training the compact predictor, stage by stage, on cached latents of undirected data.

1. *code*: the planning head. A scene code of one frame, with the arm's state at another moment
   nearby, must suffice to predict that moment's frozen tokens: so it holds what the arm's state
   does not tell.
2. *arm*: reading the arm's features off the image, equally well wherever the arm has been.
3. *dynamics*: the ensemble on scene codes, over several imagined steps.
4. *value*: goal-conditioned value and policy prior, from hindsight goals (action-free IQL and AWR).

No stage sees a reward, a success label or the simulator.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from math import cos, pi

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from worldmodel.dynamics.recordings import Recordings
from worldmodel.predictors.compact import CompactPredictor, Dynamics, mlp
from worldmodel.training_log import TrainingLog
from worldmodel.training_state import TrainingState

__all__ = ["CompactTraining", "train_compact"]


@dataclass(frozen=True)
class CompactTraining:
    """Settings, per stage. Batches count windows, transitions or pairs of frames.

    Attributes:
        code_steps: Iterations of stage 1.
        code_batch: Pairs of frames per iteration.
        code_window: Frames within which the objects are taken to lie still on average.
        code_sigma: Standard deviation that predicted tokens are allowed; larger drops more.
        arm_steps: Iterations of stage 2.
        arm_batch: Frames per iteration.
        rollout: Imagined steps that a prediction is trained over.
        dynamics_steps: Iterations of stage 3.
        dynamics_batch: Windows per iteration and member.
        code_noise: Noise on the first code of a window.
        value_steps: Iterations of stage 4.
        value_batch: Transitions per iteration.
        discount: Per imagined step.
        expectile: Of the value regression.
        goal_rate: Of the geometric distribution of frames to a hindsight goal.
        random_goals: Share of goals taken from anywhere in the data.
        temperature: Of the advantage weights of the prior.
        learning_rates: Of the four stages.
        seed: Of everything.
    """

    code_steps: int = 6000
    code_batch: int = 256
    code_window: int = 6
    code_sigma: float = 0.5
    arm_steps: int = 5000
    arm_batch: int = 256
    rollout: int = 4
    dynamics_steps: int = 2500
    dynamics_batch: int = 192
    code_noise: float = 0.03
    value_steps: int = 10000
    value_batch: int = 512
    discount: float = 0.95
    expectile: float = 0.8
    goal_rate: float = 0.07
    random_goals: float = 0.25
    temperature: float = 3.0
    learning_rates: tuple[float, ...] = (1e-3, 1e-3, 7e-4, 5e-4)
    seed: int = 0

    @property
    def stage_steps(self) -> tuple[int, ...]:
        """Iterations of each stage."""
        return self.code_steps, self.arm_steps, self.dynamics_steps, self.value_steps


def train_compact(
    model: CompactPredictor, data: Recordings, config: CompactTraining, state: TrainingState
) -> None:
    """Train all stages in place; the model is in evaluation mode afterwards.

    A killed run, called again with an equal model, goes on after the last complete stage to the
    same weights.
    """
    torch.manual_seed(config.seed)
    generator = torch.Generator().manual_seed(config.seed)
    train_rows = data.rows(data.train)
    model.scale_actions.fit(data.actions[train_rows])
    model.state_features.fit(data.states[train_rows])
    done = 0
    if (saved := state.load()) is not None:
        model.load_state_dict(saved["model"])
        generator.set_state(saved["generator"])
        torch.set_rng_state(saved["global_generator"])
        done = saved["stages"]
    total, start = sum(config.stage_steps), sum(config.stage_steps[:done])
    with TrainingLog(state.folder, "train", total=total, start=start) as log:
        stages = _Stages(model, data, config, generator, log, start)
        order = (stages.code, stages.arm, stages.dynamics, stages.value)
        for number in range(done, len(order)):
            order[number]()
            state.save(
                {
                    "stages": number + 1,
                    "model": model.state_dict(),
                    "generator": generator.get_state(),
                    "global_generator": torch.get_rng_state(),
                }
            )
    model.eval()


@torch.no_grad()
def planning_latents(model: CompactPredictor, tokens: Tensor, batch: int = 2048) -> Tensor:
    """Planning latents ``[F, Z]`` of frozen tokens ``[F, N, D]``."""
    parts = [model.encode(tokens[i : i + batch].float()) for i in range(0, len(tokens), batch)]
    return torch.cat(parts)


def token_targets(
    tokens: Tensor, rows: Tensor, generator: torch.Generator, channels: int = 16
) -> Tensor:
    """What stage 1 predicts: the leading principal components of tokens, ``[F, N * channels]``.

    Components are taken over ``rows`` only, centred per token and scaled together.
    """
    sample = tokens[rows[torch.randint(len(rows), (2000,), generator=generator)]].float()
    mean = sample.mean(0)
    flat = (sample - mean).flatten(0, 1)
    _, vectors = torch.linalg.eigh(flat.T @ flat)
    basis = vectors[:, -channels:]
    scale = (flat @ basis).std()
    parts = [
        (((part.float() - mean) @ basis) / scale).flatten(1).half() for part in tokens.split(4096)
    ]
    return torch.cat(parts)


class _Stages:
    def __init__(
        self,
        model: CompactPredictor,
        data: Recordings,
        config: CompactTraining,
        generator: torch.Generator,
        log: TrainingLog,
        done: int,
    ) -> None:
        self._model, self._data, self._config = model, data, config
        self._generator, self._log = generator, log
        self._done = done
        with torch.no_grad():
            self._features = model.state_features(data.states)
            self._actions = model.scale_actions(data.actions)

    def code(self) -> None:
        config, head = self._config, self._model.head
        rows = self._data.rows(self._data.train)
        first, last = self._data.first_rows(), self._data.last_rows()
        targets = token_targets(self._data.latents, rows, self._generator)
        sizes = self._model.config
        decoder = mlp(sizes.code_width + self._features.shape[-1], 512, 2, targets.shape[-1])

        def losses() -> dict[str, Tensor]:
            here = self._draw(rows, config.code_batch)
            shift = self._integers(-config.code_window, config.code_window + 1, len(here))
            there = (here + shift).clamp(first[here], last[here])
            mean, log_variance = head.distribution(self._data.latents[here].float())
            sample = mean + (0.5 * log_variance).exp() * self._normal(mean.shape)
            decoded = decoder(torch.cat([sample, self._features[there]], -1))
            error = (decoded - targets[there].float()).square().sum(-1)
            divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(-1)
            return {
                "tokens": error.mean() / (2 * config.code_sigma**2),
                "divergence": divergence.mean(),
            }

        self._optimise(
            "code", 0, [*head.code.parameters(), *decoder.parameters()], config.code_steps, losses
        )

    def arm(self) -> None:
        config, arm = self._config, self._model.head.arm
        rows = self._data.rows(self._data.train)

        def losses() -> dict[str, Tensor]:
            here = self._spread(rows, config.arm_batch)
            read = arm(self._data.latents[here].float())
            return {"arm": F.smooth_l1_loss(read, self._features[here], reduction="none").mean()}

        self._optimise("arm", 1, arm.parameters(), config.arm_steps, losses)

    def dynamics(self) -> None:
        model, config, stride = self._model, self._config, self._model.config.stride
        codes = self._codes
        rows = self._data.rows(self._data.train, config.rollout * stride + 1)

        def losses() -> dict[str, Tensor]:
            batches = [
                self._windows(rows, config.dynamics_batch) for _ in range(model.config.members)
            ]
            frames = torch.stack(batches)
            truth = codes[frames]
            start = truth[:, :, 0] + config.code_noise * self._normal(truth[:, :, 0].shape)
            return {
                "prediction": F.smooth_l1_loss(
                    self._imagine(model.dynamics, start, frames), truth[:, :, 1:]
                )
            }

        self._optimise("dynamics", 2, model.dynamics.parameters(), config.dynamics_steps, losses)

    def value(self) -> None:
        model, config, stride = self._model, self._config, self._model.config.stride
        codes = self._codes
        rows, last = self._data.rows(self._data.train, stride + 1), self._data.last_rows()
        everywhere = self._data.rows(self._data.train)
        # Two frames show the same scene if their codes differ no more than twice what codes
        # of neighbouring frames, between which the object hardly ever moves, do.
        near = 2 * (codes[rows] - codes[rows + stride]).norm(dim=-1).median()
        target = deepcopy(model.value_net).requires_grad_(False)
        known = (model.scale_actions.scale > 1e-6).float().repeat(stride)

        def losses() -> dict[str, Tensor]:
            here = self._draw(rows, config.value_batch)
            goal = self._goals(here, last, everywhere)
            there = here + stride
            state = (codes[here], self._features[here], codes[goal])
            with torch.no_grad():
                after = torch.cat([codes[there], self._features[there], codes[goal]], -1)
                reached = (codes[here] - codes[goal]).norm(dim=-1) < near
                arrived = (codes[there] - codes[goal]).norm(dim=-1) < near
                future = torch.where(arrived, 0.0, target(after).squeeze(-1))
                backup = torch.where(reached, 0.0, -1.0 + config.discount * future)
            value = model.value(*state)
            error = backup - value
            side = torch.where(error > 0, config.expectile, 1 - config.expectile)
            weight = (config.temperature * error.detach()).exp().clamp(max=10.0)
            taken = self._chunks(here[:, None])[:, 0]
            missed = F.smooth_l1_loss(model.prior(*state), taken, reduction="none") * known
            with torch.no_grad():
                for old, new in zip(target.parameters(), model.value_net.parameters(), strict=True):
                    old.lerp_(new, 0.01)
            return {
                "value": (side * error.square()).mean(),
                "prior": (weight[:, None] * missed).sum(-1).mean(),
            }

        parameters = [*model.value_net.parameters(), *model.prior_net.parameters()]
        self._optimise("value", 3, parameters, config.value_steps, losses)

    @cached_property
    def _codes(self) -> Tensor:
        """Scene codes ``[F, C]``, for the stages after those that train the planning head."""
        return self._model.codes(planning_latents(self._model, self._data.latents))

    def _goals(self, here: Tensor, last: Tensor, everywhere: Tensor) -> Tensor:
        """Hindsight goals: mostly a later frame of the same episode, else any frame."""
        uniform = torch.rand(len(here), generator=self._generator)
        rate = torch.tensor(1 - self._config.goal_rate)
        ahead = 1 + (uniform.clamp(min=1e-9).log() / rate.log()).long()
        later = torch.minimum(here + ahead, last[here])
        anywhere = self._draw(everywhere, len(here))
        chance = torch.rand(len(here), generator=self._generator)
        return torch.where(chance < self._config.random_goals, anywhere, later)

    def _imagine(self, dynamics: Dynamics, start: Tensor, frames: Tensor) -> Tensor:
        """Codes ``[M, R, K, C]`` from ``start [M, R, C]`` along ``frames [M, R, K + 1]``."""
        steps: list[Tensor] = []
        codes = start
        features, actions = self._features[frames[..., :-1]], self._chunks(frames[..., :-1])
        for k in range(frames.shape[-1] - 1):
            codes = dynamics(codes, features[:, :, k], actions[:, :, k])
            steps.append(codes)
        return torch.stack(steps, -2)

    def _chunks(self, frames: Tensor) -> Tensor:
        """The ``stride`` scaled actions from each frame on, ``[..., stride * A]``."""
        offsets = torch.arange(self._model.config.stride)
        return self._actions[frames[..., None] + offsets].flatten(-2)

    def _windows(self, rows: Tensor, batch: int) -> Tensor:
        """Rows ``[batch, rollout + 1]`` of random windows, ``stride`` apart."""
        stride = self._model.config.stride
        return self._draw(rows, batch)[:, None] + stride * torch.arange(self._config.rollout + 1)

    def _draw(self, rows: Tensor, batch: int) -> Tensor:
        return rows[self._integers(0, len(rows), batch)]

    def _spread(self, rows: Tensor, batch: int, tries: int = 32) -> Tensor:
        """Rows whose states cover the range of positions evenly, however rare some are.

        Each is the nearest of a few random ones to a point drawn from the range.
        """
        places = self._features[:, :3]
        low, high = places[rows].amin(0), places[rows].amax(0)
        uniform = torch.rand((batch, 1, len(low)), generator=self._generator)
        candidates = self._draw(rows, batch * tries).view(batch, tries)
        distance = (places[candidates] - (low + (high - low) * uniform)).norm(dim=-1)
        return candidates.gather(1, distance.argmin(1, keepdim=True))[:, 0]

    def _integers(self, low: int, high: int, count: int) -> Tensor:
        return torch.randint(low, high, (count,), generator=self._generator)

    def _normal(self, shape: torch.Size) -> Tensor:
        return torch.randn(shape, generator=self._generator)

    def _optimise(
        self,
        stage: str,
        number: int,
        parameters: Iterable[nn.Parameter],
        steps: int,
        losses: Callable[[], dict[str, Tensor]],
    ) -> None:
        parameters = list(parameters)
        optimizer = torch.optim.AdamW(
            parameters, lr=self._config.learning_rates[number], weight_decay=1e-4
        )
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: min(1.0, (step + 1) / 100) * 0.5 * (1 + cos(pi * step / steps))
        )
        for step in range(1, steps + 1):
            terms = losses()
            optimizer.zero_grad(set_to_none=True)
            torch.stack(list(terms.values())).sum().backward()
            nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            schedule.step()
            self._done += 1
            self._log.advance()
            if step % 100 == 0 or step == steps:
                figures = {f"{stage}/{name}": float(term.detach()) for name, term in terms.items()}
                self._log.write(self._done, figures)
