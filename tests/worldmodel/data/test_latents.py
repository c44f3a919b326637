from __future__ import annotations

import numpy as np
import pytest
import torch
from synthetic_episodes import each_episode

from worldmodel.data.latents import latent_cache
from worldmodel.data.lerobot.dataset import Dataset


class Encoder:
    """Two tokens per frame, of width 3: the mean colour of the left and of the right half."""

    def __init__(self, weights="a", stop_after=None):
        self.weights, self.stop_after, self.frames = weights, stop_after, 0

    def encode(self, frames):
        assert frames.dtype == torch.uint8
        if self.stop_after is not None and self.frames >= self.stop_after:
            raise KeyboardInterrupt
        self.frames += frames.shape[1]
        left, right = frames.float().div(255).chunk(2, dim=3)
        return torch.stack([left.mean((2, 3)), right.mean((2, 3))], dim=2)

    def fingerprint(self):
        return self.weights


@pytest.fixture
def dataset(collected):
    return Dataset.open(collected)


def expected(dataset):
    frames = torch.from_numpy(np.concatenate(list(each_episode(dataset))))
    return Encoder().encode(frames[None])[0].numpy()


@pytest.mark.parametrize("batch", [1, 4, 7, 100])
def test_each_frame_has_its_latents_whatever_the_batch(dataset, tmp_path, batch):
    latents = latent_cache(Encoder(), dataset, tmp_path, batch=batch)
    assert latents.shape == (30, 2, 3)
    assert latents.dtype == np.float16
    assert np.array_equal(latents, expected(dataset).astype(np.float16))


def test_a_frame_is_encoded_once_and_an_interrupted_run_continued(dataset, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        latent_cache(Encoder(stop_after=16), dataset, tmp_path, batch=4)
    rest = Encoder()
    latents = latent_cache(rest, dataset, tmp_path, batch=4)
    assert rest.frames == 1 + 30 - 16  # one frame to learn the shape
    assert np.array_equal(latents, expected(dataset).astype(np.float16))
    again = Encoder()
    latent_cache(again, dataset, tmp_path, batch=4)
    assert again.frames == 1


def test_other_weights_data_or_precision_never_find_the_old_latents(
    dataset, copied, tmp_path, collect_synthetic
):
    def path_of(latents):
        return latents.filename

    first = path_of(latent_cache(Encoder(), dataset, tmp_path))
    assert path_of(latent_cache(Encoder(weights="b"), dataset, tmp_path)) != first
    assert path_of(latent_cache(Encoder(), dataset, tmp_path, dtype=np.float32)) != first
    assert path_of(latent_cache(Encoder(), Dataset.open(copied), tmp_path)) == first
    video = copied / "videos/observation.images.front/chunk-000/file-000.mp4"
    video.write_bytes(video.read_bytes() + b"\0" * 8)
    assert path_of(latent_cache(Encoder(), Dataset.open(copied), tmp_path)) != first


def test_an_encoder_for_another_frame_size_says_so_itself(dataset, tmp_path):
    class Strict(Encoder):
        def encode(self, frames):
            raise ValueError("Expected frames of 96 x 96, got 24 x 32")

    with pytest.raises(ValueError, match="96 x 96"):
        latent_cache(Strict(), dataset, tmp_path)
    assert list(tmp_path.iterdir()) == []
