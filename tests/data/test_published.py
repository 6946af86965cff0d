"""Named sets: from a folder, from an archive, or fetched; their labels and pixels put right."""

from __future__ import annotations

import functools
import gzip
import hashlib
import io
import pickle
import shutil
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from netwright.core.downloads import Resource
from netwright.core.errors import DataError, SettingError
from netwright.core.events import Noted
from netwright.data.dataset import Dataset
from netwright.data.duplicates import find_duplicates
from netwright.data.opening import open_dataset, read_options
from netwright.data.sources import SOURCES, cifar10, cifar100, emnist, mnist

COUNT = 20


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("NETWRIGHT_HOME", str(home))
    monkeypatch.setenv("NETWRIGHT_OFFLINE", "1")
    return home


def opened(name: str, **options: object) -> Dataset:
    return open_dataset(read_options({"name": name, **options}), seed=0)


def idx(values: np.ndarray) -> bytes:
    head = b"\0\0\x08" + bytes([values.ndim]) + b"".join(n.to_bytes(4, "big") for n in values.shape)
    return head + values.astype(np.uint8).tobytes()


def strokes(count: int = COUNT) -> np.ndarray:
    """Images of 28 by 28: image i has its row 3 white in the columns up to i."""
    images = np.zeros((count, 28, 28), np.uint8)
    for i in range(count):
        images[i, 3, : i + 1] = 255
    return images


def idx_files(
    folder: Path, *, prefix: str = "", test: str = "t10k", labels: np.ndarray | None = None,
    images: np.ndarray | None = None,
) -> Path:  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    numbers = np.arange(COUNT) % 10 if labels is None else labels
    pixels = strokes() if images is None else images
    for part in ("train", test):
        name = f"{prefix}{part}"
        packed = gzip.compress(idx(pixels), mtime=0)
        (folder / f"{name}-images-idx3-ubyte.gz").write_bytes(packed)
        (folder / f"{name}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(numbers), mtime=0))
    return folder


def cifar_pixels(count: int = COUNT) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 3, 32, 32), dtype=np.uint8)


def cifar10_files(folder: Path, form: str) -> Path:
    folder.mkdir(parents=True)
    pixels = cifar_pixels().reshape(COUNT, -1)
    labels = np.arange(COUNT) % 10
    for name in [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]:
        if form == "bin":
            content = np.concatenate([labels[:, None].astype(np.uint8), pixels], 1).tobytes()
            (folder / f"{name}.bin").write_bytes(content)
        else:
            held = {b"data": pixels, b"labels": labels.tolist()}
            (folder / name).write_bytes(pickle.dumps(held, protocol=4))
    return folder


def cifar100_files(folder: Path, form: str) -> Path:
    folder.mkdir(parents=True)
    pixels, fine = cifar_pixels(200).reshape(200, -1), np.arange(200) % 100
    coarse = fine % 20
    for name in ("train", "test"):
        if form == "bin":
            columns = [coarse[:, None].astype(np.uint8), fine[:, None].astype(np.uint8), pixels]
            (folder / f"{name}.bin").write_bytes(np.concatenate(columns, 1).tobytes())
        else:
            held = {b"data": pixels, b"fine_labels": fine.tolist(),
                    b"coarse_labels": coarse.tolist()}  # fmt: skip
            (folder / name).write_bytes(pickle.dumps(held, protocol=4))
    return folder


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist", "kmnist"])
@pytest.mark.parametrize("below", ["", "raw", "MNIST/raw"])
def test_a_set_of_idx_files_is_read_from_a_folder(name: str, below: str, tmp_path: Path) -> None:
    idx_files(tmp_path / below)
    dataset = opened(name, path=str(tmp_path))
    assert {split: len(each) for split, each in dataset.splits.items()} == {
        "train": 10, "val": 10, "test": 20
    }  # fmt: skip
    assert dataset.shape == (1, 28, 28)
    assert len(dataset.classes) == 10
    assert dataset.attribution
    test = dataset.splits["test"]
    assert torch.equal(test.read(5)[0], torch.from_numpy(strokes()[5]))
    assert test.name(5) == "t10k-00005"


def test_the_classes_of_fashion_have_their_names(tmp_path: Path) -> None:
    dataset = opened("fashion-mnist", path=str(idx_files(tmp_path)))
    assert dataset.classes[int(dataset.splits["test"].labels[9])] == "Ankle boot"


def test_images_of_emnist_are_put_upright(tmp_path: Path) -> None:
    stored = strokes().transpose(0, 2, 1)
    idx_files(tmp_path, prefix="emnist-digits-", test="test", images=stored)
    dataset = opened("emnist", path=str(tmp_path), split="digits")
    assert torch.equal(dataset.splits["test"].read(7)[0], torch.from_numpy(strokes()[7]))


def test_letters_of_emnist_count_from_one_and_are_renumbered(tmp_path: Path) -> None:
    letters = np.tile(np.arange(1, 27), 2)
    idx_files(
        tmp_path, prefix="emnist-letters-", test="test", labels=letters,
        images=np.zeros((52, 28, 28)),
    )  # fmt: skip
    dataset = opened("emnist", path=str(tmp_path), split="letters")
    assert "".join(dataset.classes) == "abcdefghijklmnopqrstuvwxyz"
    assert dataset.splits["test"].labels[:3].tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("split", "count"),
    [("balanced", 47), ("bymerge", 47), ("byclass", 62), ("letters", 26), ("digits", 10)],
)
def test_emnist_has_as_many_classes_as_its_paper_says(split: str, count: int) -> None:
    assert len(set(emnist.CLASSES[split])) == count


def test_an_unknown_part_of_emnist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"data.split"):
        opened("emnist", path=str(tmp_path), split="capitals")


@pytest.mark.parametrize("form", ["bin", "pickle"])
@pytest.mark.parametrize("below", ["", "cifar-10-batches"])
def test_cifar10_is_read_in_both_forms(form: str, below: str, tmp_path: Path) -> None:
    cifar10_files(tmp_path / "set" / below, form)
    dataset = opened("cifar10", path=str(tmp_path / "set"))
    assert {split: len(each) for split, each in dataset.splits.items()} == {
        "train": 90, "val": 10, "test": 20
    }  # fmt: skip
    test = dataset.splits["test"]
    assert torch.equal(test.read(3), torch.from_numpy(cifar_pixels()[3]))
    assert dataset.classes[int(test.labels[3])] == "cat"


@pytest.mark.parametrize("form", ["bin", "pickle"])
@pytest.mark.parametrize(("labels", "name"), [("fine", "bear"), ("coarse", "flowers")])
def test_cifar100_has_two_labels(form: str, labels: str, name: str, tmp_path: Path) -> None:
    cifar100_files(tmp_path / "set", form)
    dataset = opened("cifar100", path=str(tmp_path / "set"), labels=labels)
    number = 3 if labels == "fine" else 2
    assert dataset.classes[int(dataset.splits["test"].labels[number])] == name
    assert torch.equal(dataset.splits["test"].read(7), torch.from_numpy(cifar_pixels(200)[7]))


def test_the_names_of_cifar100_are_as_many_and_in_order() -> None:
    assert (len(cifar100.FINE), len(cifar100.COARSE)) == (100, 20)
    assert list(cifar100.FINE) == sorted(cifar100.FINE)
    assert list(cifar100.COARSE) == sorted(cifar100.COARSE)


def test_a_folder_of_cifar_is_recognised_without_its_name(tmp_path: Path) -> None:
    assert len(opened(str(cifar10_files(tmp_path / "ten", "bin"))).classes) == 10
    assert len(opened(str(cifar100_files(tmp_path / "hundred", "pickle"))).classes) == 100


class Evil:
    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> object:
        return (Path.touch, (self.place,))


def test_a_batch_that_executes_something_is_refused_and_does_not(tmp_path: Path) -> None:
    folder = cifar10_files(tmp_path / "set", "pickle")
    (folder / "data_batch_3").write_bytes(pickle.dumps({b"data": Evil(tmp_path / "called")}))
    with pytest.raises(DataError, match=r"data_batch_3: it asks for") as error:
        opened("cifar10", path=str(folder))
    assert error.value.exit_code == 3
    assert not (tmp_path / "called").exists()


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("data_batch_2.bin", b"", "no multiple of 3073 bytes"),
        ("data_batch_2.bin", bytes(5000), "no multiple of 3073 bytes"),
        ("data_batch_2.bin", b"\x0b" * 3073, "labels from 0 to 11: it is not of cifar10"),
    ],
)
def test_a_damaged_record_file_is_named(
    file: str, content: bytes, message: str, tmp_path: Path
) -> None:
    folder = cifar10_files(tmp_path / "set", "bin")
    (folder / file).write_bytes(content)
    with pytest.raises(DataError, match=message):
        opened("cifar10", path=str(folder))


@pytest.mark.parametrize(
    ("held", "message"),
    [
        ([1, 2], "no images of 3 x 32 x 32 bytes"),
        ({"data": np.zeros((2, 5), np.uint8)}, "no images of 3 x 32 x 32 bytes"),
        ({"data": np.zeros((2, 3072), np.uint8)}, 'no list of 2 labels under "labels"'),
        ({"data": np.zeros((2, 3072), np.uint8), "labels": [1]}, "no list of 2 labels"),
        ({"data": np.zeros((2, 3072), np.uint8), "labels": [1, "x"]}, "no list of 2 labels"),
    ],
)
def test_a_pickle_of_something_else_is_refused(held: object, message: str, tmp_path: Path) -> None:
    folder = cifar10_files(tmp_path / "set", "pickle")
    (folder / "test_batch").write_bytes(pickle.dumps(held, protocol=4))
    with pytest.raises(DataError, match=message):
        opened("cifar10", path=str(folder))


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data.path: there is no folder"):
        opened("mnist", path=str(tmp_path / "nowhere"))
    with pytest.raises(DataError, match=r"does not hold the files of mnist.\nExpected train-"):
        opened("mnist", path=str(tmp_path))
    with pytest.raises(DataError, match=r"does not hold the files of cifar10.\nExpected data_"):
        opened("cifar10", path=str(tmp_path))


@pytest.mark.parametrize(
    ("labels", "images", "message"),
    [
        (np.full(COUNT, 12), None, "labels from 12 to 12: it is not of mnist"),
        (np.arange(5), None, "20 images of 28x28 and 5 labels"),
        (None, np.zeros((COUNT, 32, 32)), "20 images of 32x32"),
    ],
)
def test_files_of_another_set_are_refused(
    labels: np.ndarray | None, images: np.ndarray | None, message: str, tmp_path: Path
) -> None:
    idx_files(tmp_path, labels=labels, images=images)
    with pytest.raises(DataError, match=message):
        opened("mnist", path=str(tmp_path))


def test_offline_a_set_that_is_not_there_is_refused() -> None:
    with pytest.raises(DataError, match=r"NETWRIGHT_OFFLINE=1 forbids"):
        opened("kmnist")


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist", "kmnist", "emnist", "cifar10",
                                  "cifar100"])  # fmt: skip
def test_every_published_file_has_address_size_and_checksum(name: str) -> None:
    resources = SOURCES.get(name).target.__globals__["RESOURCES"]
    for each in resources:
        assert each.size > 0
        assert len(each.sha256) == 64
        assert int(each.sha256, 16)
        assert all(address.startswith("http") for address in each.addresses)


# Fetched: from a server on this machine.


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, str]]:
    """A folder, and the address it is served under."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "NETWRIGHT_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "served"
    folder.mkdir()
    handler = functools.partial(Quiet, directory=str(folder))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


def resource(path: Path, address: str) -> Resource:
    content = path.read_bytes()
    return Resource(
        name=path.name,
        addresses=(address + path.name,),
        size=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
    )


def test_mnist_is_fetched_announced_and_then_kept(
    served: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, address = served
    idx_files(folder)
    names = [
        f"{part}-{kind}-ubyte.gz" for part in ("train", "t10k")
        for kind in ("images-idx3", "labels-idx1")
    ]  # fmt: skip
    monkeypatch.setattr(
        mnist, "RESOURCES", tuple(resource(folder / name, address) for name in names)
    )
    heard: list[Noted] = []
    seen: list[int] = []
    options = read_options({"name": "mnist"})
    first = open_dataset(
        options, seed=0, announce=heard.append, progress=lambda held, total: seen.append(held)
    )
    notes = [each for each in heard if isinstance(each, Noted)]
    fetched = [note.values["address"] for note in notes if "address" in note.values]
    assert fetched == [address + name for name in names]
    assert sum("checksum right" in note.template for note in notes) == len(names)
    assert seen
    shutil.rmtree(folder)
    monkeypatch.setenv("NETWRIGHT_OFFLINE", "1")
    assert open_dataset(options, seed=0).fingerprint() == first.fingerprint()


def test_emnist_is_fetched_as_one_archive_and_only_its_part_unpacked(
    served: tuple[Path, str], cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, address = served
    inner = tmp_path / "inner"
    idx_files(inner, prefix="emnist-digits-", test="test")
    idx_files(inner, prefix="emnist-mnist-", test="test")
    with zipfile.ZipFile(folder / "gzip.zip", "w") as archive:
        for path in inner.iterdir():
            archive.write(path, f"gzip/{path.name}")
    monkeypatch.setattr(emnist, "RESOURCES", (resource(folder / "gzip.zip", address),))
    assert len(opened("emnist", split="digits").splits["test"]) == COUNT
    unpacked = {path.name for path in (cache / "unpacked").rglob("*.gz")}
    assert len(unpacked) == 4
    assert all(name.startswith("emnist-digits-") for name in unpacked)


def test_cifar10_is_fetched_as_published(
    served: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, address = served
    files = cifar10_files(tmp_path / "cifar-10-batches-bin", "bin")
    with tarfile.open(folder / "cifar.tar.gz", "w:gz") as archive:
        archive.add(files, files.name)
    monkeypatch.setattr(cifar10, "RESOURCES", (resource(folder / "cifar.tar.gz", address),))
    assert len(opened("cifar10").splits["test"]) == COUNT


# Archives as data.


def test_an_archive_of_image_folders_is_data(flowers: Path, tmp_path: Path) -> None:
    path = Path(shutil.make_archive(str(tmp_path / "set"), "zip", flowers.parent, flowers.name))
    dataset = opened(str(path))
    assert dataset.classes == ("rose", "tulip")
    assert dataset.name == str(path)
    assert "was unpacked into the cache" in dataset.notes[0].template


def test_an_archive_of_a_table_is_data(flowers: Path, tmp_path: Path) -> None:
    rows = [f"{p.parent.name}/{p.name},{p.parent.name}" for p in flowers.rglob("*.png")]
    (flowers / "labels.csv").write_text("path,label\n" + "\n".join(rows) + "\n")
    path = Path(shutil.make_archive(str(tmp_path / "set"), "gztar", flowers))
    dataset = opened(str(path))
    assert sum(map(len, dataset.splits.values())) == 20
    assert dataset.classes == ("rose", "tulip")


def test_an_archive_of_idx_files_is_data_with_its_settings(tmp_path: Path) -> None:
    folder = idx_files(tmp_path / "set")
    path = Path(shutil.make_archive(str(tmp_path / "set"), "tar", folder))
    assert opened(str(path), classes=list("abcdefghij")).classes[0] == "a"


def test_the_archive_as_published_can_be_given(tmp_path: Path) -> None:
    files = cifar10_files(tmp_path / "cifar-10-batches-py", "pickle")
    path = Path(shutil.make_archive(str(tmp_path / "x"), "gztar", tmp_path, files.name))
    assert len(opened("cifar10", path=str(path)).splits["test"]) == COUNT
    assert len(opened(str(path)).classes) == 10


def test_a_hostile_archive_is_no_data(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        info = tarfile.TarInfo("../evil.png")
        info.size = 1
        archive.addfile(info, io.BytesIO(b"x"))
    with pytest.raises(DataError, match=r"is refused: \"../evil.png\" leaves the folder"):
        opened(str(tmp_path / "x.tar"))
    assert not (tmp_path.parent / "evil.png").exists()


# The real thing, where it is there.


@pytest.mark.shared_data("mnist")
def test_mnist_itself(shared_data: Path) -> None:
    dataset = opened("mnist", path=str(shared_data / "mnist"), val_share=1 / 6)
    assert {split: len(each) for split, each in dataset.splits.items()} == {
        "train": 50_000, "val": 10_000, "test": 10_000
    }  # fmt: skip
    assert dataset.splits["test"].labels[:5].tolist() == [7, 2, 1, 0, 4]


@pytest.mark.shared_data("fashion-mnist")
def test_fashion_mnist_itself_has_no_twins(shared_data: Path) -> None:
    dataset = opened("fashion-mnist", path=str(shared_data / "fashion-mnist"))
    assert dataset.classes[int(dataset.splits["test"].labels[0])] == "Ankle boot"
    assert find_duplicates(dataset.splits).notes() == ()


@pytest.mark.shared_data("cifar10.zip")
def test_cifar10_as_records_is_what_the_photographs_are(shared_data: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(shared_data / "cifar10.zip") as archive:
        name = next(n for n in archive.namelist() if n.endswith("test_00.webp"))
        mosaic = Image.open(io.BytesIO(archive.read(name))).convert("RGB")
        numbers = next(n for n in archive.namelist() if n.endswith("test_labels.npy"))
        labels = np.load(io.BytesIO(archive.read(numbers)), allow_pickle=False)[:2500]
    tiles = np.asarray(mosaic).reshape(50, 32, 50, 32, 3).swapaxes(1, 2).reshape(-1, 32, 32, 3)
    records = np.concatenate(
        [labels[:, None].astype(np.uint8), tiles.transpose(0, 3, 1, 2).reshape(2500, -1)], 1
    )
    for file in [*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"]:
        (tmp_path / file).write_bytes(records.tobytes())
    test = opened("cifar10", path=str(tmp_path)).splits["test"]
    assert torch.equal(test.read(17), torch.from_numpy(tiles[17]).permute(2, 0, 1))
    assert np.array_equal(test.labels, labels)
