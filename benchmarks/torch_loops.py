"""The contenders on torch: a bare loop, Lightning's Trainer, and `netwright train` itself.

All three train Netwright's own module with the same optimizer. Words of the bare loop:
`channels_last=true`, `compile=true`, `precision=bf16`; Netwright's are settings of its command.
"""

from __future__ import annotations

import contextlib
import csv
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader

import feeds
from speed_setups import LOG_EVERY, Job


def bare(job: Job) -> dict[str, Any]:
    """The loop a competent person writes."""
    words = dict(word.split("=") for word in job.words)
    train, val = _batches(job)
    model = _model(job)
    layout = torch.preserve_format
    if words.get("channels_last") == "true":
        layout = torch.channels_last
        model.to(memory_format=layout)
    network = torch.compile(model) if words.get("compile") == "true" else model
    bf16 = words.get("precision") == "bf16"
    optimizer = _optimizer(model, job)
    step = 0
    with (job.folder / "log.csv").open("w", newline="") as file:
        log = csv.writer(file)
        while step < job.clock.last:
            model.train()
            for images, target in train:
                optimizer.param_groups[0]["lr"] = job.rate(step)
                optimizer.zero_grad(set_to_none=True)
                with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                    logits = network(images.contiguous(memory_format=layout))
                loss = F.cross_entropy(logits.float(), target)
                loss.backward()
                optimizer.step()
                step += 1
                job.clock.tick(step)
                if step % LOG_EVERY == 0:
                    log.writerow([step, loss.item()])
                if step == job.clock.last:
                    break
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                accuracy = _accuracy(model, val)
            job.clock.evaluated(accuracy)
            log.writerow([step, loss.item(), accuracy])
            file.flush()
    return {"params": _params(model), "loss": loss.item(), "versions": _versions()}


def lightning(job: Job) -> dict[str, Any]:
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
            self.latest = loss
            return loss

        def validation_step(self, batch: Any, index: int) -> None:
            images, target = batch
            logits = self.model(images)
            self.log("val/loss", F.cross_entropy(logits, target), batch_size=len(target))
            hits = (logits.argmax(1) == target).float().mean()
            self.log("val/acc1", hits, batch_size=len(target))

        def on_validation_epoch_end(self) -> None:
            job.clock.evaluated(float(self.trainer.callback_metrics["val/acc1"]))

        def configure_optimizers(self) -> Any:
            optimizer = _optimizer(self.model, job)
            if not job.decays:
                return optimizer
            schedule = torch.optim.lr_scheduler.LambdaLR(
                optimizer, lambda step: job.rate(step) / job.lr
            )
            return [optimizer], [{"scheduler": schedule, "interval": "step"}]

    class Ticks(lightning.Callback):
        def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
            job.clock.tick(trainer.global_step)

    train, val = _batches(job)
    trainer = lightning.Trainer(
        accelerator="cpu",
        devices=1,
        max_steps=job.clock.last,
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
    return {
        "params": _params(module.model),
        "loss": module.latest.item(),
        "versions": {**_versions(), "lightning": lightning.__version__},
    }


def netwright(job: Job) -> dict[str, Any]:
    """`netwright train`, whole: checkpoints, metrics, evidence and report as for any user."""
    from netwright.cli import main
    from netwright.core.events import Event, Measured, RunStarted, StepEnded
    from netwright.tasks import training

    found: dict[str, Any] = {}

    def listen(event: Event) -> None:
        if isinstance(event, RunStarted):
            found["params"] = _params(event.task.model)
        elif isinstance(event, StepEnded):
            job.clock.tick(event.step)
        elif isinstance(event, Measured):
            found["loss"] = float(event.metrics["train/loss"] or 0)
            job.clock.evaluated(float(event.metrics["val/acc1"] or 0))

    train = training.train

    def listened(*args: Any, listeners: Iterable[Any] = (), **options: Any) -> Any:
        return train(*args, listeners=[*listeners, listen], **options)

    training.train = listened
    setup = job.setup
    kind = "tensors" if job.feed == "memory" else "dataset"
    words = [
        "train",
        f"{feeds.__file__}:{setup.key}_{kind}",
        setup.model,
        f"steps={job.clock.last}",
        f"batch={setup.batch}",
        f"seed={job.seed}",
        "device=cpu",
        f"data.cache={'auto' if job.feed == 'memory' else 'stream'}",
        "data.workers=0",
        "optim=sgd",
        f"optim.lr={job.lr}",
        f"optim.momentum={setup.momentum}",
        "optim.nesterov=false",
        "optim.wd=0",
        f"sched={'cosine' if job.decays else 'constant'}",
        f"--run-dir={job.folder / 'run'}",
        *job.words,
    ]
    with loaders_made() as made:
        status = main(words)
    if status:
        raise SystemExit(status)
    if job.feed == "loader" and not made:
        raise SystemExit(
            "Netwright was not fed by torch's DataLoader: this compares unlike things."
        )
    return {**found, "versions": _versions()}


CONTENDERS: dict[str, Callable[[Job], dict[str, Any]]] = {
    "bare": bare,
    "lightning": lightning,
    "netwright": netwright,
}


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


def _batches(job: Job) -> tuple[Iterable[Any], Iterable[Any]]:
    """Training and validation batches of the two loops that are not ours."""
    train, val = feeds.read_tensors(job.setup)
    batch = job.setup.batch
    if job.feed == "memory":
        return (
            feeds.TensorBatches(*train, batch, shuffle=True),
            feeds.TensorBatches(*val, batch, shuffle=False),
        )
    return (
        DataLoader(feeds.Pairs(*train), batch_size=batch, shuffle=True, drop_last=True),
        DataLoader(feeds.Pairs(*val), batch_size=batch),
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
    return torch.optim.SGD(model.parameters(), lr=job.lr, momentum=job.setup.momentum, fused=True)


def _params(model: nn.Module) -> int:
    return sum(each.numel() for each in model.parameters())


def _versions() -> dict[str, str]:
    return {"torch": torch.__version__, "threads": str(torch.get_num_threads())}


@torch.no_grad()
def _accuracy(model: nn.Module, batches: Iterable[Any]) -> float:
    model.eval()
    hits = count = 0
    for images, target in batches:
        hits += int((model(images).argmax(1) == target).sum())
        count += len(target)
    return hits / count


torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "2")))
