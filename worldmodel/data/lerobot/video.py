"""Near-lossless mp4: RGB frames in, the same frames out to within two grey levels.

Frames are stored as lossless h264 in 4:4:4, so the only loss is the rounding of the colour
conversion (0.4 levels on average, 52 dB). Any codec that PyAV knows is read, AV1 among them.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import av
import numpy as np
import numpy.typing as npt
from av.codec.context import CodecContext
from av.container import InputContainer
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from av.video.stream import VideoStream

from worldmodel.data.episode import Frames, Indices
from worldmodel.errors import UserError

__all__ = [
    "FrameSink",
    "each_frame",
    "each_numbered_frame",
    "frame_times",
    "plain_number",
    "video_info",
    "video_shape",
    "writing_video",
]

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
                yuv = to_yuv.reformat(rgb, format="yuv444p", **_one_thread())
                container.mux(stream.encode(yuv))

        yield append
        container.mux(stream.encode(None))


def each_frame(path: Path, start: float, steps: Indices, fps: float) -> Iterator[Frames]:
    """Decodes frames by the times that the video gives them, and keeps none.

    Args:
        path: The video.
        start: Time of frame 0, s.
        steps: Which frames, ascending; ``fps`` of them a second.
        fps: Frames a second.

    Yields:
        uint8 ``[height,width,3]``, RGB.

    Raises:
        UserError: The file is missing, is no video, or lacks a frame asked for.
    """
    times, found = start + steps / fps, 0
    if not len(steps):
        return
    with _decoding(path) as (container, stream):
        to_rgb = VideoReformatter()
        for frame, time in _decoded_from(container, stream, times[0], 0.5 / fps):
            late = time - times[found]
            if late < -0.5 / fps:
                continue
            if late > 0.5 / fps:
                raise _unreadable(path, f"it has no frame at {times[found]:.2f} s")
            yield _pixels(path, frame, to_rgb)
            found += 1
            if found == len(steps):
                return
    raise _unreadable(path, f"it ends {len(steps) - found} frames too early")


def each_numbered_frame(path: Path, numbers: Indices) -> Iterator[Frames]:
    """Decodes frames by their number, whatever times the video gives them, and keeps none.

    Args:
        path: The video.
        numbers: Which frames, ascending.

    Yields:
        uint8 ``[height,width,3]``, RGB.

    Raises:
        UserError: The file is missing, is no video, or lacks a frame asked for.
    """
    found = 0
    if not len(numbers):
        return
    with _decoding(path) as (container, stream):
        to_rgb = VideoReformatter()
        for number, frame in enumerate(container.decode(stream)):
            if number == numbers[found]:
                yield _pixels(path, frame, to_rgb)
                found += 1
                if found == len(numbers):
                    return
    raise _unreadable(path, f"it ends {len(numbers) - found} frames too early")


def frame_times(path: Path) -> npt.NDArray[np.float64]:
    """When the frames of a video are shown, s, ascending, without decoding it.

    Raises:
        UserError: The file is missing, truncated or no video.
    """
    with _decoding(path) as (container, stream):
        if stream.time_base is None:
            raise _unreadable(path, "its frames have no times")
        shown: list[int] = []
        for packet in container.demux(stream):
            if not packet.size or packet.is_discard:
                continue
            if packet.pts is None or packet.is_corrupt:
                raise _unreadable(path, f"its frame {len(shown)} is cut off or has no time")
            shown.append(packet.pts)
        return np.sort(np.array(shown, np.float64)) * float(stream.time_base)


def video_shape(path: Path) -> tuple[int, int, int]:
    """Frames, height and width of a video, without decoding it.

    Raises:
        UserError: The file is missing or is no video.
    """
    with _decoding(path) as (container, stream):
        # Where the index comes first, it tells of frames that a truncated file has no more.
        if hasattr(stream, "index_entries"):
            size = path.stat().st_size
            missing = sum(entry.pos + entry.size > size for entry in stream.index_entries)
            frames = stream.frames or _packets(container, stream)
        else:  # PyAV before 17 shows no index, so that the whole file is read
            frames = _packets(container, stream)
            missing = max(stream.frames - frames, 0)
        if missing:
            raise _unreadable(path, f"it ends {missing} frames too early")
        return frames, stream.height, stream.width


def video_info(path: Path) -> dict[str, Any]:
    """What LeRobot's ``info.json`` records of a camera's videos."""
    with _decoding(path) as (_, stream):
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


def plain_number(value: float) -> float | int:
    """``5.0`` as 5, which is how LeRobot writes frame rates."""
    return int(value) if float(value).is_integer() else float(value)


@contextmanager
def _decoding(path: Path) -> Generator[tuple[InputContainer, VideoStream]]:
    """Opens an mp4 for reading; whatever is wrong with it becomes one line."""
    try:
        # Of this format and with this protocol, since a file may name other files, and hosts.
        with av.open(
            str(path.absolute()), format="mp4", container_options={"protocol_whitelist": "file"}
        ) as container:
            if not container.streams.video:
                raise _unreadable(path, "it holds no video")
            stream = container.streams.video[0]
            codec: CodecContext | None = stream.codec_context
            if codec is None:
                raise _unreadable(path, "its codec is not known")
            codec.thread_count = 1
            yield container, stream
    except UserError:
        raise
    except Exception as error:  # of damaged files PyAV raises errors of many kinds
        raise _unreadable(path, str(error)) from error


def _packets(container: InputContainer, stream: VideoStream) -> int:
    """The frames that are there whole."""
    return sum(packet.size > 0 and not packet.is_corrupt for packet in container.demux(stream))


@cache
def _one_thread() -> dict[str, int]:
    """How a reformatter is told to use one thread; before PyAV 17 it knows no other number."""
    try:
        VideoReformatter().reformat(av.VideoFrame(16, 16, "rgb24"), format="yuv444p", threads=1)
    except TypeError:
        return {}
    return {"threads": 1}


def _decoded_from(
    container: InputContainer, stream: VideoStream, time: float, near: float
) -> Iterator[tuple[av.VideoFrame, float]]:
    """Frames and their times, s, from the one within ``near`` seconds of ``time`` or earlier on."""
    first: tuple[av.VideoFrame, float] | None = None
    timed: Iterator[tuple[av.VideoFrame, float]] = iter(())
    # A seek goes by the order of decoding, in which frames can come after a later key frame.
    for back in (near, 2.0, 8.0, None):
        if stream.time_base is not None and back is not None and time > back:
            container.seek(int((time - back) / stream.time_base), stream=stream)
        elif back != near:  # it is at the beginning when it was opened
            container.seek(min(0, stream.start_time or 0), stream=stream)
        timed = _timed(container.decode(stream))
        first = next(timed, None)
        if first is not None and first[1] <= time + near:
            break
    if first is not None:
        yield first
        yield from timed


def _timed(frames: Iterator[av.VideoFrame]) -> Iterator[tuple[av.VideoFrame, float]]:
    for frame in frames:
        if frame.time is None:
            raise ValueError("a frame has no time")
        yield frame, frame.time


def _pixels(path: Path, frame: av.VideoFrame, to_rgb: VideoReformatter) -> Frames:
    if frame.is_corrupt:
        raise _unreadable(path, f"its frame at {frame.time or 0:.2f} s is damaged")
    rgb = to_rgb.reformat(frame, format="rgb24", **_one_thread())
    return rgb.to_ndarray().astype(np.uint8, copy=False)


def _unreadable(path: Path, why: str) -> UserError:
    return UserError(
        f"Cannot read the video {path}: {why}. It is missing, truncated or corrupt: copy it again, "
        "or delete it and rerun the collect command that made it."
    )
