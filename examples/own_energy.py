"""A goal energy and an uncertainty term of one's own, in Python and in every command.

    python examples/own_energy.py --episodes 5
    PYTHONPATH=examples worldmodel plan plugins=[own_energy] task=reach \
        task.energy=nearest_approach 'task.world_energy=[long_steps]' episodes=5 out=runs/own_energy

Shapes: B episodes, S candidates, K imagined steps, N tokens of width D.
"""

import argparse

import worldmodel as wm


@wm.register_goal_energy("nearest_approach")
def nearest_approach(goal_latents):
    """The mean squared distance to goal latents [B, N, D] where a candidate comes nearest."""

    def energy(trajectory):
        off = trajectory.latents - goal_latents[:, None, None]  # [B, S, K, N, D]
        return off.square().mean((-2, -1)).amin(-1)  # [B, S], lower is better

    return energy


@wm.register_uncertainty("long_steps", q90=0.05, q99=0.10)
def long_steps(trajectory):
    """Metres that the gripper moves per imagined step [B, S, K]; free up to q90, 1 at q99."""
    path = trajectory.states[..., :3]  # [B, S, K, 3]
    start = trajectory.start_states[:, None, None, :3].expand(-1, path.shape[1], -1, -1)
    return path.diff(dim=2, prepend=start).norm(dim=-1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--episodes", type=int, default=5)
    arguments = parser.parse_args()

    env = wm.make_env("reach")
    task = wm.preset("task", "reach", energy="nearest_approach", world_energy=["long_steps"])
    for name, chosen in {"own": task, "built in": "reach"}.items():
        agent = wm.make_agent("default", env, task=chosen)
        print(f"{name}: {wm.evaluate(agent, env, episodes=arguments.episodes)}")


if __name__ == "__main__":
    main()
