"""``worldmodel train`` makes a world of either kind from any dataset, or says why not."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from small_training import (
    COMPACT,
    EPISODES,
    LENGTH,
    TOKENS,
    make_dataset,
    train_small,
)

from worldmodel.cli.configuration import composed, load, typed
from worldmodel.data.lerobot.dataset import Dataset
from worldmodel.data.recording import Recording
from worldmodel.dynamics.loading import load_recordings
from worldmodel.dynamics.train import run_training, train
from worldmodel.encoders.vision_transformer import EncoderConfig, VideoTransformer
from worldmodel.errors import SettingsError
from worldmodel.predictors.token_world import TokenWorld
from worldmodel.predictors.vector_world import VectorWorld
from worldmodel.weights.encoder import load_encoder, save_encoder
from worldmodel.weights.world import read_world


def test_a_predictor_too_large_to_train_is_refused_before_frames_are_embedded(
    tmp_path: Path, dataset: Path, encoder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes = ["predictor.model.width=16384", "predictor.model.depth=256"]
    short = "predictor.training.macros.rollout=1"  # these episodes have 14 frames
    for kind in ([short], ["predictor=tokens", "device=cpu"]):
        assert train_small(tmp_path, dataset, f"encoder_checkpoint={encoder}", *kind, *sizes) == 1
        assert "Lower predictor.model.width" in capsys.readouterr().err
    assert not (tmp_path / "cache").exists()


def test_either_kind_of_world_is_trained_validated_and_saved(
    tmp_path: Path, dataset: Path, encoder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for kind, options in ((VectorWorld, COMPACT), (TokenWorld, TOKENS)):
        assert not train_small(
            tmp_path / kind.__name__, dataset, f"encoder_checkpoint={encoder}", *options
        )
        folder = tmp_path / kind.__name__ / "world"
        assert isinstance(read_world(folder), kind)
        record = json.loads((folder / "config.json").read_text())["record"]
        assert all(np.isfinite(record["validation"]["latent_error"]))
        assert "held-out open loop" in capsys.readouterr().out


def test_an_encoder_comes_from_a_world_too_and_the_error_is_what_a_sweep_minimises(
    tmp_path: Path, dataset: Path, encoder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not train_small(tmp_path / "a", dataset, f"encoder_checkpoint={encoder}", *TOKENS)
    world = tmp_path / "a" / "world"
    load("train")
    words = [f"data={dataset}", f"out={tmp_path / 'b'}", f"cache={tmp_path / 'cache'}", *TOKENS]
    objective = run_training(typed(composed("train", [*words, f"encoder_checkpoint={world}"])))
    assert f"encoder of the world in encoder_checkpoint={world}" in capsys.readouterr().out
    assert read_world(tmp_path / "b").encoder.fingerprint() == load_encoder(encoder).fingerprint()
    record = json.loads((tmp_path / "b" / "config.json").read_text())["record"]
    assert objective == pytest.approx(np.mean(record["validation"]["latent_error"]))


def test_widths_are_the_datasets_own(tmp_path: Path, encoder: Path) -> None:
    data = make_dataset(tmp_path / "data", width=3)
    assert not train_small(tmp_path, data, f"encoder_checkpoint={encoder}", *COMPACT)
    world = read_world(tmp_path / "world")
    assert isinstance(world, VectorWorld)
    assert (world.action_width, world.predictor.config.state_width) == (3, 3)


def test_episodes_too_short_for_a_window_are_refused_before_any_is_embedded(
    tmp_path: Path, dataset: Path, encoder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*TOKENS, "predictor.training.frames=15", f"encoder_checkpoint={encoder}"]
    assert train_small(tmp_path, dataset, *words)
    assert "Expected episodes of at least 15 frames" in capsys.readouterr().err
    assert not list(tmp_path.rglob("*latents*"))


def test_an_encoder_or_a_world_to_go_on_from_is_asked_for(
    tmp_path: Path, dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train_small(tmp_path, dataset, *COMPACT)
    assert "encoder_checkpoint=… and init=…" in capsys.readouterr().err


def test_fewer_episodes_are_the_first_to_train_on_and_leave_validation_as_it_is(
    tmp_path: Path, dataset: Path, encoder: Path
) -> None:
    read = partial(load_recordings, Dataset.open(dataset), load_encoder(encoder), tmp_path, 0.3)
    full, scarce = read(), read(episodes=2)
    assert scarce.train.tolist() == full.train[:2].tolist()
    assert scarce.held_out.tolist() == full.held_out.tolist()
    assert scarce.latents.shape == full.latents.shape


def test_only_episodes_about_the_chosen_tasks_take_part(
    tmp_path: Path, dataset: Path, encoder: Path
) -> None:
    about = Dataset.open(dataset).about(["grasp"])
    assert about.tolist() == [1, 3, 5]
    read = partial(load_recordings, Dataset.open(dataset), load_encoder(encoder), tmp_path, 0.3)
    chosen = read(tasks=("grasp",))
    assert sorted([*chosen.train, *chosen.held_out]) == about.tolist()


def test_more_episodes_than_there_are_to_train_on_are_refused(
    tmp_path: Path, dataset: Path, encoder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = [f"encoder_checkpoint={encoder}", *COMPACT, "holdout=0.3", "episodes=5"]
    assert train_small(tmp_path, dataset, *options) == 1
    assert "Expected episodes between 1 and 4" in capsys.readouterr().err


@pytest.fixture(scope="module")
def droid(tmp_path_factory: pytest.TempPathFactory, write_droid: Callable[..., Path]) -> Path:
    """Three raw episodes of DROID, 3 s each, of frames that are not square."""
    root = tmp_path_factory.mktemp("droid")
    for name in "abc":
        write_droid(root / "lab/success" / name, rows=46)
    return root


def test_raw_episodes_of_droid_train_a_token_world_that_knows_the_camera(
    tmp_path: Path, droid: Path, encoder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = [f"encoder_checkpoint={encoder}", *TOKENS, "predictor.model.extrinsics=true"]
    assert not train_small(tmp_path, droid, *options, "camera=ext1", "fps=4", "actions=poses")
    assert "frames of 36 x 64: central square, resized to 24 x 24" in capsys.readouterr().out
    world = read_world(tmp_path / "world")
    assert isinstance(world, TokenWorld)
    assert (world.action_width, world.predictor.config.state_width) == (7, 7)
    assert world.predictor.config.extrinsics
    assert world.predictor.config.states.composed
    assert world.spec is not None
    assert (world.spec.actions.kind, world.spec.states.kind) == ("pose_delta", "pose")
    (cached,) = (tmp_path / "cache").glob("latents-*.npy")
    assert np.load(cached, mmap_mode="r").shape == (3 * 13, 4, 16)


def test_a_lerobot_dataset_is_sampled_and_cropped_the_same_way(
    tmp_path: Path, dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes = EncoderConfig(image_size=12, patch_size=6, width=16, depth=1, heads=2)
    save_encoder(tmp_path / "encoder", VideoTransformer(sizes))
    options = [f"encoder_checkpoint={tmp_path / 'encoder'}", *TOKENS]
    sampled = (*options, "fps=4", "actions=poses")
    assert train_small(tmp_path, dataset, *sampled)
    assert "say so with spec.state_kind=pose" in capsys.readouterr().err
    assert not train_small(tmp_path, dataset, *sampled, "spec.state_kind=pose")
    assert read_world(tmp_path / "world").predictor.config.states.composed
    assert "24 x 24: central square, resized to 12 x 12" in capsys.readouterr().out


@pytest.mark.parametrize(("predictor", "fit"), [("tokens", "crop"), ("vector", "squeeze")])
def test_arrays_of_frames_of_any_shape_train_either_kind_of_world(
    tmp_path: Path, encoder: Path, predictor: str, fit: str, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    recordings = [
        Recording(
            rng.integers(0, 256, (LENGTH, 20, 36, 3), dtype=np.uint8),
            rng.normal(size=(LENGTH, 2)),
            np.ones((LENGTH, 1)),
        )
        for _ in range(EPISODES)
    ]
    words = TOKENS if predictor == "tokens" else COMPACT
    load("train")
    recipe = typed(composed("train", ["data=d", "out=o", *words])).predictor
    train(
        data=recordings,
        out=str(tmp_path / "world"),
        predictor=recipe,
        fit=fit,
        encoder_checkpoint=str(encoder),
        cache=str(tmp_path / "cache"),
    )
    printed = capsys.readouterr().out
    assert "frames of 20 x 36" in printed
    assert "state dimensions that never change: 0" in printed
    assert read_world(tmp_path / "world").action_width == 2


def test_what_is_no_source_of_data_is_told() -> None:
    with pytest.raises(SettingsError, match="an EpisodeDataset or a list of Recording, got list"):
        train(data=[1, 2], out="o")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["fps=4"], "Expected actions=poses with fps=4"),
        (["camera=ext1", "fps=20", "actions=poses"], "Expected at least 20 frames a second"),
        (["fps=4", "actions=pose"], "did you mean 'poses'?"),
        (["fps=often"], "fps=often"),
        (["camera=ext7"], "no camera 'ext7'"),
    ],
)
def test_how_data_cannot_be_read_is_one_clear_line(
    tmp_path: Path,
    droid: Path,
    encoder: Path,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    message: str,
) -> None:
    given = [] if any(o.startswith("camera") for o in options) else ["camera=ext1"]
    assert (
        train_small(tmp_path, droid, f"encoder_checkpoint={encoder}", *TOKENS, *given, *options)
        == 1
    )
    assert message in capsys.readouterr().err
    assert not (tmp_path / "cache").exists()


def test_the_cameras_poses_are_asked_for_before_anything_is_embedded(
    tmp_path: Path, dataset: Path, encoder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = [f"encoder_checkpoint={encoder}", *TOKENS, "predictor.model.extrinsics=true"]
    assert train_small(tmp_path, dataset, *options) == 1
    assert "Expected the camera's poses" in capsys.readouterr().err
    assert not (tmp_path / "cache").exists()
