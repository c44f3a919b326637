import numpy as np

from worldmodel.pretraining.clips import ClipSampler


def test_clips_hold_frames_a_stride_apart_and_the_actions_between_them() -> None:
    frames = np.broadcast_to(np.arange(40, dtype=np.uint8)[:, None, None, None], (40, 2, 2, 3))
    actions = np.arange(40, dtype=np.float32)[:, None]
    clips = ClipSampler(frames, actions, np.array([3, 20]), clip_frames=4, stride=3)
    sampled = clips.sample(np.random.default_rng(0), 64)
    rows = sampled.frames[:, :, 0, 0, 0].numpy()
    assert set(rows[:, 0]) == {3, 20}
    assert (np.diff(rows, axis=1) == 3).all()
    assert sampled.actions.shape == (64, 3, 3, 1)
    assert (sampled.actions[:, :, 0, 0].numpy() == rows[:, :-1]).all()
    assert (sampled.actions.flatten(1).diff(dim=1) == 1).all(), "every step between is there"
