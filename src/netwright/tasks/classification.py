"""Image classification as a `Task`: one network, one optimizer, one loss."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from netwright.core.atomic import make_folder, write_bytes
from netwright.data.batches import Batch
from netwright.data.dataset import Dataset
from netwright.data.feed import Feed
from netwright.data.preprocessing import Preprocessing
from netwright.optim.averages import Average
from netwright.optim.proximal import proximal_step
from netwright.optim.schedules import Watcher
from netwright.tasks import TASKS
from netwright.tasks.batch_gradients import BatchGradients, BatchResult
from netwright.tasks.epoch_loss import EpochLoss
from netwright.tasks.evaluation import arrays, pack, thumbnail
from netwright.tasks.passes import Passes
from netwright.tasks.repair_state import RepairState
from netwright.tasks.splits import Splits
from netwright.tasks.tally import Tally
from netwright.tasks.transfer import Transfer
from netwright.train.ranks import Alone, Group, Ranks
from netwright.train.task import Goal, Rhythm, Task
from netwright.train.updates import apply_closure, apply_gradients, apply_scaled, set_rates

if TYPE_CHECKING:
    from netwright.train.sharding import Shards

SHOWN = 32


@dataclass(frozen=True, kw_only=True)
class Update:
    """What belongs to a step besides the optimizer: `clip` the norm of the gradients, pull
    weights to zero by `l1` (`spare`: but no biases and norms); whether the optimizer wants a
    `closure`."""

    clip: float | None = None
    l1: float = 0.0
    spare: bool = True
    closure: bool = False
    accumulate: int = 1
    """Passes, each over its part of the batch, before the weights are updated."""
    parted: bool = True
    """Whether parts of a batch give its loss; not for a loss of the batch as a whole."""


@TASKS.register("classification", data="images with one label each", metric="val/acc1")
class Classification(Task):
    """Give each image one of C classes: cross-entropy on logits, judged by top-1 accuracy.

    The network maps images (N, C, H, W), normalised with the statistics of the training data, to
    logits (N, classes); the class is the largest logit, its probability that of their softmax. A
    step is one batch: loss, gradient, optional clipping, optimizer, optional L1 shrinking, average
    of weights. Validation is measured after each epoch (`val/loss`, `val/acc1`), the best epoch by
    `val/acc1` is kept (`run.select`), and the test split is looked at once, at the end.

    When to use it: each image belongs to exactly one of the classes. The loss may be any of
    `loss=`.

    What goes wrong: an image that shows two of the classes has no right answer, and one that shows
    none is given one all the same, often with confidence. Where one class has most of the images,
    accuracy is high for saying it always: read the recall of each class in the report, and see
    `data.balance` and `loss.class_weights`. A split by image where one object was photographed
    often puts near twins into training and validation; accuracy is then that of remembering.
    """

    def __init__(
        self,
        *,
        model: nn.Module,
        optimizer: Optimizer,
        loss: Callable[[Tensor, Tensor], Tensor],
        rate_factor: Callable[[int], float],
        dataset: Dataset,
        train: Feed,
        evaluations: Mapping[str, Feed],
        preprocessing: Preprocessing,
        rhythm: Rhythm,
        seed: int,
        device: torch.device,
        update: Update | None = None,
        watcher: Watcher | None = None,
        ema: float | None = None,
        transfer: Transfer | None = None,
        ranks: Ranks | None = None,
    ) -> None:
        """`rate_factor(step)`, and what `watcher` makes of each evaluation, multiply the base
        rates the optimizer was made with. `update` says what else belongs to a step.
        `evaluations` has a feed for each split that can be judged, `val` among them where the
        data have one."""
        self.model = model
        self.optimizer = optimizer
        self.rate_factor = rate_factor
        self.dataset = dataset
        self.train = train
        self.evaluations = evaluations
        self.preprocessing = preprocessing
        self.rhythm = rhythm
        self.goal = Goal(metric="val/acc1", mode="max") if "val" in evaluations else None
        self.seed = seed
        self.device = device
        self.ranks = ranks or Alone()
        self.update = update or Update()
        self.passes = Passes(model, self.update.accumulate, parted=self.update.parted)
        self.transfer = transfer
        self.gradients = BatchGradients(
            model,
            optimizer,
            loss,
            self.passes,
            seed=seed,
            device=device,
            ranks=self.ranks,
        )
        self.splits = Splits(
            evaluations,
            self.passes,
            num_classes=len(dataset.classes),
            shape=preprocessing.shape,
            device=device,
            ranks=self.ranks,
        )
        self.to_be_cut = False
        """Whether each rank will keep only its rows of the weights, from `cut` on."""
        self.shards: Shards | None = None
        """The network, where each rank has only its rows of the weights."""
        self._held = 0
        """The step for which stages were frozen and unfrozen last."""
        self.watcher = watcher
        self.epoch_loss = EpochLoss.wanted_by(watcher)
        self.average = Average(model, ema) if ema is not None else None
        self.repair: RepairState | None = None
        """What was changed while the run was under way; None where nothing ever is."""
        self.tally = Tally()
        self.replaced: dict[str, str] = {}
        """Unreadable files met while training, with the reason; each was stood in for."""
        self._base_rates = [float(group["lr"]) for group in optimizer.param_groups]

    def feed(self, step: int) -> Iterator[Batch]:
        self.to_training(step)
        return self.train.iterate(step, self.rhythm.steps)

    def to_training(self, step: int) -> None:
        """Training mode as it is in step number `step`: what is frozen then does not move."""
        self.model.train()
        self._held = step
        if self.transfer is not None:
            self.transfer.hold(self.model, step)

    def step(self, batch: Batch, step: int) -> Mapping[str, Tensor | float]:
        if self.repair is not None and step in self.repair.skipped:
            self.repair.history.add(math.nan)
            return {}
        if self.transfer is not None and self.transfer.differ(step, self._held):
            self.to_training(step)
        set_rates(self.optimizer, self._base_rates, self._factor(step))
        result, loss, norm = self._update(batch, step)
        taken = not math.isnan(norm)  # else the gradients overflowed float16
        if self.update.l1 and taken:
            proximal_step(self.optimizer.param_groups, self.update.l1, spare=self.update.spare)
        if self.average is not None and taken:
            self.average.update(self.model)
        if batch.replaced:
            self.replaced |= dict(batch.replaced)
        if result.counted is not None:
            self.tally.count(*result.counted)
        else:
            for logits, target in result.predicted:
                self.tally.add(logits, target)
        if self.epoch_loss is not None:
            self.epoch_loss.add(loss)
        if self.repair is not None:
            self.repair.history.add(loss, *([norm] if taken else []))
        return {"loss": loss, "grad/norm": norm} if taken else {"loss": loss}

    @property
    def base_rates(self) -> list[float]:
        """The rate of each parameter group, before any schedule."""
        return self._base_rates

    def _update(self, batch: Batch, step: int) -> tuple[BatchResult, float, float]:
        """What the gradients came from; the loss of the batch, and their norm."""
        if self.update.closure:
            return self._line_search(batch, step)
        gradients = self.gradients
        result = gradients.compute_fitting(batch, step)
        scale, norm_of = gradients.scale, gradients.norm_of
        if scale is not None:
            loss, norm = apply_scaled(
                self.optimizer, result.loss, scale, clip=self._clip, norm_of=norm_of
            )
        else:
            loss, norm = apply_gradients(
                self.optimizer, result.loss, clip=self._clip, norm_of=norm_of
            )
        return result, loss, norm

    def _line_search(self, batch: Batch, step: int) -> tuple[BatchResult, float, float]:
        """The same with an optimizer that asks several times; its first answer counts."""
        first: list[BatchResult] = []

        def compute() -> Tensor:
            result = self.gradients.compute(batch, step)
            if not first:
                first.append(result)
            return result.loss

        loss, norm = apply_closure(self.optimizer, compute)
        return first[0], loss, norm

    def _factor(self, step: int) -> float:
        answered = self.watcher.factor if self.watcher is not None else 1.0
        factor = self.rate_factor(step) * answered
        return factor if self.repair is None else factor * self.repair.rate

    @property
    def _clip(self) -> float | None:
        """The bound on the norm of the gradients: the lower of that asked for and a repair's."""
        clip = self.update.clip
        if self.repair is None or self.repair.clip is None:
            return clip
        return self.repair.clip if clip is None else min(clip, self.repair.clip)

    def evaluate(self, step: int) -> Mapping[str, float]:
        metrics = {"lr/g0": float(self.optimizer.param_groups[0]["lr"])}
        if self.ranks.several:
            self._level()
        trained = self.tally.take()
        if trained is not None:
            metrics["train/acc1"] = trained
        if "val" in self.evaluations:
            cut = self.shards is not None
            found = self.judge(functools.partial(self.splits.score, split="val", cut=cut))
            metrics |= {f"val/{name}": value for name, value in found.items()}
        if self.watcher is not None:
            seen = metrics if self.epoch_loss is None else self.epoch_loss.take()
            self.watcher.observe(seen[self.watcher.metric])
        return metrics

    def _level(self) -> None:
        """Give all ranks what each has its own of: running statistics as the first rank has them,
        and the names of files that could not be read."""
        buffers = dict(self.model.named_buffers())
        self.ranks.equalise(list(buffers.values()))
        if self.average is not None:
            kept = self.average.weights()
            self.ranks.equalise([kept[name] for name in buffers if name in kept])
        for found in self.ranks.gathered(dict(self.replaced)):
            self.replaced |= found
            self.train.replaced |= found

    def judge(self, look: Callable[[Callable[[Tensor], Tensor]], Any]) -> Any:
        """`look(network)` with the network as it is evaluated: averaged weights if any are
        kept, evaluation mode; the training mode is put back."""
        self.model.eval()
        try:
            if self.average is None:
                return look(self.model)
            with self.average.applied(self.model):
                return look(self.model)
        finally:
            self.to_training(self._held)

    def weights(self) -> dict[str, Tensor]:
        if self.shards is not None:
            return self.shards.weights(self.average.weights() if self.average else None)
        if self.average is not None:
            return self.average.weights()
        return dict(self.model.state_dict())

    def load_weights(self, weights: Mapping[str, Tensor]) -> None:
        if self.shards is not None:
            self.shards.load_weights(weights, self.average.weights() if self.average else None)
        elif self.average is not None:
            updates = self.average.updates
            self.average.load_state_dict({"updates": updates, "weights": weights})
        else:
            self.model.load_state_dict(weights)

    def state(self) -> dict[str, Any]:
        raw = None
        if self.average is not None:
            held = self.model.state_dict if self.shards is None else self.shards.weights
            raw = dict(held())
        scale = self.gradients.scale
        repair = {"repair": self.repair.state_dict()} if self.repair is not None else {}
        return {
            "optimizer": self.optimizer.state_dict()
            if self.shards is None
            else self.shards.optimizer_state(),
            # A function of the step, but for one that answers to what it measures.
            "schedule": self.watcher.state_dict() if self.watcher is not None else {},
            "epoch_loss": self.epoch_loss.state_dict() if self.epoch_loss is not None else {},
            "scaler": scale.state_dict() if scale is not None else None,
            "average": {"raw": raw, "updates": self.average.updates} if self.average else None,
            "tally": self.tally.state_dict(),
            "replaced": dict(self.replaced),
            **self.passes.state_dict(),
            **repair,
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        if self.shards is not None:
            self.shards.load_optimizer_state(state["optimizer"])
        else:
            self.optimizer.load_state_dict(state["optimizer"])
        if self.watcher is not None:
            self.watcher.load_state_dict(state["schedule"])
        if self.epoch_loss is not None:
            self.epoch_loss.load_state_dict(state["epoch_loss"])
        if self.average is not None:
            self.average.updates = int(state["average"]["updates"])
            raw = state["average"]["raw"]
            (self.model.load_state_dict if self.shards is None else self.shards.load_weights)(raw)
        if self.gradients.scale is not None and state.get("scaler") is not None:
            self.gradients.scale.load_state_dict(state["scaler"])
        self.tally.load_state_dict(state.get("tally", {"right": 0, "seen": 0}))
        self.replaced = dict(state["replaced"])
        self.passes.load_state_dict(state, self.evaluations)
        if self.repair is not None and "repair" in state:
            self.repair.load_state_dict(state["repair"])

    def load_best(self, weights: Mapping[str, Tensor]) -> None:
        """Take over the weights that were judged best; the run is over, nothing averages on."""
        self.average = None
        if self.shards is not None:
            self.model, self.shards = self.shards.whole_network(weights, self.device), None
        else:
            self.model.load_state_dict(weights)

    def cut(self, rebuild: Callable[[], nn.Module]) -> None:
        """Have each of several ranks keep its rows of all weights only; before the first step."""
        from netwright.train.sharding import ShardedAverage, Shards  # imports much of torch

        assert isinstance(self.ranks, Group)
        shards = Shards(self.model, self.optimizer, self.ranks, self.device, rebuild=rebuild)
        self.shards = self.gradients.shards = shards
        if self.average is not None:
            self.average = ShardedAverage(shards, self.average.decay)

    def adapted(self) -> Mapping[str, Any]:
        if not self.passes.halved:
            return {}
        return {"micro_batch": self.train.batch // self.ranks.size // self.passes.count}

    def facts(self) -> Mapping[str, Any]:
        return {
            "order": {"seed": self.seed, "batch": self.train.batch},
            "data": self.dataset.fingerprint(),
        }

    def identify(self, batch: Batch) -> Mapping[str, Any]:
        images = self.dataset.splits["train"]
        index = batch.index if batch.whole is None else batch.whole.index
        return {
            "epoch": batch.epoch,
            "index": index.tolist(),
            "name": [str(images.name(int(each))) for each in index],
        }

    def examine(self, folder: Path) -> None:
        """Write `evidence/SPLIT.npz` for each split that can be judged; once, at the end."""
        for split in self.evaluations:
            found = self.judge(functools.partial(self.splits.examine, split=split))
            content = arrays(found, self.dataset.splits[split], picture=thumbnail)
            make_folder(folder / "evidence")
            write_bytes(folder / "evidence" / f"{split}.npz", pack(content))

    def show_first_batch(self, folder: Path) -> None:
        """What the network saw in step 0: augmented, and normalised back to pictures."""
        batch = next(iter(self.train.iterate(0, 1)))
        pictures = [thumbnail(each) for each in self.preprocessing.undo(batch.images[:SHOWN])]
        make_folder(folder / "samples")
        content = {
            "images": np.stack(pictures),
            "target": batch.target[:SHOWN].cpu().numpy(),
        }
        if batch.second is not None:
            content["second"] = batch.second[:SHOWN].cpu().numpy()
        write_bytes(folder / "samples" / "first-batch.npz", pack(content))
