"""The token predictor as planners see it: step-by-step rollouts over patch tokens.

Shapes: B episodes, S candidates, H control steps, T context frames, N patches of width D.
"""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor

from worldmodel.encoders.frozen import FrozenEncoder
from worldmodel.nn.attention import KeyValueCache
from worldmodel.nn.blocks import fuse
from worldmodel.nn.pose import difference
from worldmodel.nn.replay import Replayed
from worldmodel.predictors.frozen_world import FrozenWorld
from worldmodel.predictors.imagination import Imagined
from worldmodel.predictors.proprioception import imagined_states
from worldmodel.predictors.tokens import Caches, TokenPredictor
from worldmodel.spec import Spec

__all__ = ["TokenWorld"]


class TokenWorld(FrozenWorld[TokenPredictor]):
    """A frozen encoder and a token predictor; fulfils ``planners.protocols.World``.

    Keys and values of the context are computed once per rollout and shared by its candidates; those
    of imagined frames once per candidate. A single member, so it has no uncertainties to report.

    Args:
        encoder: Of the camera's frames.
        predictor: Of the latents that follow.
        spec: What actions, states and cameras mean; None where nobody said.
        memory: Bytes within which candidates are imagined at once, by estimate; the others follow
            in turn. What is imagined, ``[B, S, H, N, D]``, comes on top.
        cache: Bytes of hidden activations at once on a CPU: what one layer leaves to the next is
            then found in the cache. Smaller blocks make poor matrix products
            (``benchmarks/steps.py``).

    Attributes:
        camera: Pose of a camera that stands still, ``[1, 6]`` or ``[B, 6]``, for planning with a
            predictor that uses it; None until it is set.
        fused: Whether ``fuse`` was called, so that there is nothing left to compile.
    """

    def __init__(
        self,
        encoder: FrozenEncoder,
        predictor: TokenPredictor,
        spec: Spec | None = None,
        memory: int = 2 * 2**30,
        cache: int = 4 * 2**20,
    ) -> None:
        super().__init__(encoder, predictor, spec)
        self.memory, self.cache = memory, cache
        self.camera: Tensor | None = None
        self.fused = False
        self._replayed: Replayed | None = None

    @property
    def stride(self) -> int:
        """Control steps per imagined step."""
        return 1

    def fuse(self) -> Self:
        """Itself, with its blocks compiled in parts and, on a GPU, small populations replayed.

        That takes seconds at first, and less time then.
        """
        self.encoder.fuse()
        fuse(self.predictor)
        self._replayed = Replayed(self._imagine, self.predictor)
        self.fused = True
        return self

    def rollout(
        self, latents: Tensor, states: Tensor, actions: Tensor, extrinsics: Tensor | None = None
    ) -> Imagined:
        """Imagine; context frames beyond those of training are dropped.

        The actions between context frames are read off poses; nothing tells others, which are taken
        for rest.

        Args:
            latents: Context, ``[B, T, N, D]``.
            states: Its states, ``[B, T, P]``.
            actions: Candidates, ``[B, S, H, A]``, physical units.
            extrinsics: Pose of a camera that stands still, ``[B, 6]``, if the predictor uses it; by
                default that of ``camera``.

        Returns:
            Layer-normed latents ``[B, S, H, N, D]``, and the states that the actions lead to.
        """
        model, context = self.predictor, self.predictor.config.context_frames
        if extrinsics is None and self.camera is not None:
            extrinsics = self.camera.to(latents.device).expand(len(latents), -1)
        latents, states = latents[:, -context:], states[:, -context:]
        past = latents.shape[1] - 1
        horizon = actions.shape[2]
        path = imagined_states(model, states[:, -1:], actions).states
        taken = self._taken(states)
        camera = None if extrinsics is None else extrinsics.unsqueeze(1).expand(-1, past, -1)
        known = model.prefill(latents[:, :-1], taken, states, camera)
        seen = [part for cache in known for part in cache.seen] if past else []
        at_once = self._rows_at_once(past + horizon, actions.device) // len(actions) or 1
        # Launches of a small population take longer than what is launched.
        imagine = (
            self._imagine
            if self._replayed is None or at_once < actions.shape[1]
            else self._replayed
        )
        futures = [
            imagine(latents[:, -1], some, there, extrinsics, *seen)
            for some, there in zip(actions.split(at_once, 1), path.split(at_once, 1), strict=True)
        ]
        imagined = futures[0] if len(futures) == 1 else torch.cat(futures, 1)
        return Imagined(imagined, path[:, :, 1:], actions, latents[:, -1], states[:, -1])

    def _taken(self, states: Tensor) -> Tensor:
        """Actions ``[B, T - 1, A]`` that led through states ``[B, T, P]``."""
        before, after = states[:, :-1], states[:, 1:]
        if self.predictor.config.states.composed:
            return difference(before, after)
        return self.predictor.scale_actions.rest.expand(*before.shape[:2], -1)

    def _rows_at_once(self, frames: int, device: torch.device) -> int:
        rows = self.memory // self.predictor.bytes_per_row(frames)
        if device.type != "cpu":
            return rows
        return min(rows, self.cache // self.predictor.hidden_bytes_per_row)

    def _imagine(
        self,
        latents: Tensor,
        actions: Tensor,
        path: Tensor,
        extrinsics: Tensor | None,
        *seen: Tensor,
    ) -> Tensor:
        """Latents ``[B, S, H, N, D]`` that follow ``latents`` ``[B, N, D]``.

        Keys and values of what was seen before come block by block; there may be none.
        """
        samples, per_frame = actions.shape[1], self.predictor.tokens_per_frame
        past = seen[0].shape[2] // per_frame if seen else 0
        caches = self._caches(seen, samples, (past + actions.shape[2]) * per_frame)
        camera = None if extrinsics is None else extrinsics.repeat_interleave(samples, dim=0)
        hidden = latents.repeat_interleave(samples, dim=0)
        flat_actions, flat_path = actions.flatten(0, 1), path.flatten(0, 1)
        imagined: list[Tensor] = []
        for h in range(actions.shape[2]):
            now = (hidden, flat_actions[:, h], flat_path[:, h])
            hidden = self.predictor.advance(*now, past + h, caches, camera)
            imagined.append(hidden)
        return torch.stack(imagined, 1).unflatten(0, actions.shape[:2])

    def _caches(self, seen: tuple[Tensor, ...], samples: int, room: int) -> Caches | None:
        """One per block, for so many candidates; none where a frame is neither before nor after."""
        if room == self.predictor.tokens_per_frame:
            return None
        if not seen:
            return [KeyValueCache(room) for _ in self.predictor.predictor_blocks]
        parts = zip(seen[::2], seen[1::2], strict=True)
        return [KeyValueCache.of(*part).repeated(samples, room) for part in parts]
