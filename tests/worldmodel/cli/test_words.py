"""Words of the command line: what Hydra's grammar would not read is put into quotes, or told."""

from __future__ import annotations

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from worldmodel.cli.words import quoted, readable
from worldmodel.errors import UserError


def read(word: str) -> object:
    return OverridesParser.create().parse_override(readable(word)).value()


@pytest.mark.parametrize(
    "value",
    [
        "a",
        "it's",
        "'",
        "\\",
        "a\\",
        "a\\'b",
        "\\\\'",
        '"',
        "a,b",
        "[a",
        "${x}",
        "a=b",
        "été",
        "x y",
    ],
)
def test_a_quoted_string_is_read_as_it_was(value: str) -> None:
    assert OverridesParser.create().parse_override(f"key={quoted(value)}").value() == value


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("checkpoint=runs/epoch=3-step=10.pt", "runs/epoch=3-step=10.pt"),
        ("camera=a=b", "a=b"),
        ("+camera=a=b", "a=b"),
        ("camera=b (copy)", "b (copy)"),
        ("out=2026_07", "2026_07"),
        ("tokens.checkpoint=1e5", "1e5"),
        ("out=~/été#1", "~/été#1"),
        ("init=null", None),
        ("seed=3", 3),
        ("goal=[a=1.png,~/b.png]", ["a=1.png", "~/b.png"]),
        ("baselines=[random,prior]", ["random", "prior"]),
        ("out='~/data'", "~/data"),
        ("camera=", ""),
    ],
)
def test_a_value_is_all_that_follows_the_first_sign_of_equality(
    word: str, expected: object
) -> None:
    assert read(word) == expected


def test_a_sweep_stays_one() -> None:
    override = OverridesParser.create().parse_override(readable("checkpoint=a=1,b=2"))
    assert [str(value) for value in override.sweep_string_iterator()] == ["'a=1'", "'b=2'"]


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("episodes", r"^expected key=value, got 'episodes'"),
        ("", r"^expected key=value, got ''"),
        ("=3", r"^expected key=value, got '=3'"),
        ("baselines=[random", r"^baselines=\[random: \[ is not closed"),
        ("baselines={a:[1}", r"^baselines=\{a:\[1\}: \} closes a bracket that is not open"),
        ("seed=range(1,3", r"^seed=range\(1,3: \( is not closed"),
        ("baselines=random]", r": \] closes a bracket that is not open"),
        ("out='runs", r"^out='runs: ' is not closed"),
        ("goal=['a',b=1]", r"^goal=\['a',b=1\]: the value cannot be read; put every text in it"),
    ],
)
def test_what_cannot_be_read_is_told_with_what_is_wrong_with_it(word: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        readable(word)
