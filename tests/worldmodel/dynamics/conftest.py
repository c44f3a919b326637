"""Recordings of a tiny world without pictures: a point on a line, moved by a hand.

The "tokens" of a frame are a fixed random projection of the point's position, and the state is that
of the hand, which trembles, and holds the point at an arm's length of its own in every episode. So
everything that training on cached latents needs is there, and the truth is known.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))  # tests import small_training by name
from small_training import make_dataset, make_encoder

from worldmodel.dynamics.recordings import Recordings

TOKENS, WIDTH = 4, 8


@pytest.fixture(scope="session")
def data() -> Recordings:
    """Random walks in [-1, 1]: 116 episodes to train on and 4 held out, of 30 frames."""
    rng, episodes, length = np.random.default_rng(0), 120, 30
    actions = np.zeros((episodes, length, 1), np.float32)
    places = np.zeros((episodes, length, 1), np.float32)
    for e in range(episodes):
        place, drift = rng.uniform(-1, 1), 0.0
        for t in range(length):
            drift = 0.8 * drift + 0.05 * rng.standard_normal()
            move = float(np.clip(place + drift, -1, 1) - place)
            places[e, t], actions[e, t] = place, move
            place += move
    hands = places + rng.uniform(-1, 1, (episodes, 1, 1)) + rng.normal(0, 0.3, places.shape)
    hands = hands.astype(np.float32)
    return Recordings(
        _tokens(torch.from_numpy(places.reshape(-1))),
        torch.from_numpy(actions.reshape(-1, 1)),
        torch.from_numpy(hands.reshape(-1, 1)),
        np.arange(episodes, dtype=np.int64) * length,
        np.full(episodes, length, np.int64),
        np.arange(episodes - 4, dtype=np.int64),
        np.arange(episodes - 4, episodes, dtype=np.int64),
        torch.from_numpy(places.reshape(-1, 1)),
    )


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained encoder of 24 pixels."""
    return make_encoder(tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six episodes of random frames of 24 pixels."""
    return make_dataset(tmp_path_factory.mktemp("data"), width=7)


def _tokens(places: torch.Tensor) -> torch.Tensor:
    """Tokens ``[F, TOKENS, WIDTH]`` of places ``[F]``."""
    generator = torch.Generator().manual_seed(9)
    frequencies = 2 * torch.randn(TOKENS * WIDTH, generator=generator)
    phases = 6 * torch.rand(TOKENS * WIDTH, generator=generator)
    return (places[:, None] * frequencies + phases).sin().view(-1, TOKENS, WIDTH)
