"""Importing takes the weights' size once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from worldmodel.encoders.vision_transformer import EncoderConfig, VideoTransformer

MEASURED = """
import sys
from worldmodel.weights.imports import ImportConfig, import_weights
import worldmodel.weights.vjepa2

def kilobytes(field):
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(field))

before = kilobytes("VmRSS")
config = ImportConfig(source=sys.argv[1], out=sys.argv[2], weights="encoder", kind="encoder")
import_weights(config)
print("took", 1024 * (kilobytes("VmHWM") - before))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_importing_takes_little_more_memory_than_the_file(tmp_path: Path) -> None:
    # 0.3 GB, beside which what Python itself takes is little.
    sizes = EncoderConfig(64, 16, width=768, depth=10, heads=12, tiled_rope=True)
    with torch.device("meta"):
        model = VideoTransformer(sizes)
    weights = {f"module.backbone.{k}": torch.zeros(v.shape) for k, v in model.state_dict().items()}
    source = tmp_path / "large.pt"
    torch.save({"encoder": weights}, source)
    words = [sys.executable, "-c", MEASURED, str(source), str(tmp_path / "out")]
    said = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    took = int(said.split("took ")[1])
    assert took <= 1.2 * source.stat().st_size
