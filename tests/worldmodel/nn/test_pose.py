"""Pose composition and its inverse reproduce the V-JEPA 2-AC reference."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from worldmodel.nn.pose import compose, difference

GOLDEN = Path(__file__).parents[2] / "data" / "pose.npz"


@pytest.fixture(scope="module")
def golden() -> dict[str, torch.Tensor]:
    with np.load(GOLDEN) as arrays:
        return {name: torch.from_numpy(arrays[name]) for name in arrays.files}


def test_composition_matches_the_reference(golden: dict[str, torch.Tensor]) -> None:
    new = compose(golden["pose"], golden["action"])
    torch.testing.assert_close(new, golden["new_pose"], rtol=0, atol=1e-12)


def test_difference_matches_the_reference(golden: dict[str, torch.Tensor]) -> None:
    action = difference(golden["pose"], golden["new_pose"])
    torch.testing.assert_close(action, golden["diff"], rtol=0, atol=1e-12)


def test_batches_compose_row_by_row(golden: dict[str, torch.Tensor]) -> None:
    pose, action = golden["pose"].view(8, 8, 7), golden["action"].view(8, 8, 7)
    torch.testing.assert_close(compose(pose, action).view(64, 7), golden["new_pose"])
