"""A script whose gripper slips."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby, islice
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from worldmodel.agents.slips import find_slips, slipping
from worldmodel.cli.main import main
from worldmodel.spec import ActionSpec, CameraSpec, Spec, StateSpec

STEPS = 6000
TABLE = "data/chunk-000/file-000.parquet"


def spec(*names: str, repeat: int = 1, chunked: bool = False) -> Spec:
    parts = repeat if chunked else 1
    told = tuple(f"{name}_{part}" for part in range(parts) for name in names) if chunked else names
    low, high = (-1.0,) * len(told), (2.0,) * len(told)
    return Spec(
        ActionSpec(told, low, high, (0.0,) * len(told)),
        StateSpec(("x",)),
        (CameraSpec("front", 8, 8),),
        repeat=repeat,
        chunked=chunked,
    )


def script() -> Iterator[np.ndarray]:
    while True:
        yield np.float32([0.5, 0.25])


def slipped(rate: float, repeat: int = 1) -> np.ndarray:
    slips = find_slips(spec("dx", "gripper"), rate)
    assert slips is not None
    acted = slipping(script(), slips, repeat, np.random.default_rng(0))
    return np.stack(list(islice(acted, STEPS)))


@pytest.mark.parametrize(("repeat", "chunked"), [(1, False), (3, False), (3, True)])
def test_grippers_are_told_by_their_names(repeat: int, chunked: bool) -> None:
    slips = find_slips(spec("dx", "dgripper", "dy", repeat=repeat, chunked=chunked), 0.1)
    assert slips is not None
    assert (slips.places, slips.ends) == ((1,), ((-1.0,), (2.0,)))


def test_nothing_slips_without_a_gripper_or_a_rate() -> None:
    assert find_slips(spec("dx", "dy"), 0.1) is None
    assert find_slips(spec("dx", "gripper"), 0.0) is None


def test_only_the_gripper_slips_and_it_opens_or_closes() -> None:
    moved, gripper = slipped(0.2).T
    assert set(moved) == {0.5}
    assert set(gripper) == {-1.0, 0.25, 2.0}


def test_slips_begin_at_their_rate_and_last_whole_control_steps() -> None:
    rate, repeat = 0.1, 5
    gripper = slipped(rate, repeat)[:, 1]
    runs = [(value, len(list(run))) for value, run in groupby(gripper)][:-1]
    slips = [length for value, length in runs if value != 0.25]
    assert {length % repeat for length in slips} == {0}
    calm = sum(length for value, length in runs if value == 0.25) / repeat
    assert len(slips) == pytest.approx(rate * calm, rel=0.25)
    assert np.mean(slips) / repeat == pytest.approx(2.5, rel=0.2)


def test_the_action_of_the_script_stays_as_it_was() -> None:
    mine = np.float32([0.5, 0.25])
    slips = find_slips(spec("dx", "gripper"), 1.0)
    assert slips is not None
    assert next(slipping(iter([mine]), slips, 1, np.random.default_rng(0)))[1] != 0.25
    assert mine[1] == np.float32(0.25)


def test_a_collection_knows_its_slips(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = ["collect", "env=two_room", "image_size=24", "episodes=1", "length=3", "workers=1"]
    told += [f"out={tmp_path}"]
    assert not main([*told, "slips=0.1"])
    assert "nothing slips: no gripper among actions dx, dy" in capsys.readouterr().out
    assert main(told)
    assert "was collected with slips=0.1 (now None)" in capsys.readouterr().err
    assert main([*told, "slips=0.1", "policy=random"])
    assert "slips of policy=scripted only, got policy=random" in capsys.readouterr().err
    assert main(["collect", "task=push", f"out={tmp_path / 'push'}", "slips=0.1"])
    assert "no slips of the built-in arm's own script" in capsys.readouterr().err


def test_a_gripper_may_be_named_by_the_user(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = ["collect", "env=two_room", "image_size=24", "episodes=1", "length=40", "workers=1"]
    named = "spec.action_names=[dx,gripper]"
    for out, further in (("plain", []), ("slipped", ["slips=1.0"])):
        assert not main([*told, named, f"out={tmp_path / out}", *further])
    assert "nothing slips" not in capsys.readouterr().out
    plain, slipped = (
        np.array(pq.read_table(tmp_path / out / TABLE)["action"].to_pylist())
        for out in ("plain", "slipped")
    )
    assert set(np.abs(slipped[:, 1])) == {1.0}
    assert np.abs(plain[:, 1]).min() < 1.0
