# %% [markdown]
# # Tutorial
#
# Load a world, imagine in it, plan in it, and bring your own environment. It takes a minute on
# one core. Every block runs as it stands, from an empty folder: `python docs/tutorial.py`.

# %%
import gymnasium
import numpy as np
import torch

import worldmodel as wm

# %% [markdown]
# ## Load
#
# A world is a frozen encoder and a predictor. `"default"` is the included one; a folder of
# `worldmodel train` does as well. Frames go in as `uint8 [B, T, height, width, 3]`, latents come
# out as `[B, T, N, D]`.

# %%
world = wm.load_world("default")
env = wm.make_env("reach", image_size=world.image_size)
observation, _ = env.reset(seed=0)

frames = torch.from_numpy(observation["image"])[None, None]
goal_frames = torch.from_numpy(observation["goal"])[None, None]
encoded, encoded_goal = world.encode(frames), world.encode(goal_frames)
print("encoded", tuple(encoded.shape))

# %% [markdown]
# The included world plans on one small latent per frame. `project` reads it, with another frame
# of the same scene as the reference: the goal for what the camera shows now, and the present for
# the goal.

# %%
latents = world.project(encoded, encoded_goal[:, 0])
goal_latents = world.project(encoded_goal, encoded[:, 0])
print("planning latents", tuple(latents.shape))

# %% [markdown]
# ## Imagine
#
# Candidates are `[B, S, H, A]`, in physical units: here 3 candidates, 4 control steps ahead. The
# first rests, the others move 3 cm a step along x, forth and back. A rollout has a latent and a
# state per imagined step.

# %%
candidates = torch.zeros(1, 3, 4, 7)
candidates[0, 1, :, 0] = 0.03
candidates[0, 2, :, 0] = -0.03
states = torch.from_numpy(observation["state"])[None, None]
imagined = world.rollout(latents, states, candidates)
print("imagined latents", tuple(imagined.latents.shape))
print("x at the end, m:", [round(float(x), 3) for x in imagined.states[0, :, -1, 0]])

# %% [markdown]
# An energy says which of these futures is best: lower is nearer to the goal.

# %%
from worldmodel.planners import LatentDistance

energy = LatentDistance(goal_latents[:, 0])(imagined)
print("energies", [round(float(e), 3) for e in energy[0]])

# %% [markdown]
# ## Plan
#
# An agent puts the three together: the world, what the task minimises, and a planner. It sees
# images, a state and a goal image; success is read from the simulator and never reaches it.

# %%
agent = wm.make_agent(world, env, planner="cem", settings={"samples": 64})
agent.reset(observation["goal"])
action = agent.act(observation)
plan = agent.records[-1].plan
print("action", np.round(action, 3))
print("energy by round", [round(float(e), 3) for e in plan.trace[0]])

# %%
report = wm.evaluate(agent, env, episodes=2, seed=0)
print(report)

# %% [markdown]
# ## Bring your environment
#
# Any `gymnasium.Env` will do with a box of actions and observations of `image`, `goal` and
# `state`. For the judge, `info` holds `distance` and `success`. Here a wrapper makes the
# built-in task harder: the hand trembles.


# %%
class Trembling(gymnasium.ActionWrapper):
    """Adds 5 mm of noise to every action."""

    def action(self, action):
        noise = self.np_random.normal(0, 0.005, 3)
        return action + np.concatenate([noise, np.zeros(4)]).astype(np.float32)


trembling = Trembling(env)
agent = wm.make_agent(world, trembling, task="reach")
print(wm.evaluate(agent, trembling, episodes=1, seed=0))

# %% [markdown]
# A decorator gives an environment a name, for `make_env` and for every command: `worldmodel plan
# plugins=[my_module] task=trembling_reach`.


# %%
@wm.register_environment("trembling_reach", wm.preset("task", "reach", name="trembling_reach"))
def trembling_reach(image_size):
    return Trembling(wm.make_env("reach", image_size=image_size))


print(wm.make_env("trembling_reach").action_space.shape)

# %% [markdown]
# A robot with other actions needs a world of its own. `examples/train_from_arrays.py` trains one
# from numpy arrays, and [Extending](extending.md#your-own-data) says what data may look like.
