"""What a task may say of its energies, and what it is told otherwise."""

from __future__ import annotations

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from worldmodel import configs, envs
from worldmodel.agents.task import TaskConfig


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"energy": "reachabilty"},
            r"energy\n.* one of latent, proprio, value, reachability",
        ),
        ({"metric": "l3"}, r"metric\n  Input should be one of l1, l2, cosine"),
        ({"reduce": "last"}, r"reduce\n  Input should be one of final, sum, closest"),
    ],
)
def test_an_energy_that_does_not_exist_is_named_with_those_that_do(given, message):
    with pytest.raises(ValueError, match=message):
        TaskConfig(name="push", **given)


def test_every_energy_metric_and_reduction_is_accepted():
    for energy in ("latent", "proprio", "value", "reachability"):
        for metric in ("l1", "l2", "cosine"):
            for reduce in ("final", "sum", "closest"):
                task = TaskConfig(name="push", energy=energy, metric=metric, reduce=reduce)
                assert (task.energy, task.metric, task.reduce) == (energy, metric, reduce)


def test_gymnasium_truncates_episodes_where_the_protocol_does():
    for task in envs.TASKS:
        given = OmegaConf.load(Path(configs.__path__[0]) / "task" / f"{task}.yaml")
        assert given.get("budget_steps", TaskConfig.budget_steps) == envs.budget(task)
