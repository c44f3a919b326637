"""An mp4 of an episode: the camera, the goal image, and the energy of every plan so far."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from worldmodel.agents.views import Image
from worldmodel.evaluation.episodes import Episode
from worldmodel.files.atomic import replacing

__all__ = ["video_name", "write_video"]

PANEL = 288  # pixels
_DPI = 96


def write_video(path: Path, episode: Episode, fps: float) -> None:
    """Write the frames of an episode, three panels of 288 pixels side by side.

    Args:
        path: The mp4; it appears once complete.
        episode: With its frames.
        fps: Frames a second; the control frequency shows it in real time.
    """
    assert episode.frames is not None
    chart = _EnergyChart(episode, len(episode.frames))
    goal = _enlarged(episode.goal)
    with replacing(path) as partial, av.open(str(partial), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=round(fps), options={"crf": "20"})
        # 4:2:0 is what browsers and presentation software play.
        stream.width, stream.height, stream.pix_fmt = 3 * PANEL, PANEL, "yuv420p"
        for step, image in enumerate(episode.frames):
            pixels = np.hstack([_enlarged(image), goal, chart.draw(step)])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))


def _enlarged(image: Image) -> Image:
    """The image at panel size, by nearest neighbour."""
    rows = np.arange(PANEL) * image.shape[0] // PANEL
    columns = np.arange(PANEL) * image.shape[1] // PANEL
    return image[rows][:, columns]


class _EnergyChart:
    """The energy of the best sequence of every plan, over control steps."""

    def __init__(self, episode: Episode, steps: int) -> None:
        self._plan_steps = np.array(episode.plan_steps)
        # The energy of a plan without a search is not known, and a gap in the line.
        energy = np.array(episode.energy, dtype=float)
        self._energy = np.where(np.isfinite(energy), energy, np.nan)
        figure = Figure((PANEL / _DPI, PANEL / _DPI), dpi=_DPI, layout="tight")
        self._canvas = FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        axes.set_title("energy of the plan", fontsize=9)
        axes.set_xlabel("control step", fontsize=8)
        axes.tick_params(labelsize=7)
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_xlim(0, steps)
        if np.isfinite(self._energy).any():
            low, high = np.nanmin(self._energy), np.nanmax(self._energy)
            margin = 0.05 * (high - low) + 1e-6
            axes.set_ylim(low - margin, high + margin)
        else:
            note = axes.text(0.5, 0.5, "no plan was searched", transform=axes.transAxes)
            note.set(ha="center", va="center", fontsize=8, color="0.4")
        (self._line,) = axes.plot([], [], color="tab:red", linewidth=1.5, marker="o", markersize=2)
        (self._now,) = axes.plot([], [], color="tab:red", marker="o", markersize=4)

    def draw(self, step: int) -> NDArray[np.uint8]:
        """The chart at a control step, ``uint8 [panel, panel, 3]``."""
        known = int(np.searchsorted(self._plan_steps, step, side="right"))
        x, y = self._plan_steps[:known], self._energy[:known]
        self._line.set_data(x, y)
        self._now.set_data(x[-1:], y[-1:])
        self._canvas.draw()
        return np.asarray(self._canvas.buffer_rgba())[..., :3]


def video_name(index: int) -> str:
    """File name of the video of the episode at an index."""
    return f"episode_{index:03d}.mp4"
