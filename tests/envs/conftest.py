"""MuJoCo reads its OpenGL backend when first imported, so `envs`, which chooses it, comes first."""

from worldmodel import envs  # noqa: F401
