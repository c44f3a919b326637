"""Episodes of an agent, and of baselines on the same seeds: success, energies and plan times."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor
from tqdm import tqdm

from worldmodel.agents.agent import PlanningAgent, Recipe
from worldmodel.agents.behaviour import behaviour
from worldmodel.agents.environment import Environment, contract
from worldmodel.agents.hierarchy import action_search
from worldmodel.agents.planner import device_of, search_name
from worldmodel.agents.policies import Policy
from worldmodel.agents.views import Images
from worldmodel.agents.world import load_world
from worldmodel.envs import TASKS
from worldmodel.errors import SettingsError, UserError, nearest
from worldmodel.evaluation.baselines import (
    BASELINES,
    SIMULATED,
    Comparison,
    NotApplicableError,
    chosen,
    require_applicable,
)
from worldmodel.evaluation.episodes import SEED_OFFSET, Episode, Rules, run_episodes
from worldmodel.evaluation.episodes import environments as named_environments
from worldmodel.evaluation.goals import GOAL_SOURCES, own_goal
from worldmodel.evaluation.goals import goal_source as begin_by
from worldmodel.evaluation.intervals import paired_summary, success_summary
from worldmodel.evaluation.oracle import OracleConfig
from worldmodel.evaluation.parallel import run_apart
from worldmodel.evaluation.report import (
    Report,
    episode_record,
    nonfinite,
    over_budget,
    plan_times,
    real_time_summary,
    report_bytes,
    strange,
    unsearched,
)
from worldmodel.files.results import Results
from worldmodel.planners import RateTimer, RealTimeAgent
from worldmodel.predictors.worlds import AnyWorld
from worldmodel.registry import user_function
from worldmodel.spec import Look
from worldmodel.weights.world import identity

__all__ = ["NO_BASELINES", "evaluate"]

_USUAL_RATE = 5.0  # frames a second of a video where nobody knows the control rate
NO_BASELINES = (
    "Expected no baselines beside goal=…, an image of your own: they are compared by success, and "
    "nobody knows whether a user's goal image is reached"
)


def evaluate(
    agent: PlanningAgent,
    env: Environment | Sequence[Environment],
    *,
    episodes: int = 100,
    seed: int = 0,
    baselines: Sequence[str] = (),
    goals: Images | None = None,
    goal_source: str = "env",
    goal_ahead: int = 5,
    policy: str = "scripted",
    success: str | None = None,
    hz: float | None = None,
    out: str | os.PathLike[str] | None = None,
    videos: int | None = 0,
    random_world: str | os.PathLike[str] | None = None,
    oracle: OracleConfig | None = None,
    baseline_batch: int = 10,
) -> Report:
    """Run episodes of an agent, and of baselines on the same seeds.

    Success is read from the environment's ``info`` and never reaches the planner. Seeds are those
    given plus 1 000 000, so that no task was seen in data collected with seeds from 0 on.

    Args:
        agent: From `make_agent`.
        env: One environment, or several alike whose episodes are planned in one batch.
        episodes: How many.
        seed: Of the first, and of the search.
        baselines: Names of what to run on the same episodes, or ``all``
            (`worldmodel.evaluation.baselines`).
        goals: A user's goal image ``uint8 [h, w, 3]``, or ``[G, h, w, 3]``, sub-goals first, in
            place of the environment's; success is then unknown.
        goal_source: ``env`` for the environment's own start and goal; ``ahead`` for the scene
            ``goal_ahead`` steps later in an episode of the collecting policy; ``expert`` for the
            end of the environment's scripted solution (`worldmodel.evaluation.goals`).
        goal_ahead: Control steps from start to goal, of the last two.
        policy: The collecting policy, as in `worldmodel.collect`.
        success: ``module:function`` of environment and ``info`` that says whether the goal is
            reached; None for what ``info`` says.
        hz: Control steps per second of the clock on the wall, in which the arm acts while a thread
            of its own plans; None: the simulator waits for every plan.
        out: Folder for report.json, report.html and videos/; None to write nothing.
        videos: Episodes, from the first on, to write an mp4 of; None for all.
        random_world: Checkpoint on an untrained encoder, for the baseline ``random_encoder``.
        oracle: How much to compute of the baselines that are given the simulator.
        baseline_batch: Episodes at once for baselines in the built-in environment.

    Returns:
        The report; ``print`` shows its table, `Report.success` is the rate with its interval.

    Raises:
        UserError: A baseline is unknown or, named, does not apply, or ``out`` cannot be written.
    """
    environments = [env] if not isinstance(env, Sequence) else list(env)
    _check(agent, environments, episodes, seed, hz, videos)
    names, seeds = chosen(baselines), range(seed, seed + episodes)
    if hz is not None and len(environments) > 1:
        raise UserError(
            "Expected batch=1 with hz, for an arm has a clock of its own; got "
            f"hz={hz:g} and {len(environments)} environments"
        )
    if goals is not None and names:
        raise UserError(NO_BASELINES)
    recipe = agent.recipe
    if goals is not None:
        goals = _several(recipe.views.joined(goals, "goals"))
    rules = _rules(recipe, goal_source, goal_ahead, policy, success)
    comparison = Comparison(
        recipe,
        environments,
        oracle=oracle or OracleConfig(),
        seed=seed,
        own_goals=rules.begin is own_goal,
    )
    require_applicable(baselines, comparison)
    steps = recipe.task.budget_steps
    results = None if out is None else Results(Path(out), report_bytes(episodes, steps))
    shown = episodes if videos is None else videos
    ran: list[Episode] = []
    with _acting(recipe, hz) as acting:
        planned = run_episodes(
            acting,
            environments,
            seeds,
            recipe.task,
            search_seed=seed,
            goals=goals,
            rules=rules,
            keep_frames=shown if results is not None else 0,
            timer=None if hz is None else RateTimer(hz),
        )
        for episode in _watched(planned, f"plan {recipe.task.name}", episodes):
            if results is not None and episode.frames is not None:
                _write_video(results, len(ran), episode, recipe.spec.rate)
            ran.append(episode)
    others: dict[str, Any] = {}
    if names:
        with _copies(environments, min(baseline_batch, episodes)) as copies:
            random = _random_world(recipe, random_world) if "random_encoder" in names else None
            comparison = replace(comparison, environments=copies, random_world=random)
            others = {name: _baseline(name, comparison, rules, seeds, ran) for name in names}
    told = "the user's images" if goals is not None else goal_source
    if goals is None and goal_source != "env":
        told += f", {goal_ahead} control steps"
    content = _content(recipe, environments, ran, others, seed, hz, told)
    report = Report(content, ran, None if results is None else results.out)
    if results is not None:
        report.write(results)
        try:
            results.finish()
        except UserError:
            print(report)  # whatever becomes of the files
            raise
    return report


def _check(
    agent: PlanningAgent,
    environments: Sequence[Environment],
    episodes: int,
    seed: int,
    hz: float | None,
    videos: int | None,
) -> None:
    """Raise a UserError where arguments are none that episodes can be run with."""
    if not isinstance(agent, PlanningAgent):
        raise SettingsError(f"Expected an agent from make_agent, got {agent!r:.60}")
    if not environments:
        raise SettingsError("Expected an environment or more, got none")
    for env in environments:
        contract(env)
    for name, value, least in (("episodes", episodes, 1), ("seed", seed, 0), ("videos", videos, 0)):
        if value is not None and (not isinstance(value, int) or value < least):
            raise SettingsError(f"Expected {name} as a whole number from {least} on, got {value}")
    if hz is not None and not 0 < hz < 1e6:
        raise SettingsError(f"Expected hz above 0, got {hz}")


def _several(goals: Tensor) -> Tensor:
    return goals[None] if goals.ndim == 3 else goals


def _rules(recipe: Recipe, source: str, ahead: int, policy: str, success: str | None) -> Rules:
    if source not in GOAL_SOURCES:
        raise SettingsError(f"unknown goal_source '{source}'; {nearest(source, GOAL_SOURCES)}")
    if ahead < 1:
        raise SettingsError(f"Expected goal_ahead of at least 1, got {ahead}")
    judge = None if success is None else user_function(success, f"success={success}")
    return Rules(begin_by(source, ahead, behaviour(policy)), judge, recipe.views)


def _random_world(recipe: Recipe, checkpoint: str | os.PathLike[str] | None) -> AnyWorld | None:
    if checkpoint is None:
        return None
    where = str(device_of(recipe.world))
    return load_world(checkpoint, device=where, dtype=recipe.dtype, compile=recipe.compile)


@contextmanager
def _acting(recipe: Recipe, hz: float | None) -> Iterator[Policy]:
    """The planner, in a thread of its own if the arm does not wait for it."""
    agent = recipe.batched()
    if hz is None:
        yield agent
        return
    every = action_search(recipe.planner).receding_horizon
    adding = recipe.spec.actions.kind in ("pose_delta", "delta")
    with RealTimeAgent(agent, *recipe.bounds, adding=adding, every=every) as policy:
        yield policy


@contextmanager
def _copies(environments: Sequence[Environment], count: int) -> Iterator[Sequence[Environment]]:
    """As many of the built-in environments as are wanted; of others those that there are."""
    first: Any = environments[0].unwrapped
    if getattr(first, "task", None) not in TASKS or environments[0] != first:
        yield environments
        return
    look = Look(first.image_size)
    with named_environments(first.task, count, look, first.appearance, first.split) as made:
        yield made


def _baseline(
    name: str,
    comparison: Comparison,
    rules: Rules,
    seeds: Sequence[int],
    planned: Sequence[Episode],
) -> dict[str, Any]:
    """What a baseline comes to; where it does not apply, a note that says why."""
    task, oracle, seed = comparison.agent.task, comparison.oracle, comparison.seed
    facts: Mapping[str, Any] = {}
    try:
        if name in SIMULATED:
            count, scene = min(oracle.episodes, len(seeds)), comparison.scene
            policy_on, facts = SIMULATED[name](comparison)
            ran = run_apart(
                policy_on, seeds[:count], task, scene, workers=oracle.workers, search_seed=seed
            )
        else:
            count, policy = len(seeds), BASELINES[name](comparison)
            ran = run_episodes(
                policy, comparison.environments, seeds, task, search_seed=seed, rules=rules
            )
        episodes = list(_watched(ran, name, count))
    # The others' episodes are not to be lost to what one of them cannot plan with.
    except (NotApplicableError, FloatingPointError) as reason:
        return {"n": 0, **dict.fromkeys(("success", "paired", "plan_ms")), "note": str(reason)}
    return {
        "n": len(episodes),
        "success": success_summary(episodes),
        "paired": paired_summary(planned, episodes),
        "plan_ms": plan_times(episodes),
        "nonfinite": nonfinite(episodes),
        "outcomes": [episode.success for episode in episodes],
        **facts,
    }


def _content(
    recipe: Recipe,
    environments: Sequence[Environment],
    ran: Sequence[Episode],
    others: Mapping[str, Any],
    seed: int,
    hz: float | None,
    goal_source: str,
) -> dict[str, Any]:
    """The content of report.json."""
    first, task = environments[0].unwrapped, recipe.task
    appearance = getattr(first, "appearance", None)
    split = getattr(first, "split", None) if appearance == "rich" else None
    return {
        "task": task.name,
        "n": len(ran),
        "seed": seed,
        "budget_steps": task.budget_steps,
        "success": success_summary(ran),
        "baselines": dict(others),
        "plan_ms": plan_times(ran),
        "over_budget": over_budget(ran, recipe.budget_ms),
        "unsearched": unsearched(ran),
        "nonfinite": nonfinite(ran),
        "strange": strange(ran),
        "real_time": real_time_summary(ran, hz),
        "planner": {"name": search_name(recipe.planner), **asdict(cast(Any, recipe.planner))},
        "checkpoint": identity(recipe.world.checkpoint),
        "spec": recipe.spec.stored(),
        "protocol": {
            **asdict(task),
            "goal_source": goal_source,
            "seed_offset": SEED_OFFSET,
            "appearance": appearance,
            "split": split,
            "batch": len(environments),
            "budget_ms": recipe.budget_ms,
            "threads": torch.get_num_threads(),
            "compile": recipe.compile,
            "dtype": recipe.dtype,
            "plan_ms": "from images in to actions out, per plan; the process' first is left out",
        },
        "episodes": [episode_record(episode) for episode in ran],
    }


def _write_video(results: Results, number: int, episode: Episode, rate: float | None) -> None:
    from worldmodel.evaluation.video import video_name, write_video

    write = partial(write_video, episode=episode, fps=rate or _USUAL_RATE)
    results.write(f"videos/{video_name(number)}", write)


def _watched(episodes: Iterable[Episode], name: str, total: int) -> Iterator[Episode]:
    """The episodes behind a progress bar that tells how many were solved."""
    solved = judged = 0
    with tqdm(episodes, desc=name, total=total, unit="episode") as bar:
        for episode in bar:
            if episode.success is not None:
                judged += 1
                solved += episode.success
                bar.set_postfix_str(f"{solved}/{judged} solved")
            yield episode
