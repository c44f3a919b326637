"""``worldmodel train`` makes a world of either kind from any dataset, or says why not."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from worldmodel.cli import main as cli
from worldmodel.cli.configuration import composed, load, typed
from worldmodel.data.lerobot.dataset import Dataset
from worldmodel.data.lerobot.writer import finish_dataset, write_shard
from worldmodel.data.recording import Recording
from worldmodel.dynamics.loading import load_recordings
from worldmodel.dynamics.train import run_training, train
from worldmodel.encoders.vision_transformer import EncoderConfig, VideoTransformer
from worldmodel.errors import SettingsError
from worldmodel.predictors.lewm_world import LewmWorld
from worldmodel.predictors.token_world import TokenWorld
from worldmodel.predictors.vector_world import VectorWorld
from worldmodel.training_log import TrainingLog
from worldmodel.weights.encoder import load_encoder, save_encoder
from worldmodel.weights.world import read_world

SIZE, LENGTH, EPISODES = 24, 14, 6
TASKS = ("push", "grasp")
COMPACT = [
    "predictor.training.object_latent.steps=2",
    "predictor.training.proprio.steps=2",
    "predictor.training.scenes.steps=2",
    "predictor.training.state_model.steps=2",
    "predictor.training.dynamics.steps=2",
    "predictor.training.value.steps=2",
    "predictor.training.prior.steps=2",
    "predictor.training.reachability.steps=2",
    "predictor.training.uncertainty.steps=2",
    "predictor.training.macros.steps=2",
    "predictor.training.macros.rollout=1",
    "predictor.model.width=16",
    "predictor.model.head_width=16",
    "predictor.model.prior_width=16",
]
TOKENS = [
    "predictor=tokens",
    "predictor.training.steps=2",
    "predictor.training.batch=2",
    "predictor.training.state_model.steps=2",
]
LEWM = [
    "predictor=lewm",
    "predictor.training.steps=2",
    "predictor.training.batch=2",
    "predictor.training.state_model.steps=2",
    "predictor.training.inverse.steps=2",
    f"predictor.encoder.image_size={SIZE}",
    "predictor.encoder.patch_size=12",
    "predictor.encoder.width=12",
    "predictor.encoder.depth=1",
]


@dataclass(frozen=True)
class _Episode:
    frames: np.ndarray
    actions: np.ndarray
    states: np.ndarray
    objects: np.ndarray | None
    task: str = "push"


def _episode(seed: int, width: int) -> _Episode:
    rng = np.random.default_rng(seed)
    frames = rng.integers(0, 256, (LENGTH, SIZE, SIZE, 3), dtype=np.uint8)
    actions, states = (rng.normal(size=(LENGTH, width)).astype(np.float32) for _ in range(2))
    return _Episode(frames, actions, states, None)


def _dataset(root: Path, width: int, seed: int = 0) -> Path:
    make = partial(_episode, width=width)
    episodes = [
        replace(make(seed + number), task=TASKS[number % len(TASKS)]) for number in range(EPISODES)
    ]
    common = {"tasks": TASKS, "fps": 5, "camera": "front"}
    write_shard(root, 0, 0, 0, range(EPISODES), episodes, **common)
    finish_dataset(root, 1, **common)
    return root


def _encoder(folder: Path, seed: int = 0) -> Path:
    torch.manual_seed(seed)
    sizes = EncoderConfig(image_size=SIZE, patch_size=12, width=16, depth=1, heads=2)
    save_encoder(folder, VideoTransformer(sizes))
    return folder


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _encoder(tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _dataset(tmp_path_factory.mktemp("data"), width=7)


def _train(tmp_path: Path, data: Path, *options: str) -> int:
    out, cache = tmp_path / "world", tmp_path / "cache"
    return cli.main(["train", f"data={data}", f"out={out}", f"cache={cache}", *options])


def test_a_predictor_too_large_to_train_is_refused_before_frames_are_embedded(
    tmp_path: Path, dataset: Path, encoder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes = ["predictor.model.width=16384", "predictor.model.depth=256"]
    short = "predictor.training.macros.rollout=1"  # these episodes have 14 frames
    for kind in ([short], ["predictor=tokens", "device=cpu"]):
        assert _train(tmp_path, dataset, f"encoder_checkpoint={encoder}", *kind, *sizes) == 1
        assert "Lower predictor.model.width" in capsys.readouterr().err
    assert not (tmp_path / "cache").exists()


def test_either_kind_of_world_is_trained_validated_and_saved(
    tmp_path: Path, dataset: Path, encoder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for kind, options in ((VectorWorld, COMPACT), (TokenWorld, TOKENS)):
        assert not _train(
            tmp_path / kind.__name__, dataset, f"encoder_checkpoint={encoder}", *options
        )
        folder = tmp_path / kind.__name__ / "world"
        assert isinstance(read_world(folder), kind)
        record = json.loads((folder / "config.json").read_text())["record"]
        assert all(np.isfinite(record["validation"]["latent_error"]))
        assert "held-out open loop" in capsys.readouterr().out


def test_lewm_trains_its_encoder_itself_and_goes_on(
    tmp_path: Path, dataset: Path, encoder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _train(tmp_path, dataset, f"encoder_checkpoint={encoder}", *LEWM)
    assert "Expected no encoder_checkpoint with predictor=lewm" in capsys.readouterr().err
    assert not _train(tmp_path, dataset, *LEWM)
    assert "held-out open loop" in capsys.readouterr().out
    world = read_world(tmp_path / "world")
    assert isinstance(world, LewmWorld)
    assert (world.action_width, world.predictor.config.state_width) == (7, 7)
    assert world.spec is not None
    actions = torch.from_numpy(Dataset.open(dataset).actions)
    scaled = world.predictor.scale_actions(actions)
    assert scaled.mean(0).abs().max() < 0.3  # standard scores, of the episodes that were trained on
    record = json.loads((tmp_path / "world" / "config.json").read_text())["record"]
    assert len(record["validation"]["latent_error"]) == 5
    assert record["proprioception"]["control_steps"]
    assert record["inverse"]["left"][0] == 1
    assert world.predictor.inverse.trained
    apart = [*LEWM, "predictor.training.inverse.steps=0"]
    assert not _train(tmp_path / "more", dataset, f"init={tmp_path / 'world'}", *apart)
    more = read_world(tmp_path / "more" / "world")
    assert isinstance(more, LewmWorld)
    assert not more.predictor.inverse.trained  # it knew other latents
    assert more.encoder.fingerprint() != world.encoder.fingerprint()
    assert torch.equal(more.predictor.scale_actions.rest, world.predictor.scale_actions.rest)
    alone = [*LEWM, "predictor.training.steps=0", "predictor.training.state_model.steps=0"]
    assert not _train(tmp_path / "same", dataset, f"init={tmp_path / 'more' / 'world'}", *alone)
    same, before = read_world(tmp_path / "same" / "world").state_dict(), more.state_dict()
    changed = {name for name, tensor in same.items() if not torch.equal(tensor, before[name])}
    assert changed
    assert all(name.startswith("predictor.inverse.") for name in changed)
    for options, told in (
        (["predictor.model.depth=3"], "predictor.model.depth=4, which training on cannot change"),
        (["predictor.encoder.depth=2"], "predictor.encoder.depth=1, which training on cannot"),
    ):
        assert _train(tmp_path / "c", dataset, f"init={tmp_path / 'world'}", *LEWM, *options)
        assert told in capsys.readouterr().err
    assert _train(tmp_path / "d", dataset, f"init={tmp_path / 'world'}", *TOKENS)
    assert "holds a world of predictor=lewm" in capsys.readouterr().err


def test_an_encoder_comes_from_a_world_too_and_the_error_is_what_a_sweep_minimises(
    tmp_path: Path, dataset: Path, encoder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not _train(tmp_path / "a", dataset, f"encoder_checkpoint={encoder}", *TOKENS)
    world = tmp_path / "a" / "world"
    load("train")
    words = [f"data={dataset}", f"out={tmp_path / 'b'}", f"cache={tmp_path / 'cache'}", *TOKENS]
    objective = run_training(typed(composed("train", [*words, f"encoder_checkpoint={world}"])))
    assert f"encoder of the world in encoder_checkpoint={world}" in capsys.readouterr().out
    assert read_world(tmp_path / "b").encoder.fingerprint() == load_encoder(encoder).fingerprint()
    record = json.loads((tmp_path / "b" / "config.json").read_text())["record"]
    assert objective == pytest.approx(np.mean(record["validation"]["latent_error"]))


def test_widths_are_the_datasets_own(tmp_path: Path, encoder: Path) -> None:
    data = _dataset(tmp_path / "data", width=3)
    assert not _train(tmp_path, data, f"encoder_checkpoint={encoder}", *COMPACT)
    world = read_world(tmp_path / "world")
    assert isinstance(world, VectorWorld)
    assert (world.action_width, world.predictor.config.state_width) == (3, 3)


def test_a_world_goes_on_only_with_actions_of_its_width(
    tmp_path: Path, dataset: Path, encoder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not _train(tmp_path / "a", dataset, f"encoder_checkpoint={encoder}", *COMPACT)
    world = tmp_path / "a" / "world"
    assert not _train(tmp_path / "b", dataset, f"init={world}", *COMPACT)
    other = _dataset(tmp_path / "data", width=3)
    assert _train(tmp_path / "c", other, f"init={world}", *COMPACT)
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert "expected action_width of 7" in message
    assert "got 3" in message


def test_a_token_world_goes_on_with_its_weights_and_scaling(
    tmp_path: Path, dataset: Path, encoder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not _train(tmp_path / "a", dataset, f"encoder_checkpoint={encoder}", *TOKENS)
    world = tmp_path / "a" / "world"
    other = _dataset(tmp_path / "data", width=7, seed=100)
    rates = ("learning_rate=0", "state_model.learning_rate=0")
    still = [*TOKENS, *(f"predictor.training.{rate}" for rate in rates)]
    assert not _train(tmp_path / "b", other, f"init={world}", *still)
    before, after = read_world(world), read_world(tmp_path / "b" / "world")
    for name, value in before.predictor.state_dict().items():
        assert torch.equal(after.predictor.state_dict()[name], value), name
    assert not torch.equal(after.familiarity.usual, before.familiarity.usual)  # of its own frames
    assert _train(tmp_path / "c", dataset, f"init={world}", *COMPACT)
    assert "holds a world of predictor=tokens" in capsys.readouterr().err
    assert _train(tmp_path / "d", dataset, f"init={world}", *TOKENS, "predictor.model.depth=3")
    assert "cannot change to 3" in capsys.readouterr().err


def test_a_vector_world_goes_on_with_its_scaling_on_other_data(
    tmp_path: Path, dataset: Path, encoder: Path
) -> None:
    assert not _train(tmp_path / "a", dataset, f"encoder_checkpoint={encoder}", *COMPACT)
    world = tmp_path / "a" / "world"
    other = _dataset(tmp_path / "data", width=7, seed=100)
    assert not _train(tmp_path / "b", other, f"init={world}", *COMPACT)
    before, after = (read_world(path).predictor for path in (world, tmp_path / "b" / "world"))
    for part in ("scale_actions", "state_features"):
        kept = getattr(after, part).state_dict()
        for name, value in getattr(before, part).state_dict().items():
            assert torch.equal(kept[name], value), f"{part}.{name}"


def test_episodes_too_short_for_a_window_are_refused_before_any_is_embedded(
    tmp_path: Path, dataset: Path, encoder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*TOKENS, "predictor.training.frames=15", f"encoder_checkpoint={encoder}"]
    assert _train(tmp_path, dataset, *words)
    assert "Expected episodes of at least 15 frames" in capsys.readouterr().err
    assert not list(tmp_path.rglob("*latents*"))


def test_an_encoder_or_a_world_to_go_on_from_is_asked_for(
    tmp_path: Path, dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _train(tmp_path, dataset, *COMPACT)
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
    assert _train(tmp_path, dataset, *options) == 1
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
    assert not _train(tmp_path, droid, *options, "camera=ext1", "fps=4", "actions=poses")
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
    assert _train(tmp_path, dataset, *sampled)
    assert "say so with spec.state_kind=pose" in capsys.readouterr().err
    assert not _train(tmp_path, dataset, *sampled, "spec.state_kind=pose")
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
    assert _train(tmp_path, droid, f"encoder_checkpoint={encoder}", *TOKENS, *given, *options) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "cache").exists()


def test_the_cameras_poses_are_asked_for_before_anything_is_embedded(
    tmp_path: Path, dataset: Path, encoder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = [f"encoder_checkpoint={encoder}", *TOKENS, "predictor.model.extrinsics=true"]
    assert _train(tmp_path, dataset, *options) == 1
    assert "Expected the camera's poses" in capsys.readouterr().err
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("options", "killed_at"),
    [
        (COMPACT, 6),
        ([*TOKENS, "predictor.training.log_every=1", "predictor.training.save_every=1"], 2),
    ],
)
def test_a_killed_training_goes_on_to_the_same_world(
    tmp_path: Path,
    dataset: Path,
    encoder: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    killed_at: int,
) -> None:
    options = [f"encoder_checkpoint={encoder}", *options]
    folders = [tmp_path / name / "world" for name in ("whole", "killed")]
    assert not _train(tmp_path / "whole", dataset, *options)
    with monkeypatch.context() as patch:
        patch.setattr(TrainingLog, "write", _killed_at(killed_at))
        assert _train(tmp_path / "killed", dataset, *options) == 130
    assert (folders[1] / "training_state.pt").exists()
    assert not _train(tmp_path / "killed", dataset, *options)
    for file in ("config.json", "model.safetensors", "metrics.jsonl"):
        assert folders[0].joinpath(file).read_bytes() == folders[1].joinpath(file).read_bytes()


def test_a_finished_world_is_trained_anew(tmp_path: Path, dataset: Path, encoder: Path) -> None:
    options = [f"encoder_checkpoint={encoder}", *COMPACT]
    logs: list[str] = []
    for seed in (0, 1):
        assert not _train(tmp_path, dataset, *options, f"predictor.training.seed={seed}")
        files = {file.name for file in (tmp_path / "world").iterdir()}
        own = {"config.json", "model.safetensors", "metrics.jsonl", "tensorboard"}
        assert files == own | {".hydra", "run.json"}
        logs.append((tmp_path / "world" / "metrics.jsonl").read_text())
    assert logs[0] != logs[1]


def test_a_killed_training_goes_on_only_with_what_it_was_begun_with(
    tmp_path: Path,
    dataset: Path,
    encoder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert not _train(tmp_path / "a", dataset, f"encoder_checkpoint={encoder}", *COMPACT)
    with monkeypatch.context() as patch:
        patch.setattr(TrainingLog, "write", _killed_at(6))
        assert _train(tmp_path, dataset, f"encoder_checkpoint={encoder}", *COMPACT) == 130
    data = _dataset(tmp_path / "data", width=7, seed=9)
    unlike = _encoder(tmp_path / "unlike", seed=1)
    for folder, other, names in (
        (data, [f"encoder_checkpoint={encoder}", *COMPACT], "data"),
        (dataset, [f"encoder_checkpoint={unlike}", *COMPACT], "encoder_checkpoint"),
        (dataset, [f"init={tmp_path / 'a' / 'world'}", *COMPACT], "init"),
        (
            dataset,
            [f"encoder_checkpoint={encoder}", *COMPACT, "predictor.training.seed=1", "holdout=0.3"],
            "holdout, predictor.training.seed",
        ),
        (
            dataset,
            [f"encoder_checkpoint={encoder}", *TOKENS],
            "predictor.model, predictor.training",
        ),
    ):
        assert _train(tmp_path, folder, *other) == 1
        assert f"other settings ({names})." in capsys.readouterr().err


def _killed_at(last: int) -> Callable[[TrainingLog, int, Mapping[str, float]], None]:
    """A log that is interrupted at a step."""
    write = TrainingLog.write

    def interrupted(log: TrainingLog, step: int, figures: Mapping[str, float]) -> None:
        write(log, step, figures)
        if step == last:
            raise KeyboardInterrupt

    return interrupted


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([*COMPACT, "predictor.training.value.learning_rate=1e30"], "stage value stopped at step"),
        ([*TOKENS, "predictor.training.learning_rate=1e30"], "token predictor stopped at step"),
    ],
)
def test_a_run_that_diverges_writes_no_world_and_says_so_in_a_line(
    options: list[str],
    said: str,
    tmp_path: Path,
    dataset: Path,
    encoder: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert _train(tmp_path, dataset, f"encoder_checkpoint={encoder}", *options) == 1
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert said in message
    assert "Lower learning_rate (now 1e+30)" in message
    assert not (tmp_path / "world" / "config.json").exists()
    assert not (tmp_path / "world" / "model.safetensors").exists()


def test_a_world_whose_validation_is_not_finite_is_taken_back_and_its_state_stays(
    tmp_path: Path,
    dataset: Path,
    encoder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def imagine_nothing(*_: object) -> torch.Tensor:
        return torch.full((1, 8, 4, 16), torch.nan)

    with monkeypatch.context() as patch:
        patch.setattr("worldmodel.dynamics.tokens.unroll", imagine_nothing)
        patch.setattr("worldmodel.dynamics.tokens.token_losses", _no_losses)
        assert _train(tmp_path, dataset, f"encoder_checkpoint={encoder}", *TOKENS) == 1
    assert "fails on held-out episodes" in capsys.readouterr().err
    assert sorted(path.name for path in (tmp_path / "world").iterdir()) == [
        "metrics.jsonl",
        "tensorboard",
        "training_state.pt",
    ]


def _no_losses(model: torch.nn.Module, *_: object) -> dict[str, torch.Tensor]:
    return {"nothing": sum((p.sum() * 0 for p in model.parameters()), torch.zeros(()))}
