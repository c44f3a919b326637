"""Frames of any size come at the encoder's, as V-JEPA 2-AC sees them."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
import torch
from synthetic_episodes import each_episode

from worldmodel.data import episode_dataset
from worldmodel.data.fitting import FittedDataset, fitted, fitted_dataset
from worldmodel.data.lerobot.dataset import Dataset
from worldmodel.data.sampling import SampledDataset


@pytest.mark.parametrize("shape", [(36, 64), (64, 36), (40, 40), (9, 16)])
def test_the_central_square_is_resized_and_the_rest_cut_off(shape):
    frames = np.random.default_rng(0).integers(0, 256, (2, *shape, 3), dtype=np.uint8)
    small = fitted(frames, 16)
    assert small.shape == (2, 16, 16, 3)
    assert small.dtype == np.uint8
    cut = (max(shape) - min(shape)) // 2
    middle = frames.take(range(cut, cut + min(shape)), axis=1 + int(np.argmax(shape)))
    pixels = torch.from_numpy(middle).permute(0, 3, 1, 2).float()
    resized = torch.nn.functional.interpolate(pixels, 16, mode="bilinear", align_corners=False)
    assert np.abs(small - resized.permute(0, 2, 3, 1).numpy()).max() <= 0.5


def test_frames_that_fit_stay_as_they_are():
    frames = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)
    assert np.array_equal(fitted(frames, 16), frames)


def test_a_dataset_is_seen_at_another_size_and_known_for_another(collected):
    source = Dataset.open(collected)
    view = fitted_dataset(source, 12)
    assert view.image_size == (12, 12)
    assert np.array_equal(view.frames(1), fitted(source.frames(1), 12))
    assert np.array_equal(view.states, source.states)
    keys = {dataset.fingerprint() for dataset in (source, view, fitted_dataset(source, 16))}
    assert len(keys) == 3
    assert fitted_dataset(view, 12) is view


class Recording(Dataset):
    """Frames of 90 x 160 out of nothing, counted while they are in memory."""

    def camera_frames(self, camera, episode, steps):
        for step in steps:
            frame = np.full((90, 160, 3), step % 256, np.uint8)
            token = object()
            self.alive.add(token)
            weakref.finalize(frame, self.alive.discard, token)
            self.most.append(len(self.alive))
            yield frame


@pytest.fixture
def recording(collected):
    """Three episodes of 300 large frames each."""
    made = Dataset.open(collected)
    lengths = np.array([300, 300, 300])
    rows = np.arange(900) % 300
    values = {
        field: getattr(made, field) for field in ("root", "cameras", "metadata", "tasks", "rows")
    }
    poses = np.zeros((900, 7), np.float32)
    dataset = Recording(
        **values,
        frame_sizes=((90, 160),),
        lengths=lengths,
        timestamps=rows / 30,
        actions=poses,
        states=poses,
        objects=None,
        extrinsics=None,
    )
    object.__setattr__(dataset, "alive", set())
    object.__setattr__(dataset, "most", [])
    return dataset


def test_large_frames_are_cropped_as_they_are_decoded_and_never_kept(recording):
    view = fitted_dataset(SampledDataset.of(recording, 15), 12)
    for frames, steps in zip(each_episode(view), view.source.steps, strict=True):
        assert frames[:, 0, 0, 0].tolist() == (steps % 256).tolist()
    assert len(recording.most) == 450  # frames between the chosen ones were not even made
    assert max(recording.most) <= 2 * episode_dataset._DECODING_THREADS
    gc.collect()
    assert not recording.alive


def test_parts_of_long_episodes_are_decoded_a_few_ahead_whatever_their_length(
    recording, monkeypatch
):
    monkeypatch.setattr(episode_dataset, "_PART_BYTES", 10 * 3 * 12 * 12)
    monkeypatch.setattr(episode_dataset, "_PARTS_AHEAD", 3)
    view = fitted_dataset(recording, 12)
    parts = view.iter_parts(row=295)
    assert [len(next(parts)) for _ in range(3)] == [5, 10, 10]
    parts.close()
    assert len(recording.most) <= 10 * (3 + 3)
    whole = np.concatenate(list(view.iter_parts()))
    assert np.array_equal(whole, np.concatenate(list(each_episode(view))))
    assert np.array_equal(whole, np.concatenate([view.frames(e) for e in range(3)]))
    assert [len(frames) for frames in each_episode(view, first=1)] == [300, 300]
    assert isinstance(view, FittedDataset)
