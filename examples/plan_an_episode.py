"""Plan one episode to a goal image with the included checkpoint, and keep what the camera saw.

    python examples/plan_an_episode.py --task push --planner icem --seed 3 --out runs/episode

It prints the distance to the goal as the arm moves, and writes ``episode.gif`` to the folder.
"""

import argparse
from pathlib import Path

import imageio.v3 as iio
import numpy as np

import worldmodel as wm


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", default="push")
    parser.add_argument("--planner", default="icem")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--out", type=Path, default=Path("runs/episode"))
    arguments = parser.parse_args()

    env = wm.make_env(arguments.task)
    agent = wm.make_agent("default", env, planner=arguments.planner)
    observation, info = env.reset(seed=arguments.seed)
    agent.reset(observation["goal"], seed=arguments.seed)

    frames = []
    for step in range(arguments.steps):
        frames.append(np.concatenate([observation["image"], observation["goal"]], axis=1))
        action = agent.act(observation)  # float32 [7]: pose change in m and rad, gripper
        observation, _, _, _, info = env.step(action)
        if step % 5 == 0:
            # The judge's distance, from the simulator's state; the agent never sees it.
            print(f"step {step:2d}: {100 * info['distance']:.1f} cm from the goal")
    plan = agent.records[-1].plan
    print(f"solved: {bool(info['success'])}, energy of the last plan {float(plan.energy[0]):.3f}")

    arguments.out.mkdir(parents=True, exist_ok=True)
    iio.imwrite(arguments.out / "episode.gif", np.stack(frames), duration=200, loop=0)
    print(f"camera and goal image: {arguments.out / 'episode.gif'}")


if __name__ == "__main__":
    main()
