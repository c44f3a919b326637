"""A planner of one's own: the best of one round, half from the policy prior, half uniform.

    python examples/own_planner.py --episodes 5
    PYTHONPATH=examples worldmodel plan plugins=[own_planner] planner=one_round \
        planner.samples=48 task=push episodes=5 out=runs/own_planner
"""

import argparse
from dataclasses import dataclass

import torch

import worldmodel as wm
from worldmodel.planners import ActionBox, Plan


@dataclass(frozen=True)
class OneRoundConfig:
    samples: int = 32
    horizon: int = 8  # this and the rest follow the task, unless the user sets them
    receding_horizon: int = 2
    active_dims: tuple[int, ...] = (0, 1, 2)


@wm.register_planner("one_round", OneRoundConfig)
class OneRound:
    def __init__(self, config, low, high):  # action bounds [A]
        self.config, self.box = config, ActionBox(low, high, config.active_dims)
        self.receding_horizon = config.receding_horizon

    def init(self, batch, after=None):  # all that lasts between plans is a state; here nothing
        return None

    def shift(self, state, steps):
        return None

    @torch.inference_mode()
    def plan(self, problem, state, *, generator, deadline=None, profile=False):
        samples, horizon, batch = self.config.samples, self.config.horizon, len(problem.latents)
        # Episodes share the noise, so that a batch decides as its episodes would one by one.
        shares = 2 * torch.rand(samples, horizon, len(self.box.low), generator=generator) - 1
        candidates = self.box.actions(shares).repeat(batch, 1, 1, 1)  # [B, S, H, A]
        if problem.proposal is not None:
            sizes = {"samples": samples // 2, "horizon": horizon, "generator": generator}
            proposed = problem.proposal(problem.latents, problem.states, **sizes)
            candidates[:, : samples // 2] = self.box.clamp(proposed)
        energy, terms = problem.judge(problem.imagine(problem.begin(candidates)))  # [B, S]
        rows, best = torch.arange(batch), energy.nan_to_num(torch.inf).argmin(1)
        least = energy[rows, best]
        terms = {name: term[rows, best] for name, term in terms.items()}
        return Plan(candidates[rows, best], least, terms, least[:, None], nonfinite=0), state


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--episodes", type=int, default=5)
    env = wm.make_env("push")
    agent = wm.make_agent("default", env, planner="one_round", settings={"samples": 48})
    print(wm.evaluate(agent, env, episodes=parser.parse_args().episodes))
