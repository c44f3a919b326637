"""What cannot be trained in the memory there is, is refused before anything is read or made."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from worldmodel import model_memory
from worldmodel.cli.main import main
from worldmodel.errors import UserError
from worldmodel.model_memory import require_memory

CPU = torch.device("cpu")


def test_weights_gradients_and_moments_have_to_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    needed = 4 * 4 * (1000 * 1000 + 1000)  # bytes
    monkeypatch.setattr(model_memory, "_memory", lambda device: needed)
    require_memory(lambda: nn.Linear(1000, 1000), "encoder", CPU)
    monkeypatch.setattr(model_memory, "_memory", lambda device: needed - 1)
    with pytest.raises(UserError, match=r"take 0\.016 GB. Lower encoder\.width or \.depth"):
        require_memory(lambda: nn.Linear(1000, 1000), "encoder", CPU)


def test_a_model_of_any_size_is_counted_without_its_memory() -> None:
    with pytest.raises(UserError, match="Expected a model that can be trained in"):
        require_memory(lambda: nn.Linear(10**7, 10**7), "encoder", CPU)


def test_an_encoder_is_counted_before_data_are_read(capfd: pytest.CaptureFixture[str]) -> None:
    sizes = ["encoder.width=16384", "encoder.depth=256", "encoder.heads=16", "device=cpu"]
    assert main(["pretrain", "data=none", "out=none", *sizes]) == 1
    assert "weights, gradients and moments take" in capfd.readouterr().err
