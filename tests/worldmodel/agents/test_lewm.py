"""A LeWorldModel trains, plans and is judged by the ordinary commands, and by ordinary agents."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import worldmodel as wm
from worldmodel.cli.main import main
from worldmodel.predictors.lewm_world import LewmWorld

TINY = (
    "predictor.training.steps=3 predictor.training.batch=2 predictor.training.state_model.steps=2 "
)
TINY += "predictor.training.inverse.steps=2 "
TINY += "predictor.encoder.width=12 predictor.encoder.depth=1 predictor.model.depth=2"
SMALL = "planner.samples=8 planner.iterations=2 planner.elites=3 planner.proposals=0"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Data of TwoRoom, an action held for five environment steps, and a world of them."""
    root = tmp_path_factory.mktemp("two_room")
    found = {name: root / name for name in ("data", "world", "cache")}
    collect = "+experiment=suite_data env=two_room episodes=5 length=12"
    assert not main(["collect", *collect.split(), f"out={found['data']}"])
    words = ["predictor=lewm", *TINY.split(), f"data={found['data']}", f"cache={found['cache']}"]
    assert not main(["train", *words, f"out={found['world']}"])
    return found


def test_it_plans_as_published(folders: dict[str, Path], tmp_path: Path) -> None:
    words = ["+experiment=lewm_results", "env=two_room", f"checkpoint={folders['world']}"]
    words += [*SMALL.split(), "episodes=2", "videos=0", "seed=50000", f"out={tmp_path}"]
    assert not main(["plan", *words])
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["n"] == 2
    planner = report["planner"]
    assert [planner[name] for name in ("horizon", "receding_horizon")] == [5, 5]
    assert report["protocol"]["energy"] == "latent"


def test_an_agent_of_it_pursues_its_own_latents_unasked(folders: dict[str, Path]) -> None:
    world = wm.load_world(folders["world"])
    assert isinstance(world, LewmWorld)
    env = wm.make_env("two_room", image_size=64, repeat=5)
    agent = wm.make_agent(
        world, env, planner="cem", settings={"samples": 6, "elites": 2, "proposals": 0}
    )
    task = agent.recipe.task
    assert (task.energy, task.metric, task.prior, task.world_energy) == ("latent", "l2", False, ())
    assert (task.horizon, task.receding_horizon) == (5, 5)
    observation, _ = env.reset(seed=50000)
    agent.reset(observation["goal"])
    for _ in range(6):
        observation = env.step(agent.act(observation))[0]
    assert [record.step for record in agent.records] == [0, 5]
    env.close()


def test_it_is_judged_on_recordings(folders: dict[str, Path], tmp_path: Path) -> None:
    words = [f"data={folders['data']}", f"checkpoint={folders['world']}"]
    words += [f"cache={folders['cache']}", f"out={tmp_path}", "episodes=all"]
    assert not main(["evaluate", *words])
    report = json.loads((tmp_path / "offline.json").read_text())
    assert len(report["open_loop"]["latent_error"]) >= 1
    assert 0 <= report["action_rank"]["better_share"] <= 1


def test_half_precision_imagines_nearly_the_same(folders: dict[str, Path]) -> None:
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn(1, 1, 1, 192, generator=generator)
    actions = torch.randn(1, 5, 5, 2, generator=generator)
    imagined = [
        wm.load_world(folders["world"], dtype=dtype).rollout(latents, torch.zeros(1, 1, 2), actions)
        for dtype in ("float32", "bfloat16")
    ]
    full, half = (futures.latents.float() for futures in imagined)
    assert (half - full).square().mean().sqrt() < 0.05 * full.std()
