from __future__ import annotations

import contextlib
import os
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image

from netwright.data import jpeg
from netwright.data.dataset import UnreadableImageError
from netwright.data.reading import cover, quiet, read_header, read_image, to_tensor


def saved(image: Image.Image, path: Path, **how: object) -> str:
    image.save(path, **how)
    return str(path)


def reason(path: Path | str) -> str:
    with quiet(), pytest.raises(UnreadableImageError) as error:
        read_image(str(path), channels=3)
    return str(error.value.values["reason"])


def test_grey_and_colour_are_read_as_asked(tmp_path: Path) -> None:
    path = saved(Image.new("RGB", (4, 3), (255, 0, 0)), tmp_path / "red.png")
    assert read_image(path, channels=3)[:, 0, 0].tolist() == [255, 0, 0]
    assert read_image(path, channels=1).shape == (1, 3, 4)
    assert read_image(path, channels=1)[0, 0, 0] == 76  # 0.299 of 255, ITU-R 601


def test_what_is_transparent_is_laid_on_white(tmp_path: Path) -> None:
    for mode, colour in (("RGBA", (255, 0, 0, 0)), ("LA", (0, 0))):
        path = saved(Image.new(mode, (2, 2), colour), tmp_path / f"{mode}.png")
        assert read_image(path, channels=3)[:, 0, 0].tolist() == [255, 255, 255]
        assert read_header(path).oddities == ("alpha",)


def test_a_palette_with_a_transparent_colour_is_laid_on_white(tmp_path: Path) -> None:
    image = Image.new("P", (2, 2), 1)
    image.putpalette([0, 0, 0, 10, 20, 30])
    path = saved(image, tmp_path / "p.png", transparency=1)
    assert read_image(path, channels=3)[:, 0, 0].tolist() == [255, 255, 255]


def test_sixteen_bits_are_scaled_to_eight(tmp_path: Path) -> None:
    values = np.array([[0, 257, 32768, 65535]], np.uint16)
    path = saved(Image.fromarray(values), tmp_path / "wide.png")
    assert read_image(path, channels=1)[0, 0].tolist() == [0, 1, 128, 255]
    assert read_header(path).oddities == ("16-bit",)
    assert read_header(path).grey


def test_cmyk_is_converted(tmp_path: Path) -> None:
    path = saved(Image.new("CMYK", (4, 4), (0, 0, 0, 0)), tmp_path / "press.jpg")
    assert read_image(path, channels=3).min() == 255
    assert read_header(path).oddities == ("CMYK",)


def test_of_an_animated_image_the_first_frame_is_taken(tmp_path: Path) -> None:
    first, second = Image.new("L", (4, 4), 10), Image.new("L", (4, 4), 200)
    path = saved(first, tmp_path / "a.gif", save_all=True, append_images=[second])
    assert read_image(path, channels=1).unique().tolist() == [10]
    assert read_header(path).oddities == ("animated",)


def test_exif_orientation_is_obeyed(tmp_path: Path) -> None:
    image = Image.new("L", (8, 4))
    image.putpixel((0, 0), 255)
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned by a quarter to the right
    path = saved(image, tmp_path / "turned.png", exif=exif)
    assert read_header(path).size == (8, 4)
    assert read_image(path, channels=1)[0, 0, 3] == 255


def test_a_grey_palette_is_grey(tmp_path: Path) -> None:
    image = Image.new("P", (2, 2))
    image.putpalette([9, 9, 9, 80, 80, 80])
    assert read_header(saved(image, tmp_path / "g.png")).grey
    image.putpalette([9, 9, 9, 80, 80, 81])
    assert not read_header(saved(image, tmp_path / "c.png")).grey


def test_a_suffix_that_lies_does_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "really-png.jpg"
    Image.new("L", (3, 3), 7).save(path, format="PNG")
    assert read_image(str(path), channels=1).unique().tolist() == [7]


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "bmp", "tif", "gif", "ppm"])
def test_every_named_format_is_read(tmp_path: Path, suffix: str) -> None:
    path = saved(Image.new("RGB", (8, 8), (90, 90, 90)), tmp_path / f"x.{suffix}")
    assert read_image(path, channels=3).float().mean().item() == pytest.approx(90, abs=2)


def test_a_format_that_is_not_named_is_refused(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "x.jpg", format="ICO")
    assert reason(tmp_path / "x.jpg") == "not an image of a known format"


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cut.jpg"
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:1500])
    assert "truncated" in reason(path)


def test_a_text_in_the_clothes_of_an_image_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_text("hello")
    assert reason(tmp_path / "x.png") == "not an image of a known format"
    (tmp_path / "y.png").write_bytes(b"")
    assert reason(tmp_path / "y.png") == "not an image of a known format"


def bomb(width: int, height: int) -> bytes:
    """A tiny PNG that claims width x height pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 64))


@pytest.mark.parametrize("side", [7_100, 10_000, 60_000])
def test_a_pixel_bomb_is_refused_by_its_header(tmp_path: Path, side: int) -> None:
    (tmp_path / "bomb.png").write_bytes(bomb(side, side))
    assert reason(tmp_path / "bomb.png") == "more than 50,000,000 pixels"


def test_a_fifo_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    assert reason(tmp_path / "pipe.png") == "not a regular file"


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    assert reason(tmp_path / "gone.png") == "no such file or directory"


def test_numbers_without_a_range_are_refused(tmp_path: Path) -> None:
    saved(Image.fromarray(np.full((2, 2), 1e6, np.float32)), tmp_path / "f.tif")
    assert "range is unknown" in reason(tmp_path / "f.tif")


def test_cover_keeps_the_middle_and_the_proportions() -> None:
    image = Image.new("L", (30, 10))
    image.paste(255, (10, 0, 20, 10))  # the middle third is white
    assert np.asarray(cover(image, (5, 5)))[:, 1:4].min() == 255
    assert cover(image, (10, 30)) is image


def test_a_thin_image_can_be_brought_to_any_size(tmp_path: Path) -> None:
    path = saved(Image.new("L", (1, 500), 9), tmp_path / "thin.png")
    assert read_image(path, channels=1, size=(224, 224)).unique().tolist() == [9]


def test_a_large_photo_decoded_small_looks_as_if_decoded_whole(tmp_path: Path) -> None:
    across, down = np.meshgrid(np.arange(640), np.arange(480))
    waves = 128 + 60 * np.sin(across / 40) + 60 * np.cos(down / 30)
    path = saved(Image.fromarray(waves.astype(np.uint8)), tmp_path / "p.jpg", quality=95)
    small = read_image(path, channels=1, size=(56, 56)).float()
    with Image.open(path) as image:
        whole = torch.from_numpy(np.array(cover(image.convert("L"), (56, 56)))).float()
    assert (small[0] - whole).abs().max() <= 8


def photo(path: Path, size: tuple[int, int], **options: object) -> str:
    """A colour picture of (width, height) with structure, kept as JPEG."""
    rng = np.random.default_rng(3)
    rough = Image.fromarray(rng.integers(0, 256, (9, 12, 3), np.uint8))
    return saved(rough.resize(size, Image.Resampling.BICUBIC), path, quality=95, **options)


def test_exact_decoding_is_whole_decoding_then_one_resize(tmp_path: Path) -> None:
    path = photo(tmp_path / "p.jpg", (500, 375))
    for side in (64, 160, 224):
        with Image.open(path) as image:
            whole = to_tensor(cover(image.convert("RGB"), (side, side)))
        exact = read_image(path, channels=3, size=(side, side), decode="exact")
        assert torch.equal(exact, whole)
        fast = read_image(path, channels=3, size=(side, side), decode="fast")
        assert not torch.equal(fast, whole)  # else there would be nothing to set
        error = (fast.float() - whole.float()).square().mean().sqrt()
        assert error < 2, side


def test_fast_decoding_never_decodes_below_the_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[tuple[int, int]] = []
    seen = jpeg.read_jpeg

    def watch(*args: Any) -> Any:
        pixels = seen(*args)
        decoded.append((max(pixels.shape[:2]), min(pixels.shape[:2])))
        return pixels

    monkeypatch.setattr(jpeg, "read_jpeg", watch)
    turned = Image.Exif()
    turned[ExifTags.Base.Orientation] = 6
    upright = photo(tmp_path / "a.jpg", (500, 375))
    lying = photo(tmp_path / "b.jpg", (500, 375), exif=turned)
    for side, expected in ((187, (250, 188)), (188, (500, 375)),
                           (90, (125, 94)), (40, (63, 47))):  # fmt: skip
        for path in (upright, lying):
            read_image(path, channels=3, size=(side, side))
            assert decoded.pop() == expected
    read_image(upright, channels=3, size=(100, 300))
    assert decoded.pop() == (500, 375)
    read_image(lying, channels=3, size=(240, 180))  # as it is shown: 375 across, 500 down
    assert decoded.pop() == (250, 188)


def test_fast_resizing_keeps_the_centre(tmp_path: Path) -> None:
    for width, height in ((299, 150), (300, 150), (150, 299), (151, 300)):
        across, down = np.meshgrid(np.arange(width), np.arange(height))
        hill = np.hypot(across - (width - 1) / 2, down - (height - 1) / 2)
        path = saved(
            Image.fromarray((255 - hill.clip(0, 255)).astype(np.uint8)),
            tmp_path / "hill.jpg",
            quality=100,
        )
        small = read_image(path, channels=1, size=(100, 100)).float()[0]
        assert (small - small.flip(0)).abs().max() <= 3
        assert (small - small.flip(1)).abs().max() <= 3


def test_other_formats_are_the_same_either_way(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (90, 60, 3), np.uint8)
    path = saved(Image.fromarray(noise), tmp_path / "n.png")
    pair = [read_image(path, channels=3, size=(32, 32), decode=way) for way in ("exact", "fast")]
    assert torch.equal(*pair)


def test_damage_of_any_kind_is_an_unreadable_image_or_an_image(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    noise = Image.fromarray(rng.integers(0, 256, (16, 16, 3), np.uint8))
    for suffix in ("jpg", "png", "webp", "bmp", "tif", "gif", "ppm"):
        whole = Path(saved(noise, tmp_path / f"whole.{suffix}")).read_bytes()
        for round_ in range(12):
            damaged = bytearray(whole)
            for at in rng.integers(0, len(whole), 6):
                damaged[at] = rng.integers(0, 256)
            path = tmp_path / f"{round_}.{suffix}"
            path.write_bytes(damaged[: rng.integers(len(whole) // 2, len(whole) + 1)])
            # Nothing but this one error may come out: any other fails the test by itself.
            with quiet(), contextlib.suppress(UnreadableImageError):
                assert read_image(str(path), channels=3, size=(8, 8)).shape == (3, 8, 8)
