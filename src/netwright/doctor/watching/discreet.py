"""Hooks of ours on somebody's modules: not in their copies, not in their files.

A module is copied and pickled with its hooks. While anybody watches, modules give their state
without ours; a class with a way of its own to do so gets a function that does nothing instead.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from torch import nn

HOOKS = {
    "_forward_pre_hooks": ("_forward_pre_hooks_with_kwargs",),
    "_forward_hooks": ("_forward_hooks_with_kwargs", "_forward_hooks_always_called"),
    "_load_state_dict_post_hooks": (),
}
"""Where a module keeps its hooks, and what it notes about each of them."""

_lock = threading.Lock()
_users = 0


def nothing(*args: Any, **kwargs: Any) -> None:
    """What a hook of ours is in a copy."""


class Hook:
    """A hook that is not copied and not pickled."""

    def __init__(self, work: Callable[..., None]) -> None:
        self.work = work

    def __call__(self, *args: Any, **kwargs: Any) -> None:
        self.work(*args, **kwargs)

    def __reduce__(self) -> Any:
        return (_silence, ())

    def __deepcopy__(self, memo: Any) -> Any:
        return nothing


def _silence() -> Callable[..., None]:
    return nothing


def _state(module: nn.Module) -> Any:
    state = _plain(module)
    if not isinstance(state, dict):
        return state
    state = dict(state)
    for name, notes in HOOKS.items():
        hooks = state.get(name)
        ours = [key for key, hook in (hooks or {}).items() if isinstance(hook, Hook)]
        if not ours:
            continue
        for each in (name, *notes):
            if each in state:
                state[each] = type(state[each])(
                    (key, value) for key, value in state[each].items() if key not in ours
                )
    return state


# Torch has a way of its own to give the state of a module in some versions; else it is Python's.
_own = "__getstate__" in vars(nn.Module)
_plain: Callable[[nn.Module], Any] = nn.Module.__getstate__


def begin() -> None:
    """Somebody watches: modules are copied without our hooks."""
    global _users
    with _lock:
        _users += 1
        if _users == 1:
            nn.Module.__getstate__ = _state  # type: ignore[method-assign]


def end() -> None:
    """The watch is over."""
    global _users
    with _lock:
        _users -= 1
        if _users or vars(nn.Module).get("__getstate__") is not _state:
            return
        if _own:
            nn.Module.__getstate__ = _plain  # type: ignore[method-assign]
        else:
            del nn.Module.__getstate__
