"""One order on every path: loose files and tar files, any number of workers and ranks, from any
start, with files that are damaged after the set was opened. Settings drawn by a fixed seed."""

from __future__ import annotations

import contextlib
import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from netwright.augment import Augmentation
from netwright.core.errors import DataError
from netwright.data.batches import Batch, Share
from netwright.data.dataset import Images
from netwright.data.feed import Feed
from netwright.data.files import FileImages
from netwright.data.opening import DataOptions, open_dataset
from netwright.data.preprocessing import Preprocessing

COUNT = 60
PREPROCESSING = Preprocessing(channels=3, size=(8, 8), mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.25))


@pytest.fixture
def both(tmp_path: Path) -> dict[str, FileImages]:
    """The same images loose and in two tar files."""
    (tmp_path / "tars").mkdir()
    with contextlib.ExitStack() as stack:
        places = [tmp_path / "tars" / f"{k}.tar" for k in range(2)]
        tars = [stack.enter_context(tarfile.open(place, "w")) for place in places]
        write(tmp_path / "loose", tars)
    opened = {}
    for name in ("loose", "tars"):
        options = DataOptions(name=str(tmp_path / name), size=8, cache="stream")
        images = open_dataset(options, seed=0, splits_needed=()).splits["all"]
        assert isinstance(images, FileImages)
        by_name = np.argsort([images.name(i)[-9:] for i in range(COUNT)], kind="stable")
        opened[name] = images.subset(by_name)
    return opened


def write(loose: Path, tars: list[tarfile.TarFile]) -> None:
    rng = np.random.default_rng(0)
    for i in range(COUNT):
        label = "ab"[i % 2]
        file = io.BytesIO()
        pixels = Image.fromarray(rng.integers(0, 256, (5, 6, 3), np.uint8))
        pixels.resize((24, 20)).save(file, "JPEG", quality=95)
        place = loose / label / f"{i:03d}.jpg"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(file.getvalue())
        info = tarfile.TarInfo(f"{label}/{i:03d}.jpg")
        info.size = len(file.getvalue())
        tars[i % 2].addfile(info, io.BytesIO(file.getvalue()))


def damage(images: FileImages, row: int) -> None:
    """The bytes of an image made zeros, where it lies."""
    place = images.files[row].path
    path, start = (place, 0) if isinstance(place, str) else (place.path, place.start)
    length = Path(path).stat().st_size if isinstance(place, str) else place.length
    with open(path, "r+b") as file:
        file.seek(start)
        file.write(bytes(length))


def feed(images: Images, settings: dict[str, object], share: Share, workers: int) -> Feed:
    return Feed(
        images,
        preprocessing=PREPROCESSING,
        augmentation=Augmentation({"flip": True, "shift": 2, "brightness": 0.3}),
        share=share,
        workers=workers,
        **settings,  # type: ignore[arg-type]
    )


def bits(batch: Batch) -> tuple[bytes, list[int], list[int], list[str]]:
    bad = [Path(name).name for name, _ in batch.replaced]
    return batch.images.numpy().tobytes(), batch.target.tolist(), batch.index.tolist(), bad


def whole(parts: list[Batch]) -> tuple[bytes, list[int], list[int]]:
    """What the ranks hold of one batch, put together."""
    images = torch.cat([each.images for each in parts])
    target = torch.cat([each.target for each in parts])
    return (
        images.numpy().tobytes(),
        target.tolist(),
        np.concatenate([p.index for p in parts]).tolist(),
    )


@pytest.mark.parametrize("trial", range(6))
def test_the_order_is_one(both: dict[str, FileImages], trial: int) -> None:
    rng = np.random.default_rng(trial)
    bad = rng.choice(COUNT, int(rng.integers(0, 5)), replace=False).tolist()
    for images in both.values():
        for row in bad:
            damage(images, row)
    settings: dict[str, object] = {
        "batch": int(rng.choice([4, 8, 12])),
        "seed": int(rng.integers(0, 99)),
        "balance": str(rng.choice(["none", "oversample"])),
    }
    steps = 3 * COUNT // int(str(settings["batch"]))
    alone = list(feed(both["loose"], settings, Share(), 0).iterate(0, steps))
    expected = [bits(each) for each in alone]
    replaced = {name for *_, names in expected for name in names}
    assert replaced == {Path(both["loose"].name(row)).name for row in bad}

    start, workers = int(rng.integers(1, steps)), trial % 3
    tail = [
        bits(each) for each in feed(both["tars"], settings, Share(), workers).iterate(start, steps)
    ]
    assert tail == expected[start:]

    ranks = int(rng.choice([2, 4]))
    shares = [
        list(feed(both["loose"], settings, Share(rank, ranks), 0).iterate(start, steps))
        for rank in range(ranks)
    ]
    for one, *parts in zip(alone[start:], *shares, strict=True):
        assert whole(parts) == whole([one])


@pytest.mark.parametrize("kind", ["loose", "tars"])
@pytest.mark.parametrize("workers", [0, 2])
def test_more_damage_than_is_forgiven_ends_every_path(
    both: dict[str, FileImages], kind: str, workers: int
) -> None:
    settings: dict[str, object] = {"batch": 12, "seed": 1}
    for row in range(5):  # five are forgiven in any case
        damage(both[kind], row)
    found = feed(both[kind], settings, Share(), workers)
    assert len(list(found.iterate(0, 10))) == 10
    assert len(found.replaced) == 5
    damage(both[kind], 5)
    with pytest.raises(DataError, match="6 of 60 images cannot be read any more"):
        list(feed(both[kind], settings, Share(), workers).iterate(0, 10))
