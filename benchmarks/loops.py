"""One training loop in this process, taken in bursts that another process calls for.

    python benchmarks/loops.py CONTENDER SETUP FEED --first 100 --burst 307 --bursts 9 --say 5

After its first steps and after each burst the loop stands still in the middle of training, says
how long the burst took, and waits for a line on standard input. So three loops can be taken in
turns, seconds apart, and what else the machine does falls on all of them alike.

The contenders train the same module with the same optimizer on the same data: `bare`, the loop a
competent person writes; `lightning`, Lightning's Trainer; `netwright`, the command `netwright
train` itself with one listener more, which holds the clock. All log the training loss, and all
evaluate 1,000 images at the end of each epoch, inside the time that is measured.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader

import feeds

LOG_EVERY = 50


@dataclass
class Clock:
    """Stops the loop between two bursts; `say` is where it tells what it took."""

    first: int
    burst: int
    bursts: int
    say: TextIO
    wall: float = 0.0
    processor: float = 0.0

    @property
    def steps(self) -> int:
        """Steps of the whole run: three more, so that the last burst ends as the others do."""
        return self.first + self.burst * self.bursts + 3

    def tick(self, step: int) -> None:
        """Called at the end of each step; `step` counts the steps done."""
        done, rest = divmod(step - self.first, self.burst)
        if rest or not 0 <= done <= self.bursts:
            return
        if done:
            seconds, processor = time.perf_counter() - self.wall, time.process_time()
            self.tell(seconds=seconds, processor=processor - self.processor)
        else:
            self.tell(ready=True)
        sys.stdin.readline()
        self.wall, self.processor = time.perf_counter(), time.process_time()

    def tell(self, **values: Any) -> None:
        print(json.dumps(values), file=self.say, flush=True)


@dataclass(frozen=True)
class Job:
    setup: feeds.Setup
    feed: str
    workers: int
    seed: int
    folder: Path
    clock: Clock


def bare(job: Job) -> float:
    """The loop a competent person writes; returns the last validation accuracy."""
    train, val = _batches(job)
    model = _model(job)
    optimizer = _optimizer(model, job)
    step, accuracy = 0, 0.0
    with (job.folder / "log.csv").open("w", newline="") as file:
        log = csv.writer(file)
        while step < job.clock.steps:
            model.train()
            for images, target in train:
                optimizer.zero_grad(set_to_none=True)
                loss = F.cross_entropy(model(images), target)
                loss.backward()
                optimizer.step()
                step += 1
                job.clock.tick(step)
                if step % LOG_EVERY == 0:
                    log.writerow([step, loss.item()])
                if step == job.clock.steps:
                    break
            accuracy = _accuracy(model, val)
            log.writerow([step, loss.item(), accuracy])
            file.flush()
    return accuracy


def lightning(job: Job) -> float:
    """Lightning's Trainer with a CSV logger; no progress bar, no checkpoints."""
    import lightning
    from lightning.pytorch.loggers import CSVLogger

    class Module(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.model = _model(job)

        def training_step(self, batch: Any, index: int) -> Tensor:
            images, target = batch
            loss = F.cross_entropy(self.model(images), target)
            self.log("train/loss", loss)
            return loss

        def validation_step(self, batch: Any, index: int) -> None:
            images, target = batch
            logits = self.model(images)
            self.log("val/loss", F.cross_entropy(logits, target), batch_size=len(target))
            hits = (logits.argmax(1) == target).float().mean()
            self.log("val/acc1", hits, batch_size=len(target))

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return _optimizer(self.model, job)

    class Ticks(lightning.Callback):
        def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
            job.clock.tick(trainer.global_step)

    train, val = _batches(job)
    trainer = lightning.Trainer(
        accelerator="cpu",
        devices=1,
        max_steps=job.clock.steps,
        max_epochs=-1,
        logger=CSVLogger(str(job.folder)),
        log_every_n_steps=LOG_EVERY,
        callbacks=[Ticks()],
        enable_progress_bar=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    module = Module()
    trainer.fit(module, train, val)
    return _accuracy(module.model, val)


def netwright(job: Job) -> float:
    """`netwright train`, whole: checkpoints, metrics, evidence and report as for any user."""
    from netwright.cli import main
    from netwright.core.events import Event, Measured, StepEnded
    from netwright.tasks import training

    found = {"accuracy": 0.0}

    def listen(event: Event) -> None:
        if isinstance(event, StepEnded):
            job.clock.tick(event.step)
        elif isinstance(event, Measured):
            found["accuracy"] = float(event.metrics["val/acc1"] or 0)

    train = training.train

    def listened(*args: Any, listeners: Iterable[Any] = (), **options: Any) -> Any:
        return train(*args, listeners=[*listeners, listen], **options)

    training.train = listened
    setup = job.setup
    kind = "tensors" if job.feed == "memory" else "dataset"
    words = [
        "train",
        f"{feeds.__file__}:{setup.factory}_{kind}",
        setup.model,
        f"steps={job.clock.steps}",
        f"batch={setup.batch}",
        f"seed={job.seed}",
        "device=cpu",
        f"data.cache={'auto' if job.feed == 'memory' else 'stream'}",
        f"data.workers={job.workers}",
        "optim=sgd",
        f"optim.lr={setup.lr}",
        f"optim.momentum={setup.momentum}",
        "optim.nesterov=false",
        "optim.wd=0",
        "sched=constant",
        f"--run-dir={job.folder / 'run'}",
    ]
    with loaders_made() as made:
        status = main(words)
    if status:
        raise SystemExit(status)
    if job.feed == "loader" and not made:
        raise SystemExit(
            "Netwright was not fed by torch's DataLoader: this compares unlike things."
        )
    return found["accuracy"]


@contextlib.contextmanager
def loaders_made() -> Iterator[list[DataLoader[Any]]]:
    """The DataLoaders that were iterated inside the block."""
    made: list[DataLoader[Any]] = []
    iterate = DataLoader.__iter__

    def noticed(loader: DataLoader[Any]) -> Any:
        made.append(loader)
        return iterate(loader)

    DataLoader.__iter__ = noticed
    try:
        yield made
    finally:
        DataLoader.__iter__ = iterate


CONTENDERS = {"bare": bare, "lightning": lightning, "netwright": netwright}
FEEDS = ("memory", "loader")


def _batches(job: Job) -> tuple[Iterable[Any], Iterable[Any]]:
    """Training and validation batches of the two loops that are not ours."""
    train, val = feeds.split(job.setup.read())
    batch = job.setup.batch
    if job.feed == "memory":
        return (
            feeds.TensorBatches(*train, batch, shuffle=True),
            feeds.TensorBatches(*val, batch, shuffle=False),
        )
    options: dict[str, Any] = {"batch_size": batch, "num_workers": job.workers}
    return (
        DataLoader(feeds.Pairs(*train), shuffle=True, drop_last=True, **options),
        DataLoader(feeds.Pairs(*val), **options),
    )


def _model(job: Job) -> nn.Module:
    from netwright.models import build

    torch.manual_seed(job.seed)
    channels, *size = job.setup.shape
    return build(
        job.setup.model,
        num_classes=10,
        in_channels=channels,
        input_size=(size[0], size[1]),
    )


def _optimizer(model: nn.Module, job: Job) -> torch.optim.Optimizer:
    setup = job.setup
    return torch.optim.SGD(model.parameters(), lr=setup.lr, momentum=setup.momentum, fused=True)


@torch.no_grad()
def _accuracy(model: nn.Module, batches: Iterable[Any]) -> float:
    model.eval()
    hits = count = 0
    for images, target in batches:
        hits += int((model(images).argmax(1) == target).sum())
        count += len(target)
    return hits / count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("contender", choices=sorted(CONTENDERS))
    parser.add_argument("setup", choices=sorted(feeds.SETUPS))
    parser.add_argument("feed", choices=FEEDS)
    parser.add_argument("--first", type=int, required=True, help="steps before the first burst")
    parser.add_argument("--burst", type=int, required=True, help="steps of a burst")
    parser.add_argument("--bursts", type=int, required=True)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--say", type=int, required=True, help="an open file descriptor")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    with tempfile.TemporaryDirectory() as folder, os.fdopen(given.say, "w") as say:
        clock = Clock(given.first, given.burst, given.bursts, say)
        job = Job(
            setup=feeds.SETUPS[given.setup],
            feed=given.feed,
            workers=given.workers,
            seed=given.seed,
            folder=Path(folder),
            clock=clock,
        )
        accuracy = CONTENDERS[given.contender](job)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        clock.tell(val_acc1=accuracy, peak_mb=peak, threads=torch.get_num_threads())


if __name__ == "__main__":
    main()
