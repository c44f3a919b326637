"""Encoders of `transformers` compute here what they compute there, and worlds on them come back.

The models are small and random, and saved with their processors as the Hub has them.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

import worldmodel as wm
from worldmodel.cli.main import main
from worldmodel.encoders.frozen import FrozenEncoder
from worldmodel.errors import UserError
from worldmodel.extras import MissingExtraError
from worldmodel.nn.blocks import normalise
from worldmodel.weights import load_vjepa2
from worldmodel.weights.checkpoint import FORMAT_VERSION
from worldmodel.weights.encoder import load_encoder
from worldmodel.weights.foreign import load_foreign
from worldmodel.weights.world import encoder_of, look_of, read_world

SIZE = 32
"""Side of the frames of all of them, pixels; patches are of 8."""

_SIZES = {
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "image_size": SIZE,
    "patch_size": 8,
}
_TEXT = {
    "hidden_size": 24,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "vocab_size": 50,
    "bos_token_id": 0,
    "eos_token_id": 1,
}
_DINO = {k: v for k, v in _SIZES.items() if k != "intermediate_size"} | {
    "mlp_ratio": 2,
    "image_size": 48,  # as with the released ones, frames are smaller than positions
}


def config_of(kind: str) -> Any:
    makers: dict[str, Any] = {
        "dinov2": lambda: transformers.Dinov2Config(**_DINO),
        "dinov2_with_registers": lambda: transformers.Dinov2WithRegistersConfig(
            **_DINO, num_register_tokens=4
        ),
        "dinov3": lambda: transformers.DINOv3ViTConfig(**_SIZES, num_register_tokens=3),
        "siglip_vision": lambda: transformers.SiglipVisionConfig(**_SIZES),
        "siglip": lambda: transformers.SiglipConfig(vision_config=_SIZES, text_config=_TEXT),
        "clip": lambda: transformers.CLIPConfig(vision_config=_SIZES, text_config=_TEXT),
        "vit_mae": lambda: transformers.ViTMAEConfig(**_SIZES),
        "ijepa": lambda: transformers.IJepaConfig(**_SIZES),
        "vit": lambda: transformers.ViTConfig(**_SIZES),
        "deit": lambda: transformers.DeiTConfig(**_SIZES),
    }
    return makers[kind]()


OTHERS = {
    "dinov2": 1,
    "dinov2_with_registers": 5,
    "dinov3": 4,
    "siglip_vision": 0,
    "siglip": 0,
    "clip": 1,
    "vit_mae": 1,
    "ijepa": 0,
    "vit": 1,
    "deit": 2,
}
"""Tokens before the patches: CLS, registers, distillation."""


def processor_of(kind: str) -> Any:
    """A processor whose numbers are of no other one."""
    statistics = {"image_mean": [0.4, 0.5, 0.6], "image_std": [0.2, 0.3, 0.25]}
    if kind.startswith("dinov2"):  # resizes a short side, then crops
        return transformers.BitImageProcessorPil(
            size={"shortest_edge": SIZE},
            crop_size={"height": SIZE, "width": SIZE},
            **statistics,
        )
    return transformers.ViTImageProcessorPil(size={"height": SIZE, "width": SIZE}, **statistics)


def make(kind: str, folder: Path, seed: int = 0) -> Any:
    """Save such a model and give it back, in eval mode."""
    torch.manual_seed(seed)
    model = transformers.AutoModel.from_config(config_of(kind)).eval()
    for parameter in model.parameters():  # large enough for every position to matter
        parameter.data.normal_(std=0.2)
    model.save_pretrained(folder)
    processor_of(kind).save_pretrained(folder)
    return model


@torch.no_grad()
def tokens_by_the_library(kind: str, model: Any, image: np.ndarray) -> torch.Tensor:
    """Patch tokens ``[N, D]`` of an image ``uint8 [h, w, 3]``, as `transformers` computes them."""
    pixels = processor_of(kind)(image, return_tensors="pt")["pixel_values"]
    options: dict[str, Any] = {}
    tower = getattr(model, "vision_model", model)
    if kind == "vit_mae":
        tower.config.mask_ratio = 0.0
        options["noise"] = torch.arange(16.0)[None]
    sequence = tower(pixel_values=pixels, **options).last_hidden_state[0]
    return sequence[OTHERS[kind] :]


def edit(file: Path, **changes: Any) -> None:
    """Change settings of a JSON file; None takes a key out."""
    settings = json.loads(file.read_text()) | changes
    file.write_text(json.dumps({k: v for k, v in settings.items() if v is not None}))


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)


@pytest.fixture
def dino(tmp_path: Path) -> Path:
    make("dinov2", tmp_path / "dino")
    return tmp_path / "dino"


def latents(encoder: FrozenEncoder, image: np.ndarray) -> torch.Tensor:
    """``[N, D]``."""
    return encoder.encode(torch.from_numpy(image)[None, None])[0, 0]


@pytest.mark.parametrize("kind", OTHERS)
def test_tokens_are_those_of_the_library_and_of_its_own_processor(
    kind: str, tmp_path: Path, image: np.ndarray
) -> None:
    model = make(kind, tmp_path / "model")
    encoder = load_foreign(f"hf:{tmp_path / 'model'}")
    assert (encoder.image_size, encoder.tokens, encoder.width) == (SIZE, 16, 24)
    theirs = tokens_by_the_library(kind, model, image)
    torch.testing.assert_close(latents(encoder, image), normalise(theirs), atol=1e-5, rtol=1e-5)
    assert not any(parameter.requires_grad for parameter in encoder.parameters())
    twice = encoder.encode(torch.from_numpy(np.stack([255 - image, image]))[None])[0, 1]
    torch.testing.assert_close(twice, latents(encoder, image), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", ["dinov3", "siglip", "vit_mae", "vit"])
def test_an_imported_encoder_comes_back_with_the_same_key_and_latents(
    kind: str, tmp_path: Path, image: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    make(kind, tmp_path / "model")
    source, out = f"hf:{tmp_path / 'model'}", tmp_path / "out"
    assert main(["import", source, f"out={out}"]) == 0
    assert f"16 tokens of 24 of frames of {SIZE} x {SIZE}" in capsys.readouterr().out
    original, loaded = load_foreign(source), load_encoder(out)
    assert loaded.fingerprint() == original.fingerprint()
    assert torch.equal(latents(loaded, image), latents(original, image))
    assert not any(tensor.is_meta for tensor in (*loaded.parameters(), *loaded.buffers()))
    stored = json.loads((out / "config.json").read_text())
    assert stored["format_version"] == FORMAT_VERSION
    assert stored["encoder"]["kind"] == "transformers"
    assert stored["record"] == {"source": source}


def test_the_key_is_over_weights_preprocessing_and_cameras_and_not_over_the_name(
    dino: Path, tmp_path: Path
) -> None:
    key = load_foreign(f"hf:{dino}").fingerprint()
    shutil.copytree(dino, tmp_path / "moved")
    assert load_foreign(f"hf:{tmp_path / 'moved'}").fingerprint() == key
    edit(tmp_path / "moved" / "preprocessor_config.json", image_mean=[0.1, 0.2, 0.3])
    other_mean = load_foreign(f"hf:{tmp_path / 'moved'}").fingerprint()
    make("dinov2", tmp_path / "other", seed=1)
    other_weights = load_foreign(f"hf:{tmp_path / 'other'}").fingerprint()
    two = FrozenEncoder(load_foreign(f"hf:{dino}").model, cameras=2).fingerprint()
    assert len({key, other_mean, other_weights, two}) == 4


@pytest.fixture
def data(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    recordings = [
        wm.Recording(
            frames=rng.integers(0, 255, (12, SIZE, SIZE, 3), dtype=np.uint8),
            actions=rng.normal(size=(12, 2)).astype(np.float32),
            states=rng.normal(size=(12, 3)).astype(np.float32),
        )
        for _ in range(4)
    ]
    return wm.write_dataset(tmp_path / "data", recordings, fps=4)


TINY = {
    "model": {"width": 24, "depth": 1, "heads": 2},
    "training": {"steps": 2, "batch": 2, "frames": 4},
}


@pytest.mark.parametrize("kind", ["dinov3", "siglip"])
def test_a_world_is_trained_on_it_and_comes_back_without_its_source(
    kind: str, tmp_path: Path, data: Path, image: np.ndarray
) -> None:
    make(kind, tmp_path / "model")
    source = f"hf:{tmp_path / 'model'}"
    wm.train(
        data=str(data),
        out=str(tmp_path / "world"),
        predictor=wm.preset("predictor", "tokens", **TINY),
        holdout=0.3,
        encoder_checkpoint=source,
        cache=str(tmp_path / "cache"),
    )
    expected = latents(load_foreign(source), image)
    shutil.rmtree(tmp_path / "model")
    world = read_world(tmp_path / "world")
    assert torch.equal(latents(world.encoder, image), expected)
    assert torch.equal(latents(encoder_of(tmp_path / "world"), image), expected)
    assert look_of(tmp_path / "world").image_size == SIZE
    frames = torch.from_numpy(image)[None, None].expand(1, 2, -1, -1, -1)
    imagined = world.rollout(world.encode(frames), torch.zeros(1, 2, 3), torch.zeros(1, 4, 3, 2))
    assert imagined.latents.shape == (1, 4, 3, 16, 24)


def test_a_world_on_it_loads_without_any_network(tmp_path: Path, dino: Path) -> None:
    assert main(["import", f"hf:{dino}", f"out={tmp_path / 'out'}"]) == 0
    script = (
        "import socket; socket.socket.connect = None; "
        "from worldmodel.weights.encoder import load_encoder; "
        f"print(load_encoder({str(tmp_path / 'out')!r}).tokens)"
    )
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "empty")}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True
    )
    assert done.stdout.split() == ["16"], done.stderr


def test_a_name_is_fetched_from_the_hub_once(
    dino: Path, monkeypatch: pytest.MonkeyPatch, image: np.ndarray
) -> None:
    asked: list[tuple[str, list[str]]] = []

    def fetch(name: str, allow_patterns: list[str]) -> str:
        asked.append((name, allow_patterns))
        return str(dino)

    monkeypatch.setattr("huggingface_hub.snapshot_download", fetch)
    encoder = encoder_of("hf:somebody/dino")
    assert torch.equal(latents(encoder, image), latents(load_foreign(f"hf:{dino}"), image))
    ((name, patterns),) = asked
    assert name == "somebody/dino"
    assert not [pattern for pattern in patterns if pattern.endswith((".py", ".bin", "*"))]


class Hub(BaseHTTPRequestHandler):
    """The calls of a model hub that a download takes."""

    folder: Path
    commit = "0" * 40

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        names = [file.name for file in self.folder.iterdir()]
        wanted = self.path.partition("?")[0].rpartition("/")[2]
        if "/tree/" in self.path:
            files = [{"type": "file", "path": n, "size": 1, "oid": "0" * 40} for n in names]
            self.answer(json.dumps(files).encode())
        elif self.path.startswith("/api/models/somebody/dino"):
            files = [{"rfilename": name} for name in names]
            about = {"id": "somebody/dino", "sha": self.commit, "siblings": files}
            self.answer(json.dumps(about).encode())
        elif wanted in names:
            self.answer((self.folder / wanted).read_bytes())
        else:
            self.send_error(404)

    def answer(self, content: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", self.commit)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


def test_a_download_holds_settings_and_safetensors_and_no_code(dino: Path, tmp_path: Path) -> None:
    (dino / "modeling.py").write_text("raise SystemExit")
    (dino / "pytorch_model.bin").write_bytes(b"pickle")
    handler = type("OfThisFolder", (Hub,), {"folder": dino})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_address[1]}"
    script = (
        "from worldmodel.weights.foreign import load_foreign; "
        "print(load_foreign('hf:somebody/dino').fingerprint())"
    )
    environment = os.environ | {"HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "hub")}
    environment |= {"HF_HUB_DISABLE_XET": "1", "HF_HUB_OFFLINE": "0", "NO_PROXY": "127.0.0.1"}
    try:
        done = subprocess.run(
            [sys.executable, "-c", script], env=environment, capture_output=True, text=True
        )
    finally:
        server.shutdown()
        server.server_close()
    assert done.stdout.split() == [load_foreign(f"hf:{dino}").fingerprint()], done.stderr
    fetched = {file.name for file in (tmp_path / "hub").rglob("snapshots/*/*")}
    assert fetched == {"config.json", "model.safetensors", "preprocessor_config.json"}


def test_a_folder_of_vjepa2_gives_our_own_encoder(tmp_path: Path) -> None:
    sizes = {"crop_size": 64, "hidden_size": 48, "num_attention_heads": 2, "num_hidden_layers": 1}
    predictor = {"pred_hidden_size": 24, "pred_num_attention_heads": 2, "pred_num_hidden_layers": 1}
    config = transformers.VJEPA2Config(**sizes, **predictor, num_pooler_layers=1)
    classifier = transformers.VJEPA2ForVideoClassification(config).eval()
    classifier.save_pretrained(tmp_path / "classifier")
    clip = torch.randn(1, 3, 2, 64, 64)
    with torch.no_grad():
        theirs = classifier.vjepa2(clip.transpose(1, 2), skip_predictor=True).last_hidden_state
    ours = load_vjepa2(tmp_path / "classifier")
    torch.testing.assert_close(ours(clip), theirs, atol=1e-5, rtol=1e-5)
    frozen = load_foreign(f"hf:{tmp_path / 'classifier'}")
    assert frozen.fingerprint() == FrozenEncoder(ours).fingerprint()
    assert main(["import", str(tmp_path / "classifier"), f"out={tmp_path / 'out'}"]) == 0
    assert load_encoder(tmp_path / "out").fingerprint() == frozen.fingerprint()


def test_code_and_kernels_that_a_folder_names_are_never_loaded(
    dino: Path, image: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    expected = latents(load_foreign(f"hf:{dino}"), image)
    (dino / "evil.py").write_text("raise SystemExit('this ran')\n")
    code = {"AutoConfig": "evil.Config", "AutoModel": "evil.Model"}
    kernels = {"attn_implementation": "somebody/kernels", "_attn_implementation": "somebody/k"}
    edit(dino / "config.json", auto_map=code, architectures=["evil.Model"], **kernels)
    assert torch.equal(latents(load_foreign(f"hf:{dino}"), image), expected)


def drop(name: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        tensors = load_file(folder / "model.safetensors")
        del tensors[name]
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})

    return change


def set_to(name: str, value: float) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        tensors = load_file(folder / "model.safetensors")
        tensors[name] = torch.full_like(tensors[name], value)
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})

    return change


def elsewhere(folder: Path) -> None:
    names = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").rename(folder.parent / "other.safetensors")
    index = {"weight_map": dict.fromkeys(names, "../other.safetensors")}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def pickled(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(tensors, folder / "pytorch_model.bin")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda f: edit(f / "config.json", model_type="evil"), "model_type of a vision network"),
        (lambda f: edit(f / "config.json", model_type=None), "model_type of a vision network"),
        (lambda f: edit(f / "config.json", model_type="timm_wrapper"), "come by timm:NAME"),
        (lambda f: edit(f / "config.json", backbone="somebody/net"), "'backbone', which loads"),
        (lambda f: edit(f / "config.json", patch_size=0), "square patches within"),
        (lambda f: edit(f / "config.json", patch_size=[8, 4]), "square patches within"),
        (lambda f: edit(f / "config.json", hidden_size=30), "expected a 'dinov2'"),
        (lambda f: edit(f / "config.json", num_hidden_layers=3), "expected weights of"),
        (lambda f: (f / "config.json").unlink(), "config.json does not exist"),
        (lambda f: (f / "model.safetensors").unlink(), "model.safetensors does not exist"),
        (lambda f: (f / "model.safetensors").write_bytes(b"no"), "is damaged or truncated"),
        (pickled, "model.safetensors does not exist"),
        (elsewhere, "beside it"),
        (drop("layernorm.bias"), "expected weights of layernorm.bias"),
        (set_to("layernorm.bias", torch.nan), "NaN or infinities in network.layernorm.bias"),
        (lambda f: (f / "preprocessor_config.json").unlink(), "says how images are prepared"),
        (
            lambda f: edit(f / "preprocessor_config.json", crop_size={"height": 32, "width": 40}),
            "square images of a known size",
        ),
        (lambda f: edit(f / "preprocessor_config.json", image_std=[0, 1, 1]), r"std\[0\] above 0"),
        (lambda f: edit(f / "preprocessor_config.json", image_mean=None), "mean"),
        (lambda f: edit(f / "preprocessor_config.json", rescale_factor=0), "rescale_factor above"),
        (lambda f: edit(f / "preprocessor_config.json", crop_size=10**6), "image_size of at most"),
        (lambda f: (f / "adapter_config.json").write_text("{}"), "got an adapter"),
    ],
)
def test_what_is_wrong_with_a_folder_is_told_in_one_line(
    dino: Path, change: Callable[[Path], None], told: str
) -> None:
    change(dino)
    with pytest.raises(UserError, match=told) as caught:
        load_foreign(f"hf:{dino}")
    assert len(str(caught.value).splitlines()) == 1


def test_a_network_without_patch_tokens_is_told(tmp_path: Path) -> None:
    config = transformers.ResNetConfig(embedding_size=8, hidden_sizes=[8, 8], depths=[1, 1])
    transformers.ResNetModel(config).save_pretrained(tmp_path)
    processor_of("vit").save_pretrained(tmp_path)
    with pytest.raises(UserError, match="square patches within 32 pixels"):
        load_foreign(f"hf:{tmp_path}")


def test_a_missing_library_is_named_with_its_extra(
    dino: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'worldmodel\[encoders\]'"):
        load_foreign(f"hf:{dino}")
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'worldmodel\[encoders\]'"):
        load_foreign("timm:vit_tiny_patch16_224")


def test_only_source_and_out_are_the_users(
    dino: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["import", f"hf:{dino}", f"out={tmp_path / 'out'}"]
    assert main([*words, "image_size=64"]) == 1
    assert "Expected only source and out" in capsys.readouterr().err
    assert main([*words, "kind=ac"]) == 1
    assert not (tmp_path / "out").exists()


def test_a_changed_kind_is_refused_and_so_is_a_world_that_is_no_video_transformer(
    dino: Path, tmp_path: Path
) -> None:
    assert main(["import", f"hf:{dino}", f"out={tmp_path / 'out'}"]) == 0
    with pytest.raises(UserError, match="expected a video transformer"):
        load_vjepa2(tmp_path / "out")
    edit(tmp_path / "out" / "config.json", encoder={"kind": "evil"})
    with pytest.raises(UserError, match="changed or damaged"):
        load_encoder(tmp_path / "out")
