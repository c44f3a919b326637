"""Rich appearance: how a scene looks, beside what happens in it, drawn anew for every episode.

Drawn are the textures of table, floor and wall, the lights, the camera's pose, the colours of arm,
rim and objects, and things that lie about. None of it collides, and a seed poses the same task in
either appearance. Things stand where the arm does not come, or are flat prints on the table, so
that nothing that looks solid is passed through.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import mujoco
import numpy as np

from worldmodel.envs.tabletop.patterns import SIDE
from worldmodel.envs.tabletop.pose import Array
from worldmodel.envs.tabletop.splits import SPLITS, Interval, Split

__all__ = [
    "APPEARANCES",
    "PRINTS",
    "THINGS",
    "RichAppearance",
    "add_distractors",
    "check_appearance",
    "out_of_reach",
]

APPEARANCES = ("plain", "rich")
THINGS = tuple(f"thing_{i}" for i in range(16))  # those without a free place are left out
PRINTS = tuple(f"print_{i}" for i in range(2))
SURFACES = ("desk", "floor", "wall")

# In metres, around table, arm and camera of `assets/tabletop.xml`.
_FLOOR, _FRONT = -0.4, 0.8  # height; x of the desk's edge on the camera's side
_LAYER = 0.0003  # by which the desk hides the table that is felt, and prints the desk
_CAMERA, _LOOK_AT = np.array([1.22, 0.0, 0.78]), np.array([0.34, 0.0, 0.0])
_BESIDE, _BEHIND, _BASE = 0.34, 0.21, 0.12  # |y|, x and radius beyond which no arm comes

_BOX, _CYLINDER = mujoco.mjtGeom.mjGEOM_BOX, mujoco.mjtGeom.mjGEOM_CYLINDER
_PLANE, _ELLIPSOID = mujoco.mjtGeom.mjGEOM_PLANE, mujoco.mjtGeom.mjGEOM_ELLIPSOID

# Shapes of a radius and a half height, with MuJoCo's sizes.
_SHAPES: tuple[tuple[mujoco.mjtGeom, Callable[[float, float], Sequence[float]]], ...] = (
    (_BOX, lambda radius, half: (0.7 * radius, 0.7 * radius, half)),
    (_CYLINDER, lambda radius, half: (radius, half, 0.0)),
    (_ELLIPSOID, lambda radius, half: (radius, 0.7 * radius, half)),
)


def check_appearance(appearance: str, split: str) -> None:
    """Refuse what does not exist.

    Raises:
        ValueError: No such appearance, or no such split.
    """
    if appearance not in APPEARANCES:
        raise ValueError(f"Expected appearance among {', '.join(APPEARANCES)}, got {appearance!r}")
    if split not in SPLITS:
        raise ValueError(f"Expected split among {', '.join(SPLITS)}, got {split!r}")


def add_distractors(spec: mujoco.MjSpec) -> None:
    """Add to a plain scene what a `RichAppearance` dresses."""
    for name in SURFACES:
        texture = spec.add_texture(name=name, type=mujoco.mjtTexture.mjTEXTURE_2D)
        texture.builtin = mujoco.mjtBuiltin.mjBUILTIN_FLAT
        texture.width, texture.height, texture.nchannel = SIDE, SIDE, 3
        material = spec.add_material(name=name, specular=0.2)
        material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = name
    spec.worldbody.add_light(type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL, castshadow=False)

    # Half as many vertices of everything round make up for the time that the things take to draw.
    spec.visual.quality.numslices, spec.visual.quality.numstacks = 16, 8

    floor = spec.geom("floor")
    floor.size, floor.pos = [1.3, 1.3, 0.1], [-0.4, 0.0, _FLOOR]
    wall = _add(spec, "wall", _PLANE, [1.3, 1.3, 0.1])
    wall.quat = [np.sqrt(0.5), 0.0, np.sqrt(0.5), 0.0]  # faces the camera
    desk = _add(spec, "desk", _BOX, [0.5, 0.5, 0.02])
    for geom in (floor, wall, desk):
        geom.material, geom.rgba = geom.name, [1.0, 1.0, 1.0, 1.0]
    pedestal = _add(spec, "pedestal", _CYLINDER, [0.09, -_FLOOR / 2, 0.0])
    pedestal.pos, pedestal.rgba = [0.0, 0.0, _FLOOR / 2], [0.3, 0.3, 0.3, 1.0]
    for name in THINGS + PRINTS:
        _add(spec, name, _BOX, [0.01, 0.01, 0.01])
    for name in ("left_finger", "right_finger"):
        spec.geom(name).rgba = [0.2, 0.2, 0.22, 1.0]  # no hue that a cube might have


def _add(spec: mujoco.MjSpec, name: str, kind: mujoco.mjtGeom, size: list[float]) -> mujoco.MjsGeom:
    """A geom that is seen and not felt."""
    return spec.worldbody.add_geom(name=name, type=kind, size=size, contype=0, conaffinity=0)


class RichAppearance:
    """The looks of a furnished model.

    Args:
        model: Compiled from a spec after `add_distractors`. `randomize` changes what is seen of it,
            and nothing that is felt.
        split: What looks are drawn from.
    """

    def __init__(self, model: mujoco.MjModel, split: Split) -> None:
        self._model, self._split = model, split
        owner = model.body_rootid[model.geom_bodyid]
        arm = owner == model.body("link0").id
        self._arm, self._objects = np.flatnonzero(arm), np.flatnonzero(~arm & (owner != 0))
        self._arm_colours = model.geom_rgba[self._arm, :3].copy()
        # The compiler takes a geom at its body's origin for one that will stay there.
        model.geom_sameframe[owner == 0] = mujoco.mjtSameFrame.mjSAMEFRAME_NONE

    def randomize(self, rng: np.random.Generator) -> None:
        """Draw a look; whatever renders the model has still to be given its textures."""
        shuffled = rng.permutation(len(self._split.hues))
        cube, *others = (self._split.hues[i] for i in shuffled)  # of what is on the table
        rear = rng.uniform(-0.3, 0.05)  # x of the desk's far edge, m
        self._aim(rng)
        self._light(rng)
        self._place_furniture(rng, rear)
        self._paint_surfaces(rng)
        self._colour(rng, cube, others)
        self._scatter(rng, rear, others)
        self._print(rng, others)

    def _aim(self, rng: np.random.Generator) -> None:
        """Move the camera so little that the table within the rim stays in view."""
        camera = self._model.camera("front")
        camera.pos[:] = _CAMERA + rng.uniform(-1, 1, 3) * [0.04, 0.06, 0.04]
        back = _unit(camera.pos - _LOOK_AT - rng.uniform(-1, 1, 3) * [0.02, 0.02, 0.0])
        right = _unit(np.cross([0.0, 0.0, 1.0], back))
        axes = np.stack([right, np.cross(back, right), back], axis=1)
        mujoco.mju_mat2Quat(camera.quat, axes.ravel())
        camera.fovy[:] = rng.uniform(40.5, 44.0)

    def _light(self, rng: np.random.Generator) -> None:
        """From the camera, from the side, and in half of the scenes from a second side."""
        headlight = self._model.vis.headlight
        headlight.ambient[:], headlight.diffuse[:] = rng.uniform(0.3, 0.45), rng.uniform(0.15, 0.35)
        for index, brightness in enumerate((rng.uniform(0.25, 0.5), rng.uniform(-0.2, 0.2))):
            light, direction = self._model.light(index), self._split.direction(rng)
            light.pos[:], light.dir[:] = _LOOK_AT + 2 * direction, -direction
            light.diffuse[:] = max(0.0, brightness) * rng.uniform(0.85, 1.0, 3)

    def _place_furniture(self, rng: np.random.Generator, rear: float) -> None:
        desk, half_length = self._model.geom("desk"), (_FRONT - rear) / 2
        desk.size[:2] = half_length, rng.uniform(0.5, 0.6)
        desk.pos[:] = _FRONT - half_length, 0.0, _LAYER - desk.size[2]
        self._model.geom("wall").pos[:] = rng.uniform(-1.0, -0.45), 0.0, _FLOOR + 1.3

    def _paint_surfaces(self, rng: np.random.Generator) -> None:
        """Patterns of two pale colours."""
        for name in SURFACES:
            value = rng.uniform(0.3, 0.65)
            dark = self._split.colour(rng, (0.0, 0.35), (value, value))
            light = self._split.colour(rng, (0.0, 0.35), (value + 0.1, value + 0.3))
            pixels = 255 * (dark + (light - dark) * self._split.pattern(rng)[..., None])
            start = int(self._model.texture(name).adr[0])
            self._model.tex_data[start : start + pixels.size] = pixels.astype(np.uint8).ravel()

    def _colour(self, rng: np.random.Generator, cube: Interval, others: Sequence[Interval]) -> None:
        """Tint the arm, colour the rim and the objects, the cube most vividly."""
        model, split = self._model, self._split
        model.geom_rgba[self._arm, :3] = self._arm_colours * split.colour(rng, (0, 0.3), (0.6, 1))
        rim = split.colour(rng, (0.0, 0.5), (0.15, 0.7))
        for side in ("near", "far", "left", "right"):
            model.geom(f"rim_{side}").rgba[:3] = rim
        for geom in self._objects:
            model.geom_rgba[geom, :3] = split.colour(rng, (0.75, 1.0), (0.6, 0.95), others)
        model.geom("cube").rgba[:3] = split.colour(rng, (0.85, 1.0), (0.8, 1.0), [cube])

    def _scatter(self, rng: np.random.Generator, rear: float, hues: Sequence[Interval]) -> None:
        """Things on the desk around the workspace, each where it falls if that place is free."""
        taken: list[tuple[Array, float]] = []
        for name in THINGS:
            radius, half_height = rng.uniform(0.02, [0.05, 0.04])
            xy = rng.uniform([rear + radius, -0.44], [0.5, 0.44])
            colour = self._split.colour(rng, (0.5, 1.0), (0.4, 1.0), hues)
            self._shape(rng, name, xy, radius, half_height)
            free = out_of_reach(xy, radius) and all(
                np.linalg.norm(xy - other) > radius + size for other, size in taken
            )
            self._model.geom(name).rgba[:] = *colour, float(free)
            if free:
                taken.append((xy, radius))

    def _print(self, rng: np.random.Generator, hues: Sequence[Interval]) -> None:
        """Flat shapes within the workspace, none to all of them."""
        shown = rng.integers(len(PRINTS) + 1)
        for layer, name in enumerate(PRINTS, start=1):
            xy, radius = rng.uniform([0.36, -0.2], [0.68, 0.2]), rng.uniform(0.02, 0.06)
            colour = self._split.colour(rng, (0.2, 0.7), (0.4, 0.9), hues)
            self._shape(rng, name, xy, radius, layer * _LAYER)
            self._model.geom(name).rgba[:] = *colour, float(layer <= shown)

    def _shape(
        self, rng: np.random.Generator, name: str, xy: Array, radius: float, half_height: float
    ) -> None:
        """Give a geom a shape, and lay it on the desk at ``xy``, turned about the vertical (m)."""
        geom, angle = self._model.geom(name), rng.uniform(0, np.pi)
        kind, sizes = _SHAPES[int(rng.integers(len(_SHAPES)))]
        geom.type[:], geom.size[:] = kind, sizes(radius, half_height)
        geom.pos[:] = *xy, _LAYER + half_height
        geom.quat[:] = np.cos(angle / 2), 0.0, 0.0, np.sin(angle / 2)


def out_of_reach(xy: Array, radius: float) -> bool:
    """Whether the arm in its workspace never comes to a thing of a radius (m) at ``xy`` (m)."""
    beside = abs(xy[1]) - radius > _BESIDE
    behind = xy[0] + radius < _BEHIND and np.linalg.norm(xy) - radius > _BASE
    return bool(beside or behind)


def _unit(vector: Array) -> Array:
    return vector / np.linalg.norm(vector)
