"""A benchmark, row by row: every row gets the same pairs, and rows are compared pair by pair."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, field, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, cast

import torch
from omegaconf import MISSING
from pydantic.dataclasses import dataclass
from tqdm import tqdm

import worldmodel.studies.benchmark.page as pages
from worldmodel.agents.agent import PlanningAgent, make_agent
from worldmodel.agents.policies import Policy
from worldmodel.agents.task import planner_for
from worldmodel.agents.world import load_world
from worldmodel.envs.judged import MODES
from worldmodel.errors import UserError
from worldmodel.evaluation.baselines import BASELINES, Comparison, NotApplicableError
from worldmodel.evaluation.episodes import Rules, run_episodes
from worldmodel.evaluation.goals import own_goal
from worldmodel.evaluation.intervals import mcnemar, wilson
from worldmodel.evaluation.pairs import draw_pair, pair_seeds
from worldmodel.evaluation.report import quantiles
from worldmodel.files.atomic import write_json, write_text
from worldmodel.files.results import Results
from worldmodel.presets import TaskOption
from worldmodel.settings import CHECKED, Batch, Count, NonEmpty, Seed, Threads, among, configured
from worldmodel.studies.benchmark.rows import PEERS, PLANNER, known_row
from worldmodel.studies.benchmark.tasks import BenchmarkTask, environments, find_task
from worldmodel.studies.resumable import stage
from worldmodel.weights.checkpoint import checkpoint_sha256
from worldmodel.weights.world import checkpoint_folder, identity, look_of

__all__ = ["BenchmarkConfig", "PeerCheckpoints", "benchmark", "run_benchmark"]

_INCLUDED = Path(__file__).parents[3] / "benchmarks" / "checkpoints"
"""Of a clone of the repository; an installed package has none."""
_PICTURED = 12  # episodes of a row's first seed that the page shows


@dataclass(frozen=True, config=CHECKED)
class PeerCheckpoints:
    """Folders of the worlds of peers; None for those in ``benchmarks/checkpoints``.

    Attributes:
        lewm: LeWM in kind; rows ``lewm`` and ``inverse`` act in it.
        dino_wm: A token world on a frozen encoder; row ``dino_wm`` acts in it.
    """

    lewm: str | None = None
    dino_wm: str | None = None


@dataclass(frozen=True, config=CHECKED)
class BenchmarkConfig:
    """Which benchmark, and who acts.

    Attributes:
        out: Folder of benchmark.json and benchmark.html.
        suite: Of tasks: ``public``; ``long`` or ``manipulation`` for the suites' own goals.
        task: ``pusht``, ``cube``, ``reacher``, ``two_room`` of ``public``; ``cube_double``,
            ``scene`` of ``long``; ``fetch_push``, ``metaworld_reach``, ``metaworld_push`` of
            ``manipulation`` (group). Its budget is the benchmark's.
        mode: ``moderate`` or ``strict``.
        seeds: Of pairs.
        pairs: Of each seed.
        rows: Who acts: ``planner``, its baselines such as ``prior`` and ``random``, and peers such
            as ``lewm``, ``dino_wm`` and ``inverse``.
        peer_seeds: Of ``seeds``, those that peers act on; () for all. Their plans take longest.
        checkpoint: World of the planner and its baselines; None for the one in
            ``benchmarks/checkpoints`` of the repository.
        peers: Worlds of peers.
        planner: Search settings, or a planner's name (group).
        batch: Pairs at once; with more than 1, plan times are those of a whole batch.
        device: Such as ``cpu`` or ``cuda``.
        threads: CPU threads of the model.
    """

    out: str = MISSING
    suite: str = "public"
    task: TaskOption = MISSING
    mode: Annotated[str, among(*MODES)] = "strict"
    seeds: NonEmpty[Seed] = (0, 1, 42)
    pairs: Count = 100
    rows: NonEmpty[str] = (PLANNER, "prior", "random")
    peer_seeds: tuple[Seed, ...] = ()
    checkpoint: str | None = None
    peers: PeerCheckpoints = field(default_factory=PeerCheckpoints)
    planner: Any = MISSING
    batch: Batch = 1
    device: str = "cpu"
    threads: Threads = 1

    def __post_init__(self) -> None:
        for name in self.rows:
            known_row(name)
        for key, values in (("seeds", self.seeds), ("rows", self.rows)):
            if len(set(values)) < len(values):
                raise ValueError(f"Expected {key} that differ, got {list(values)}")
        if strays := set(self.peer_seeds) - set(self.seeds):
            raise ValueError(f"Expected peer_seeds among seeds, got {sorted(strays)}")

    @property
    def benchmark_task(self) -> BenchmarkTask:
        """What the suite says of the task.

        Raises:
            UserError: There is no such suite, or it has no such task.
        """
        return find_task(self.suite, self.task.name)

    def world_of(self, row: str) -> str:
        """The folder of the world that a row acts in.

        Raises:
            UserError: None is named, and none is included.
        """
        peer = PEERS.get(row)
        named = self.checkpoint if peer is None else getattr(self.peers, peer.world)
        if named is not None:
            return str(named)
        folder = _INCLUDED / self.benchmark_task.name / (PLANNER if peer is None else peer.world)
        if not folder.exists():
            key = "checkpoint" if peer is None else f"peers.{peer.world}"
            raise UserError(
                f"Expected a checkpoint for row {row}, got none in {folder}; train one as "
                f"docs/benchmarks.md says, and give {key}=…"
            )
        return os.path.relpath(folder)

    def seeds_of(self, row: str) -> tuple[int, ...]:
        """The seeds that a row acts on."""
        return self.peer_seeds if row in PEERS and self.peer_seeds else self.seeds


def run_benchmark(config: BenchmarkConfig) -> dict[str, Any]:
    """Run a benchmark, write ``benchmark.json`` and ``benchmark.html``, and print its table.

    A row's seed that is done is not run again.

    Returns:
        The content of ``benchmark.json``.

    Raises:
        UserError: A name is unknown, or a checkpoint is missing or does not fit the task.
    """
    task = config.benchmark_task
    results = Results(Path(config.out))
    results.release()
    torch.set_num_threads(config.threads)
    agents = {row: _agent(config, task, row) for row in config.rows}
    rows: dict[str, Any] = {}
    strips: list[Mapping[str, Any]] = []
    for row, agent in agents.items():
        found = [_stored(config, task, row, agent, seed) for seed in config.seeds_of(row)]
        rows[row] = _summary(config.seeds_of(row), found)
        strips += [strip for part in found for strip in part["strips"]]
    report = _report(config, task, agents, rows)
    results.write("benchmark.json", partial(write_json, content=report))
    results.write("benchmark.html", partial(write_text, text=pages.page(report, strips)))
    print(pages.table(report))
    results.finish()
    return report


benchmark = configured(BenchmarkConfig, planner="icem")(run_benchmark)


def _agent(config: BenchmarkConfig, task: BenchmarkTask, row: str) -> PlanningAgent:
    """What acts, or is varied to act; the benchmark's budget is told in steps of its world."""
    world = load_world(config.world_of(row), device=config.device)
    repeat = 1 if world.spec is None else world.spec.repeat
    peer = PEERS.get(row)
    if peer is not None and peer.needs_ahead and task.ahead is None:
        raise UserError(f"row {row} is told how far goals are, which nobody knows of {task.name}")
    pursued = config.task if peer is None else replace(config.task, **peer.pursuit)
    pursued = replace(pursued, budget_steps=task.budget // repeat)
    planner = config.planner if peer is None else planner_for(peer.planner, pursued, peer.settings)
    with environments(task, config.mode, 1, look_of(config.world_of(row))) as (env,):
        agent = make_agent(world, env, task=pursued, planner=planner)
    if peer is not None and peer.policy is not None:
        peer.policy(agent.recipe)  # what it lacks is told before any row runs
    return agent


def _stored(
    config: BenchmarkConfig, task: BenchmarkTask, row: str, agent: PlanningAgent, seed: int
) -> Mapping[str, Any]:
    """What a row comes to on one seed's pairs, which runs unless it is there."""
    recipe = agent.recipe
    facts = [config.suite, task.name, config.mode, config.pairs, config.batch, seed, row]
    settings = [asdict(recipe.task), _settings(row, agent)]
    weights = checkpoint_sha256(checkpoint_folder(config.world_of(row)))
    digest = hashlib.sha256(json.dumps([facts, settings, weights]).encode()).hexdigest()[:8]
    folder = Path(config.out) / "rows" / f"{row}-{seed}-{digest}"
    return stage(folder, partial(_run, config, task, row, agent, seed)).found


def _run(
    config: BenchmarkConfig, task: BenchmarkTask, row: str, agent: PlanningAgent, seed: int
) -> dict[str, Any]:
    """Outcomes and plan times on one seed's pairs."""
    recipe, seeds = agent.recipe, pair_seeds(seed, config.pairs)
    count, pursued = min(config.batch, config.pairs), recipe.task
    look = look_of(config.world_of(row))
    if row == "random" and not look.chunked:  # others draw one anew at every simulated step
        look, pursued = look._replace(repeat=1), replace(pursued, budget_steps=task.budget)
    with environments(task, config.mode, count, look) as made:
        begin = own_goal if task.ahead is None else draw_pair
        rules = Rules(begin=begin, views=recipe.views)
        policy = _policy(row, agent, made, seed)
        ran = run_episodes(policy, made, seeds, pursued, search_seed=seed, rules=rules)
        episodes = list(tqdm(ran, desc=f"{row}, seed {seed}", total=config.pairs, unit="pair"))
    shown = episodes[:_PICTURED] if row == PLANNER and seed == config.seeds[0] else []
    return {
        "outcomes": [episode.success for episode in episodes],
        "plan_ms": [ms for episode in episodes for ms in episode.plan_ms],
        "strips": [pages.strip(episode) for episode in shown],
    }


def _policy(row: str, agent: PlanningAgent, made: Sequence[Any], seed: int) -> Policy:
    peer = PEERS.get(row)
    if peer is not None and peer.policy is not None:
        return peer.policy(agent.recipe)
    if row == PLANNER or peer is not None:
        return agent.recipe.batched()
    try:
        return BASELINES[row](Comparison(agent.recipe, made, seed=seed, own_goals=False))
    except NotApplicableError as reason:
        raise UserError(f"row {row} does not apply: {reason}; leave it out of rows") from reason


def _summary(seeds: Sequence[int], found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    outcomes = [outcome for part in found for outcome in part["outcomes"]]
    rates = {
        str(seed): sum(part["outcomes"]) / len(part["outcomes"])
        for seed, part in zip(seeds, found, strict=True)
    }
    return {
        "rate": sum(outcomes) / len(outcomes),
        "ci95": list(wilson(sum(outcomes), len(outcomes))),
        "n": len(outcomes),
        "seeds": list(seeds),
        "by_seed": rates,
        "outcomes": outcomes,
        "plan_ms": quantiles([ms for part in found for ms in part["plan_ms"]]),
    }


def _report(
    config: BenchmarkConfig,
    task: BenchmarkTask,
    agents: Mapping[str, PlanningAgent],
    rows: Mapping[str, Any],
) -> dict[str, Any]:
    """The content of benchmark.json."""
    first = next(iter(agents.values())).recipe
    packages = ("worldmodel", "torch", "mujoco", *task.packages)
    against = PLANNER if PLANNER in rows else None
    return {
        "suite": config.suite,
        "task": task.name,
        "mode": config.mode,
        "seeds": list(config.seeds),
        "pairs": config.pairs,
        "rows": dict(rows),
        "paired": {}
        if against is None
        else {row: _paired(rows[PLANNER], found) for row, found in rows.items() if row != PLANNER},
        "published": dict(task.published.get(config.mode, {})),
        "protocol": {
            "ahead": task.ahead,
            "budget": task.budget,
            "batch": config.batch,
            "threads": config.threads,
            "task": {row: asdict(agent.recipe.task) for row, agent in agents.items()},
            "planner": {row: _settings(row, agent) for row, agent in agents.items()},
        },
        "spec": first.spec.stored(),
        "checkpoint": {row: identity(config.world_of(row)) for row in rows},
        "versions": {"python": platform.python_version(), **{p: version(p) for p in packages}},
    }


def _settings(row: str, agent: PlanningAgent) -> dict[str, Any]:
    """Of the search; {} for a peer without one."""
    if row in PEERS and PEERS[row].policy is not None:
        return {}
    return asdict(cast(Any, agent.recipe.planner))


def _paired(planner: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """On the pairs that both acted on, how many only one solved, and McNemar's exact p."""
    mine, theirs = _by_pair(planner), _by_pair(other)
    both = [(mine[pair], theirs[pair]) for pair in theirs if pair in mine]
    planner_only, other_only = both.count((True, False)), both.count((False, True))
    return {
        "n": len(both),
        "planner_only": planner_only,
        "other_only": other_only,
        "p": mcnemar(planner_only, other_only),
    }


def _by_pair(row: Mapping[str, Any]) -> dict[tuple[int, int], bool]:
    pairs = row["n"] // len(row["seeds"])
    return {
        (seed, number): row["outcomes"][place * pairs + number]
        for place, seed in enumerate(row["seeds"])
        for number in range(pairs)
    }
