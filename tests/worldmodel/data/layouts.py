"""The same episodes in every layout that is read; each function returns what is to be opened."""

from __future__ import annotations

import io
import json
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from worldmodel.data.lerobot.video import writing_video
from worldmodel.data.recording import Recording, write_dataset

LENGTHS = (6, 9, 4)
FPS = 20
SIZES = {"front": (24, 40), "wrist": (32, 20)}
TASKS = ("push", "lift", "push")


def recordings(states: int = 3) -> list[Recording]:
    """Episodes of two cameras with frames of different shapes."""
    made = []
    for number, (length, task) in enumerate(zip(LENGTHS, TASKS, strict=True)):
        rng = np.random.default_rng(number)
        frames = {
            name: rng.integers(0, 256, (length, *size, 3), dtype=np.uint8)
            for name, size in SIZES.items()
        }
        actions, state = (rng.normal(size=(length, w)).astype(np.float32) for w in (2, states))
        actions[-1] = 0  # nothing was seen after it
        made.append(Recording(frames, actions, state, task))
    return made


def lerobot(folder: Path) -> Path:
    names = {"action": ["x", "y"], "observation.state": ["a", "b", "c"]}
    return write_dataset(folder / "v3", recordings(), fps=FPS, names=names)


def lerobot_2(folder: Path, *, images: bool = False, missing: int | None = None) -> Path:
    """Version 2.1, by video or by images; one episode may lack its last frame."""
    root = folder / "v2"
    listing = []
    for number, episode in enumerate(recordings()):
        length = len(episode.actions)
        columns = {
            "action": pa.array(list(episode.actions), pa.list_(pa.float32(), 2)),
            "observation.state": pa.array(list(episode.states), pa.list_(pa.float32(), 3)),
            "timestamp": pa.array(np.arange(length) / FPS, pa.float32()),
            "frame_index": np.arange(length),
            "episode_index": np.full(length, number),
            "task_index": np.full(length, ["push", "lift"].index(episode.task)),
        }
        for name, frames in episode.frames.items():
            key = f"observation.images.{name}"
            if images:
                columns[key] = pa.array([{"bytes": png(f), "path": None} for f in frames])
                continue
            path = root / f"videos/chunk-000/{key}/episode_{number:06d}.mp4"
            path.parent.mkdir(parents=True, exist_ok=True)
            with writing_video(path, FPS, *frames.shape[1:3]) as append:
                append(frames[:-1] if number == missing else frames)
        path = root / f"data/chunk-000/episode_{number:06d}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(columns), path)
        listing.append({"episode_index": number, "tasks": [episode.task], "length": length})
    info = {
        "codebase_version": "v2.1",
        "robot_type": "so100",
        "total_episodes": len(LENGTHS),
        "total_frames": sum(LENGTHS),
        "chunks_size": 1000,
        "fps": FPS,
        "data_path": "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet",
        "video_path": None
        if images
        else "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4",
        "features": {
            "action": {"dtype": "float32", "shape": [2], "names": ["x", "y"]},
            "observation.state": {"dtype": "float32", "shape": [3], "names": ["a", "b", "c"]},
            **{
                f"observation.images.{name}": {
                    "dtype": "image" if images else "video",
                    "shape": [3, *size],
                    "names": ["channels", "height", "width"],
                }
                for name, size in SIZES.items()
            },
        },
    }
    (root / "meta").mkdir()
    (root / "meta/info.json").write_text(json.dumps(info))
    (root / "meta/episodes.jsonl").write_text("".join(json.dumps(line) + "\n" for line in listing))
    (root / "meta/tasks.jsonl").write_text('{"task_index": 0, "task": "push"}\n')
    return root


def lerobot_2_images(folder: Path) -> Path:
    return lerobot_2(folder, images=True)


def png(frame: np.ndarray) -> bytes:
    content = io.BytesIO()
    Image.fromarray(frame).save(content, "PNG")
    return content.getvalue()


def robomimic(folder: Path) -> Path:
    path = folder / "demo.hdf5"
    with h5py.File(path, "w") as file:
        file.create_group("data").attrs["env_args"] = json.dumps(
            {"env_name": "Lift", "env_kwargs": {"control_freq": FPS}}
        )
        # Written out of order, and with ten before two in the alphabet.
        for name, episode in zip(("demo_2", "demo_10", "demo_11"), recordings(), strict=True):
            demo = file.create_group(f"data/{name}")
            demo["actions"] = episode.actions.astype(np.float64)
            demo["obs/robot0_eef_pos"] = episode.states[:, :2].astype(np.float64)
            demo["obs/robot0_gripper"] = episode.states[:, 2].astype(np.float64)
            demo["obs/object"] = np.zeros((len(episode.actions), 10))
            demo["obs/front_depth"] = np.zeros((len(episode.actions), 24, 40, 1), np.float32)
            for camera, frames in episode.frames.items():
                demo.create_dataset(f"obs/{camera}_image", data=frames, compression="gzip")
    return path


def stable_worldmodel(folder: Path, *, indexed: bool = False, channels_first: bool = False) -> Path:
    path = folder / "pusht.h5"
    made = recordings()
    with h5py.File(path, "w") as file:
        actions = np.concatenate([episode.actions for episode in made])
        actions[np.cumsum(LENGTHS) - 1] = np.nan
        file["action"] = actions
        file["proprio"] = np.concatenate([episode.states for episode in made])
        file["state"] = np.ones((sum(LENGTHS), 9))
        file["reward"] = np.zeros(sum(LENGTHS))
        for camera in SIZES:
            pixels = np.concatenate([episode.frames[camera] for episode in made])
            pixels = pixels.transpose(0, 3, 1, 2) if channels_first else pixels
            chunks = (1, *pixels.shape[1:])
            file.create_dataset(f"pixels.{camera}", data=pixels, chunks=chunks)
        if indexed:
            file["ep_idx"] = np.repeat(np.arange(len(LENGTHS)), LENGTHS)
            file["step_idx"] = np.concatenate([np.arange(n) for n in LENGTHS])
        else:
            file["ep_len"] = np.array(LENGTHS, np.int32)
            file["ep_offset"] = np.cumsum([0, *LENGTHS[:-1]])
    return path


def ogbench(folder: Path, *, compressed: bool = True) -> Path:
    path = folder / "visual-cube-single-play-v0.npz"
    made = recordings()
    terminals = np.zeros(sum(LENGTHS), np.float32)
    terminals[np.cumsum(LENGTHS) - 1] = 1
    (np.savez_compressed if compressed else np.savez)(
        path,
        observations=np.concatenate([episode.frames["front"] for episode in made]),
        actions=np.concatenate([episode.actions for episode in made]),
        terminals=terminals,
    )
    return path
