"""Sharded sets: tar files of images with labels, read without unpacking."""

from __future__ import annotations

import io
import json
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import netwright as nw
from netwright.core.errors import DataError
from netwright.data import shards as index
from netwright.data.dataset import Dataset
from netwright.data.duplicates import find_duplicates
from netwright.data.feed import Feed
from netwright.data.opening import DataOptions, open_dataset
from netwright.data.preprocessing import Preprocessing


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NETWRIGHT_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def image_bytes(number: int, kind: str = "jpeg") -> bytes:
    noise = np.random.default_rng(number).integers(0, 256, (24, 24, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, kind)
    return file.getvalue()


def add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))


def shard(path: Path, numbers: range, label: str = "cls") -> Path:
    """A tar with an image and a label for each of `numbers`; the class is number % 3."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for number in numbers:
            key = f"{number:06d}"
            if label == "folder":
                add(tar, f"set/{'abc'[number % 3]}/{key}.jpg", image_bytes(number))
                continue
            add(tar, f"{key}.jpg", image_bytes(number))
            content = str(number % 3)
            if label == "json":
                content = json.dumps({"label": "abc"[number % 3], "width": 24})
            add(tar, f"{key}.{label}", content.encode())
    return path


@pytest.fixture
def many(tmp_path: Path) -> Path:
    for k in range(3):
        shard(tmp_path / "set" / f"part-{k:03d}.tar", range(20 * k, 20 * k + 20))
    return tmp_path / "set"


def opened(path: Path | str, **options: object) -> Dataset:
    return open_dataset(DataOptions(name=str(path), **options), seed=0, splits_needed=())


def refusal(path: Path | str, **options: object) -> str:
    with pytest.raises(DataError) as error:
        opened(path, **options)
    return str(error.value)


def test_a_folder_of_tars_is_one_set_with_the_labels_beside_the_images(many: Path) -> None:
    images = opened(many).splits["all"]
    assert len(images) == 60
    assert images.labels.tolist() == [number % 3 for number in range(60)]
    assert images.name(21) == "part-001.tar/000021.jpg"


@pytest.mark.parametrize("cache", ["stream", "memory"])
def test_the_pixels_are_those_of_the_loose_files(many: Path, tmp_path: Path, cache: str) -> None:
    loose = tmp_path / "loose"
    for number in range(60):
        place = loose / str(number % 3) / f"{number:06d}.jpg"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(image_bytes(number))
    packed, plain = opened(many, cache=cache).splits["all"], opened(loose).splits["all"]
    pixels = {packed.name(i).split("/")[1]: packed.read(i) for i in range(60)}
    for i in range(60):
        assert torch.equal(pixels[plain.name(i).split("/")[1]], plain.read(i))


@pytest.mark.parametrize("label", ["cls", "json", "folder"])
def test_labels_stand_beside_the_image_or_are_its_folder(tmp_path: Path, label: str) -> None:
    shard(tmp_path / "s" / "a.tar", range(9), label)
    dataset = opened(tmp_path / "s")
    assert dataset.classes == (("0", "1", "2") if label == "cls" else ("a", "b", "c"))
    assert dataset.splits["all"].labels.tolist() == [number % 3 for number in range(9)]


def test_numbers_can_be_given_names(many: Path) -> None:
    names = ["ash", "birch", "cedar"]
    assert opened(many, source={"classes": names}).classes == tuple(names)
    assert '"2"' in refusal(many, source={"classes": names[:2]})


def test_splits_are_told_by_folders_and_by_names(tmp_path: Path) -> None:
    shard(tmp_path / "a" / "train-0.tar", range(12))
    shard(tmp_path / "a" / "train-1.tar", range(12, 21))
    shard(tmp_path / "a" / "val-0.tar", range(21, 30))
    shard(tmp_path / "b" / "train" / "0.tar", range(12))
    shard(tmp_path / "b" / "valid" / "0.tar", range(12, 18))
    assert {split: len(each) for split, each in opened(tmp_path / "a").splits.items()} == {
        "train": 21, "val": 9}  # fmt: skip
    assert {split: len(each) for split, each in opened(tmp_path / "b").splits.items()} == {
        "train": 12, "val": 6}  # fmt: skip


def test_a_pattern_and_a_single_tar_are_read_in_place(many: Path, cache: Path) -> None:
    assert len(opened(f"{many}/part-{{000..001}}.tar").splits["all"]) == 40
    assert len(opened(many / "part-002.tar").splits["all"]) == 20
    assert not (cache / "unpacked").exists()
    assert "part-003.tar" in refusal(f"{many}/part-{{000..003}}.tar")
    assert "stands for no tar files" in refusal(f"{many}/part-{{5..3}}.tar")


def batches(dataset: Dataset, workers: int, start: int, stop: int) -> list[tuple[list[int], bytes]]:
    images = dataset.splits["all"]
    plain = Preprocessing(channels=3, size=(24, 24), mean=(0.0,) * 3, std=(1.0,) * 3)
    feed = Feed(images, batch=8, seed=5, preprocessing=plain, workers=workers)
    return [
        (each.index.tolist(), each.images.numpy().tobytes()) for each in feed.iterate(start, stop)
    ]


def test_order_and_bits_are_the_same_with_any_workers_and_from_any_step(many: Path) -> None:
    whole = batches(opened(many, cache="stream"), 0, 0, 16)  # over the ends of two epochs
    assert len({tuple(rows) for rows, _ in whole}) == 16
    for workers in (1, 2, 3):
        again = opened(many, cache="stream")  # from the index in the cache
        assert batches(again, workers, 0, 16) == whole
        assert batches(again, workers, 9, 16) == whole[9:]


def test_a_tar_is_walked_through_once(
    many: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = opened(many, cache="stream")
    assert len(list((cache / "shards").iterdir())) == 3
    walked: list[object] = []
    walk = index.tar_places
    monkeypatch.setattr(index, "tar_places", lambda file: walked.append(file) or walk(file))
    assert opened(many, cache="stream").fingerprint() == first.fingerprint()
    assert walked == []
    shard(many / "part-001.tar", range(100, 130))  # another tar under the old name
    assert len(opened(many, cache="stream").splits["all"]) == 70
    assert len(walked) == 1


def test_a_damaged_index_is_made_anew(many: Path, cache: Path) -> None:
    sound = opened(many, cache="stream").fingerprint()
    for file in (cache / "shards").iterdir():
        text = bytearray(file.read_bytes())
        text[text.index(b'"rows"') + 40] ^= 1
        file.write_bytes(text)
    assert opened(many, cache="stream").fingerprint() == sound


def test_without_a_cache_that_can_be_written_it_works_all_the_same(many: Path, cache: Path) -> None:
    cache.write_text("a file where the folder would be")
    assert len(opened(many).splits["all"]) == 60


@pytest.mark.parametrize("keep", [0.3, 0.7, 0.97])
def test_a_tar_that_is_cut_off_is_named(many: Path, keep: float) -> None:
    path = many / "part-001.tar"
    whole = path.read_bytes()
    end = whole.rstrip(b"\0")
    path.write_bytes(whole[: int(len(end) * keep)])
    assert "Cannot read the tar part-001.tar" in refusal(many)


def test_a_damaged_header_in_the_middle_is_named(many: Path) -> None:
    path = many / "part-001.tar"
    with tarfile.open(path) as tar:
        place = tar.getmembers()[11].offset
    damaged = bytearray(path.read_bytes())
    damaged[place : place + 8] = b"\xff" * 8
    path.write_bytes(damaged)
    assert "Cannot read the tar part-001.tar" in refusal(many)


def test_a_compressed_tar_is_refused(many: Path) -> None:
    import gzip

    path = many / "part-001.tar"
    path.write_bytes(gzip.compress(path.read_bytes()))
    assert "part-001.tar" in refusal(many)


@pytest.mark.parametrize(
    ("kind", "name"),
    [(tarfile.SYMTYPE, "x.jpg"), (tarfile.LNKTYPE, "x.jpg"), (tarfile.FIFOTYPE, "x.jpg"),
     (tarfile.CHRTYPE, "x.jpg"), (tarfile.REGTYPE, "../x.jpg"), (tarfile.REGTYPE, "/etc/x.jpg"),
     (tarfile.REGTYPE, "a\\b.jpg"), (tarfile.REGTYPE, "000000.jpg")],
)  # fmt: skip
def test_links_devices_and_false_names_are_refused(many: Path, kind: bytes, name: str) -> None:
    with tarfile.open(many / "part-000.tar", "a") as tar:
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, "/etc/passwd"
        tar.addfile(info)
    assert "The tar part-000.tar is refused" in refusal(many)


def test_a_size_that_nobody_has_is_refused(many: Path) -> None:
    path = many / "part-000.tar"
    info = tarfile.TarInfo("huge.jpg")
    info.size = 1 << 40
    sound = path.read_bytes().rstrip(b"\0")
    sound += b"\0" * (-len(sound) % 512)
    path.write_bytes(sound + info.tobuf() + b"\0" * 1024)
    assert "Cannot read the tar part-000.tar" in refusal(many)


def test_a_tar_that_leads_out_of_the_folder_is_passed_over(many: Path, tmp_path: Path) -> None:
    outside = shard(tmp_path / "elsewhere.tar", range(60, 70))
    (many / "part-009.tar").symlink_to(outside)
    os.mkfifo(many / "pipe.tar")
    assert len(opened(many).splits["all"]) == 60


def test_bad_images_and_images_without_a_label_are_named_and_left_out(many: Path) -> None:
    with tarfile.open(many / "part-002.tar", "a") as tar:
        add(tar, "900.jpg", b"no image at all")
        add(tar, "900.cls", b"1")
        add(tar, "901.jpg", image_bytes(901))
        add(tar, "902.jpg", image_bytes(902))
        add(tar, "902.seg.png", image_bytes(903, "png"))  # a mask: no image to learn from
        add(tar, "902.cls", b"2")
    for _ in range(2):
        dataset = opened(many)
        assert [name for name, _ in dataset.quarantined] == [
            "part-002.tar/900.jpg",
            "part-002.tar/901.jpg",
        ]
        assert len(dataset.splits["all"]) == 61


def test_a_label_that_cannot_be_one_is_refused(many: Path) -> None:
    for content in (b'{"label": [1]}', b"{", b"\xff", b'{"label": ' + b"[" * 40_000):
        with tarfile.open(many / "part-009.tar", "w") as tar:
            add(tar, "1.jpg", image_bytes(1))
            add(tar, "1.json", content)
        assert "1.json" in refusal(many)


def test_an_image_that_goes_while_it_trains_is_stood_in_for(many: Path) -> None:
    dataset = opened(many, cache="stream")
    whole = (many / "part-002.tar").read_bytes()
    (many / "part-002.tar").write_bytes(whole[: len(whole) // 2])
    images = dataset.splits["all"]
    plain = Preprocessing(channels=3, size=(24, 24), mean=(0.0,) * 3, std=(1.0,) * 3)
    feed = Feed(images, batch=12, seed=5, preprocessing=plain, workers=0, max_unreadable=0.5)
    list(feed.iterate(0, 5))
    assert feed.replaced
    assert all(name.startswith("part-002.tar/") for name in feed.replaced)


def test_twins_are_found_in_tars_without_decoding(many: Path) -> None:
    shard(many / "part-007.tar", range(20, 25))  # five that part-001 has already
    found = find_duplicates(opened(many, cache="stream").splits, decoded=0)
    assert found.files_only
    assert len(found.repeats["all"]) == 5


def test_a_run_learns_the_same_from_tars_with_any_workers(many: Path, tmp_path: Path) -> None:
    def train(name: str, workers: int) -> bytes:
        nw.train(
            str(many), model="mlp", run_dir=tmp_path / name, steps=9, batch=8,
            data__cache="stream", data__workers=workers,
        )  # fmt: skip
        return (tmp_path / name / "best.safetensors").read_bytes()

    assert train("alone", 0) == train("helped", 2)


def test_a_folder_of_class_folders_is_none_of_this(flowers: Path, many: Path) -> None:
    (flowers / "originals.tar").write_bytes((many / "part-000.tar").read_bytes())
    assert opened(flowers).classes == ("rose", "tulip")
