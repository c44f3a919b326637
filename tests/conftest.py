"""Settings for every test."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    # The models are tiny; threads that wait for each other would take most of the time.
    torch.set_num_threads(1)


WAITING = ("item", "_local_scalar_dense", "is_nonzero", "nonzero", "masked_select", "equal")
COPYING = ("to.dtype_layout", "to.device", "_to_copy", "resolve_conj", "resolve_neg")


class CountWaits(TorchDispatchMode):
    """Counts operations that make the host wait for the device: reading a value or a size."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.name().removeprefix("aten::")
        self.count += name.split(".")[0] in WAITING or name in COPYING
        return func(*args, **(kwargs or {}))


@pytest.fixture
def count_waits() -> type[CountWaits]:
    return CountWaits
