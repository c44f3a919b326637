import json
from pathlib import Path

import pytest
import torch

from worldmodel.encoders.frozen import FrozenEncoder
from worldmodel.encoders.vision_transformer import EncoderConfig, VideoTransformer
from worldmodel.errors import UserError
from worldmodel.weights.encoder import load_encoder, save_encoder


def test_an_encoder_comes_back_with_the_same_fingerprint(tmp_path: Path) -> None:
    torch.manual_seed(0)
    sizes = EncoderConfig(image_size=24, width=24, depth=1, heads=2, tiled_rope=True)
    model = VideoTransformer(sizes)
    save_encoder(tmp_path, model)
    loaded = load_encoder(tmp_path)
    assert loaded.model.config == sizes
    assert loaded.fingerprint() == FrozenEncoder(model).fingerprint()


def test_sizes_that_make_no_encoder_are_refused(tmp_path: Path) -> None:
    save_encoder(tmp_path, VideoTransformer(EncoderConfig(image_size=24, width=24, heads=2)))
    content = json.loads((tmp_path / "config.json").read_text())
    content["encoder"]["colour"] = "red"
    (tmp_path / "config.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match="does not describe an encoder"):
        load_encoder(tmp_path)
