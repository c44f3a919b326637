"""Whether a world fits data or an environment that it was not made for."""

from __future__ import annotations

from worldmodel.errors import UserError
from worldmodel.predictors.lewm_world import LewmWorld
from worldmodel.predictors.worlds import AnyWorld
from worldmodel.spec import Spec, require_alike

__all__ = ["require_trained_on"]


def require_trained_on(world: AnyWorld, spec: Spec, *, against: str, bounds: bool = True) -> None:
    """Compare what a world was trained on with what it meets.

    A world without a spec, such as released weights, is asked for widths, cameras, and whether it
    composes poses. Released weights of LeWorldModel feel nothing, and take any state for that.

    Args:
        world: The world.
        spec: What it meets.
        against: Whose spec that is, for the error.
        bounds: Compare the bounds of actions, too.

    Raises:
        UserError: They differ; it names the field.
    """
    name, config = world.checkpoint or "the world", world.predictor.config
    if world.spec is not None:
        require_alike(world.spec, spec, of=name, against=against, bounds=bounds)
        return
    poses = config.states.composed
    found = {
        "action_width": (config.action_width, spec.actions.width),
        "state_width": (config.state_width, spec.states.width),
        "actions.kind": ("pose_delta" if poses else spec.actions.kind, spec.actions.kind),
        "states.kind": ("pose" if poses else spec.states.kind, spec.states.kind),
        "cameras": (config.cameras, len(spec.cameras)),
    }
    if isinstance(world, LewmWorld) and not config.state_width:
        del found["state_width"]
    for field, (own, other) in found.items():
        if own != other:
            raise UserError(
                f"{name}: expected {field} of {own}, as it was trained on, got {other} of "
                f"{against}; train on data of this robot and camera, or state what its numbers are "
                "(spec.state_kind=…, spec.action_kind=…)"
            )
