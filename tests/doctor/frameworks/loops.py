"""One training in five loops: a plain one, and as Lightning, Fabric, accelerate and Hugging Face's
Trainer have it. All see the same batches in the same order, so that their numbers are the same.

It is a script as well: `python loops.py lightning --fault softmax`.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import tempfile
import warnings

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset, TensorDataset

FAULTS = ("softmax", "rate", "unscaled", "alike")
EPOCHS, BATCH = 6, 32


def data(fault=""):
    """Four classes that a line tells apart; in no order, so nobody needs to shuffle."""
    draw = torch.Generator().manual_seed(1)
    x = torch.randn(384, 8, generator=draw)
    y = (x @ torch.randn(8, 4, generator=draw)).argmax(1)
    if fault == "unscaled":
        x = 3e3 + x * torch.tensor([1e4, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1e-2])
    return TensorDataset(x[:256], y[:256]), TensorDataset(x[256:], y[256:])


def net(fault="", *, dropout=0.0, norm=False):
    torch.manual_seed(0)
    layers = [nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 4)]
    if norm:
        layers.insert(1, nn.BatchNorm1d(32))
    if dropout:
        layers.insert(-1, nn.Dropout(dropout))
    if fault == "softmax":
        layers.append(nn.Softmax(dim=1))
    if fault == "alike":
        for layer in layers:
            for each in layer.parameters():
                nn.init.constant_(each, 0.02)
    return nn.Sequential(*layers)


def plan_of(optimizer):
    """The rate falls to nothing in a straight line."""
    return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / 48)


def optimizer_of(model, fault=""):
    return torch.optim.SGD(model.parameters(), lr=100.0 if fault == "rate" else 0.3)


class Loop:
    """What one training is made of; `net` holds its weights, `score` its losses in validation."""

    framework = "plain"

    def __init__(
        self, fault="", *, accumulate=1, bf16=False, scaled=False, schedule=False, callbacks=(),
        broken=False, **kinds,
    ):  # fmt: skip
        self.schedule = schedule
        self.fault, self.accumulate, self.bf16 = fault, accumulate, bf16
        self.scaler = torch.amp.GradScaler("cpu") if scaled else None
        self.callbacks = list(callbacks)
        self.train, self.val = data(fault)
        if broken:
            self.train.tensors[0][77, 3] = float("nan")
        self.net = net(fault, **kinds)
        self.score = []

    @property
    def precision(self):
        """For Lightning and Fabric: what casts and scales, for they scale on a GPU alone."""
        if self.scaler is None:
            return {"precision": "bf16-mixed" if self.bf16 else "32-true"}
        from lightning.fabric.plugins.precision import MixedPrecision as OfFabric
        from lightning.pytorch.plugins.precision import MixedPrecision

        kind = OfFabric if self.framework == "fabric" else MixedPrecision
        return {"plugins": [kind("16-mixed", "cpu", scaler=self.scaler)]}

    def loaders(self):
        return DataLoader(self.train, batch_size=BATCH), DataLoader(self.val, batch_size=64)


def plain(loop, watch):
    model, (train, val) = loop.net, loop.loaders()
    optimizer = optimizer_of(model, loop.fault)
    torch.manual_seed(7)
    with watch(model, optimizer):
        for _ in range(EPOCHS):
            model.train()
            for place, (x, y) in enumerate(train, 1):
                half = torch.bfloat16 if loop.bf16 else torch.float16
                with torch.autocast("cpu", half, enabled=loop.bf16 or loop.scaler is not None):
                    loss = F.cross_entropy(model(x), y) / loop.accumulate
                if loop.scaler is not None:
                    loop.scaler.scale(loss).backward()
                    loop.scaler.step(optimizer)
                    loop.scaler.update()
                    optimizer.zero_grad()
                    continue
                loss.backward()
                if place % loop.accumulate == 0:
                    optimizer.step()
                    optimizer.zero_grad()
            model.eval()
            with torch.no_grad():
                losses = [F.cross_entropy(model(x), y).item() for x, y in val]
            loop.score.append(sum(losses) / len(losses))


def lightning(loop, watch):
    import lightning

    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)

    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.net = loop.net
            self.criterion = nn.CrossEntropyLoss()  # here a module among the others
            self.optimizer = optimizer_of(self.net, loop.fault)

        def training_step(self, batch):
            loss = self.criterion(self.net(batch[0]), batch[1])
            self.log("train_loss", loss)
            return loss

        def validation_step(self, batch):
            self.log("val_loss", self.criterion(self.net(batch[0]), batch[1]))

        def on_validation_epoch_end(self):
            loop.score.append(self.trainer.callback_metrics["val_loss"].item())

        def configure_optimizers(self):
            if not loop.schedule:
                return self.optimizer
            plan = {"scheduler": plan_of(self.optimizer), "interval": "step"}
            return {"optimizer": self.optimizer, "lr_scheduler": plan}

    module = Module()
    trainer = lightning.Trainer(
        max_epochs=EPOCHS,
        accumulate_grad_batches=loop.accumulate,
        **loop.precision,
        callbacks=loop.callbacks,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    torch.manual_seed(7)
    with watch(module, module.optimizer):
        trainer.fit(module, *loop.loaders())


def fabric(loop, watch):
    import lightning

    made = lightning.Fabric(accelerator="cpu", **loop.precision)
    model, optimizer = made.setup(loop.net, optimizer_of(loop.net, loop.fault))
    plan = plan_of(optimizer) if loop.schedule else None
    train, val = made.setup_dataloaders(*loop.loaders())
    torch.manual_seed(7)
    with watch(model, optimizer):
        for _ in range(EPOCHS):
            model.train()
            for place, (x, y) in enumerate(train, 1):
                whole = place % loop.accumulate == 0
                with made.no_backward_sync(model, enabled=not whole):
                    made.backward(F.cross_entropy(model(x), y) / loop.accumulate)
                if whole:
                    optimizer.step()
                    optimizer.zero_grad()
                if plan is not None:
                    plan.step()
            model.eval()
            with torch.no_grad():
                losses = [F.cross_entropy(model(x), y).item() for x, y in val]
            loop.score.append(sum(losses) / len(losses))


def accelerate(loop, watch):
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState, GradientState

    AcceleratorState._reset_state(reset_partial_state=True)  # one process, several trainings
    GradientState._reset_state()
    made = Accelerator(
        cpu=True,
        gradient_accumulation_steps=loop.accumulate,
        mixed_precision="bf16" if loop.bf16 else "no",
    )
    bare = optimizer_of(loop.net, loop.fault)
    model, optimizer, train, val = made.prepare(loop.net, bare, *loop.loaders())
    plan = plan_of(optimizer) if loop.schedule else None
    torch.manual_seed(7)
    with watch(model, optimizer):
        for _ in range(EPOCHS):
            model.train()
            for x, y in train:
                with made.accumulate(model):
                    made.backward(F.cross_entropy(model(x), y))
                    optimizer.step()
                    optimizer.zero_grad()
                    if plan is not None:
                        plan.step()
            model.eval()
            with torch.no_grad():
                losses = [F.cross_entropy(model(x), y).item() for x, y in val]
            loop.score.append(sum(losses) / len(losses))


class Rows(Dataset):
    """As Hugging Face's Trainer wants them."""

    def __init__(self, pairs):
        self.pairs = pairs

    def __len__(self):
        return len(self.pairs)

    def __getitem__(self, place):
        x, y = self.pairs[place]
        return {"x": x, "labels": y}


class Labelled(nn.Module):
    """A model that computes its own loss, as those of Hugging Face do."""

    def __init__(self, inner):
        super().__init__()
        self.net = inner

    def forward(self, x, labels):
        logits = self.net(x)
        return {"loss": F.cross_entropy(logits, labels), "logits": logits}


def hf(loop, watch):
    from transformers import Trainer, TrainingArguments
    from transformers.utils import logging as spoken

    spoken.set_verbosity_error()
    model = Labelled(loop.net)
    optimizer = optimizer_of(model, loop.fault)
    with tempfile.TemporaryDirectory() as folder:
        args = TrainingArguments(
            output_dir=folder,
            num_train_epochs=EPOCHS,
            per_device_train_batch_size=BATCH,
            per_device_eval_batch_size=64,
            gradient_accumulation_steps=loop.accumulate,
            train_sampling_strategy="sequential",
            bf16=loop.bf16,
            use_cpu=True,
            seed=7,
            lr_scheduler_type="linear" if loop.schedule else "constant",
            max_grad_norm=0.0,
            eval_strategy="epoch",
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
            dataloader_pin_memory=False,
        )
        trainer = Trainer(
            model=model,
            args=args,
            train_dataset=Rows(loop.train),
            eval_dataset=Rows(loop.val),
            optimizers=(optimizer, None),
            callbacks=loop.callbacks,
        )
        trainer.log = lambda logs, *_: (
            loop.score.append(logs["eval_loss"]) if "eval_loss" in logs else None
        )
        with watch(model, optimizer):
            trainer.train()


LOOPS = {"plain": plain, "lightning": lightning, "fabric": fabric, "accelerate": accelerate,
         "hf": hf}  # fmt: skip

NEEDS = {"lightning": "lightning", "fabric": "lightning", "accelerate": "accelerate",
         "hf": "transformers"}  # fmt: skip


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("framework", choices=LOOPS)
    parser.add_argument("--fault", default="", choices=("", *FAULTS))
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    loop = Loop(given.fault, dropout=0.1)
    LOOPS[given.framework](loop, lambda *_: contextlib.nullcontext())
    print("losses", *(f"{each:.9g}" for each in loop.score))
    print("weights", sum(each.double().sum().item() for each in loop.net.parameters()))


if __name__ == "__main__":
    main()
