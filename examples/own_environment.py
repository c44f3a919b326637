"""An environment of one's own: a dot that moves on a plane, towards where the goal image has it.

    python examples/train_from_arrays.py --out runs/dot
    python examples/own_environment.py --checkpoint runs/dot/world
    PYTHONPATH=examples worldmodel plan plugins=[own_environment] task=dot \
        checkpoint=runs/dot/world episodes=5 videos=0 out=runs/dot/plan

Any `gymnasium.Env` with a box of actions will do that shows an ``image`` and a ``goal`` image.
"""

import argparse

import gymnasium
import numpy as np
from gymnasium import spaces

import worldmodel as wm

TASK = wm.preset("task", "reach", name="dot", budget_steps=10, active_dims=[0, 1])


@wm.register_environment("dot", TASK)
class Dot(gymnasium.Env):
    task = "dot"

    def __init__(self, image_size=24):
        image = spaces.Box(0, 255, (image_size, image_size, 3), np.uint8)
        seen = {"image": image, "goal": image, "state": spaces.Box(-1, 1, (2,))}
        self.observation_space, self.action_space = spaces.Dict(seen), spaces.Box(-0.3, 0.3, (2,))
        self.pixels = np.stack(np.meshgrid(*2 * [np.linspace(-1, 1, image_size)]), -1)

    def draw(self, at):
        near = np.exp(-4 * np.square(self.pixels - at).sum(-1, keepdims=True))
        return (255 * near * [1, 0.6, 0.2]).astype(np.uint8)

    def observed(self):
        distance = float(np.linalg.norm(self.at - self.target))
        seen = {"image": self.draw(self.at), "goal": self.draw(self.target)}
        info = {"distance": distance, "success": distance < 0.3}  # for the judge only
        return seen | {"state": self.at.astype(np.float32)}, info

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.at, self.target = self.np_random.uniform(-0.8, 0.8, (2, 2))
        return self.observed()

    def step(self, action):
        self.at = np.clip(self.at + action, -1, 1)
        observation, info = self.observed()
        return observation, 0.0, False, False, info


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", default="runs/dot/world")
    parser.add_argument("--trials", type=int, default=20)
    given, env = parser.parse_args(), wm.make_env("dot", image_size=24)
    agent = wm.make_agent(given.checkpoint, env)
    print(wm.evaluate(agent, env, episodes=given.trials, baselines=["random"]))
