import json
from collections.abc import Callable
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


@pytest.fixture
def first_format(tmp_path: Path) -> Callable[..., Path]:
    """A checkpoint of format 1, which nothing guards, with other settings."""

    def write(*without: str, **settings: object) -> Path:
        sizes = EncoderConfig(image_size=24, width=24, depth=1, heads=2)
        save_encoder(tmp_path, VideoTransformer(sizes))
        content = json.loads((tmp_path / "config.json").read_text())
        del content["sha256"]
        content["format_version"] = 1
        content["encoder"] |= settings
        for name in without:
            del content["encoder"][name]
        (tmp_path / "config.json").write_text(json.dumps(content))
        return tmp_path

    return write


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tiled_rope": "no"}, "true or false for tiled_rope, got 'no'"),
        ({"tiled_rope": 0}, "true or false for tiled_rope, got 0"),
        ({"depth": True}, "a whole number for depth, got True"),
        ({"depth": 1.0}, "a whole number for depth, got 1.0"),
        ({"depth": 100_000}, "depth of at most 256, got 100000"),
        ({"width": 2**31}, "width of at most 16384, got 2147483648"),
        ({"mlp_ratio": 10**400}, "mlp_ratio"),
        ({"heads": 0}, "heads of at least 1, got 0"),
        ({"patch_size": 7}, "multiple of patch_size=7"),
        ({"heads": 5}, "width that 5 heads divide evenly"),
        ({"colour": "red"}, "unknown key 'colour'"),
        ({"width": 12}, r"wrong shape: patch_embed.proj.weight \(expected \[12, .*got \[24, "),
    ],
)
def test_sizes_that_make_no_encoder_are_refused(
    first_format: Callable[..., Path], settings: dict[str, object], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        load_encoder(first_format(**settings))


def test_nothing_takes_a_default_but_what_the_first_checkpoints_could_not_say(
    first_format: Callable[..., Path],
) -> None:
    config = load_encoder(first_format("vjepa_2_1", "fixed_grid")).model.config
    assert (config.vjepa_2_1, config.fixed_grid) == (False, None)
    with pytest.raises(UserError, match="expected also heads"):
        load_encoder(first_format("heads"))
