"""Using a run: how good it is on a split, and what it says about new images."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from netwright.core import events as e
from netwright.core.config import build
from netwright.core.downloads import log
from netwright.core.errors import DataError, SettingError, nearest
from netwright.data.dataset import Dataset
from netwright.data.given import open_images
from netwright.data.opening import DataOptions, open_dataset
from netwright.records.run import Run, find_run
from netwright.records.seeds import Spread, seed_runs, spread
from netwright.tasks.architectures import refuse_foreign_data_code
from netwright.tasks.evaluation import score
from netwright.tasks.loading import Network, load
from netwright.tasks.preparing import evaluation_feed
from netwright.tasks.settings import read_config

PREDICT_BATCH = 64


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Metrics of a run on one split: `loss` (nats), `acc1`, with ten classes or more `acc5`."""

    run: Run
    data: str
    split: str
    count: int
    metrics: Mapping[str, float]
    spread: Mapping[str, Spread] = field(default_factory=dict)
    """Of a run over several seeds: how each metric differs; `metrics` are then the medians."""
    seeds: Mapping[int, Evaluation] = field(default_factory=dict)
    """The evaluation of each seed that is done."""

    def to_json(self) -> dict[str, Any]:
        document = {
            "format": 1,
            "run": str(self.run.path),
            "data": self.data,
            "split": self.split,
            "count": self.count,
            "metrics": dict(self.metrics),
        }
        if not self.seeds:
            return document
        return {
            **document,
            "spread": {name: each.to_json() for name, each in self.spread.items()},
            "seeds": [
                {"seed": seed, "run": str(each.run.path), "metrics": dict(each.metrics)}
                for seed, each in self.seeds.items()
            ],
        }


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """One image: the class, its probability, the lead over the second (`margin`), the best few.

    An image that cannot be read has `error` instead, and no label.
    """

    file: str
    label: str = ""
    probability: float = 0.0
    margin: float = 0.0
    top: tuple[tuple[str, float], ...] = ()
    error: str = ""

    def to_json(self) -> dict[str, Any]:
        if self.error:
            return {"file": self.file, "error": self.error}
        return {
            "file": self.file,
            "label": self.label,
            "probability": self.probability,
            "margin": self.margin,
            "top": [[name, value] for name, value in self.top],
        }


@dataclass(frozen=True, kw_only=True)
class Predictions:
    run: Run
    images: tuple[Prediction, ...]
    seconds: float
    seed: int | None = None
    """Of a run over several seeds the one that answered; `run` is its folder."""

    def to_json(self) -> dict[str, Any]:
        document = {
            "format": 1,
            "run": str(self.run.path),
            "images": [each.to_json() for each in self.images],
        }
        return document if self.seed is None else {**document, "seed": self.seed}


def evaluate(
    run: str,
    *,
    data: str | None = None,
    split: str | None = None,
    device: str = "auto",
    trust_code: bool = False,
    listeners: Sequence[e.Listener] = (),
) -> Evaluation:
    """How good a run is: on its test split where the data have one, else on validation.

    `split` or other `data` (of the same classes) decide otherwise. Of a run over several seeds
    every one that is done is measured. `listeners` are told when data are downloaded, and how far
    that is.
    """

    def measure(path: str) -> Evaluation:
        network = load(path, trust_code=trust_code, device=device)
        return evaluate_with(
            network, data=data, split=split, trust_code=trust_code, listeners=listeners
        )

    found = find_run(run)
    done = [each for each in seed_runs(found) if each.status == "done"]
    if not done:
        return measure(run)
    return _over_seeds(found, {each.seed: measure(str(each.run.path)) for each in done})


def _over_seeds(run: Run, seeds: Mapping[int, Evaluation]) -> Evaluation:
    """The evaluations of several seeds as one: medians, and how far they lie apart."""
    first = next(iter(seeds.values()))
    differ = {
        name: met
        for name in first.metrics
        if (met := spread({seed: each.metrics[name] for seed, each in seeds.items()}))
    }
    return Evaluation(
        run=run,
        data=first.data,
        split=first.split,
        count=first.count,
        metrics={name: met.median for name, met in differ.items()},
        spread=differ,
        seeds=seeds,
    )


def evaluate_with(
    network: Network,
    *,
    data: str | None = None,
    split: str | None = None,
    trust_code: bool = False,
    listeners: Sequence[e.Listener] = (),
) -> Evaluation:
    events = e.Events(*listeners)
    recipe = read_config(str(network.run.path / "config.yaml")).recipe
    options = recipe.data
    if data is not None:
        alike = {"workers": options.workers, "decode": options.decode}
        options = build(DataOptions, {"name": data, **alike}, prefix="data.")
    else:
        refuse_foreign_data_code(network.run, options.name, trust_code=trust_code)
    dataset = open_dataset(
        options,
        seed=recipe.general.seed,
        splits_needed=("train", "val") if data is None else (),
        classes=network.classes,
        shape=network.preprocessing.shape,
        announce=events.emit if listeners else log,
        progress=lambda held, total: events.emit(e.BytesCame(held=held, total=total)),
    )
    chosen = _split(dataset, split, own=data is None)
    feed = evaluation_feed(dataset, chosen, network.preprocessing, recipe, network.device)
    metrics = score(network.module, feed.once(), num_classes=len(network.classes))
    return Evaluation(
        run=network.run,
        data=dataset.name,
        split=chosen,
        count=len(dataset.splits[chosen]),
        metrics=metrics,
    )


def predict(
    run: str,
    paths: Sequence[str],
    *,
    top: int = 3,
    device: str = "auto",
    trust_code: bool = False,
) -> Predictions:
    """What the network of `run` says about image files and folders of them; of a run over
    several seeds the one in the middle."""
    network = load(run, trust_code=trust_code, device=device)
    found = predict_with(network, paths, top=top)
    if not seed_runs(find_run(run)):
        return found
    return dataclasses.replace(found, seed=network.run.info.get("seed"))


def predict_with(
    network: Network, paths: str | Path | Iterable[str | Path], *, top: int = 3
) -> Predictions:
    started = time.perf_counter()
    asked = [paths] if isinstance(paths, str | Path) else list(paths)
    found: list[Prediction] = []
    waiting: list[tuple[str, torch.Tensor]] = []
    decode = read_config(str(network.run.path / "config.yaml")).recipe.data.decode
    given = [Path(each) for each in asked]
    for item in open_images(given, shape=network.preprocessing.shape, decode=decode):
        if item.image is None:
            found += _classified(network, waiting, top)  # answers keep the order of the files
            waiting = []
            found.append(Prediction(file=item.file, error=item.error))
        else:
            waiting.append((item.file, item.image))
        if len(waiting) == PREDICT_BATCH:
            found += _classified(network, waiting, top)
            waiting = []
    found += _classified(network, waiting, top)
    return Predictions(run=network.run, images=tuple(found), seconds=time.perf_counter() - started)


def _classified(
    network: Network, waiting: list[tuple[str, torch.Tensor]], top: int
) -> list[Prediction]:
    if not waiting:
        return []
    logits = network(torch.stack([image for _, image in waiting]))
    probabilities = logits.double().softmax(1).cpu()
    count = min(max(top, 2), len(network.classes))
    values, indices = probabilities.topk(count, dim=1)
    found = []
    for (file, _), p, index in zip(waiting, values.tolist(), indices.tolist(), strict=True):
        best = tuple((network.classes[i], v) for i, v in zip(index, p, strict=True))
        found.append(
            Prediction(
                file=file,
                label=best[0][0],
                probability=best[0][1],
                margin=best[0][1] - (best[1][1] if len(best) > 1 else 0.0),
                top=best[:top],
            )
        )
    return found


def _split(dataset: Dataset, asked: str | None, *, own: bool) -> str:
    """The split that is judged. Other data than the run's own need no split of their own."""
    known = list(dataset.splits)
    if asked is not None:
        if asked not in known:
            near = nearest(asked, known)
            raise SettingError(
                '{name} has no split "{split}".',
                hint="Nearest: {near}." if near else "It has: {known}.",
                name=dataset.name,
                split=asked,
                near=", ".join(near),
                known=", ".join(known),
            )
        return asked
    for name in ("test", "val") if own else ("test", "val", "all", "train"):
        if name in known:
            return name
    raise DataError("{name} has neither a test nor a validation split.", name=dataset.name)
