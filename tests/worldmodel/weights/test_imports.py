"""``worldmodel import``: what is written loads again as what was read, or nothing is written."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from worldmodel.cli.main import main
from worldmodel.errors import UserError
from worldmodel.weights import (
    export_vjepa2,
    load_vjepa2,
    load_vjepa2_ac,
    load_vjepa2_masked_predictor,
)
from worldmodel.weights.encoder import load_encoder
from worldmodel.weights.world import read_world

DATA = Path(__file__).parents[2] / "data" / "vjepa2"
TINY = DATA / "vjepa2_tiny.pt"


@pytest.fixture
def ac_pt(tmp_path: Path) -> Path:
    encoder = torch.load(TINY, weights_only=True)["target_encoder"]
    predictor = torch.load(DATA / "vjepa2_ac_predictor.pt", weights_only=True)["predictor"]
    torch.save({"target_encoder": encoder, "predictor": predictor}, tmp_path / "ac.pt")
    return tmp_path / "ac.pt"


def assert_same(ours: torch.nn.Module, loaded: torch.nn.Module) -> None:
    tensors = loaded.state_dict()
    assert ours.state_dict().keys() == tensors.keys()
    assert all(torch.equal(tensor, tensors[name]) for name, tensor in ours.state_dict().items())


def test_an_encoder_comes_back_from_its_folder(tmp_path: Path) -> None:
    out = tmp_path / "encoder"
    assert main(["import", str(TINY), f"out={out}", "weights=encoder", "image_size=64"]) == 0
    expected = load_vjepa2(TINY, weights="encoder", image_size=64)
    loaded = load_vjepa2(out, weights="encoder")
    assert loaded.config == expected.config
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
    assert_same(expected, loaded)
    assert_same(expected, load_encoder(out).model)
    record = json.loads((out / "config.json").read_text())["record"]
    assert record == {"source": str(TINY), "weights": "encoder"}
    with pytest.raises(UserError, match="holds the weights 'encoder' only, expected 'target_enc"):
        load_vjepa2(out)


def test_a_world_that_is_told_of_the_camera_plans_and_is_drawn(
    tmp_path: Path, ac_pt: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    seeing, blind = tmp_path / "seeing", tmp_path / "blind"
    for world, uses in ((seeing, "true"), (blind, "false")):
        words = [f"out={world}", "image_size=64", f"use_extrinsics={uses}"]
        assert main(["import", str(ac_pt), *words]) == 0
    small = "planner=vjepa2_ac planner.samples=4 planner.elites=2 planner.iterations=1 task=reach"
    plan = f"plan episodes=1 videos=0 task.budget_steps=1 {small} out={tmp_path / 'plan'}"
    landscape = f"landscape points=2 third=3 {small} out={tmp_path / 'landscape'}"
    pose = "camera_pose=[0.1,0.2,0.3,0,0,1.5]"
    for words in (plan, landscape):
        assert main([*words.split(), f"checkpoint={seeing}"]) == 1
        assert "camera_pose=[x,y,z,a,b,c]" in capfd.readouterr().err
        assert main([*words.split(), f"checkpoint={seeing}", "camera_pose=[1,2]"]) == 1
        assert "got 2 numbers" in capfd.readouterr().err
        assert main([*words.split(), f"checkpoint={seeing}", pose]) == 0
        assert main([*words.split(), f"checkpoint={blind}", pose]) == 1
        assert "Expected no camera_pose" in capfd.readouterr().err


def test_a_folder_of_something_else_is_not_overwritten(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "config.json"
    config.write_text('{"model_type": "vjepa2"}')
    assert main(["import", str(TINY), f"out={tmp_path}"]) == 1
    assert "got a folder with another config.json" in capfd.readouterr().err
    assert config.read_text() == '{"model_type": "vjepa2"}'
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]


def test_tensors_in_one_anothers_memory_are_written_apart(tmp_path: Path) -> None:
    content = torch.load(TINY, weights_only=True)
    weights = content["target_encoder"]
    weights["module.backbone.norm.bias"] = weights["module.backbone.norm.weight"]
    torch.save(content, tmp_path / "shared.pt")
    assert main(["import", str(tmp_path / "shared.pt"), f"out={tmp_path / 'out'}"]) == 0
    norm = load_vjepa2(tmp_path / "out").norm
    assert torch.equal(norm.bias, norm.weight)


@pytest.mark.parametrize("kind", ["action", "state"])
def test_a_world_of_another_arm_is_refused_by_name(
    tmp_path: Path, ac_pt: Path, capfd: pytest.CaptureFixture[str], kind: str
) -> None:
    content = torch.load(ac_pt, weights_only=True)
    content["predictor"][f"module.{kind}_encoder.weight"] = torch.zeros(128, 6)
    torch.save(content, ac_pt)
    assert main(["import", str(ac_pt), f"out={tmp_path / 'world'}", "image_size=64"]) == 1
    assert f"expected {kind}s of 7 numbers, poses as V-JEPA 2-AC has" in capfd.readouterr().err
    assert not (tmp_path / "world/config.json").exists()


def test_a_world_comes_back_ready_to_plan_in(tmp_path: Path, ac_pt: Path) -> None:
    out = tmp_path / "world"
    assert main(["import", str(ac_pt), f"out={out}", "image_size=64"]) == 0
    again = tmp_path / "again"  # imported once more, it is the same
    assert main(["import", str(out), f"out={again}"]) == 0
    assert_same(load_vjepa2_ac(out), load_vjepa2_ac(again))
    expected = load_vjepa2_ac(ac_pt, image_size=64)
    for loaded in (load_vjepa2_ac(out), read_world(out)):
        assert_same(expected, loaded)
        assert loaded.predictor.config == expected.predictor.config
    frames = torch.randint(256, (1, 2, 64, 64, 3), dtype=torch.uint8)
    assert torch.equal(loaded.encode(frames), expected.encode(frames))


def test_the_published_search_plans_in_an_imported_world(tmp_path: Path, ac_pt: Path) -> None:
    world, out = tmp_path / "world", tmp_path / "plan"
    assert main(["import", str(ac_pt), f"out={world}", "image_size=64"]) == 0
    words = f"plan task=push planner=vjepa2_ac checkpoint={world} episodes=1 videos=0 out={out}"
    small = "planner.samples=8 planner.elites=3 planner.iterations=2 task.budget_steps=2"
    assert main([*words.split(), *small.split()]) == 0
    report = json.loads((out / "report.json").read_text())
    assert report["n"] == 1
    assert report["planner"]["box"] == 0.075
    protocol = report["protocol"]
    assert (protocol["energy"], protocol["metric"], protocol["reduce"]) == ("latent", "l1", "final")
    assert not protocol["world_energy"]


def test_recordings_judge_an_imported_world(tmp_path: Path, ac_pt: Path) -> None:
    world, data, out = tmp_path / "world", tmp_path / "data", tmp_path / "offline"
    assert main(["import", str(ac_pt), f"out={world}", "image_size=64"]) == 0
    assert main(f"collect task=reach episodes=3 length=8 image_size=64 out={data}".split()) == 0
    words = f"evaluate data={data} checkpoint={world} out={out} episodes=all steps=2 windows=4"
    assert main([*words.split(), "candidates=4", f"cache={tmp_path / 'cache'}"]) == 0
    report = json.loads((out / "offline.json").read_text())
    assert report["open_loop"]["control_steps"] == [1, 2]
    assert 0 <= report["action_rank"]["better_share"] <= 1


def test_a_masked_predictor_comes_back(tmp_path: Path) -> None:
    out = tmp_path / "predictor"
    words = ["import", str(TINY), f"out={out}", "kind=masked_predictor", "image_size=64"]
    assert main(words) == 0
    loaded = load_vjepa2_masked_predictor(out)
    assert_same(load_vjepa2_masked_predictor(TINY, image_size=64), loaded)
    assert loaded.encoder_sizes.image_size == 64


def test_a_folder_of_transformers_is_imported_too(tmp_path: Path) -> None:
    encoder = load_vjepa2(TINY, image_size=64)
    export_vjepa2(tmp_path / "hub", encoder)
    assert main(["import", str(tmp_path / "hub"), f"out={tmp_path / 'ours'}"]) == 0
    assert_same(encoder, load_vjepa2(tmp_path / "ours"))


def test_a_path_may_hold_what_overrides_give_a_meaning(tmp_path: Path) -> None:
    odd = tmp_path / "it's {a}, [b].pt"
    shutil.copy(TINY, odd)
    assert main(["import", str(odd), f"out={tmp_path / 'out'}"]) == 0


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("import {source} out={out} weights=ema_encoder", "expected 'ema_encoder', found encoder"),
        ("import {source} out={out} kind=ac", "no action_encoder.weight"),
        ("import {source} out={out} kind=acc", "unknown kind 'acc'; did you mean 'ac'?"),
        ("import {source} out={out} encoder_heads=3", "heads that divide a width of 128"),
        ("import nothing.pt out={out}", "nothing.pt does not exist"),
        ("import {source}", "missing value: out=…"),
        ("import out={out}", "missing value: source=…"),
    ],
)
def test_what_is_wrong_is_told_and_nothing_is_written(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], words: str, expected: str
) -> None:
    out = tmp_path / "out"
    assert main(words.format(source=TINY, out=out).split()) == 1
    assert expected in capfd.readouterr().err
    assert not out.exists()


def test_a_source_is_never_overwritten(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    export_vjepa2(tmp_path, load_vjepa2(TINY, image_size=64))
    before = (tmp_path / "config.json").read_text()
    assert main(["import", str(tmp_path), f"out={tmp_path}"]) == 1
    assert "another folder" in capfd.readouterr().err
    assert (tmp_path / "config.json").read_text() == before
