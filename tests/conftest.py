"""Settings for every test."""

import pytest
import torch


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    # The models are tiny; threads that wait for each other would take most of the time.
    torch.set_num_threads(1)
