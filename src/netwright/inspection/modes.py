"""Two nets under a forward pass: torch's functions as they are called, and what falls through.

The first net takes the operations networks are made of and answers from the shapes alone, which
is some ten times faster than torch's own shape inference. A rule that meets anything unusual
declines, and the call goes on into torch: what is wrong is then refused by torch itself. The
second net, one floor down where every tensor operation of torch passes, hears all the rest: what
composite functions are made of, custom autograd functions, scripted code.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from netwright.inspection.carriers import META, NeedsValuesError
from netwright.inspection.constants import keep_values, known_answer, without_masks
from netwright.inspection.ledger import Ledger
from netwright.inspection.rules import ATEN, DECLINE, FUNCTIONS, describe
from netwright.inspection.rules.checks import CHECKS
from netwright.inspection.rules.memory import FACTORIES
from netwright.inspection.rules.questions import QUESTIONS

_level = torch._C._functorch.maybe_current_level
_grad = torch.is_grad_enabled
_NONE: dict[str, Any] = {}


class Functions(TorchFunctionMode):
    """The upper net: `FUNCTIONS` by the function that was called."""

    def __init__(self, ledger: Ledger) -> None:
        super().__init__()
        self.ledger = ledger

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        rule = FUNCTIONS.get(func)
        kwargs = kwargs or _NONE
        ledger = self.ledger
        # With gradients on the network means to differentiate, and under vmap a tensor is
        # not what it looks like: then torch's own machinery must see the call.
        if rule is None or _grad() or _level() is not None:
            return self._through(func, args, kwargs)
        if ledger.constants and func not in QUESTIONS and ledger.all_constant(args):
            return self._through(func, args, kwargs)
        if ledger.concrete:
            ledger.compute = lambda: func(*args, **kwargs)
        try:
            out = rule(ledger, *args, **kwargs)
        except (TypeError, AttributeError):
            out = DECLINE  # called in a way the rule does not know
        finally:
            ledger.compute = None
        return self._through(func, args, kwargs) if out is DECLINE else out

    def _through(self, func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        if func in _WHOLE and not self.ledger.concrete:
            twin = self.ledger.twin
            args = tuple(_mapped(each, twin) for each in args)
        return func(*args, **kwargs)


class Operations(TorchDispatchMode):
    """The lower net: `ATEN` by the operation that torch runs, after it ran on carriers."""

    def __init__(self, ledger: Ledger) -> None:
        super().__init__()
        self.ledger = ledger

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # Else the first operation that comes here imports the whole compiler, for half a second,
        # and that leaves cycles of frames (torch.fx.wrap takes its own) that hold the carriers.
        return False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        ledger = self.ledger
        kwargs = kwargs or {}
        if func.namespace == "prim":  # a fake tensor is asked for its device
            return ledger.device
        rule = ATEN.get(func.overloadpacket)
        if rule is None and func._can_decompose():
            # In inference mode composite operations come down whole.
            with self:
                parts = func.decompose(*args, **kwargs)
            if parts is not NotImplemented:
                return parts
        if ledger.concrete:
            out = func(*args, **kwargs)
        else:
            found, out = known_answer(ledger, func, args, kwargs)
            if found:
                return out
            args = without_masks(ledger, func, args)
            out = self._run(func, args, kwargs)
        describe(ledger, rule, func, args, kwargs, out)
        if not ledger.concrete:
            keep_values(ledger, func, args, kwargs, out)
        return out

    def _run(self, func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        """Run the operation on carriers alone, wherever its tensors were meant to lie."""
        check = CHECKS.get(func.overloadpacket)
        if check is not None:
            check(*args, **kwargs)
        twin = self.ledger.twin
        named = {key: _mapped(each, twin) for key, each in kwargs.items()}
        if "device" in named or func.overloadpacket in FACTORIES:
            if func.overloadpacket._qualified_op_name not in _PLACELESS:
                named["device"] = META
            if named.get("pin_memory"):
                named["pin_memory"] = None
        there = tuple(_mapped(each, twin) for each in args)
        try:
            out = func(*there, **named)
        except NotImplementedError as error:
            raise NeedsValuesError(func.overloadpacket.__name__) from error
        if func._schema.is_mutable and isinstance(out, Tensor):
            # What writes into a real tensor must give that tensor back, not its twin.
            for mine, own in zip((*there, *named.values()), (*args, *kwargs.values()), strict=True):
                if out is mine:
                    return own
        return out


_WHOLE = {torch.lstm, torch.gru, torch.rnn_tanh, torch.rnn_relu}
"""Functions that look where all their tensors lie before they begin."""

_PLACELESS = {"aten::bernoulli", "aten::multinomial", "aten::normal"}
"""Makers of random tensors that take no device: they follow their arguments."""


def _mapped(value: Any, twin: Callable[[Tensor], Tensor]) -> Any:
    if isinstance(value, Tensor):
        return twin(value)
    if isinstance(value, list | tuple) and any(isinstance(each, Tensor) for each in value):
        return type(value)([twin(e) if isinstance(e, Tensor) else e for e in value])
    return value
