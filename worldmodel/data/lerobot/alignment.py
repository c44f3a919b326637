"""Whether a dataset's videos have the frames that its metadata speaks of, each at its time.

Frame k of an episode is the video's frame nearest to ``from_timestamp + k / fps`` (`each_frame`).
So that this is the right one, ``from_timestamp`` must be the time of a frame, and no later frame
may be half a frame away from where it is looked for. Times that were rounded to float32 or to a
video's clock, or that are sums of durations, are off by less than a tenth of a frame; more is a
mistake.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt

from worldmodel.data.lerobot.info import RATE_TOLERANCE
from worldmodel.data.lerobot.metadata import Metadata
from worldmodel.data.lerobot.video import frame_times
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
    episodes = defaultdict[tuple[str, Path], list[int]](list)
    for key, parts in metadata.videos.items():
        for number, part in enumerate(parts):
            episodes[key, part.path].append(number)
    with ThreadPoolExecutor(_THREADS) as threads:
        checks = [threads.submit(_check, metadata, *at, held) for at, held in episodes.items()]
        try:
            for check in checks:
                check.result()
        finally:
            for check in checks:
                check.cancel()


def _check(metadata: Metadata, key: str, path: Path, episodes: Sequence[int]) -> None:
    times, fps = frame_times(path), metadata.fps
    step = float(np.median(np.diff(times))) if len(times) > 1 else 1 / fps
    if not abs(step * fps - 1) <= RATE_TOLERANCE:
        raise UserError(
            f"Expected {fps:g} frames a second in {path}, as 'fps' in meta/info.json says, got "
            f"{1 / max(step, 1e-9):.4g}. Correct 'fps', or encode the video again."
        )
    wanted = sum(int(metadata.lengths[number]) for number in episodes)
    if wanted > len(times):
        raise UserError(
            f"Expected {wanted} frames in {path}, as meta/episodes says of the {len(episodes)} "
            f"episodes in it, got {len(times)}. Copy it again."
        )
    end = 0.0
    for number in episodes:
        part, seconds = metadata.videos[key][number], int(metadata.lengths[number]) / fps
        late = (part.start - end) * fps
        if late < -0.5:
            raise _wrong(
                metadata,
                key,
                number,
                f"begin at {end:.6g} s, where the one before it ends, or later",
                f"{-late:.1f} frames earlier",
            )
        end = part.start + seconds
        late = (part.end - end) * fps
        if abs(late) > 1:  # NaN is not
            raise _wrong(
                metadata,
                key,
                number,
                f"end after its {metadata.lengths[number]} frames at {end:g} s",
                f"'to_timestamp' {part.end:g} s, {abs(late):.1f} frames off",
            )
        _check_frames(metadata, key, number, times)


def _check_frames(
    metadata: Metadata, key: str, number: int, times: npt.NDArray[np.float64]
) -> None:
    """Compares an episode with the times of all frames of its video."""
    fps, part = metadata.fps, metadata.videos[key][number]
    sought = part.start + np.arange(metadata.lengths[number]) / fps
    after = np.searchsorted(times, sought).clip(max=len(times) - 1)
    before = (after - 1).clip(min=0)
    nearest = np.where(sought - times[before] <= times[after] - sought, before, after)
    off = (times[nearest] - sought) * fps
    wrong = np.abs(off) > 0.5
    wrong[1:] |= np.diff(nearest) == 0
    if wrong.any():
        step = int(wrong.argmax())
        raise _wrong(
            metadata,
            key,
            number,
            f"have its frame {step} at {sought[step]:.6g} s",
            f"none there: the nearest is {off[step]:+.3g} frames away, the last of the video is at "
            f"{times[-1]:.6g} s",
        )
    if abs(off[0]) > _START_TOLERANCE:
        raise _wrong(
            metadata,
            key,
            number,
            "begin at a frame",
            f"the nearest {off[0]:+.2f} frames ({off[0] / fps:+.4f} s) away",
        )


def _wrong(metadata: Metadata, key: str, number: int, expected: str, got: str) -> UserError:
    part = metadata.videos[key][number]
    return UserError(
        f"Expected episode {metadata.episodes[number]} to {expected}, got {got}; "
        f"'videos/{key}/from_timestamp' in {metadata.sources[number]} is "
        f"{part.start:g} s in {part.path}. Mend the column, or convert the dataset again."
    )
