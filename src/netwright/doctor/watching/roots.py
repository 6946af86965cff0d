"""Which modules a loop calls itself: those are the model's doors, whatever wraps them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import nn

from netwright.doctor.watching import discreet
from netwright.doctor.watching.discreet import Hook
from netwright.doctor.watching.wrapped import redirected


class Listener(Protocol):
    """Told when a module that the loop calls begins, and when it has ended (also by an error).
    While it runs the model itself, `ours` is true, and it is told nothing."""

    ours: bool

    def forward_begins(self, module: nn.Module, args: Any, kwargs: Any) -> None: ...
    def forward_ended(self, module: nn.Module, args: Any, kwargs: Any, output: Any) -> None: ...


FORWARDS = 24
"""Calls from outside during which every module is listened to, to learn which ones are called."""


class Roots:
    """Hooks on the doors of a model.

    At first every module is listened to; the outermost of each call is a door. After some calls
    only the doors keep their hooks, so that a network of many small layers is not slowed down.
    """

    def __init__(self, model: nn.Module, listener: Listener) -> None:
        self._listener = listener
        self._model = model
        self._attached = False
        self._within = 0
        self._passed: list[int] = []
        """Modules called at this moment whose forward is another method of theirs."""
        self._calls = 0
        self._doors: dict[int, nn.Module] = {}
        self._hooks: dict[int, tuple[Any, Any]] = {}
        self._resting: tuple[nn.Module, Hook] | None = None
        """The one door that says no more than that it is called."""
        self._entries: dict[int, Hook] = {}
        """What is called when a module begins, by its id."""
        self._calls_in_place: list[tuple[nn.Module, Any, Any]] = []

    def attach(self) -> None:
        discreet.begin()
        self._attached = True
        self._listen(self._model, set())
        if self._calls >= FORWARDS:
            self._settle()

    def detach(self) -> None:
        if self._attached:
            discreet.end()
            self._attached = False
        for pair in self._hooks.values():
            for each in pair:
                each.remove()
        self._hooks.clear()
        self._entries.clear()
        self._resting = None
        for module, told, plain in self._calls_in_place:
            if module._compiled_call_impl is told:
                module._compiled_call_impl = plain
        self._calls_in_place.clear()

    def compiled(self, module: nn.Module) -> None:
        """`module` runs as a compiled graph from here on: nothing inside of it is listened to."""
        for each in module.modules():
            for hook in self._hooks.pop(id(each), ()):
                hook.remove()
        self._listen(module, set())

    def _listen(self, module: nn.Module, seen: set[int]) -> None:
        """To `module` and what it holds, but to nothing inside of a compiled graph: a hook there
        would become part of it, and taking it away would compile it anew."""
        if id(module) in seen or isinstance(module, torch.jit.ScriptModule):
            return
        seen.add(id(module))
        if getattr(module, "_compiled_call_impl", None) is not None:
            self._wrap(module)
            return
        self._hook(module)
        if type(module).__name__ != "OptimizedModule":
            for each in module.children():
                self._listen(each, seen)

    def _wrap(self, module: nn.Module) -> None:
        """A module that was compiled in place: its hooks are inside of its graph, so its call is
        told of around that."""
        plain: Any = module._compiled_call_impl

        def told(*args: Any, **kwargs: Any) -> Any:
            if torch.compiler.is_compiling():
                return plain(*args, **kwargs)
            self._begins(module, args, kwargs)
            output = None
            try:
                output = plain(*args, **kwargs)
                return output
            finally:
                self._ended(module, args, kwargs, output)

        module._compiled_call_impl = told
        self._calls_in_place.append((module, told, plain))

    @property
    def doors(self) -> tuple[nn.Module, ...]:
        return tuple(self._doors.values())

    def _hook(self, module: nn.Module) -> None:
        if id(module) in self._hooks:
            return
        entry = self._entries[id(module)] = Hook(self._begins)
        before = module.register_forward_pre_hook(entry, with_kwargs=True, prepend=True)
        self._hooks[id(module)] = (before, self._listen_to_its_end(module))

    def _listen_to_its_end(self, module: nn.Module) -> Any:
        return module.register_forward_hook(Hook(self._ended), with_kwargs=True, always_call=True)

    def rest(self, instead: Callable[..., None]) -> None:
        """Where one door is left: of a call that takes gradients hear that it begins, no more.
        `instead` is told of the calls, and hands on to `begins_only` what is not one of those."""
        if self._resting is not None or len(self._hooks) != 1 or self._calls < FORWARDS:
            return
        module = next((each for each in self._doors.values() if id(each) in self._hooks), None)
        if module is None or self._within:
            return
        self._hooks[id(module)][1].remove()
        entry = self._entries[id(module)]
        entry.work = instead
        self._resting = (module, entry)

    def wake(self) -> None:
        """Hear both ends again."""
        if self._resting is None:
            return
        (module, entry), self._resting = self._resting, None
        if id(module) in self._hooks:
            entry.work = self._begins
            self._hooks[id(module)] = (
                self._hooks[id(module)][0], self._listen_to_its_end(module)
            )  # fmt: skip

    def begins_only(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        # Not for calls of ours: what they do to the hooks is undone with all they do.
        if torch.compiler.is_compiling() or self._listener.ours or _in_a_backward():
            return
        if not torch.is_grad_enabled():
            self.wake()  # in time for the end of this very call
            self._begins(module, args, kwargs)
            return
        if not redirected(module):
            self._listener.forward_begins(module, args, kwargs)

    def _begins(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        if torch.compiler.is_compiling() or self._listener.ours or _in_a_backward():
            return
        if not self._within and redirected(module):
            self._passed.append(id(module))
            return
        self._within += 1
        if self._within == 1:
            self._doors[id(module)] = module
            self._listener.forward_begins(module, args, kwargs)

    def _ended(self, module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        # Calls of ours are not counted: what they do to the hooks is undone with all they do.
        if torch.compiler.is_compiling() or self._listener.ours or _in_a_backward():
            return
        if not self._within and self._passed and self._passed[-1] == id(module):
            self._passed.pop()
            return
        self._within -= 1
        if self._within > 0:
            return
        self._within = 0
        self._listener.forward_ended(module, args, kwargs, output)
        self._calls += 1
        if self._calls == FORWARDS:
            self._settle()

    def _settle(self) -> None:
        keep = {*self._doors, id(self._model)}
        for key in [each for each in self._hooks if each not in keep]:
            for hook in self._hooks.pop(key):
                hook.remove()


def _in_a_backward() -> bool:
    """Whether a backward pass is running: checkpointed segments run forward again in it."""
    return bool(torch._C._current_graph_task_id() != -1)


def guarded(
    work: Callable[..., None], fault: Callable[[BaseException], None]
) -> Callable[..., None]:
    """`work`, with whatever it raises handed to `fault`: the loop never sees it."""

    def run(*args: Any, **kwargs: Any) -> None:
        try:
            work(*args, **kwargs)
        except Exception as error:
            fault(error)

    return run
