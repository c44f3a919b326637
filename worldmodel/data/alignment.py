"""Whether a dataset's videos have the frames that its metadata speaks of, each at its time.

Frame k of an episode is the video's frame nearest to ``from_timestamp + k / fps`` (`each_frame`).
So that this is the right one, ``from_timestamp`` must be the time of a frame, and no later frame
may be half a frame away from where it is looked for. Times that were rounded to float32 or to a
video's clock, or that are sums of durations, are off by less than a tenth of a frame; more is a
mistake.
"""

from __future__ import annotations

from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt

from worldmodel.data.metadata import RATE_TOLERANCE, Metadata
from worldmodel.data.video import frame_times
from worldmodel.errors import UserError

__all__ = ["check_videos"]

_START_TOLERANCE = 0.1
"""Frames by which ``from_timestamp`` may miss a frame."""

_THREADS = 2


def check_videos(metadata: Metadata) -> None:
    """Compares each episode with the times of the frames of its video, which is not decoded.

    Each file is read once, at about four times the speed of `Dataset.fingerprint`.

    Raises:
        UserError: A video is damaged or lacks frames, plays at another rate than ``fps``, or its
            frames are not where ``from_timestamp`` says.
    """
    episodes = defaultdict[Path, list[int]](list)
    for number, part in enumerate(metadata.videos):
        episodes[part.path].append(number)
    with ThreadPoolExecutor(_THREADS) as threads:
        checks = [threads.submit(_check, metadata, *item) for item in episodes.items()]
        try:
            for check in checks:
                check.result()
        finally:
            for check in checks:
                check.cancel()


def _check(metadata: Metadata, path: Path, episodes: list[int]) -> None:
    times, fps = frame_times(path), metadata.fps
    wanted = sum(int(metadata.lengths[number]) for number in episodes)
    if len(times) > 1 and not abs(np.median(np.diff(times)) * fps - 1) <= RATE_TOLERANCE:
        raise UserError(
            f"Expected {fps:g} frames a second in {path}, as 'fps' in meta/info.json says, got "
            f"{1 / max(float(np.median(np.diff(times))), 1e-9):.4g}. Correct 'fps', or encode the "
            "video again."
        )
    if wanted > len(times):
        raise UserError(
            f"Expected {wanted} frames in {path}, as meta/episodes says of the {len(episodes)} "
            f"episodes in it, got {len(times)}. Copy it again."
        )
    for number in episodes:
        _check_episode(metadata, number, times)


def _check_episode(metadata: Metadata, number: int, times: npt.NDArray[np.float64]) -> None:
    fps, part = metadata.fps, metadata.videos[number]
    sought = part.start + np.arange(metadata.lengths[number]) / fps
    after = np.searchsorted(times, sought).clip(1, max(len(times) - 1, 1))
    if len(times) == 1:
        after[:] = 0
    before = (after - 1).clip(0)
    nearest = np.where(sought - times[before] <= times[after] - sought, before, after)
    off = (sought - times[nearest]) * fps
    what = (
        f"episode {metadata.episodes[number]} in {part.path} at 'videos/{metadata.camera}/"
        f"from_timestamp' {part.start:g} s, as {metadata.sources[number]} says"
    )
    wrong = np.abs(off) > 0.5
    wrong[1:] |= np.diff(nearest) == 0
    if wrong.any():
        step = int(wrong.argmax())
        raise UserError(
            f"Expected {len(sought)} frames of {what}, got none for frame {step} at "
            f"{sought[step]:.3f} s: the nearest is {abs(off[step]):.2f} frames away, the video "
            f"ends at {times[-1]:.3f} s. Mend the column, or convert the dataset again."
        )
    if abs(off[0]) > _START_TOLERANCE:
        raise UserError(
            f"Expected a frame at the beginning of {what}, got the nearest at "
            f"{times[nearest[0]]:.4f} s, {abs(off[0]):.2f} frames ({abs(off[0]) / fps:.4f} s) "
            f"{'earlier' if off[0] > 0 else 'later'}. Mend the column, or convert the dataset "
            "again."
        )
