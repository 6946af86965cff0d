"""Training on from ImageNet weights, against training from scratch: few images a class of CIFAR-10.

    python benchmarks/transfer.py                   # 30 cells, an hour and a half of one thread
    python benchmarks/transfer.py --only fine-tuned # one way
    python benchmarks/transfer.py --quick           # three epochs of one seed each; keeps nothing

MobileNetV2 sees 20 or 50 images of each class, enlarged to 96 pixels, and is judged once on 2,000
test images, 200 of each class. Three ways: from scratch (with batch norm), with its ImageNet
weights frozen below a new head, and fine-tuned. The published weights have their norms folded in,
so the last two train a network without norms. Each cell is `netwright train` in a fresh process;
the seed chooses the training images too. One line a cell goes into `transfer.jsonl`; started
again, the benchmark goes on after the last. The table is written to `transfer.md`.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import feeds
from cells import Cells, machine
from recipes import _netwright

HERE = Path(__file__).resolve().parent
IMAGES = (20, 50)
SEEDS = 5
HELD, JUDGED = 5, 200
"""Images of each class for validation, which nothing is chosen by, and for the test."""
WEIGHTS = "weights/mobilenet_v2_1.0_224_uint8.safetensors"
LIMIT = 300
"""Seconds that a training may take."""


@dataclass(frozen=True, kw_only=True)
class Way:
    """One way to train: its settings, and its epochs with 20 and 50 images a class."""

    name: str
    words: tuple[str, ...]
    epochs: tuple[int, int]
    pretrained: bool = True


COMMON = (
    "mobilenet_v2", "data.size=96", "batch=32", "optim=adamw", "optim.wd=0.01",
    "sched=one-cycle", "aug.flip=true", "run.select=last", "run.compile=false",
    "run.precision=float32", "device=cpu",
)  # fmt: skip
WAYS = (
    Way(
        name="from scratch",
        words=("optim.lr=0.002", "aug.shift=8"),
        epochs=(60, 24),
        pretrained=False,
    ),
    Way(
        name="frozen",
        words=("optim.lr=0.01", "transfer.freeze=all"),
        epochs=(30, 16),
    ),
    Way(
        name="fine-tuned",
        words=(
            "optim.lr=0.001",
            "optim.clip=1",
            "aug.shift=8",
            "transfer.freeze=2",
            "transfer.rate_of_layers=0.85",
        ),
        epochs=(24, 12),
    ),
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="the folder with cifar10.zip and weights/")
    parser.add_argument("--quick", action="store_true", help="three epochs of one seed each")
    parser.add_argument("--only", default="", help="only ways with this word in their name")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--fresh", action="store_true", help="forget the lines measured before")
    given = parser.parse_args()
    if given.data is not None:
        os.environ["NETWRIGHT_SHARED_DATA"] = str(given.data.resolve())
    setup = {
        **machine(),
        "threads": given.threads,
        "torch": version("torch"),
        "netwright": version("netwright"),
    }
    print(json.dumps(setup), flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        kept = Path(scratch) if given.quick else HERE
        cells = Cells(kept / "transfer.jsonl", setup, fresh=given.fresh)
        for seed in range(1 if given.quick else given.seeds):
            for at, count in enumerate(IMAGES[:1] if given.quick else IMAGES):
                for way in WAYS:
                    cell = f"{way.name}, {count} images, seed {seed}"
                    if cell not in cells and given.only in way.name:
                        epochs = 3 if given.quick else way.epochs[at]
                        judged = 20 if given.quick else JUDGED
                        found = measured(way, count, seed, epochs, given.threads, judged)
                        cells.add(cell, found)
                        print(f"{cell}: {json.dumps(found)}", flush=True)
        table = table_of(cells.found, setup)
        (kept / "transfer.md").write_text(table)
        print(table)


def measured(
    way: Way, count: int, seed: int, epochs: int, threads: int, judged: int = JUDGED
) -> dict[str, Any]:
    """One training, and its accuracy on the test images."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        write_images(place, count, seed, judged)
        words = [str(place / "few"), *COMMON, *way.words, f"epochs={epochs}", f"seed={seed}"]
        if way.pretrained:
            words.append(f"model.weights={feeds.data_folder() / WEIGHTS}")
        run = place / "run"
        trained, cost = _netwright(["train", *words, f"--run-dir={run}"], threads)
        tested, judging = _netwright(
            ["evaluate", str(run), str(place / "judged"), "--device=cpu"], threads
        )
        line = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])
    return {
        "test_acc1": 100 * tested["metrics"]["acc1"],
        "test_count": tested["count"],
        "train_loss": line["train/loss"],
        "epochs": trained["epochs"],
        "steps": trained["steps"],
        "step_seconds": round(line["time/step_s"], 3),
        **cost,
        "judging_seconds": judging["process_seconds"],
    }


def write_images(folder: Path, count: int, seed: int, judged: int) -> None:
    """`few/train/CLASS` with `count` images that the seed chooses, `few/val/CLASS` with others, and
    `judged/CLASS` with test images, the same for every seed, which the training never sees."""
    classes = feeds.cifar10_classes()
    images, labels = _part("train_a")
    chosen = np.random.default_rng(seed).permutation(len(labels))
    for number, name in enumerate(classes):
        mine = chosen[labels[chosen] == number]
        _write(folder / "few" / "train" / name, images[mine[:count]])
        _write(folder / "few" / "val" / name, images[mine[count : count + HELD]])
    images, labels = _part("test")
    for number, name in enumerate(classes):
        _write(folder / "judged" / name, images[labels == number][:judged])


@functools.cache
def _part(part: str) -> tuple[np.ndarray, np.ndarray]:
    return feeds.cifar10_part("cifar10.zip", part)


def _write(folder: Path, images: np.ndarray) -> None:
    folder.mkdir(parents=True)
    for number, each in enumerate(images):
        Image.fromarray(each.transpose(1, 2, 0)).save(folder / f"{number:03}.png")


def table_of(found: Mapping[str, Mapping[str, Any]], setup: Mapping[str, Any]) -> str:
    lines = [
        "# Training on from ImageNet weights",
        "",
        f"{setup['processor']}, {setup['cores']} cores, {setup['threads']} threads; "
        f"Python {setup['python']}, torch {setup['torch']}, Netwright {setup['netwright']}. "
        "Written by `benchmarks/transfer.py`: MobileNetV2 on 20 and 50 images of each class of "
        f"CIFAR-10, enlarged to 96 pixels, judged on {10 * JUDGED:,} test images. Medians over "
        "the seeds, lowest and highest behind them; a seed chooses the training images too. "
        f"A training may take {LIMIT} seconds of the processor; by the clock other work on the "
        "machine counts too.",
        "",
        "| images a class | way | test accuracy, % | each seed | epochs | seconds of a training "
        "| longest | processor seconds | most | peak memory, MB |",
        "|---:|---|---:|---|---:|---:|---:|---:|---:|---:|",
    ]
    for count in IMAGES:
        for way in WAYS:
            start = f"{way.name}, {count} images, seed"
            rows = [line for cell, line in found.items() if cell.startswith(start)]
            if rows:
                lines.append(_line(count, way, rows))
    return "\n".join([*lines, "", *_margins(found), ""])


def _line(count: int, way: Way, rows: Sequence[Mapping[str, Any]]) -> str:
    scores = [row["test_acc1"] for row in rows]
    seconds = [row["process_seconds"] for row in rows]
    processor = [row["cpu_seconds"] for row in rows]
    peak = statistics.median(row["peak_mb"] for row in rows)
    return (
        f"| {count} | {way.name} | **{statistics.median(scores):.1f}** "
        f"({min(scores):.1f} to {max(scores):.1f}) | {', '.join(f'{s:.1f}' for s in scores)} "
        f"| {rows[0]['epochs']} | {statistics.median(seconds):.0f} | {max(seconds):.0f} "
        f"| {statistics.median(processor):.0f} | {max(processor):.0f} | {peak:.0f} |"
    )


def _margins(found: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """How far the pretrained ways are above training from scratch, seed by seed."""
    lines = []
    for count in IMAGES:
        for way in WAYS[1:]:
            gains = [
                line["test_acc1"] - found[other]["test_acc1"]
                for cell, line in found.items()
                if cell.startswith(f"{way.name}, {count} images")
                for other in [cell.replace(way.name, WAYS[0].name)]
                if other in found
            ]
            if gains:
                lines.append(
                    f"With {count} images a class, {way.name} is {statistics.median(gains):.1f} "
                    f"points above training from scratch (at least {min(gains):.1f} in "
                    f"{len(gains)} seeds)."
                )
    return lines


if __name__ == "__main__":
    main()
