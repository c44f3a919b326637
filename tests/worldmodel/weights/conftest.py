"""Reference checkpoints and figures of V-JEPA 2; see tests/data/vjepa2/README.md."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))  # tests import lewm_reference by name
DATA = Path(__file__).parents[2] / "data" / "vjepa2"

Figures = dict[str, torch.Tensor]


def figures(name: str) -> Figures:
    with np.load(DATA / name) as arrays:
        return {key: torch.from_numpy(arrays[key]) for key in arrays.files}


@pytest.fixture(scope="session")
def expected() -> Figures:
    return figures("expected.npz")


@pytest.fixture(scope="session")
def expected_2_1() -> Figures:
    return figures("expected_2_1.npz")


@pytest.fixture(scope="session")
def vjepa2_pt() -> Path:
    return DATA / "vjepa2_tiny.pt"


@pytest.fixture(scope="session")
def vjepa2_1_pt() -> Path:
    return DATA / "vjepa2_1_tiny.pt"


@pytest.fixture(scope="session")
def vjepa2_ac_pt(vjepa2_pt: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A V-JEPA 2-AC file in Meta's layout, put together from its parts."""
    encoder = {
        name.replace("backbone.", ""): tensor
        for name, tensor in torch.load(vjepa2_pt, weights_only=True)["target_encoder"].items()
    }
    predictor = torch.load(DATA / "vjepa2_ac_predictor.pt", weights_only=True)["predictor"]
    path = tmp_path_factory.mktemp("vjepa2") / "ac.pt"
    parts = {"encoder": encoder, "target_encoder": encoder, "predictor": predictor}
    torch.save({**parts, "opt": None, "scaler": None, "epoch": 3, "loss": 0.5}, path)
    return path


@pytest.fixture
def edited(tmp_path: Path) -> Callable[[Path, Callable[[dict], object]], Path]:
    """A copy of a ``.pt`` after an edit of what it holds."""

    def edit(path: Path, change: Callable[[dict], object]) -> Path:
        content = torch.load(path, weights_only=True)
        change(content)
        torch.save(content, tmp_path / "edited.pt")
        return tmp_path / "edited.pt"

    return edit
