"""Frames of any size come at the encoder's, as V-JEPA 2-AC sees them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from worldmodel.data.cropping import central_square, cropped
from worldmodel.data.dataset import Dataset


@pytest.mark.parametrize("shape", [(36, 64), (64, 36), (40, 40), (9, 16)])
def test_the_central_square_is_resized_and_the_rest_cut_off(shape):
    frames = np.random.default_rng(0).integers(0, 256, (2, *shape, 3), dtype=np.uint8)
    small = central_square(frames, 16)
    assert small.shape == (2, 16, 16, 3)
    assert small.dtype == np.uint8
    cut = (max(shape) - min(shape)) // 2
    middle = frames.take(range(cut, cut + min(shape)), axis=1 + int(np.argmax(shape)))
    pixels = torch.from_numpy(middle).permute(0, 3, 1, 2).float()
    resized = torch.nn.functional.interpolate(pixels, 16, mode="bilinear", align_corners=False)
    assert np.abs(small - resized.permute(0, 2, 3, 1).numpy()).max() <= 0.5


def test_frames_that_fit_stay_as_they_are():
    frames = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)
    assert np.array_equal(central_square(frames, 16), frames)


def test_a_dataset_is_seen_at_another_size_and_known_for_another(collected):
    source = Dataset.open(collected)
    view = cropped(source, 12)
    assert view.image_size == (12, 12)
    assert np.array_equal(view.frames(1), central_square(source.frames(1), 12))
    assert np.array_equal(view.states, source.states)
    keys = {dataset.fingerprint() for dataset in (source, view, cropped(source, 16))}
    assert len(keys) == 3
    assert cropped(view, 12) is view
