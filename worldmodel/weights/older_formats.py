"""Checkpoints of older formats by today's names.

- Format 1 has no digests, and encoders without ``vjepa_2_1`` and ``fixed_grid``.
- Formats 1 and 2 call kinds, keys and tensors otherwise.
- Formats 1 to 3 have no spec, and know poses only: other proprioception was held still.
- Formats 1 to 4 do not know which frames are strange.
- Formats 1 to 5 have one kind of sight.
- Formats 1 to 6 have no glimpses.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from worldmodel.errors import UserError
from worldmodel.nn.standardisation import POSE_ANGLES, POSE_WIDTH
from worldmodel.predictors.familiarity import Familiarity

__all__ = ["todays_settings", "todays_tensors"]

_LATER_THAN_1 = {"encoder": {"vjepa_2_1": False, "fixed_grid": None}}
_KINDS = {"compact world": "vector world"}
_KEYS = {"code_width": "object_width", "arm_width": "proprio_width"}
_BEGINNINGS = {"predictor.doubts.": "predictor.uncertainties."}

_UNCERTAINTIES = "predictor.uncertainties."
_CYCLE_HEAD, _CYCLE_ROW = f"{_UNCERTAINTIES}infer.", 1
"""An uncertainty term that ranked errors worse than chance: its head, and its row of quantiles."""


def todays_settings(
    version: int, kind: str, stored: dict[str, Any], source: str
) -> tuple[str, dict[str, Any]]:
    """Kind and settings of a ``config.json`` of this version.

    Raises:
        UserError: It is of a predictor that held proprioception still.
    """
    if version == 1:
        for name, usual in _LATER_THAN_1.items():
            if isinstance(stored.get(name), dict):
                stored = {**stored, name: usual | stored[name]}
    if version < 3:
        kind = _KINDS.get(kind, kind)
    predictor = stored.get("predictor")
    if version < 6 and kind == "vector world" and isinstance(predictor, dict):
        predictor = {**predictor, "sight": "points"}
        stored = {**stored, "predictor": predictor}
    if version < 7 and kind == "vector world" and isinstance(predictor, dict):
        predictor = {**predictor, "glimpse": 0}
        stored = {**stored, "predictor": predictor}
    if version > 3 or not isinstance(predictor, dict) or not kind.endswith("world"):
        return kind, stored
    if version < 3:
        predictor = {_KEYS.get(key, key): value for key, value in predictor.items()}
    widths = predictor.get("state_width"), predictor.get("action_width")
    if widths != (POSE_WIDTH, POSE_WIDTH):
        raise UserError(
            f"{source}: expected poses of {POSE_WIDTH} numbers in format {version}, got states of "
            f"{widths[0]} and actions of {widths[1]}, which it held still; train the world again"
        )
    layout: dict[str, Any] = {"composed": True, "angles": [], "half_turn": []}
    later: dict[str, Any] = {"states": layout, "state_model_width": 128, "cameras": 1}
    return kind, {**stored, "predictor": {**predictor, **later}, "spec": None}


def todays_tensors(
    version: int, kind: str, settings: Mapping[str, Any], tensors: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """The tensors of a checkpoint of this version; ``settings`` are today's."""
    found = dict(tensors)
    if version < 3:
        found = {_renamed(name): tensor for name, tensor in found.items()}
    kept = {name: t for name, t in found.items() if not name.startswith(_CYCLE_HEAD)}
    if len(kept) < len(found):
        for name in {f"{_UNCERTAINTIES}{quantile}" for quantile in ("q90", "q99")} & {*kept}:
            kept[name] = torch.cat([kept[name][:_CYCLE_ROW], kept[name][_CYCLE_ROW + 1 :]])
    if version < 4 and kind.endswith("world") and "predictor" in settings:
        kept["predictor.scale_actions.rest"] = torch.zeros(POSE_WIDTH)
        kept["predictor.state_features.turns"] = torch.ones(len(POSE_ANGLES))
        kept["predictor.state_features.visible"] = torch.ones(POSE_WIDTH + len(POSE_ANGLES))
    if version < 5 and kind.endswith("world") and "predictor" in settings:
        unfitted = Familiarity(settings["predictor"]["token_width"]).state_dict()
        kept |= {f"familiarity.{name}": tensor for name, tensor in unfitted.items()}
    return kept


def _renamed(name: str) -> str:
    old = next((start for start in _BEGINNINGS if name.startswith(start)), "")
    return _BEGINNINGS.get(old, "") + name.removeprefix(old)
