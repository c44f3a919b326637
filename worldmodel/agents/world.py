"""World checkpoints, ready to plan in: on a device, in a precision, with the camera placed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from worldmodel.agents.planner import device_of
from worldmodel.devices import known_precision, precision, require_compiler, usable_device
from worldmodel.errors import SettingsError, UserError
from worldmodel.planners import World
from worldmodel.predictors.token_world import TokenWorld
from worldmodel.predictors.trained_on import require_trained_on
from worldmodel.predictors.worlds import AnyWorld
from worldmodel.spec import Look, Spec
from worldmodel.weights.world import DEFAULT, read_world

__all__ = ["CameraWorld", "Grounded", "load_world", "look_at", "place_camera", "require_spec"]


class CameraWorld(World, Protocol):
    """A world model that says which images it reads."""

    @property
    def image_size(self) -> int:
        """Side of the square camera images, pixels."""
        ...


@runtime_checkable
class Grounded(Protocol):
    """A world model whose imagined latents tell the arm's part by its state, not by the image."""

    def grounded(self, latents: Tensor, states: Tensor) -> Tensor:
        """Latents ``[..., N, D]`` of images, as imagined ones with states ``[..., P]`` would be."""
        ...


def load_world(
    checkpoint: str | os.PathLike[str] = DEFAULT,
    *,
    device: str = "cpu",
    dtype: str = "auto",
    compile: bool = False,
    camera_pose: Sequence[float] = (),
) -> AnyWorld:
    """A frozen encoder and the predictor that was trained on its latents.

    It has ``encode``, ``project`` and ``rollout`` of `worldmodel.planners.World`; frames are
    ``uint8 [B, T, h, w, 3]``, latents ``float [B, T, N, D]``, actions ``float32 [B, S, H, A]``.

    Args:
        checkpoint: Folder of a world checkpoint, or ``"default"`` for the shipped one.
        device: Such as ``cpu`` or ``cuda``; ``auto`` for a GPU where there is one.
        dtype: To imagine in: ``float32``, ``bfloat16``, ``float16``, or ``auto``.
        compile: Fuse what is fused for ``torch.compile``; it needs a C++ compiler.
        camera_pose: Where the camera stands, xyz (m) and Euler angles (rad); for worlds trained
            with ``extrinsics``.

    Raises:
        UserError: The folder is no intact world checkpoint, or the device cannot be used.
    """
    if not isinstance(checkpoint, str | os.PathLike):
        raise UserError(f"Expected the folder of a checkpoint, got {checkpoint!r:.60}")
    if compile:
        require_compiler()
    try:
        known_precision(dtype)
    except ValueError as error:
        raise SettingsError(str(error)) from error
    world = read_world(checkpoint).to(usable_device(device))
    place_camera(world, camera_pose)
    world = world.imagine_in(precision(dtype, world))
    world.checkpoint = str(checkpoint)
    return world.fuse() if compile and isinstance(world, TokenWorld) else world


def look_at(world: AnyWorld) -> Look:
    """How an environment is to be made for a world."""
    return Look.of(world.spec, world.image_size)


def place_camera(world: AnyWorld, pose: Sequence[float]) -> None:
    """Tell a world where its camera stands, if anything is told.

    Args:
        world: Trained with ``predictor.model.extrinsics=true``.
        pose: xyz (m) and Euler angles (rad) in the robot's frame; () for a world of any camera.

    Raises:
        UserError: That is no pose, or the world has no use for it.
    """
    if not pose:
        return
    if len(pose) != 6:
        raise UserError(f"Expected camera_pose=[x,y,z,a,b,c], got {len(pose)} numbers")
    if not isinstance(world, TokenWorld) or not world.predictor.config.extrinsics:
        raise UserError(
            "Expected no camera_pose, for the checkpoint was not trained with "
            "predictor.model.extrinsics=true; leave it out"
        )
    world.camera = torch.tensor([list(pose)], device=device_of(world))


def require_spec(world: AnyWorld, offered: Spec) -> None:
    """Compare what a world was trained on with what an environment offers.

    Raises:
        UserError: They differ; it names the field.
    """
    name, config = world.checkpoint or "the world", world.predictor.config
    side = world.image_size if world.spec is None else _side(world.spec)
    sizes = {(camera.height, camera.width) for camera in offered.cameras}
    if side is not None and len(offered.cameras) == config.cameras and sizes != {(side, side)}:
        told = ", ".join(f"{height} x {width}" for height, width in sorted(sizes))
        raise UserError(
            f"{name}: expected images of {side} x {side} pixels, as it was trained on, got {told} "
            f"of the environment; make it with image_size={side}, or train on images of its own"
        )
    require_trained_on(world, offered, against="the environment")


def _side(spec: Spec) -> int | None:
    """Of the images that a world was trained on; None where they are no squares of one size."""
    sizes = {side for camera in spec.cameras for side in (camera.height, camera.width)}
    return sizes.pop() if len(sizes) == 1 else None
