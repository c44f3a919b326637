from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from synthetic_episodes import (
    broken_at,
    dying_at,
    each_episode,
    full_at,
    logged,
    make_episode,
    telling_threads,
)

from worldmodel.data.lerobot import layout
from worldmodel.data.lerobot.dataset import Dataset
from worldmodel.errors import UserError

KILLED = """
import sys
from functools import partial
from pathlib import Path
from synthetic_episodes import held_from
from worldmodel.data.collection import collect_episodes
if __name__ == "__main__":
    make = partial(held_from, log=sys.argv[2], first=12, gate=sys.argv[3])
    sizes = {"length": 6, "fps": 5, "workers": 2, "shard": 2, "seed": 10}
    collect_episodes(Path(sys.argv[1]), 5, make, tasks=("push",), **sizes)
"""


def shards(root):
    return [n for n in range(9) if layout.episodes_file(root, n).exists()]


def test_episode_i_is_the_one_of_seed_plus_i(collected):
    dataset = Dataset.open(collected)
    assert dataset.seeds.tolist() == [10, 11, 12, 13, 14]
    for i, frames in enumerate(each_episode(dataset)):
        made, rows = make_episode(10 + i), slice(dataset.starts[i], dataset.starts[i] + 6)
        assert np.array_equal(dataset.actions[rows], made.actions)
        assert np.array_equal(dataset.states[rows], made.states)
        assert np.array_equal(dataset.objects[rows], made.objects)
        assert np.abs(frames.astype(int) - made.frames).max() <= 2


def test_the_number_of_workers_does_not_change_the_data(collected, collect_synthetic, tmp_path):
    collect_synthetic(tmp_path, workers=1)
    assert Dataset.open(tmp_path).fingerprint() == Dataset.open(collected).fingerprint()


def test_a_killed_collection_continues_where_it_was(collected, collect_synthetic, tmp_path):
    root, log, gate = tmp_path / "out", tmp_path / "log", tmp_path / "gate"
    (tmp_path / "killed.py").write_text(KILLED)
    command = [sys.executable, str(tmp_path / "killed.py"), str(root), str(log), str(gate)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path.cwd()), *sys.path])}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE)
    while not (shards(root) and "12" in log.read_text()):
        assert process.poll() is None, "it ended before the first shard was written"
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    gate.touch()
    process.communicate()  # until the workers have closed it, too
    assert "13" not in log.read_text(), "workers go on although nobody waits for them"
    finished = shards(root)  # a worker may have been at the one episode of the last one
    assert finished in ([0], [0, 2])
    with pytest.raises(UserError, match=r"unfinished.*rerun the collect command"):
        Dataset.open(root)

    log.write_text("")
    collect_synthetic(root, make_episode=partial(logged, log=str(log)))
    made_again = {int(seed) for seed in log.read_text().split()}
    assert made_again == {10 + e for e in range(5) if e // 2 not in finished}
    assert Dataset.open(root).fingerprint() == Dataset.open(collected).fingerprint()


def test_a_second_collection_waits_for_the_first_and_finds_what_it_made(
    collected, collect_synthetic, tmp_path, monkeypatch
):
    class Heard(io.StringIO):
        def write(self, text):
            if f"another process collects into {root}; waiting for it" in text:
                gate.touch()  # which the first waits for
            return super().write(text)

    root, log, gate = tmp_path / "out", tmp_path / "log", tmp_path / "gate"
    (tmp_path / "first.py").write_text(KILLED)
    command = [sys.executable, str(tmp_path / "first.py"), str(root), str(log), str(gate)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path.cwd()), *sys.path])}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    while not log.exists():
        assert process.poll() is None, "it ended before the first episode"
        time.sleep(0.01)
    monkeypatch.setattr(sys, "stderr", Heard())
    collect_synthetic(root, make_episode=partial(logged, log=str(log)))
    assert process.wait() == 0
    assert gate.exists()
    assert sorted(map(int, log.read_text().split())) == [10, 11, 12, 13, 14]
    assert Dataset.open(root).fingerprint() == Dataset.open(collected).fingerprint()


def test_a_full_disk_ends_in_one_line_and_what_is_finished_is_kept(collect_synthetic, tmp_path):
    named = r"seed 13: Expected over .* free in .* for file-001\.mp4, got .*: finished shards"
    with pytest.raises(UserError, match=named):
        collect_synthetic(tmp_path, make_episode=partial(full_at, bad=13), workers=1)
    assert shards(tmp_path) == [0]


def test_a_failing_episode_is_named_and_what_is_finished_is_kept(collect_synthetic, tmp_path):
    with pytest.raises(UserError, match=r"seed 13: RuntimeError: the simulator exploded.*rerun"):
        collect_synthetic(tmp_path, make_episode=partial(broken_at, bad=13), workers=1)
    assert shards(tmp_path) == [0]


def test_a_dying_worker_is_an_error_that_names_its_episode(collect_synthetic, tmp_path):
    with pytest.raises(UserError, match=r"seed 11: the worker died with exit code 3"):
        collect_synthetic(tmp_path, make_episode=partial(dying_at, bad=11), workers=1)


def test_an_episode_longer_than_was_asked_for_is_refused(collect_synthetic, tmp_path):
    with pytest.raises(UserError, match=r"seed 10: .*Expected up to 5 frames, got 6"):
        collect_synthetic(tmp_path, length=5, workers=1)


def test_episodes_that_ended_early_count_on(collect_synthetic, tmp_path):
    collect_synthetic(tmp_path, length=9, episodes=5, workers=1)
    found = Dataset.open(tmp_path)
    assert found.lengths.tolist() == [6] * 5
    tables = [pq.read_table(path) for path in found.metadata.data_files]
    index = np.concatenate([table["index"].to_numpy() for table in tables])
    assert index.tolist() == list(range(30))


def test_workers_run_one_thread_each(collect_synthetic, tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    collect_synthetic(tmp_path, make_episode=telling_threads, episodes=1, workers=1)
    assert (Dataset.open(tmp_path).states == 1).all()
    assert os.environ["OMP_NUM_THREADS"] == "2"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"tasks": ("reach",)}, r"task=push \(now reach\)"),
        ({"length": 7}, r"length=6 \(now 7\)"),
        ({"seed": 0}, r"seed=10 \(now 0\)"),
        ({"settings": {"image_size": 64}}, r"image_size=None \(now 64\)"),
        ({"episodes": 3}, "more than the 3 episodes"),
        ({"episodes": 2}, "more than the 2 episodes"),
        ({"episodes": 0}, "at least one episode"),
    ],
)
def test_a_rerun_with_other_settings_is_refused(collected, collect_synthetic, change, named):
    before = Dataset.open(collected).fingerprint()
    with pytest.raises(UserError, match=named):
        collect_synthetic(collected, **change)
    assert Dataset.open(collected).fingerprint() == before


def test_settings_may_change_while_there_is_no_episode(collect_synthetic, tmp_path):
    with pytest.raises(UserError, match="seed 10"):
        collect_synthetic(tmp_path, length=5, workers=1)
    collect_synthetic(tmp_path, episodes=1, workers=1)
    assert Dataset.open(tmp_path).num_frames == 6


def test_more_episodes_extend_a_dataset_and_a_damaged_shard_is_made_again(
    collected, collect_synthetic, copied, tmp_path
):
    layout.video_file(copied, 0, "observation.images.front").unlink()
    data = layout.data_file(copied, 1)
    data.write_bytes(data.read_bytes()[:100])
    log = tmp_path / "log"
    collect_synthetic(copied, episodes=7, workers=1, make_episode=partial(logged, log=str(log)))
    assert sorted(map(int, log.read_text().split())) == [10, 11, 12, 13, 14, 15, 16]
    before, after = Dataset.open(collected), Dataset.open(copied)
    assert after.lengths.tolist() == [6] * 7
    assert np.array_equal(after.actions[:30], before.actions)
    assert np.array_equal(after.frames(0), before.frames(0))


def test_a_dataset_from_elsewhere_is_not_written_to(copied, collect_synthetic):
    (copied / "meta/collection.json").unlink()
    with pytest.raises(UserError, match="not collected here"):
        collect_synthetic(copied)


def test_an_output_that_cannot_be_written_is_a_user_error(collect_synthetic, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"Cannot write the dataset to .*file/out.*Choose"):
        collect_synthetic(tmp_path / "file/out")
