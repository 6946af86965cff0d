"""JPEG files are read past Pillow: with the same pixels, and none that Pillow would refuse."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image, ImageOps

from netwright.data import jpeg
from netwright.data.dataset import UnreadableImageError
from netwright.data.reading import Part, cover, plain, read_image, to_tensor


def picture(size: tuple[int, int], mode: str = "RGB", seed: int = 0) -> Image.Image:
    """Noise over smooth structure: nothing that a decoder could get right by chance."""
    rng = np.random.default_rng(seed)
    rough = Image.fromarray(rng.integers(0, 256, (7, 9, 3), np.uint8))
    smooth = np.array(rough.resize(size, Image.Resampling.BICUBIC), np.int16)
    noisy = smooth + rng.integers(-20, 21, smooth.shape)
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).convert(mode)


def content(image: Image.Image, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, **{"format": "JPEG", "quality": 90, **options})
    return file.getvalue()


def by_pillow(path: Path, channels: int) -> Image.Image:
    with Image.open(path) as image:
        return plain(ImageOps.exif_transpose(image), channels)


def never(*_: Any) -> None:
    """In the place of the reader: leaves every file to Pillow."""


KINDS: dict[str, dict[str, Any]] = {
    "4:4:4": {"subsampling": 0},
    "4:2:2": {"subsampling": 1},
    "4:2:0": {"subsampling": 2},
    "progressive": {"progressive": True},
    "kept as RGB": {"keep_rgb": True},
    "restart markers": {"restart_marker_blocks": 3},
    "quality 20": {"quality": 20},
}


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("kind", KINDS)
def test_pixels_are_those_of_pillow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, mode: str
) -> None:
    path = tmp_path / "p.jpg"
    sizes = [(500, 375), (37, 61), (64, 16), (129, 255)]
    for number, size in enumerate(sizes):
        path.write_bytes(content(picture(size, mode, number), **KINDS[kind]))
        for channels in (1, 3):
            whole = read_image(str(path), channels=channels)
            assert torch.equal(whole, to_tensor(by_pillow(path, channels)))
            for side in (7, 8, 30, 160):
                small = read_image(str(path), channels=channels, size=(side, side))
                with monkeypatch.context() as patch:
                    patch.setattr(jpeg, "read_jpeg", never)
                    expected = read_image(str(path), channels=channels, size=(side, side))
                assert torch.equal(small, expected), (size, channels, side)


@pytest.mark.parametrize("orientation", [0, *range(1, 9), 9, 999])
def test_every_orientation_is_obeyed(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    path = tmp_path / "p.jpg"
    path.write_bytes(content(picture((90, 61)), exif=exif))
    assert torch.equal(read_image(str(path), channels=3), to_tensor(by_pillow(path, 3)))
    exact = read_image(str(path), channels=3, size=(20, 40), decode="exact")
    assert torch.equal(exact, to_tensor(cover(by_pillow(path, 3), (20, 40))))


def test_it_is_this_reader_that_reads_not_pillow(tmp_path: Path) -> None:
    path = tmp_path / "p.jpg"
    path.write_bytes(content(picture((90, 61))))
    for scale, shape in ((1, (61, 90, 3)), (2, (31, 45, 3)), (4, (16, 23, 3)), (8, (8, 12, 3))):
        with path.open("rb") as file, Image.open(file) as image:
            found = jpeg.read_jpeg(file, image, scale)
        assert found is not None
        assert found.shape == shape


def test_every_scale_of_every_size_is_the_one_asked_for(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    for _ in range(60):
        size = tuple(int(side) for side in rng.integers(16, 200, 2))
        file = io.BytesIO(content(picture(size)))
        for scale in (2, 4, 8):
            with Image.open(file) as image:
                found = jpeg.read_jpeg(file, image, scale)
                assert found is not None
                image.draft(None, (size[0] // scale, size[1] // scale))
                assert np.array_equal(found, np.array(image)), (size, scale)
            file = io.BytesIO(file.getvalue())


def test_the_photo_of_a_file_of_many_is_taken(tmp_path: Path) -> None:
    path, others = tmp_path / "phone.jpg", [picture((40, 40), seed=1)]
    picture((300, 200)).save(path, "MPO", save_all=True, append_images=others)
    with Image.open(path) as image:
        assert image.format == "MPO"
    assert torch.equal(read_image(str(path), channels=3), to_tensor(by_pillow(path, 3)))
    assert read_image(str(path), channels=3, size=(64, 64)).shape == (3, 64, 64)


def test_a_part_of_a_tar_is_read_alike(tmp_path: Path) -> None:
    alone, inside = tmp_path / "p.jpg", tmp_path / "some.tar"
    alone.write_bytes(content(picture((90, 61))))
    inside.write_bytes(b"\0" * 512 + alone.read_bytes() + content(picture((90, 61), seed=1)))
    part = Part(str(inside), 512, alone.stat().st_size)
    for size in (None, (20, 20)):
        expected = read_image(str(alone), channels=3, size=size)
        assert torch.equal(read_image(part, channels=3, size=size), expected)


def test_four_inks_are_left_to_pillow(tmp_path: Path) -> None:
    path = tmp_path / "p.jpg"
    path.write_bytes(content(picture((90, 61), "CMYK")))
    assert torch.equal(read_image(str(path), channels=3), to_tensor(by_pillow(path, 3)))


def test_a_file_that_says_two_sizes_is_never_decoded_at_the_larger(tmp_path: Path) -> None:
    """Pillow takes the last header before the pixels, the decoder the first: of 50,000 pixels a
    side it would fill 7 GB, past every limit."""
    whole = content(picture((64, 64)))
    at = whole.index(b"\xff\xc0")
    length = struct.unpack(">H", whole[at + 2 : at + 4])[0]
    header = bytearray(whole[at : at + 2 + length])
    header[5:9] = struct.pack(">HH", 50_000, 50_000)
    path = tmp_path / "two.jpg"
    path.write_bytes(whole[:at] + bytes(header) + whole[at:])
    with path.open("rb") as file, Image.open(file) as image:
        assert image.size == (64, 64)
        assert jpeg.read_jpeg(file, image, 1) is None


@pytest.mark.parametrize("size", [None, (24, 24)])
def test_damage_is_judged_by_pillow_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int] | None
) -> None:
    """Cut short, or with bytes changed: an image or an error, as it was without this reader."""
    whole, path = content(picture((90, 61))), tmp_path / "p.jpg"
    rng = np.random.default_rng(2)

    def outcome() -> torch.Tensor | str:
        try:
            return read_image(str(path), channels=3, size=size)
        except UnreadableImageError as error:
            return str(error)

    seen = set()
    for _ in range(60):
        damaged = bytearray(whole)
        for at in rng.integers(2, len(whole), rng.integers(0, 4)):
            damaged[at] = rng.integers(0, 256)
        path.write_bytes(damaged[: rng.integers(len(whole) // 2, 2 * len(whole))] + b"tail")
        found = outcome()
        with monkeypatch.context() as patch:
            patch.setattr(jpeg, "read_jpeg", never)
            expected = outcome()
        seen.add(type(found))
        if isinstance(found, str):
            assert found == expected
        else:
            assert isinstance(expected, torch.Tensor)
            assert torch.equal(found, expected)
    assert seen == {str, torch.Tensor}
