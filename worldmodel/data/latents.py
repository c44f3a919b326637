"""Latents of a whole dataset: a frozen encoder sees every frame once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch

from worldmodel.data.cache import computed_once
from worldmodel.data.episode import Frames
from worldmodel.data.episode_dataset import EpisodeDataset

__all__ = ["Encoder", "latent_cache"]


class Encoder(Protocol):
    """A frozen encoder whose latents of a frame depend on that frame alone."""

    def encode(self, frames: torch.Tensor) -> torch.Tensor:
        """Latents ``[B,T,N,D]`` of frames uint8 ``[B,T,height,width,3]``."""
        ...

    def fingerprint(self) -> str:
        """A key over weights and preprocessing."""
        ...


def latent_cache(
    encoder: Encoder,
    dataset: EpisodeDataset,
    cache_dir: Path | str,
    *,
    batch: int = 256,
    dtype: npt.DTypeLike = np.float16,
) -> np.memmap[Any, Any]:
    """The latents of all frames as a memory map ``[F,N,D]``, rows as in ``dataset.actions``.

    Computed on the first call and kept in ``cache_dir`` under a key over the encoder's weights and
    preprocessing, the dataset's contents and ``dtype``: a stale cache is never found. A killed call
    is continued by the next.

    Args:
        encoder: The frozen encoder.
        dataset: Whose frames.
        cache_dir: Where the array is kept.
        batch: Frames per call of the encoder.
        dtype: Of the stored latents; half precision suits layer-normed values.

    Raises:
        UserError: A video cannot be read, or the cache cannot be written.
        ValueError: The encoder takes frames of another size.
    """

    def encoded(frames: Frames) -> npt.NDArray[Any]:
        with torch.inference_mode():
            return encoder.encode(torch.from_numpy(frames)[None])[0].float().cpu().numpy()

    def fill(array: npt.NDArray[Any], row: int) -> Iterator[int]:
        for frames in _batches(dataset, row, batch):
            array[row : row + len(frames)] = encoded(frames)
            row += len(frames)
            yield row

    tokens, width = encoded(dataset.frames_at(0, np.zeros(1, np.int64))).shape[1:]
    key = "\n".join([encoder.fingerprint(), dataset.fingerprint(), np.dtype(dtype).str])
    path = Path(cache_dir) / f"latents-{hashlib.sha256(key.encode()).hexdigest()[:20]}.npy"
    return computed_once(path, (dataset.num_frames, tokens, width), dtype, fill, "encode frames")


def _batches(dataset: EpisodeDataset, row: int, size: int) -> Iterator[Frames]:
    """The dataset's frames from ``row`` on, ``size`` at a time."""
    waiting = np.empty((0, *dataset.image_size, 3), dtype=np.uint8)
    for frames in dataset.iter_parts(row):
        waiting = np.concatenate([waiting, frames])
        while len(waiting) >= size:
            yield waiting[:size]
            waiting = waiting[size:]
    if len(waiting):
        yield waiting
