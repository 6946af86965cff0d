"""In how many passes a batch goes through the network, and how they come to be more.

Where memory runs out in a pass, the step is begun again with passes of half as many images: the
batch stays what it is, and so do the keys that its augmentation and its noise are drawn from. The
gradients are then the same up to rounding, but for batch norm, which takes its statistics of each
pass. What was found to fit stays, is saved with each checkpoint and holds after a resume.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from netwright.core import events as e
from netwright.data.feed import Feed
from netwright.train.memory import MEMORY_ERRORS, is_out_of_memory
from netwright.train.run_folder import RunFolder

Found = TypeVar("Found")


class PassTooLargeError(MemoryError):
    """Memory ran out in a pass of some rank: each of them takes the step again."""


class Passes:
    """How a task's steps and evaluations are cut so that they fit into memory.

    `accumulate` passes make a step to begin with; without `parted` the loss is one of the batch as
    a whole and is never cut.
    """

    def __init__(self, model: nn.Module, accumulate: int = 1, *, parted: bool = True) -> None:
        self.halved = 0
        """How often the passes of a step were halved."""
        self.evaluation: dict[str, int] = {}
        """Images in a pass over a split, where memory ran out in one."""
        self.tell: Callable[[int, int], None] = lambda images, step: None
        """Called with the images of a pass from now on, and the step."""
        self._model = model
        self._accumulate = accumulate
        self._parted = parted
        self._buffers: list[Tensor] | None = None
        self._held: list[Tensor] = []

    @property
    def count(self) -> int:
        """Passes in one step."""
        return self._accumulate << self.halved

    def taken(
        self, compute: Callable[[], Found], *, images: int, step: int, forget: Callable[[], None]
    ) -> Found:
        """`compute()`, which leaves the gradients of a batch of `images`; again with smaller
        passes where memory runs out. `forget` undoes what a failed call has left, buffers apart.
        """
        self._hold()
        while True:
            try:
                return compute()
            except MEMORY_ERRORS as error:
                if not is_out_of_memory(error) or not self._parted or 2 * self.count > images:
                    raise
            # Only here is the error gone, and with it the frames that held on to the memory.
            forget()
            self._undo()
            self.halved += 1
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            self.tell(-(-images // self.count), step)

    def evaluated(self, split: str, feed: Feed, compute: Callable[[], Found]) -> Found:
        """`compute()`, a pass over all images of `feed`; in smaller batches where memory runs
        out."""
        while True:
            try:
                return compute()
            except MEMORY_ERRORS as error:
                if not is_out_of_memory(error) or feed.batch < 2:
                    raise
            feed.batch = self.evaluation[split] = feed.batch // 2
            if torch.cuda.is_available():
                torch.cuda.empty_cache()

    def state_dict(self) -> dict[str, Any]:
        """Empty while nothing was cut."""
        if not self.halved and not self.evaluation:
            return {}
        return {"passes": {"halved": self.halved, "evaluation": dict(self.evaluation)}}

    def load_state_dict(self, state: Mapping[str, Any], feeds: Mapping[str, Feed]) -> None:
        """Take over what `state_dict` gave, wherever it stands in `state`."""
        found = state.get("passes", {"halved": 0, "evaluation": {}})
        self.halved = int(found["halved"])
        self.evaluation = {name: int(each) for name, each in found["evaluation"].items()}
        for name, batch in self.evaluation.items():
            if name in feeds:
                feeds[name].batch = batch

    def _hold(self) -> None:
        """Keep the statistics of norms as they are: a pass that fails half-way has moved some."""
        if self._buffers is None:
            self._buffers = list(self._model.buffers())
            self._held = [torch.empty_like(each) for each in self._buffers]
        if self._buffers:
            torch._foreach_copy_(self._held, self._buffers)

    def _undo(self) -> None:
        if self._buffers:
            torch._foreach_copy_(self._buffers, self._held)


class SmallerPasses:
    """Tells of passes that were halved, and has them recorded: in `run.json`, in `log.txt` and, by
    a checkpoint at the next boundary, for a resume."""

    def __init__(self, folder: RunFolder, model: nn.Module, batch: int, events: e.Events) -> None:
        self._folder, self._model, self._batch, self._events = folder, model, batch, events

    def __call__(self, images: int, step: int) -> None:
        self._events.emit(
            e.Noted(
                word="WARN",
                template="Memory ran out after step {step}: the {batch} images of the next one, "
                "and of all later ones, go through the network in passes of {images}. The step was "
                "begun again, with the same images.",
                values={"step": step, "batch": self._batch, "images": images},
            )
        )
        norms = [m for m in self._model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
        if any(each.training for each in norms):
            self._events.emit(
                e.Noted(
                    word="WARN",
                    template="Batch norm takes its statistics of each pass: this changes the "
                    "training. model.norm=group and transfer.norm=frozen do not depend on it.",
                )
            )
        known = self._folder.info.get("passes")
        known = known if isinstance(known, list) else []
        self._folder.write_info(passes=[*known, {"step": step, "images": images}])
        self._folder.log(f"memory ran out after step {step}: passes of {images} images")
        self._events.request(e.Save())
