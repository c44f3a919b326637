"""Train a world from numpy arrays: from frames and actions to an action-conditioned predictor.

    python examples/train_from_arrays.py --episodes 100 --steps 300 --out runs/dot

Here they are of the dot of ``own_environment.py``, moved at random. Yours may be of any robot.
"""

import argparse
from pathlib import Path

import numpy as np
from own_environment import Dot

import worldmodel as wm


def recording(env: Dot, length: int = 12) -> wm.Recording:
    """One episode: frames uint8 [T, h, w, 3], actions and states float32 [T, ...]."""
    observation, _ = env.reset()
    seen, actions = [], []
    for _ in range(length):
        seen.append(observation)
        actions.append(env.action_space.sample())
        observation, *_ = env.step(actions[-1])
    frames, states = (np.stack([one[name] for one in seen]) for name in ("image", "state"))
    return wm.Recording(frames, np.stack(actions), states, task="move about")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--episodes", type=int, default=100)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--out", type=Path, default=Path("runs/dot"))
    arguments = parser.parse_args()
    out, steps = arguments.out, arguments.steps

    env = Dot()
    recordings = (recording(env) for _ in range(arguments.episodes))
    data = str(wm.write_dataset(out / "data", recordings, fps=5))

    sizes = {"image_size": 24, "patch_size": 6, "width": 32, "depth": 2, "heads": 2}
    encoder, cache = str(out / "encoder"), str(out / "cache")
    sight = wm.preset("encoder", "small", **sizes)
    masked = wm.preset("training", "vjepa", steps=steps, batch=16, min_rank=0.0)
    wm.pretrain(data=data, out=encoder, encoder=sight, training=masked, cache=cache)

    training = {"steps": steps, "batch": 32, "frames": 4}
    predictor = wm.preset(
        "predictor", "tokens", model={"width": 48, "depth": 2, "heads": 2}, training=training
    )
    world = str(out / "world")
    wm.train(data=data, out=world, predictor=predictor, encoder_checkpoint=encoder, cache=cache)
    print(f"{world} takes actions of width {wm.load_world(world).action_width}")


if __name__ == "__main__":
    main()
