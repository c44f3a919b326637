"""``worldmodel pretrain`` makes an encoder from any dataset, or says why not."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from worldmodel.cli import main as cli
from worldmodel.commands import pretrain
from worldmodel.data.lerobot.writer import finish_dataset, write_shard
from worldmodel.data.recording import Recording, write_dataset
from worldmodel.presets import preset
from worldmodel.pretraining.pretrain import PretrainConfig, run_pretraining
from worldmodel.pretraining.pretrain import pretrain as pretrain_of
from worldmodel.studies.encoders import ARMS
from worldmodel.training_state import sole_run
from worldmodel.weights import export_vjepa2, load_vjepa2, load_vjepa2_masked_predictor
from worldmodel.weights.encoder import load_encoder

SIZE, LENGTH, EPISODES = 24, 12, 4
SMALL = [
    "encoder.image_size=24",
    "encoder.width=24",
    "encoder.depth=1",
    "encoder.heads=2",
    "training.batch=4",
    "training.clip_frames=4",
    "training.min_rank=1",
    "training.probe_every=2",
    "training.log_every=1",
]


@dataclass(frozen=True)
class _Episode:
    frames: np.ndarray
    actions: np.ndarray
    states: np.ndarray
    objects: np.ndarray
    task: str = "push"


def _episode(seed: int) -> _Episode:
    rng = np.random.default_rng(seed)
    frames = rng.integers(0, 256, (LENGTH, SIZE, SIZE, 3), dtype=np.uint8)
    actions, states, objects = (rng.normal(size=(LENGTH, w)).astype(np.float32) for w in (7, 7, 6))
    return _Episode(frames, actions, states, objects)


def _dataset(root: Path, seed: int = 0) -> Path:
    episodes = map(_episode, range(seed, seed + EPISODES))
    common = {"tasks": ("push",), "fps": 5, "camera": "front"}
    write_shard(root, 0, 0, 0, range(EPISODES), episodes, **common)
    finish_dataset(root, 1, **common)
    return root


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _dataset(tmp_path_factory.mktemp("data"))


def _pretrain(tmp_path: Path, data: Path, *options: str) -> int:
    out, cache = tmp_path / "encoder", tmp_path / "cache"
    return cli.main(["pretrain", f"data={data}", f"out={out}", f"cache={cache}", *SMALL, *options])


def test_an_encoder_is_trained_judged_and_saved(
    tmp_path: Path,
    dataset: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    returned: list[float] = []
    run = pretrain.run
    monkeypatch.setattr(pretrain, "run", lambda config: returned.append(run(config)))
    assert not _pretrain(tmp_path, dataset, "training.steps=2", "frame_stride=2")
    assert load_encoder(tmp_path / "encoder").image_size == SIZE
    lines = (tmp_path / "encoder" / "metrics.jsonl").read_text().splitlines()
    logged = {name for line in lines for name in json.loads(line)}
    watched = {"rank", "std", "probe_object_cm", "probe_object1_cm"}
    assert watched | {"loss", "prediction", "variance", "covariance"} <= logged
    printed = capsys.readouterr().out
    assert "probe_object_cm" in printed
    assert "gripper" not in printed  # nobody said that these states are poses
    probed = [json.loads(lines[-1])[name] for name in watched if name.endswith("_cm")]
    assert returned == [pytest.approx(sum(probed) / 2)]  # what a sweep minimises


@pytest.mark.parametrize("command", ["pretrain", "train"])
def test_a_second_run_into_a_folder_is_refused_before_any_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    with sole_run(tmp_path / "out"):
        assert cli.main([command, f"out={tmp_path / 'out'}", "data=none"]) == 1
    assert capsys.readouterr().err == (
        f"error: Another process trains into {tmp_path / 'out'}. Let it end, or give another out.\n"
    )


@pytest.mark.parametrize("arm", ARMS)
def test_every_arm_of_the_study_makes_an_encoder_that_encodes(
    tmp_path: Path, dataset: Path, arm: str
) -> None:
    size = preset("encoder", "small", image_size=SIZE, width=24, depth=1, heads=2)
    small = {"steps": 2, "batch": 4, "clip_frames": 4, "min_rank": 0.0}
    out, cache = (str(tmp_path / name) for name in ("encoder", "cache"))
    training = preset("training", "vjepa", **small)
    config = PretrainConfig(str(dataset), out, encoder=size, training=training, cache=cache)
    run_pretraining(ARMS[arm].applied(config))
    frames = torch.zeros(1, 2, SIZE, SIZE, 3, dtype=torch.uint8)
    latents = load_encoder(tmp_path / "encoder").encode(frames)
    assert latents.shape == (1, 2, 4, 24)
    assert latents.isfinite().all()


def test_frames_of_any_shape_and_of_several_cameras_train_an_encoder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    sizes = {"front": (24, 40), "wrist": (48, 32)}
    made = [
        Recording(
            {
                name: rng.integers(0, 256, (LENGTH - number, *size, 3), dtype=np.uint8)
                for name, size in sizes.items()
            },
            rng.normal(size=(LENGTH - number, 2)),
        )
        for number in (0, 0, 0, LENGTH - 3)
    ]
    data = write_dataset(tmp_path / "data", made, fps=5)
    assert _pretrain(tmp_path, data, "training.steps=2") == 1
    assert "Choose with cameras=[front]" in capsys.readouterr().err
    assert not _pretrain(tmp_path, data, "training.steps=2", "cameras=[wrist,front]", "fit=pad")
    printed = capsys.readouterr().out
    assert "frames of 48 x 32, 24 x 40: black bars, resized to 24 x 24" in printed
    assert "1 of 4 episodes are shorter than 4 frames and are skipped" in printed
    (decoded,) = (tmp_path / "cache").glob("frames-*.npy")
    rows = sum(len(recording.actions) for recording in made)
    assert np.load(decoded, mmap_mode="r").shape == (2 * rows, 24, 24, 3)
    assert _pretrain(tmp_path, data, "camera=front", "cameras=[wrist]") == 1
    assert "camera=… or cameras=[…]" in capsys.readouterr().err
    training = preset("training", "vjepa", steps=1, batch=2, clip_frames=4, min_rank=0.0)
    encoder = preset("encoder", "small", image_size=SIZE, width=24, depth=1, heads=2)
    options = {"encoder": encoder, "training": training, "cache": str(tmp_path / "cache")}
    pretrain_of(data=made[:3], out=str(tmp_path / "from_arrays"), **options)
    assert load_encoder(tmp_path / "from_arrays").image_size == SIZE


def test_pixels_are_an_encoder_by_name(tmp_path: Path, dataset: Path) -> None:
    options = ["encoder=pixels", "encoder.image_size=24", "training.steps=0"]
    out, cache = tmp_path / "encoder", tmp_path / "cache"
    words = [f"data={dataset}", f"out={out}", f"cache={cache}", "training.clip_frames=4"]
    assert not cli.main(["pretrain", *words, *options])
    assert load_encoder(out).model.config.depth == 0


def test_images_train_an_encoder_too(tmp_path: Path, dataset: Path) -> None:
    assert not _pretrain(tmp_path, dataset, "training=ijepa", "training.steps=2")
    frames = torch.zeros(1, 2, SIZE, SIZE, 3, dtype=torch.uint8)
    assert load_encoder(tmp_path / "encoder").encode(frames).isfinite().all()
    assert load_vjepa2_masked_predictor(tmp_path / "encoder" / "masked_predictor").sizes.width == 96


def test_a_finished_run_gives_the_same_encoder_again(tmp_path: Path, dataset: Path) -> None:
    fingerprints: list[str] = []
    for _ in range(2):
        assert not _pretrain(tmp_path, dataset, "training.steps=2")
        fingerprints.append(load_encoder(tmp_path / "encoder").fingerprint())
    assert fingerprints[0] == fingerprints[1]


def test_what_was_pretrained_here_opens_in_transformers(tmp_path: Path, dataset: Path) -> None:
    words = ["encoder.tiled_rope=true", "training.predictor_width=24", "training.predictor_heads=2"]
    assert not _pretrain(tmp_path, dataset, "training.steps=2", *words)
    encoder = load_vjepa2(tmp_path / "encoder")
    predictor = load_vjepa2_masked_predictor(tmp_path / "encoder" / "masked_predictor")
    export_vjepa2(tmp_path / "out", encoder, predictor, frames=4)
    model, loading = transformers.VJEPA2Model.from_pretrained(
        tmp_path / "out", output_loading_info=True
    )
    assert not any(loading[kind] for kind in ("missing_keys", "unexpected_keys"))
    clip = torch.rand(1, 3, 4, SIZE, SIZE)
    with torch.no_grad():
        theirs = model.eval()(clip.transpose(1, 2), skip_predictor=True).last_hidden_state
    torch.testing.assert_close(encoder(clip), theirs, atol=1e-5, rtol=1e-5)


def test_a_run_goes_on_only_with_its_own_data(
    tmp_path: Path, dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not _pretrain(tmp_path, dataset, "training.steps=2")
    other = _dataset(tmp_path / "other", seed=9)
    assert _pretrain(tmp_path, other, "training.steps=2", "frame_stride=2", "holdout=0.5")
    assert "other settings (data, frame_stride, holdout)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("encoder.patch_size=10", "multiple of patch_size=10"),
        ("training.clip_frames=14", "Expected episodes of at least 14 frames"),
        ("training.clip_frames=5", "multiple of the tubelet"),
        ("training.stepz=3", "did you mean 'training.steps'?"),
        ("training=jepa", "unknown training 'jepa'; did you mean 'vjepa'?"),
        ("encoder.depth=0", "encoder.depth of at least 1 to train"),
        ("training.seed=many", "training.seed=many"),
        ("device=tpu", "device=tpu cannot be used here; try device=cpu"),
    ],
)
def test_what_cannot_be_trained_is_refused_in_one_line(
    tmp_path: Path,
    dataset: Path,
    capsys: pytest.CaptureFixture[str],
    option: str,
    message: str,
) -> None:
    assert _pretrain(tmp_path, dataset, "training.steps=2", option) == 1
    (line,) = [x for x in capsys.readouterr().err.splitlines() if x.startswith("error:")]
    assert message in line
    assert not (tmp_path / "encoder" / "model.safetensors").exists()


def test_an_output_that_cannot_be_written_is_named(
    tmp_path: Path, dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "encoder").write_text("in the way")
    assert _pretrain(tmp_path, dataset, "training.steps=0") == 1
    assert str(tmp_path / "encoder") in capsys.readouterr().err
