"""Near-lossless mp4: RGB frames in, the same frames out to within two grey levels.

Frames are stored as lossless h264 in 4:4:4, so the only loss is the rounding of the colour
conversion (0.4 levels on average, 52 dB). Any codec that PyAV knows is read, AV1 among them.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import av
import numpy as np
from av.error import FFmpegError
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

from worldmodel.data.episode import Frames
from worldmodel.errors import UserError

__all__ = ["FrameSink", "plain_number", "read_frames", "video_info", "writing_video"]

# Quantiser 0 is lossless; a key frame every 10 frames keeps seeking to an episode cheap.
_OPTIONS = {"crf": "0", "preset": "ultrafast", "g": "10", "bf": "0"}


class FrameSink(Protocol):
    """Takes the next frames of a video."""

    def __call__(self, frames: Frames) -> None:
        """Appends ``frames`` uint8 ``[T,height,width,3]``."""
        ...


@contextmanager
def writing_video(path: Path, fps: float, height: int, width: int) -> Generator[FrameSink]:
    """Opens an mp4 of ``fps`` frames a second and yields the function that appends frames to it."""
    to_yuv = VideoReformatter()
    with av.open(str(path), "w", format="mp4") as container:
        rate = Fraction(fps).limit_denominator(1001)
        stream = container.add_stream("libx264", rate=rate, options=_OPTIONS)
        stream.height, stream.width, stream.pix_fmt = height, width, "yuv444p"
        codec = stream.codec_context
        codec.thread_count = 1
        # Stated in the file, so that no reader has to guess how to convert back to RGB.
        codec.colorspace, codec.color_range = Colorspace.SMPTE170M, ColorRange.MPEG

        def append(frames: Frames) -> None:
            for pixels in frames:
                rgb = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
                container.mux(stream.encode(to_yuv.reformat(rgb, format="yuv444p", threads=1)))

        yield append
        container.mux(stream.encode(None))


def read_frames(path: Path, start: float, count: int, fps: float) -> Frames:
    """Decodes ``count`` frames from ``start`` seconds on.

    Returns:
        uint8 ``[count,height,width,3]``, RGB.

    Raises:
        UserError: The file is missing, is no video, or ends before the last frame asked for.
    """
    times = start + np.arange(count) / fps
    found: list[Frames] = []
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            stream.codec_context.thread_count = 1
            if start > 0 and stream.time_base is not None:
                container.seek(int((start - 0.5 / fps) / stream.time_base), stream=stream)
            to_rgb = VideoReformatter()
            for frame in container.decode(stream):
                late = (frame.time or 0.0) - times[len(found)]
                if late < -0.5 / fps:
                    continue
                if late > 0.5 / fps:
                    raise _unreadable(path, f"it has no frame at {times[len(found)]:.2f} s")
                rgb = to_rgb.reformat(frame, format="rgb24", threads=1)
                found.append(rgb.to_ndarray().astype(np.uint8, copy=False))
                if len(found) == count:
                    return np.stack(found)
    except (FFmpegError, IndexError) as error:
        raise _unreadable(path, str(error)) from error
    raise _unreadable(path, f"it ends {count - len(found)} frames too early")


def video_info(path: Path) -> dict[str, Any]:
    """What LeRobot's ``info.json`` records of a camera's videos."""
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            rate = stream.average_rate
            return {
                "video.height": stream.height,
                "video.width": stream.width,
                "video.codec": stream.codec.canonical_name,
                "video.pix_fmt": stream.pix_fmt,
                "video.is_depth_map": False,
                "video.fps": None if rate is None else plain_number(float(rate)),
                "video.channels": 3,
                "has_audio": False,
            }
    except (FFmpegError, IndexError) as error:
        raise _unreadable(path, str(error)) from error


def plain_number(value: float) -> float | int:
    """``5.0`` as 5, which is how LeRobot writes frame rates."""
    return int(value) if float(value).is_integer() else float(value)


def _unreadable(path: Path, why: str) -> UserError:
    return UserError(
        f"Cannot read the video {path}: {why}. It is missing, truncated or corrupt: copy it again, "
        "or delete it and rerun the collect command that made it."
    )
