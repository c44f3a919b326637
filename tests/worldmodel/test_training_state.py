from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from worldmodel.errors import UserError
from worldmodel.files.disk import NoRoomError
from worldmodel.finite import NotFiniteError
from worldmodel.training_state import TrainingState, sole_run

SETTINGS = {"data": "a", "rates": (0.1, 0.2), "training": {"seed": 0, "steps": 9}}


def test_what_was_saved_last_comes_back(tmp_path: Path) -> None:
    state = TrainingState(tmp_path / "run", SETTINGS)
    assert state.load() is None
    for step in (1, 2):
        state.save({"step": step, "model": {"weight": torch.full((2,), float(step))}})
    again = TrainingState(tmp_path / "run", SETTINGS).load()
    assert again is not None
    assert again.keys() == {"step", "model"}
    assert again["step"] == 2
    assert torch.equal(again["model"]["weight"], torch.tensor([2.0, 2.0]))


def test_a_removed_state_is_forgotten(tmp_path: Path) -> None:
    state = TrainingState(tmp_path, SETTINGS)
    state.remove()
    state.save({"step": 1})
    state.remove()
    assert state.load() is None
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"rates": [0.1, 0.3]}, "rates"),
        ({"training": {"seed": 1, "steps": 8}, "data": "b"}, "data, training.seed, training.steps"),
        ({"training": {"seed": 0}}, "training"),
        ({"added": 1}, "added"),
    ],
)
def test_a_run_with_other_settings_is_refused_by_their_names(
    tmp_path: Path, changes: dict[str, object], names: str
) -> None:
    TrainingState(tmp_path, SETTINGS).save({"step": 1})
    other = TrainingState(tmp_path, {**SETTINGS, **changes})
    with pytest.raises(UserError) as caught:
        other.load()
    assert f"holds a run with other settings ({names}). Give another out" in str(caught.value)


def test_tuples_and_lists_are_the_same_setting(tmp_path: Path) -> None:
    TrainingState(tmp_path, SETTINGS).save({"step": 1})
    assert TrainingState(tmp_path, {**SETTINGS, "rates": [0.1, 0.2]}).load() == {"step": 1}


@pytest.mark.parametrize("content", [{"weight": torch.zeros(1000)}, {"text": "x" * 9000}])
def test_a_full_disk_keeps_the_old_state_and_is_named(
    tmp_path: Path, small_files: Callable[[int], Any], content: dict[str, Any]
) -> None:
    state = TrainingState(tmp_path, SETTINGS)
    state.save({"step": 1})
    named = f"free in {tmp_path} for training_state.pt, got"
    with small_files(3000), pytest.raises(NoRoomError, match=named):
        state.save(content)
    assert state.load() == {"step": 1}


def test_one_run_at_a_time_trains_into_a_folder(tmp_path: Path) -> None:
    busy = f"^Another process trains into {tmp_path}. Let it end, or give another out.$"
    with sole_run(tmp_path), pytest.raises(UserError, match=busy), sole_run(tmp_path):
        pass
    with sole_run(tmp_path):
        pass


@pytest.mark.parametrize("kept", [0, 1, 1000, -100])
def test_a_damaged_file_is_named(tmp_path: Path, kept: int) -> None:
    state = TrainingState(tmp_path, SETTINGS)
    state.save({"weight": torch.zeros(1000)})
    file = tmp_path / "training_state.pt"
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(UserError, match=r"training_state.pt is damaged and .* Delete it"):
        state.load()


def test_a_state_that_is_not_finite_does_not_replace_the_last_good_one(tmp_path: Path) -> None:
    state = TrainingState(tmp_path, SETTINGS)
    state.save({"step": 1, "model": {"weight": torch.zeros(2)}})
    with pytest.raises(NotFiniteError, match=r"NaN or infinities in optimizer.0\. They are not"):
        state.save({"step": 2, "optimizer": [torch.tensor(torch.nan)]})
    assert (state.load() or {})["step"] == 1
