from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # spawned workers import synthetic_episodes by name

from synthetic_episodes import LENGTH, make_episode

from worldmodel.data.collection import collect_episodes
from worldmodel.files.checksums import CHECKSUMS_PATH

Collector = Callable[..., None]


@pytest.fixture(scope="session")
def collect_synthetic() -> Collector:
    """`collect` with the settings of the session's dataset, each of which can be replaced."""

    def run(out: Path, **changes: object) -> None:
        settings = {
            "episodes": 5,
            "make_episode": make_episode,
            "tasks": ("push",),
            "length": LENGTH,
            "fps": 5,
            "workers": 2,
            "shard": 2,
            "seed": 10,
            "names": {"action": list("abcdefg")},
            **changes,
        }
        collect_episodes(out, **settings)  # type: ignore[arg-type]

    return run


@pytest.fixture(scope="session")
def collected(tmp_path_factory: pytest.TempPathFactory, collect_synthetic: Collector) -> Path:
    """A finished dataset of 5 episodes in 3 shards; not to be changed."""
    root = tmp_path_factory.mktemp("collected")
    collect_synthetic(root)
    return root


@pytest.fixture
def copied(collected: Path, tmp_path: Path) -> Path:
    """A copy of the finished dataset, to be damaged; without checksums, as others' are."""
    root = Path(shutil.copytree(collected, tmp_path / "dataset"))
    (root / CHECKSUMS_PATH).unlink()
    return root
