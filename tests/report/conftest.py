"""Run folders as training leaves them, made in a moment: digit-like images, believable numbers.

make_run(folder)                     the good case: ten digits, twenty epochs, val and test
make_run(folder, epochs=0, ...)      what is asked for; keywords replace parts
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from netwright.core.languages import Phrase
from netwright.records.facts.layers import Layers
from netwright.records.facts.setup import Setup
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.interventions import Intervention, Tried
from netwright.records.record import Record

_FONT = {
    "0": "0110 1001 1001 1001 1001 0110",
    "1": "0010 0110 0010 0010 0010 0111",
    "2": "0110 1001 0001 0010 0100 1111",
    "3": "1110 0001 0110 0001 0001 1110",
    "4": "0010 0110 1010 1111 0010 0010",
    "5": "1111 1000 1110 0001 0001 1110",
    "6": "0110 1000 1110 1001 1001 0110",
    "7": "1111 0001 0010 0010 0100 0100",
    "8": "0110 1001 0110 1001 1001 0110",
    "9": "0110 1001 1001 0111 0001 0110",
}

DIGITS = [str(i) for i in range(10)]


def digit(label: int, rng: np.random.Generator, *, side: int = 8) -> npt.NDArray[np.uint8]:
    """A smudged digit, (side, side, 3) uint8."""
    rows = _FONT[str(label % 10)].split()
    image = np.zeros((8, 8))
    top, left = rng.integers(0, 3), rng.integers(1, 4)
    image[top : top + 6, left : left + 4] = [[int(bit) for bit in row] for row in rows]
    soft = image.copy()
    soft[1:] += 0.25 * image[:-1]
    soft[:, 1:] += 0.25 * image[:, :-1]
    soft = np.clip(soft * rng.uniform(0.7, 1.0) + rng.normal(0, 0.05, (8, 8)), 0, 1)
    big = np.kron(soft, np.ones((side // 8, side // 8)))
    return np.repeat((255 * big).astype(np.uint8)[:, :, None], 3, axis=2)


@pytest.fixture
def make_run() -> Callable[..., Path]:
    """The builder below, for tests."""
    return build_run


def build_run(
    folder: Path,
    *,
    classes: list[str] | None = None,
    epochs: int = 20,
    best_epoch: int = 17,
    splits: tuple[str, ...] = ("val", "test"),
    side: int = 8,
    info: dict[str, Any] | None = None,
    model: dict[str, Any] | None = None,
    layers: int = 5,
    errors: int = 6,
) -> Path:
    """Write a run folder and return it."""
    rng = np.random.default_rng(7)
    names = DIGITS if classes is None else classes
    folder.mkdir(parents=True, exist_ok=True)
    lines = [_line(epoch, epochs, epoch == best_epoch, rng) for epoch in range(1, epochs + 1)]
    best = next((line for line in lines if line["best"]), None)
    facts: dict[str, Any] = {
        "format": 1,
        "status": "done",
        "why": "",
        "command": "netwright train digits lenet5 epochs=20 aug.shift=1",
        "versions": {
            "netwright": "0.1.0",
            "python": "3.11.7",
            "torch": "2.13.0+cpu",
            "numpy": "2.4.6",
        },
        "git": {"commit": "3f2a9c1", "dirty": False},
        "device": "cpu",
        "seed": 0,
        "started": "2026-11-20T18:02:11+00:00",
        "ended": "2026-11-20T18:02:59+00:00",
        "best": best
        and {
            "metric": "val/acc1",
            "value": best["val/acc1"],
            "epoch": best["epoch"],
            "step": best["step"],
        },
        "epochs": epochs,
        "steps": 40 * epochs,
        "seconds": 47.6,
        "data_wait_share": 0.013,
        "peak_memory_bytes": 412_000_000,
        "resumed": [],
        "notes": [
            {
                "word": "NOTE",
                "template": "The best weights are kept in {file}.",
                "values": {"file": "best.safetensors"},
            }
        ],
    }
    (folder / "run.json").write_text(json.dumps(facts | (info or {})))
    write_repair(folder)
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "config.yaml").write_text(_CONFIG)
    (folder / "best.safetensors").write_bytes(b"weights")
    (folder / "model.json").write_text(json.dumps(_model(names, layers, splits) | (model or {})))
    (folder / "evidence").mkdir(exist_ok=True)
    for split in splits:
        write_evidence(folder, split, len(names), rng, side=side, errors=errors)
    write_features(folder, side=side)
    (folder / "samples").mkdir(exist_ok=True)
    target = rng.integers(0, len(names), 32)
    images = np.stack([digit(int(label), rng, side=side) for label in target])
    np.savez(folder / "samples" / "first-batch.npz", images=images, target=target)
    write_augmentations(folder, side=side)
    write_record(folder)
    write_interventions(folder)
    return folder


def write_interventions(folder: Path) -> None:
    """`interventions.jsonl` of a run that was treated once."""
    known = {"what": "The loss climbs", "message": {"template": "The loss climbs", "values": {}}}
    tried = Tried(rate=0.1, clip=None, steps=12, loss=0.25)
    broke = Tried(rate=0.3, clip=None, steps=12, loss=None)
    done = Intervention(
        number=1, finding="divergence", step=61, seen=90, back_to=60, rate=0.1,
        tried=(broke, tried), outcome="held", known=known,
    )  # fmt: skip
    (folder / "interventions.jsonl").write_text(json.dumps(done.to_json()) + "\n")


def write_record(folder: Path, *, layers: int = 5, looks: int = 24, finding: bool = True) -> None:
    """What a watch of the run leaves: its record, and one finding."""
    names = tuple(f"features.{i}" for i in range(layers))
    rng = np.random.default_rng(5)
    shape = (looks, layers)
    falling = 10.0 ** -np.linspace(4, 1, layers) * rng.uniform(0.5, 2, shape)
    record = Record(
        [
            Setup(model="LeNet5", params=61_706, trainable=61_706),
            Layers(
                names=names,
                kinds=("conv2d",) * layers,
                step=np.arange(1.0, 10 * looks, 10),
                gradient_rms=falling,
                update_ratio=np.where(rng.random(shape) < 0.1, np.nan, 1e-3 * falling),
                zero_share=np.clip(rng.uniform(0.3, 0.8, shape), 0, 1),
            ),
        ]
    )
    record.save(folder)
    found = Finding(
        name="vanishing-gradients",
        severity="warn",
        what=Phrase("Almost nothing reaches {layer}", layer=names[0]),
        evidence=(
            Evidence(signal=Phrase("rate"), value=1e-5, baseline=1e-2, step=41),
            Evidence(signal=Phrase("loss"), value=2.3, threshold=2.29, witness="harm"),
        ),
        cause=Phrase("Each layer lets a tenth through."),
        wrong_if=Phrase("the first layer moves as fast as the last"),
        treatments=(
            Treatment(name="norm", grade="ask", why=Phrase("Normalise."), code="nn.BatchNorm2d(6)"),
        ),
        layers=names[:1],
        step=41,
    )
    lines = [json.dumps(found.to_json())] if finding else []
    (folder / "findings.jsonl").write_text("".join(f"{line}\n" for line in lines))


def write_repair(folder: Path) -> None:
    """`repair.json` of a script whose gradients are cleared since."""
    rows = [
        {"says": "as it is", "steps": 50, "score": 0.1, "scores": [0.1], "kept": False},
        {"says": "cleared", "steps": 50, "score": 0.9, "scores": [0.9], "kept": True},
    ]
    table = [{"findings": ["gradients-never-cleared"], "judge": "accuracy", "rows": rows}]
    account = {"format": 1, "repaired": True, "judge": "accuracy", "table": table, "score": 0.9}
    (folder / "repair.json").write_text(json.dumps(account))


def write_augmentations(folder: Path, *, side: int = 8) -> None:
    """`samples/augmentations.npz` of a run with aug.shift=1."""
    images = np.stack([digit(label, np.random.default_rng(3), side=side) for label in (0, 1)])
    np.savez(
        folder / "samples" / "augmentations.npz",
        images=images,
        target=np.array([0, 1]),
        names=np.array(["shift"]),
        amounts=np.array(["1"]),
        docs=np.array(["Each image moved up or down and left or right by up to `amount` pixels."]),
        **{
            "draws-0": np.concatenate([np.roll(images, 1, axis) for axis in (1, 2)]),
            "of-0": np.array([0, 1, 0, 1]),
        },
    )


def write_evidence(
    folder: Path,
    split: str,
    num_classes: int,
    rng: np.random.Generator,
    *,
    side: int = 8,
    errors: int = 6,
) -> None:
    """`evidence/<split>.npz` with that many mistakes."""
    each = 36 if split == "test" else 14
    confusion = np.diag(np.full(num_classes, each)).astype(np.int64)
    wrong = [(8 % num_classes, 1 % num_classes), (3 % num_classes, 5 % num_classes)]
    mistakes = [wrong[0]] * 3 + [wrong[1]] * 2
    while len(mistakes) < errors:
        true, pred = rng.integers(0, num_classes, 2)
        if true != pred:
            mistakes.append((int(true), int(pred)))
    mistakes = [(true, pred) for true, pred in mistakes[:errors] if true != pred]
    for true, pred in mistakes:
        confusion[true, true] -= 1
        confusion[true, pred] += 1
    shown = mistakes[:24]
    images = np.stack(
        [digit(true, rng, side=side) for true, _ in shown] or [np.zeros((side, side, 3), np.uint8)]
    )[: len(shown)]
    total = int(confusion.sum())
    np.savez(
        folder / "evidence" / f"{split}.npz",
        confusion=confusion,
        loss=np.float64(0.0612),
        acc1=np.float64(np.trace(confusion) / total),
        worst_images=images,
        worst_target=np.array([true for true, _ in shown], dtype=np.int64),
        worst_pred=np.array([pred for _, pred in shown], dtype=np.int64),
        worst_probability=np.linspace(0.99, 0.42, len(shown)),
        worst_loss=np.linspace(6.2, 1.1, len(shown)),
        worst_name=np.array([f"{split}-{i:05d}" for i in range(len(shown))]),
        pair_images=images[:5],
        pair_true=np.array([true for true, _ in shown[:5]], dtype=np.int64),
        pair_pred=np.array([pred for _, pred in shown[:5]], dtype=np.int64),
    )


def write_features(folder: Path, *, side: int = 8) -> None:
    """`evidence/features.npz` of a network with six filters and two layers of maps."""
    rng = np.random.default_rng(11)
    filters = np.repeat(rng.integers(0, 256, (6, 5, 5, 1), dtype=np.uint8), 3, axis=3)
    np.savez(
        folder / "evidence" / "features.npz",
        filters=filters,
        filters_start=filters[::-1],
        filter_layer=np.asarray("features.conv1"),
        filter_shape=np.asarray((6, 1, 5, 5)),
        images=np.stack([digit(3, rng, side=side), digit(8, rng, side=side)]),
        image_target=np.asarray((3, 8)),
        image_pred=np.asarray((3, 1)),
        image_probability=np.asarray((0.97, 0.51)),
        map_layer=np.asarray(("features.conv1", "features.conv2")),
        map_shape=np.asarray(((6, 28, 28), (16, 10, 10))),
        maps_0=rng.integers(0, 256, (2, 6, 28, 28), dtype=np.uint8),
        channels_0=np.arange(6),
        maps_1=rng.integers(0, 256, (2, 8, 10, 10), dtype=np.uint8),
        channels_1=np.arange(8)[::-1],
    )


def _line(epoch: int, epochs: int, best: bool, rng: np.random.Generator) -> dict[str, Any]:
    fall = np.exp(-epoch / 4.0)
    return {
        "step": 40 * epoch,
        "epoch": epoch,
        "train/loss": float(0.02 + 2.2 * fall * rng.uniform(0.95, 1.05)),
        "train/acc1": float(1 - 0.7 * fall - 0.004),
        "val/loss": float(0.06 + 1.9 * fall * rng.uniform(0.9, 1.1)),
        "val/acc1": float(0.979 - 0.75 * fall + (0.006 if best else 0.0)),
        "lr/g0": float(0.025 * (1 + np.cos(np.pi * epoch / epochs))),
        "grad/norm": float(0.15 + 2.5 * fall * rng.uniform(0.8, 1.2)),
        "time/data_s": 0.0004,
        "time/step_s": 0.031,
        "time/epoch_s": 2.3,
        "best": best,
    }


def _model(names: list[str], layers: int, splits: tuple[str, ...]) -> dict[str, Any]:
    rows = [
        {
            "name": "features.conv1",
            "kind": "Conv2d",
            "output": [6, 28, 28],
            "params": 156,
            "macs": 122_304,
        },
        {
            "name": "features.pool1",
            "kind": "AvgPool2d",
            "output": [6, 14, 14],
            "params": 0,
            "macs": 0,
        },
        {
            "name": "features.conv2",
            "kind": "Conv2d",
            "output": [16, 10, 10],
            "params": 2416,
            "macs": 240_000,
        },
        {"name": "fc1", "kind": "Linear", "output": [120], "params": 48_120, "macs": 48_000},
        {"name": "head", "kind": "Linear", "output": [len(names)], "params": 1210, "macs": 1200},
    ]
    rows += [
        {
            "name": f"block{i}.conv",
            "kind": "Conv2d",
            "output": [16, 10, 10],
            "params": 2320,
            "macs": 230_400,
        }
        for i in range(layers - len(rows))
    ]
    sizes = {"train": 129, "val": 14, "test": 36}
    counts = {split: dict.fromkeys(names, sizes[split]) for split in ("train", *splits)}
    return {
        "format": 1,
        "task": "classification",
        "architecture": {"name": "lenet5", "options": {}},
        "begun": [
            {
                "word": "OK",
                "template": "tensors loaded: {count}, from {path}",
                "values": {"count": 8, "path": "/weights/first.pth"},
            }
        ],
        "transfer": {
            "head": ["head.weight", "head.bias"],
            "freeze_steps": 80,
            "gradual": True,
            "norm": "train",
            "stages": [
                {"name": "features.conv1", "parameters": 2, "rate": 0.64},
                {"name": "features.conv2", "parameters": 2, "rate": 0.8},
            ],
        },
        "classes": names,
        "input": {
            "channels": 1,
            "size": [8, 8],
            "mean": [0.3053],
            "std": [0.3768],
            "resize": "bilinear",
        },
        "params": sum(row["params"] for row in rows),
        "macs": sum(row["macs"] for row in rows),
        "layers": rows,
        "data": {
            "name": "digits",
            "layout": "Handwritten digits that ship with Netwright, 1,797 images of 8 x 8.",
            "counts": counts,
            "attribution": "Optical Recognition of Handwritten Digits, E. Alpaydin and C. Kaynak, "
            "UCI Machine Learning Repository, 1998. CC BY 4.0.",
            "notes": [],
            "quarantined": [],
        },
    }


_CONFIG = """\
# resolved by netwright 0.1.0
epochs: 20              # command line
batch: 32               # default
seed: 0                 # default
data:
  name: digits          # data
  val_share: 0.1        # default
model:
  name: lenet5          # model
optim:
  name: sgd             # recipe digits
  lr: 0.05              # recipe digits
  momentum: 0.9         # default
aug:
  shift: 1              # command line
"""
