import pytest

from worldmodel.schedule import cosine_with_warmup, rising_cosine, warmup_constant_decay


def test_the_rate_rises_to_its_peak_and_falls_to_nothing() -> None:
    rates = [cosine_with_warmup(step, steps=100, warmup=0.1) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == rates[9] == rates[10] == 1
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] < 0.01


def test_no_warmup_starts_at_the_peak() -> None:
    assert cosine_with_warmup(0, steps=10, warmup=0.0) == 1


def test_the_plateau_lies_between_a_rise_and_a_fall() -> None:
    rates = [warmup_constant_decay(step, 100, 0.1, 0.2, start=0.5) for step in range(100)]
    assert rates[0] == pytest.approx(0.55)
    assert rates[4] == pytest.approx(0.75)
    assert set(rates[9:81]) == {1.0}
    assert rates[90] == pytest.approx(0.5)
    assert rates[99] == pytest.approx(0.05)


def test_a_short_run_falls_before_it_has_risen() -> None:
    assert rising_cosine(99, 1000) == pytest.approx(0.976, abs=1e-3)
    assert max(rising_cosine(step, 20) for step in range(20)) < 0.1
    assert rising_cosine(0, 1) == pytest.approx(0.01)
