"""A picture of PushT's board, without the suite's green mark of its own goal."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["picture"]

_SIDE = 512  # px, of the board


def picture(env: Any, size: int) -> NDArray[np.uint8]:
    """What an environment of gym-pusht shows, ``uint8 [size, size, 3]``."""
    suite: Any = import_module("gym_pusht.envs.pusht")
    board = suite.pygame.Surface((_SIDE, _SIDE))
    board.fill((255, 255, 255))
    draw = suite.DrawOptions(board)

    def colour(shape: Any) -> Any:
        return suite.pymunk.space_debug_draw_options.SpaceDebugColor(*shape.color)

    for wall in env.space.static_body.shapes:
        draw.draw_fat_segment(wall.a, wall.b, wall.radius, *2 * [colour(wall)])
    for part in env._block_shapes:
        corners = [env.block.local_to_world(corner) for corner in part.get_vertices()]
        draw.draw_polygon(corners, 0.0, *2 * [colour(part)])
    (disk,) = env.agent.shapes
    draw.draw_circle(env.agent.position, 0.0, disk.radius, *2 * [colour(disk)])
    image = suite.pygame.surfarray.pixels3d(board).transpose(1, 0, 2)
    return np.asarray(suite.cv2.resize(image, (size, size), interpolation=suite.cv2.INTER_AREA))
