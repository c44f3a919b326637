"""The records of a study, one row for each arm: means over seeds, and success pooled over them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any

from worldmodel.evaluation.intervals import mcnemar, percent, wilson

__all__ = ["summary", "table"]

BASELINE = "random"
"""The arm that an encoder has to beat to have earned its training."""

_Record = Mapping[str, Any]


def summary(records: Sequence[_Record]) -> list[dict[str, Any]]:
    """One row for each arm and number of training episodes, in the order of the records."""
    cells: dict[tuple[str, int | None], list[_Record]] = {}
    for record in sorted(records, key=lambda r: r["seed"]):
        cells.setdefault((record["arm"], record["episodes"]), []).append(record)
    order = list(dict.fromkeys((r["arm"], r["episodes"]) for r in records))
    return [
        {
            "arm": arm,
            "episodes": episodes,
            "seeds": [r["seed"] for r in cells[arm, episodes]],
            "probe": _means(r["probe"] for r in cells[arm, episodes]),
            "open_loop": _means(_last_step(r["open_loop"]) for r in cells[arm, episodes]),
            "minutes": _means(r["minutes"] for r in cells[arm, episodes]),
            "success": _success(cells[arm, episodes], cells.get((BASELINE, episodes), [])),
        }
        for arm, episodes in order
    ]


def _means(figures: Iterable[Mapping[str, float | None]]) -> dict[str, float | None]:
    """The mean of every figure over those that have it."""
    found: dict[str, list[float]] = {}
    for figure in figures:
        for name, value in figure.items():
            found.setdefault(name, []).extend([] if value is None else [value])
    return {name: fmean(values) if values else None for name, values in found.items()}


def _last_step(validation: Mapping[str, Sequence[float]]) -> dict[str, float | None]:
    """Open-loop figures of the last imagined step; errors over those of copying the last frame."""
    last = {name: values[-1] if values else None for name, values in validation.items()}
    error, copy = last["latent_error"], last["copy_error"]
    assert error is not None
    cm = {name: last[name] for name in ("object_cm", "object_copy_cm", "object_true_cm")}
    return {"of_copying": error / copy if copy else None, **cm}


def _success(records: Sequence[_Record], baseline: Sequence[_Record]) -> dict[str, Any]:
    """By appearance, the pooled rate, and how the same tasks and seeds went for the baseline.

    None of an appearance where nobody judged.
    """
    appearances = dict.fromkeys(name for record in records for name in record["success"])
    return {
        name: _pooled(_outcomes(records, name), _outcomes(baseline, name)) for name in appearances
    }


def _outcomes(records: Sequence[_Record], appearance: str) -> dict[tuple[int, int], bool]:
    """Whether each task was solved, by seed and number."""
    return {
        (record["seed"], number): solved
        for record in records
        if appearance in record["success"]
        for number, solved in enumerate(record["success"][appearance]["outcomes"])
        if solved is not None
    }


def _pooled(
    outcomes: Mapping[tuple[int, int], bool], baseline: Mapping[tuple[int, int], bool]
) -> dict[str, Any] | None:
    if not outcomes:
        return None
    solved, n = sum(outcomes.values()), len(outcomes)
    pairs = [(outcomes[key], baseline[key]) for key in outcomes if key in baseline]
    better, worse = pairs.count((True, False)), pairs.count((False, True))
    return {
        "n": n,
        "rate": solved / n,
        "ci95": list(wilson(solved, n)),
        "over_random": {
            "n": len(pairs),
            "better": better,
            "worse": worse,
            "p": mcnemar(better, worse),
        },
    }


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """A summary for the eye; success is that at the end, with its pooled 95 % interval."""
    appearances = list(dict.fromkeys(name for row in rows for name in row["success"]))
    head = ["arm", "episodes", "seeds", "rank", "object cm", "gripper cm", "of copying", "moved cm"]
    cells = [[*head, *appearances, "minutes"], *(_cells(row, appearances) for row in rows)]
    widths = [max(len(line[k]) for line in cells) for k in range(len(cells[0]))]
    lines = [
        "  ".join(
            c.ljust(w) if k == 0 else c.rjust(w)
            for k, (c, w) in enumerate(zip(line, widths, strict=True))
        )
        for line in cells
    ]
    return "\n".join([*lines, *_comparisons(rows)])


def _cells(row: Mapping[str, Any], appearances: Sequence[str]) -> list[str]:
    probe, open_loop, success = row["probe"], row["open_loop"], row["success"]
    spent = [value for value in row["minutes"].values() if value is not None]
    return [
        row["arm"],
        "all" if row["episodes"] is None else str(row["episodes"]),
        str(len(row["seeds"])),
        _figure(probe.get("rank"), 1),
        _figure(probe.get("probe_object_cm"), 1),
        _figure(probe.get("probe_gripper_cm"), 1),
        _figure(open_loop["of_copying"], 2),
        _figure(open_loop["object_cm"], 1),
        *(percent(success.get(name)) for name in appearances),
        _figure(sum(spent), 0),
    ]


def _comparisons(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line for each arm and appearance that the baseline was run in too."""
    lines = [
        f"  {row['arm']} ({'all' if row['episodes'] is None else row['episodes']}), {appearance}: "
        f"better on {paired['better']}, worse on {paired['worse']} of {paired['n']}, "
        f"p = {paired['p']:.2g}"
        for row in rows
        if row["arm"] != BASELINE
        for appearance, entry in row["success"].items()
        if entry and (paired := entry["over_random"])["n"]
    ]
    return [f"against {BASELINE}, on the same tasks and seeds", *lines] if lines else []


def _figure(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"
