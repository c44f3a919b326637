"""The shipped checkpoint is small, complete, and plans."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from worldmodel import envs
from worldmodel.agents.objective import projected
from worldmodel.cli import main as cli
from worldmodel.planners import Problem, TotalEnergy
from worldmodel.predictors.uncertainty import TERMS
from worldmodel.weights.checkpoint import FORMAT_VERSION
from worldmodel.weights.world import checkpoint_folder, load_vector_world


def test_it_stays_small_and_says_how_it_was_trained() -> None:
    folder = checkpoint_folder("default")
    assert sum(path.stat().st_size for path in folder.iterdir()) < 25e6
    content = json.loads((folder / "config.json").read_text())
    assert {"training", "validation"} <= content["record"].keys()
    assert content["format_version"] == FORMAT_VERSION  # whose digests guard it


def test_its_imagination_beats_copying_the_last_frame() -> None:
    folder = checkpoint_folder("default")
    found = json.loads((folder / "config.json").read_text())["record"]["validation"]
    for imagined, copied in zip(found["latent_error"], found["copy_error"], strict=True):
        assert imagined < 0.5 * copied


def test_its_doubts_are_calibrated() -> None:
    uncertainties = load_vector_world().uncertainties
    assert set(uncertainties) == set(TERMS)
    assert all(bool((known.q99 > known.q90).all()) for known in uncertainties.values())


def test_half_precision_finds_the_same_elites() -> None:
    worlds = (load_vector_world(), load_vector_world().imagine_in(torch.bfloat16))
    shared = []
    for seed in range(4):
        env = envs.make("push", worlds[0].image_size)
        seen, _ = env.reset(seed=seed)
        frame, goal, state = (
            torch.from_numpy(seen[k])[None, None] for k in ("image", "goal", "state")
        )
        env.close()
        elites, totals = [], []
        for world in worlds:
            here, there = projected(world, frame, goal)
            energy = TotalEnergy(world.goal_energy(there[:, 0]))
            problem = Problem(world, here, state, energy, world.prior(there[:, 0]))
            noise = torch.Generator().manual_seed(seed)
            candidates = worlds[0].prior(there[:, 0])(
                here, state, samples=96, horizon=12, generator=noise
            )
            total, _ = problem.judge(problem.imagine(candidates))
            totals.append(total)
            elites.append(set(total[0].topk(12, largest=False).indices.tolist()))
        assert not torch.equal(*totals)
        shared.append(len(elites[0] & elites[1]))
    assert sum(shared) >= 0.85 * 4 * 12, shared


@pytest.mark.slow
def test_it_plans_a_reach_and_a_push(tmp_path: Path) -> None:
    for task in ("reach", "push"):
        out = tmp_path / task
        assert cli.main(["plan", f"task={task}", "episodes=4", "videos=0", f"out={out}"]) == 0
        report = json.loads((out / "report.json").read_text())
        assert report["success"]["final"]["rate"] >= 0.5
