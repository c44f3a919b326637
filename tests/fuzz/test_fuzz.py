"""Some of what ``make fuzz`` does, with a seed of its own."""

from __future__ import annotations

import av
import pytest
from formats import FORMATS
from fuzzing import attempts

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", FORMATS)
def test_a_damaged_file_is_refused_in_a_line_or_gives_the_result_it_gave(name):
    av.logging.set_level(av.logging.PANIC)
    outcomes, wrong = attempts(name, FORMATS[name], count=200, seed=1)
    assert not wrong
    assert outcomes["refused"] > 20, "the damage does not reach what is read"
