"""An image is shown as it was saved, or refused."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import PIL.Image
import pytest

from worldmodel.errors import UserError
from worldmodel.evaluation.image_files import read_image
from worldmodel.spec import CameraSpec

CAMERA = CameraSpec("front", 24, 24)
PIXELS = np.random.default_rng(0).integers(0, 256, (24, 24, 3), np.uint8)


def test_images_without_loss_are_read_as_they_are(tmp_path: Path) -> None:
    for name in ("a.png", "a.bmp", "a.ppm"):
        iio.imwrite(tmp_path / name, PIXELS)
        assert np.array_equal(read_image("goal", tmp_path / name, CAMERA), PIXELS), name


def refusal(file: Path) -> str:
    with pytest.raises(UserError) as caught:
        read_image("goal", file, CAMERA)
    return str(caught.value)


def test_a_changed_pixel_is_found(tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    PIL.Image.fromarray(PIXELS).save(file, compress_level=0)
    whole = bytearray(file.read_bytes())
    whole[len(whole) // 2] ^= 1
    file.write_bytes(whole)
    assert "not an image that can be read" in refusal(file)


def test_colours_without_a_palette_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    PIL.Image.fromarray(PIXELS).quantize(8).save(file)
    whole = file.read_bytes()
    at = whole.index(b"PLTE") - 4
    (length,) = struct.unpack(">I", whole[at : at + 4])
    file.write_bytes(whole[:at] + whole[at + 12 + length :])
    assert "not an image that can be read" in refusal(file)


def test_a_size_is_refused_before_pixels_take_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(iio, "imread", lambda *_, **__: pytest.fail("decoded"))
    header = b"IHDR" + struct.pack(">IIBBBBB", 9000, 9000, 8, 2, 0, 0, 0)
    parts = [header, b"IDAT" + zlib.compress(bytes(9000)), b"IEND"]
    chunks = (struct.pack(">I", len(p) - 4) + p + struct.pack(">I", zlib.crc32(p)) for p in parts)
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))
    assert "got shape 9000x9000x3 of uint8" in refusal(tmp_path / "a.png")


def test_only_formats_that_are_told_are_read(tmp_path: Path) -> None:
    """Among the others is PostScript, which Pillow has another program run."""
    for name in ("a.pcx", "a.eps"):
        PIL.Image.fromarray(PIXELS).save(tmp_path / name)
        assert "not an image that can be read" in refusal(tmp_path / name), name
