import numpy as np

from worldmodel.pretraining.clips import ClipSampler


def test_clips_hold_consecutive_frames_with_the_stride_from_allowed_starts() -> None:
    frames = np.broadcast_to(np.arange(40, dtype=np.uint8)[:, None, None, None], (40, 2, 2, 3))
    firsts = np.array([3, 20])
    clips = ClipSampler(frames, firsts, clip_frames=4, stride=3)
    sampled = clips.sample(np.random.default_rng(0), 64)[:, :, 0, 0, 0].numpy()
    assert set(sampled[:, 0]) == {3, 20}
    assert (np.diff(sampled, axis=1) == 3).all()
