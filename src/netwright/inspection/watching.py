"""Watching a step operation by operation: what each allocates, in which layer, at what work.

Operations of the forward pass belong to the module whose forward runs. Those of the backward
pass belong to a node of autograd's graph, and a node to the module that ran when it was made:
nodes are numbered as they are made, so the numbers at which modules began and ended tell.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

from netwright.inspection.cpu_scratch import lstm_workspace, scratch
from netwright.inspection.step_macs import multiply_adds
from netwright.inspection.storages import Ledger
from netwright.records.memory import Moment, Phase

# What an optimizer hears when it asks how many steps it took: a step well under way.
_STEPS = 1000.0


class Watch(TorchDispatchMode):
    """Enters every operation in `ledger`; the phase of the step is set from outside.

    `adopt` makes a pretended tensor of a real one that an operation meets on its way.
    """

    def __init__(self, ledger: Ledger, adopt: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.ledger = ledger
        self.phase: Phase = "forward"
        self.kind = "forward"
        self.operation = ""
        self.macs = {"forward": 0, "backward": 0, "recomputed": 0}
        self._raised = (0, "")
        self._adopt = adopt
        self._layers: list[str] = []
        self._numbers: list[int] = [0]
        self._owners: list[str] = [""]
        self._owner = ""

    def place(self, error: BaseException) -> str:
        """The path of the module whose forward raised `error`, or whose backward did."""
        return self._raised[1] if id(error) == self._raised[0] else self.layer

    @property
    def layer(self) -> str:
        """The path of the innermost module that runs, or whose backward does."""
        if self._layers:
            return self._layers[-1]
        node = torch._C._current_autograd_node() if self.phase == "backward" else None
        if node is None:
            return ""
        number = node._sequence_nr()
        if number <= self._numbers[-1]:  # what adds up a gradient has none: it is where it was
            self._owner = self._owners[bisect.bisect_right(self._numbers, number) - 1]
        return self._owner

    def follow(self, model: nn.Module) -> None:
        """Know where each module of `model`, a twin nobody else has, begins and ends.

        By its `forward`, not by hooks: a module with hooks does not take its fast path.
        """
        for path, module in model.named_modules():
            module.forward = self._followed(path, module.forward)

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # else the first operation imports the whole compiler, for 1.3 s

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if func.namespace == "prim":
            return func(*args, **kwargs)
        if kwargs.get("device") is not None:
            kwargs = {**kwargs, "device": torch.device("cpu")}
        if _holds_real(args):
            args = tree_map_only(Tensor, self._pretended, args)
        if self.phase == "step" and func is torch.ops.aten._local_scalar_dense.default:
            return _STEPS
        before, self.operation = self.operation, func._schema.name.partition("::")[2]
        out = func(*args, **kwargs)
        if self.operation == "mkldnn_rnn_layer" and args[15]:
            # The pretended kernel leaves out what the real one keeps for the backward pass.
            kept = _bytes(lstm_workspace(args[0], args[10]), like=args[0])
            out = (*out[:3], kept)
        self._enter(args, out)
        self.operation = before
        return out

    def _enter(self, args: tuple[Any, ...], out: Any) -> None:
        phase = self.phase
        if phase == "backward" and self._layers:
            phase = "recompute"
        outputs = with_storage(out)
        ledger = self.ledger
        known = len(ledger.storages)
        kind = "activations" if phase == "recompute" else self.kind
        for each in outputs:
            ledger.admit(each, kind)
        extra = scratch(self.operation, args, outputs)
        if len(ledger.storages) > known or extra:
            ledger.happened(Moment(phase=phase, layer=self.layer, operation=self.operation), extra)
        needed, again = multiply_adds(self.operation, args, outputs[0] if outputs else None)
        if needed:
            where = {"backward": "backward", "recompute": "recomputed"}.get(phase, "forward")
            self.macs[where] += needed
            self.macs["recomputed"] += again

    def _pretended(self, tensor: Tensor) -> Tensor:
        return tensor if isinstance(tensor, FakeTensor) else self._adopt(tensor)

    def _followed(self, path: str, forward: Callable[..., Any]) -> Callable[..., Any]:
        def followed(*args: Any, **kwargs: Any) -> Any:
            self._layers.append(path)
            self._mark(path)
            try:
                return forward(*args, **kwargs)
            except Exception as error:
                if id(error) != self._raised[0]:  # the innermost module meets it first
                    self._raised = (id(error), path)  # the error itself would hold tensors alive
                raise
            finally:
                self._layers.pop()
                self._mark(self._layers[-1] if self._layers else "")

        return followed

    def _mark(self, owner: str) -> None:
        self._numbers.append(torch.autograd._get_sequence_nr())
        self._owners.append(owner)


def _bytes(size: int, *, like: Tensor) -> Tensor:
    return like.new_empty(size, dtype=torch.uint8)


def _holds_real(args: tuple[Any, ...]) -> bool:
    for each in args:
        if isinstance(each, Tensor):
            if not isinstance(each, FakeTensor):
                return True
        elif isinstance(each, list | tuple) and any(
            isinstance(part, Tensor) and not isinstance(part, FakeTensor) for part in each
        ):
            return True
    return False


def with_storage(out: Any) -> list[Tensor]:
    """The tensors with a storage in what an operation gave; a sparse one has two inside."""
    found = []
    for each in [out] if isinstance(out, Tensor) else tree_leaves(out):
        if not isinstance(each, Tensor):
            continue
        if each.layout is torch.sparse_coo:
            found += [each._indices(), each._values()]
        else:
            found.append(each)
    return found
