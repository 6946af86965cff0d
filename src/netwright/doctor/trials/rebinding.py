"""A function that holds on to the model: its copy holds on to the copy.

`copy.deepcopy` leaves functions as they are, and with them what they close over: a penalty
`sum(p.abs().sum() for p in model.parameters())` in a loss would go on reading, and sending
gradients to, the model of before.
"""

from __future__ import annotations

import copy
import functools
import types
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

DEEPEST = 4
"""Steps from the function to what it holds: through lists, helpers, objects with attributes."""


def rebound(function: Any, copies: Mapping[int, Any]) -> Any:
    """The function with each object that `copies` knows by its id exchanged for its copy; the same
    function where it holds none. `copies` is the memo of a deep copy.

    >>> model, other = nn.Linear(1, 1), nn.Linear(1, 1)
    >>> def loss(): return model
    >>> rebound(loss, {id(model): other})() is other
    True
    """
    return _anew(function, copies, 0, {})


def _anew(value: Any, copies: Mapping[int, Any], depth: int, seen: dict[int, Any]) -> Any:
    if id(value) in copies:
        return copies[id(value)]
    if depth > DEEPEST or isinstance(value, nn.Module | Tensor | type | types.ModuleType):
        return value
    if id(value) in seen:
        return seen[id(value)]
    seen[id(value)] = value  # what comes back to itself on the way is left

    def each(inner: Any) -> Any:
        return _anew(inner, copies, depth + 1, seen)

    made = value
    if isinstance(value, types.FunctionType):
        made = _function(value, each)
    elif isinstance(value, types.MethodType):
        owner, plain = each(value.__self__), each(value.__func__)
        if owner is not value.__self__ or plain is not value.__func__:
            made = types.MethodType(plain, owner)
    elif isinstance(value, functools.partial):
        parts = (each(value.func), _all(value.args, each), _all(value.keywords, each))
        if any(a is not b for a, b in zip(parts, (value.func, value.args, value.keywords),
                                          strict=True)):  # fmt: skip
            made = functools.partial(parts[0], *parts[1], **parts[2])
    elif isinstance(value, list | tuple | dict):
        made = _all(value, each)
    elif hasattr(value, "__dict__"):
        held = _all(vars(value), each)
        if held is not vars(value):
            made = copy.copy(value)
            vars(made).update(held)
    seen[id(value)] = made
    return made


def _function(function: types.FunctionType, each: Any) -> types.FunctionType:
    cells = function.__closure__ or ()
    held = [_content(cell) for cell in cells]
    new = [each(one) for one in held]
    names = {name for name in function.__code__.co_names if name in function.__globals__}
    known = {name: function.__globals__[name] for name in names}
    wider = {name: each(one) for name, one in known.items()}
    defaults = _all(function.__defaults__ or (), each)
    same = (
        all(a is b for a, b in zip(held, new, strict=True))
        and all(wider[name] is known[name] for name in names)
        and defaults is (function.__defaults__ or defaults)
    )
    if same:
        return function
    made = types.FunctionType(
        function.__code__,
        {**function.__globals__, **wider},
        function.__name__,
        defaults or None,
        tuple(types.CellType(one) for one in new) or None,
    )
    made.__kwdefaults__ = function.__kwdefaults__
    functools.update_wrapper(made, function)
    return made


def _content(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not bound yet
        return None


def _all(values: Any, each: Any) -> Any:
    """The same list, tuple or dictionary where nothing in it is another one now."""
    if isinstance(values, dict):
        found = {name: each(one) for name, one in values.items()}
        return values if all(found[name] is values[name] for name in values) else found
    listed = [each(one) for one in values]
    if all(a is b for a, b in zip(listed, values, strict=True)):
        return values
    return listed if isinstance(values, list) else tuple(listed)
