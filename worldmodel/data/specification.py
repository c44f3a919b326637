"""What the actions, states and cameras of a data set mean."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from worldmodel.data.episode import Floats
from worldmodel.data.episode_dataset import EpisodeDataset
from worldmodel.files.atomic import write_json
from worldmodel.files.json_file import read_json
from worldmodel.spec import (
    POSE_ACTIONS,
    POSE_STATES,
    ActionSpec,
    CameraSpec,
    Spec,
    SpecChanges,
    StateSpec,
    read_spec,
    usual_rest,
)

__all__ = ["SPEC_PATH", "data_spec", "read_dataset_spec", "write_dataset_spec"]

SPEC_PATH = "meta/spec.json"
"""Not part of LeRobotDataset, which ignores it."""


def write_dataset_spec(root: Path, spec: Spec) -> None:
    """Keep a spec beside a dataset."""
    write_json(root / SPEC_PATH, json.loads(json.dumps(spec.stored())))


def read_dataset_spec(root: Path) -> Spec | None:
    """The spec that a dataset was recorded with; None of one that was recorded elsewhere.

    Raises:
        UserError: It is damaged.
    """
    path = root / SPEC_PATH
    if not path.is_file():
        return None
    return read_spec(read_json(path, "Copy the dataset again"), path)


def data_spec(dataset: EpisodeDataset, changes: SpecChanges | None = None) -> Spec:
    """The spec of a dataset: what it says, what the user states, and the rest from its numbers.

    Bounds are those of the recorded actions. Where nobody states a rest, it is zero, or the mean of
    the recorded actions where they are ``absolute`` or zero is out of bounds.

    Args:
        dataset: Whose.
        changes: What the user states.

    Raises:
        UserError: That does not fit the dataset.
    """
    changes = changes or SpecChanges()
    spec = _from_numbers(dataset, changes)
    stated = read_dataset_spec(dataset.root) if dataset.root.is_dir() else None
    if stated is not None and _of_one_robot(stated, dataset):
        actions, seen = stated.actions, spec.actions
        becomes_absolute = changes.action_kind == "absolute" and actions.kind != "absolute"
        if actions.recorded and becomes_absolute:
            actions = replace(actions, low=seen.low, high=seen.high, rest=seen.rest)
        # It may be looked at through fewer cameras, and more slowly.
        slower = spec.rate is not None and round(spec.rate, 2) < round(stated.rate or np.inf, 2)
        if slower and (changes.action_kind or actions.kind) in ("delta", "pose_delta"):
            actions = _as_far(actions, seen)
        spec = replace(stated, actions=actions, cameras=spec.cameras, rate=spec.rate)
    return spec.changed(changes)


def _as_far(actions: ActionSpec, seen: ActionSpec) -> ActionSpec:
    """With bounds that also hold what was recorded, several steps added up."""
    low, high = map(min, actions.low, seen.low), map(max, actions.high, seen.high)
    return replace(actions, low=tuple(low), high=tuple(high), recorded=True)


def _of_one_robot(stated: Spec, dataset: EpisodeDataset) -> bool:
    """Whether a dataset has the actions and states that are stated, as far as it names them."""
    return dataset.action_names in (None, stated.actions.names) and dataset.state_names in (
        None,
        stated.states.names,
    )


def _from_numbers(dataset: EpisodeDataset, changes: SpecChanges) -> Spec:
    actions, states = _used(dataset), dataset.states
    names = dataset.action_names or _numbered("action", actions)
    low, high = actions.min(0), actions.max(0)
    felt = dataset.state_names or _numbered("state", states)
    poses = (tuple(names), tuple(felt)) == (POSE_ACTIONS, POSE_STATES)
    kind = "pose_delta" if poses else "generic"
    return Spec(
        ActionSpec(
            tuple(names),
            _plain(low),
            _plain(high),
            usual_rest(low, high, actions.mean(0, np.float64), changes.action_kind or kind),
            kind,
            recorded=True,
        ),
        StateSpec(tuple(felt), "pose", hidden=()) if poses else StateSpec(tuple(felt)),
        _cameras(dataset),
        dataset.fps if dataset.timed else None,
    )


def _used(dataset: EpisodeDataset) -> Floats:
    """Actions without those that nothing follows, which are zero where they were not recorded."""
    followed = np.ones(dataset.num_frames, bool)
    followed[np.cumsum(dataset.lengths) - 1] = False
    return dataset.actions[followed] if followed.any() else dataset.actions


def _cameras(dataset: EpisodeDataset) -> tuple[CameraSpec, ...]:
    sizes = zip(dataset.cameras, dataset.frame_sizes, strict=True)
    return tuple(CameraSpec(name.rpartition(".")[2], *size) for name, size in sizes)


def _plain(values: Floats) -> tuple[float, ...]:
    return tuple(float(value) for value in values)


def _numbered(name: str, values: Floats) -> tuple[str, ...]:
    return tuple(f"{name}_{number}" for number in range(values.shape[1]))
