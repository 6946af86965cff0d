"""Images a second of Netwright's feed, beside torch's DataLoader with Pillow and WebDataset.

    python benchmarks/pipeline.py --peers PEERS/bin/python     # about ten minutes on two cores
    python benchmarks/pipeline.py --quick                      # one round, keeps nothing

Every contender gives normalised float32 batches of 64. JPEG files (photos of 500x375 and, for one
table, of 1600x1200, quality 90) are brought to a square by bilinear filtering, with two worker
processes: loose files by the plain loader and by Netwright (fast and exact; its process keeps freed
memory, as while training), the same in four tar files by Netwright and, where
`--peers` names a Python that has webdataset (`pip install webdataset` in an environment of its
own), by WebDataset. Images in memory (50,000 of 32x32 bytes) are cropped with a margin of 4 and
flipped: one by one by a Dataset behind the loader, without workers and with two, and by the
batch.

Each contender runs in a process of its own, all in turns in each round; what is kept is the ratio
to the plain loader of the same round, by the clock and by processor time. One line a cell goes
into `pipeline.jsonl`; the table is written to `pipeline.md`.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import multiprocessing
import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

HERE = Path(__file__).resolve().parent
BATCH, WORKERS = 64, 2
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
PHOTO, LARGE = (500, 375), (1600, 1200)
SETUPS = {"128": (PHOTO, 128), "160": (PHOTO, 160), "224": (PHOTO, 224), "large": (LARGE, 224)}
"""Width and height of the files, and the side of the square they are brought to."""
FILES = {
    "plain": "DataLoader, Pillow",
    "exact": "Netwright, exact",
    "fast": "Netwright, fast",
    "tar": "Netwright, tar, fast",
    "webdataset": "WebDataset, tar",
}
MEMORY = {
    "plain0": "Dataset and DataLoader, no workers",
    "plain2": "Dataset and DataLoader, 2 workers",
    "batch": "Netwright, by the batch",
}
COUNT, MEMORY_COUNT = 512, 50_000
ENDLESS = 10_000_000  # no epoch ends while it is timed: nobody pays for workers that start anew


def photos(count: int, wanted: tuple[int, int]) -> Iterator[bytes]:
    """JPEG files of this width and height, three quarters as high as wide: parts of the photos of
    images.zip, of smooth noise without it."""
    rng = np.random.default_rng(0)
    data = Path(os.environ.get("NETWRIGHT_SHARED_DATA", HERE.parent.parent / "shared" / "data"))
    sources = []
    if (data / "images.zip").exists():
        with zipfile.ZipFile(data / "images.zip") as archive:
            names = [name for name in archive.namelist() if name.endswith(".jpg")]
            sources = [Image.open(io.BytesIO(archive.read(name))).convert("RGB") for name in names]
    for number in range(count):
        if sources:
            image = sources[number % len(sources)]
            share = rng.uniform(0.7, 1)
            wide = share * min(image.width, image.height * 4 / 3)
            left = rng.uniform(0, image.width - wide)
            top = rng.uniform(0, image.height - wide * 0.75)
            box = (left, top, left + wide, top + wide * 0.75)
            shown = image.resize(wanted, Image.Resampling.BICUBIC, box=box)
        else:
            rough = Image.fromarray(rng.integers(0, 256, (38, 50, 3), np.uint8))
            shown = rough.resize(wanted, Image.Resampling.BICUBIC)
        file = io.BytesIO()
        shown.save(file, "JPEG", quality=90)
        yield file.getvalue()


def make_files(root: Path, wanted: tuple[int, int]) -> None:
    """`root/loose/{a,b}/*.jpg`, and the same in four tar files under `root/tars`."""
    (root / "tars").mkdir(parents=True)
    for name in "ab":
        (root / "loose" / name).mkdir(parents=True)
    with contextlib.ExitStack() as stack:
        places = [root / "tars" / f"part-{k}.tar" for k in range(4)]
        tars = [stack.enter_context(tarfile.open(place, "w")) for place in places]
        for number, content in enumerate(photos(COUNT, wanted)):
            label = number % 2
            (root / "loose" / "ab"[label] / f"{number:05d}.jpg").write_bytes(content)
            for kind, each in (("jpg", content), ("cls", str(label).encode())):
                info = tarfile.TarInfo(f"{number:05d}.{kind}")
                info.size = len(each)
                tars[number % 4].addfile(info, io.BytesIO(each))


def to_floats(image: Image.Image, size: int) -> Tensor:
    """As people write it: short side to size, centre cut out, to a tensor, normalised."""
    image = image.convert("RGB")
    scale = size / min(image.size)
    image = image.resize(
        (round(image.width * scale), round(image.height * scale)), Image.Resampling.BILINEAR
    )
    left, top = (image.width - size) // 2, (image.height - size) // 2
    pixels = np.array(image.crop((left, top, left + size, top + size)))
    floats = torch.from_numpy(pixels).permute(2, 0, 1).contiguous().float().div_(255)
    return floats.sub_(torch.tensor(MEAN).view(3, 1, 1)).div_(torch.tensor(STD).view(3, 1, 1))


class Loose(Dataset[tuple[Tensor, int]]):
    """Files, opened one by one."""

    def __init__(self, folder: Path, size: int) -> None:
        self.paths = sorted(folder.glob("*/*.jpg"))
        self.size = size

    def __len__(self) -> int:
        return ENDLESS

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        path = self.paths[i % len(self.paths)]
        with Image.open(path) as image:
            return to_floats(image, self.size), int(path.parent.name == "b")


class Held(Dataset[tuple[Tensor, int]]):
    """Images in memory, augmented one by one."""

    def __init__(self, images: Tensor) -> None:
        self.images = images
        self.mean = torch.tensor(MEAN).view(3, 1, 1)
        self.std = torch.tensor(STD).view(3, 1, 1)

    def __len__(self) -> int:
        return ENDLESS

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        image = self.images[i % len(self.images)]
        padded = torch.nn.functional.pad(image, (4, 4, 4, 4))
        top, left = (int(each) for each in torch.randint(0, 9, (2,)))
        image = padded[:, top : top + 32, left : left + 32]
        if torch.rand(()) < 0.5:
            image = image.flip(2)
        return image.float().div_(255).sub_(self.mean).div_(self.std), i % 10


def plain(data: Dataset[Any], workers: int) -> Iterator[Any]:
    shuffled = torch.utils.data.RandomSampler(data, replacement=True, num_samples=ENDLESS)
    return iter(DataLoader(data, BATCH, sampler=shuffled, num_workers=workers))


def webdataset(folder: Path, size: int) -> Iterator[Any]:
    import webdataset as wds

    tars = sorted(map(str, folder.glob("*.tar")))
    data = (
        wds.WebDataset(tars, resampled=True, shardshuffle=False)
        .shuffle(COUNT // 4)
        .decode("pil")
        .to_tuple("jpg", "cls")
        .map_tuple(lambda image: to_floats(image, size), int)
        .batched(BATCH)
    )
    return iter(DataLoader(data, batch_size=None, num_workers=WORKERS))


def netwright(folder: Path, size: int, decode: str) -> Iterator[Any]:
    from netwright.data.feed import Feed
    from netwright.data.opening import DataOptions, open_dataset
    from netwright.data.preprocessing import Preprocessing

    options = DataOptions(name=str(folder), size=size, cache="stream", decode=decode)
    images = open_dataset(options, seed=0, splits_needed=()).splits["all"]
    preprocessing = Preprocessing(channels=3, size=(size, size), mean=MEAN, std=STD)
    feed = Feed(images, batch=BATCH, seed=0, preprocessing=preprocessing, workers=WORKERS)
    return ((each.images, each.target) for each in feed.iterate())


def memory_kept() -> contextlib.AbstractContextManager[None]:
    from netwright.tasks import computing

    return computing.memory_kept(torch.device("cpu"))


def netwright_memory(images: Tensor) -> Iterator[Any]:
    from netwright.augment import Augmentation
    from netwright.data.dataset import MemoryImages
    from netwright.data.feed import Feed
    from netwright.data.preprocessing import Preprocessing

    held = MemoryImages(images, np.arange(len(images)) % 10)
    feed = Feed(
        held,
        batch=BATCH,
        seed=0,
        preprocessing=Preprocessing(channels=3, size=(32, 32), mean=MEAN, std=STD),
        augmentation=Augmentation({"crop": 4, "flip": True}, mean=MEAN, std=STD),
    )
    return ((each.images, each.target) for each in feed.iterate())


def contender(name: str, root: Path, size: int) -> Iterator[Any]:
    if name in MEMORY:
        generator = torch.Generator().manual_seed(0)
        shape = (MEMORY_COUNT, 3, 32, 32)
        images = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
        if name == "batch":
            return netwright_memory(images)
        return plain(Held(images), 0 if name == "plain0" else WORKERS)
    makers: dict[str, Callable[[], Iterator[Any]]] = {
        "plain": lambda: plain(Loose(root / "loose", size), WORKERS),
        "exact": lambda: netwright(root / "loose", size, "exact"),
        "fast": lambda: netwright(root / "loose", size, "fast"),
        "tar": lambda: netwright(root / "tars", size, "fast"),
        "webdataset": lambda: webdataset(root / "tars", size),
    }
    return makers[name]()


def timed(batches: Iterator[Any], size: int, seconds: float) -> tuple[float, float]:
    """Images a second, after the batches that were made ahead, and images for each second of
    processor time that this process and its workers took."""
    for _ in range(1 + 3 * WORKERS):
        images, _ = next(batches)
    assert tuple(images.shape) == (BATCH, 3, size, size), images.shape
    assert images.dtype == torch.float32
    begun, count, spent = time.perf_counter(), 0, processor_time()
    while (taken := time.perf_counter() - begun) < seconds:
        count += len(next(batches)[0])
    return count / taken, count / (processor_time() - spent)


def processor_time() -> float:
    """Seconds of this process and of its workers, which are under way."""
    total = 0.0
    for pid in (os.getpid(), *(each.pid for each in multiprocessing.active_children())):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total


def measured(name: str, root: Path, size: int, seconds: float, python: str) -> tuple[float, float]:
    words = ["--contender", name, "--folder", str(root), "--size", str(size)]
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "NETWRIGHT_HOME": str(root / "cache"),
        "PYTHONWARNINGS": "ignore",
    }
    done = subprocess.run(
        [python, str(Path(__file__)), *words, "--seconds", str(seconds)],
        env=environment, stdout=subprocess.PIPE, text=True, check=True, timeout=300,
    )  # fmt: skip
    rate, per_processor = done.stdout.split()[-2:]
    return float(rate), float(per_processor)


def rounds(
    names: list[str], root: Path, size: int, arguments: argparse.Namespace
) -> dict[str, list[tuple[float, float]]]:
    """What each contender gave, one pair a round; each round begins with another."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    for number in range(1 if arguments.quick else arguments.rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            python = arguments.peers if name == "webdataset" else sys.executable
            seconds = 1.0 if arguments.quick else arguments.seconds
            found[name].append(measured(name, root, size, seconds, python))
    return found


def lines_of(
    found: dict[str, list[tuple[float, float]]], base: list[tuple[float, float]]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The line of each contender: by the clock, and by processor time."""
    for name, pairs in found.items():
        values: dict[str, Any] = {}
        for part, kind in enumerate(("clock", "processor")):
            rates = [pair[part] for pair in pairs]
            ratios = [rate / plain[part] for rate, plain in zip(rates, base, strict=True)]
            values[kind] = {
                "rates": [round(each, 1) for each in rates],
                "ratios": [round(each, 3) for each in ratios],
            }
        yield name, values


def row(label: str, what: str, values: dict[str, Any]) -> str:
    shown = []
    for kind in ("clock", "processor"):
        rates, ratios = values[kind]["rates"], values[kind]["ratios"]
        spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
        shown.append(f"{statistics.median(rates):,.0f} | **{statistics.median(ratios):.2f}**")
        shown.append(spread)
    return f"| {what} | {label} | {' | '.join(shown)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one short round, keeps nothing")
    parser.add_argument("--fresh", action="store_true", help="forget the lines that are there")
    parser.add_argument("--peers", help="a Python that has webdataset beside torch and Pillow")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--contender", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--size", type=int, default=32, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.contender:
        torch.set_num_threads(1)
        ours = arguments.contender in ("exact", "fast", "tar", "batch")
        with memory_kept() if ours else contextlib.nullcontext():
            batches = contender(arguments.contender, arguments.folder, arguments.size)
            print(*timed(batches, arguments.size, arguments.seconds), flush=True)
        os._exit(0)  # endless loaders take long to end
    from cells import Cells, machine

    setup = {
        **machine(), "pillow": version("pillow"), "rounds": arguments.rounds,
        "seconds": arguments.seconds, "batch": BATCH, "workers": WORKERS,
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "pipeline.jsonl" if arguments.quick else HERE / "pipeline.jsonl"
        cells = Cells(place, setup, fresh=arguments.fresh)
        roots = {PHOTO: Path(folder) / "files", LARGE: Path(folder) / "large"}
        for wanted, root in roots.items():
            make_files(root, wanted)
        names = [name for name in FILES if name != "webdataset" or arguments.peers]
        for key, (wanted, size) in SETUPS.items():
            if f"plain@{key}" not in cells:
                found = rounds(names, roots[wanted], size, arguments)
                for name, values in lines_of(found, found["plain"]):
                    cells.add(f"{name}@{key}", values)
                    print(row(FILES[name], described(key), values), flush=True)
        if "plain0@memory" not in cells:
            found = rounds(list(MEMORY), roots[PHOTO], 32, arguments)
            both = zip(found["plain0"], found["plain2"], strict=True)
            better = [(max(a[0], b[0]), max(a[1], b[1])) for a, b in both]
            for name, values in lines_of(found, better):
                cells.add(f"{name}@memory", values)
                print(row(MEMORY[name], described("memory"), values), flush=True)
        if not arguments.quick:
            (HERE / "pipeline.md").write_text(page(cells.found, setup), encoding="utf-8")


def described(where: str) -> str:
    if where == "memory":
        return "in memory, 32 pixels"
    (width, height), size = SETUPS[where]
    return f"JPEG of {width}x{height}, to {size}"


def page(found: dict[str, dict[str, Any]], setup: dict[str, Any]) -> str:
    about = ", ".join(f"{name} {value}" for name, value in setup.items())
    lines = [
        "# Images a second",
        "",
        f"{about}. Written by `benchmarks/pipeline.py`, which says how it is measured. A ratio is "
        "taken within a round, to the plain loader (in memory: to the better of its two); the "
        "median and the range of the rounds are shown. By the clock other work on the machine "
        "counts; by the processor only what the process and its workers took themselves does.",
        "",
        "| data | contender | images/s | ratio | range | images per processor second | ratio "
        "| range |",
        "|---|---|---:|---:|---|---:|---:|---|",
    ]
    for cell, values in found.items():
        name, _, where = cell.partition("@")
        lines.append(row({**FILES, **MEMORY}[name], described(where), values))
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
