"""A second network, equal to the patient's, to try things on: training it changes nothing.

A check-up may run between the forward pass of a loop and its backward pass. Nothing that the loop
computed may then look changed, not even for a moment: so probes that write work on a copy. Hooks
of other people are not copied with it; those of torch, which compute weights, are.
"""

from __future__ import annotations

import contextlib
import copy
import inspect
import math
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from netwright.core.unheard import unheard
from netwright.doctor.patient import Patient, Sample, tensors_in
from netwright.doctor.quiet import HOOKS, RandomState, silenced
from netwright.doctor.tape import Call

LARGEST = 300_000_000
"""Parameters above which no copy is made."""

AGREE = 1e-3
"""How far the copy's loss may be from the one that the loop computed, relative. Measured on
convolutions, norms and dropout on one thread: equal to the last bit, with other orders of sums
1e-6; what differs more is another computation."""

WRAPPERS = {"DistributedDataParallel": "module", "DataParallel": "module",
            "OptimizedModule": "_orig_mod"}  # fmt: skip
"""Modules that only pass on to another one; the copy goes without them."""


class NoTwinError(Exception):
    """The network cannot be copied, or its copy does not compute what it computes."""


class Twin:
    """A copy of the patient's model and the loss of one batch on it.

    `loss()` is the loop's own loss, before any scaling, computed by the copy; random numbers go on
    from where the loop stood before its forward pass, every time `begin()` is called. Use it in a
    `with` block, which puts the random states back.
    """

    def __init__(self, patient: Patient, sample: Sample) -> None:
        self.sample = sample
        self._begin = sample.random
        bare = _bare(patient.model)
        if sum(each.numel() for each in bare.parameters()) > LARGEST:
            raise NoTwinError("it has too many parameters to copy")
        if any(isinstance(each, nn.SyncBatchNorm) for each in bare.modules()):
            raise NoTwinError("its norms wait for other processes")
        self.model, self.swaps = _copied(bare)
        for wrapper in _wrappers(patient.model):
            self.swaps[id(wrapper)] = self.model
        # Other networks and losses that have a state of their own get a copy as well.
        for call in sample.objective.modules:
            if id(call.run) not in self.swaps:
                inner = _bare(call.run)
                made, more = _copied(inner)
                self.swaps.update(more)
                self.swaps[id(call.run)] = made
        self.parameters = {
            name: self.swaps[id(each)]
            for name, each in bare.named_parameters()
            if each.requires_grad and each.is_floating_point()
        }
        self._originals = {id(each) for each in bare.parameters()}
        self._dtype = next(iter(self.parameters.values())).dtype if self.parameters else None

    def network(self) -> tuple[str, tuple[Call, ...]]:
        """The path in the model of the network that the loop calls, and these calls.

        The path is "" for the model itself. A loop that never calls that, as in a LightningModule
        whose `training_step` calls `self.net`, calls its parts: then it is the only one of them
        with weights, and there is none where it calls several.
        """
        modules = self.sample.objective.modules
        calls = [each for each in modules if self.swaps.get(id(each.run)) is self.model]
        if calls:
            return "", tuple(calls)
        paths = {id(each): path for path, each in self.model.named_modules()}
        made = [(self.swaps.get(id(each.run)), each) for each in modules]
        parts = [
            (own, each)
            for own, each in made
            if own is not None and id(own) in paths and any(True for _ in own.parameters())
        ]
        if len({id(own) for own, _ in parts}) != 1:
            return "", ()
        return paths[id(parts[0][0])], tuple(each for _, each in parts)

    def __enter__(self) -> Twin:
        self._state = RandomState()
        self._hush = silenced(())  # hooks on all modules; the copies have none of their own
        self._hush.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._hush.__exit__(None, None, None)
        self._state.restore()

    def begin(self) -> None:
        """The random numbers of the loop's own forward pass come next."""
        self._begin.restore()

    def loss(self, swaps: Mapping[int, Any] | None = None) -> Tensor:
        """The loss of the batch, with gradients."""
        with (
            torch.enable_grad(),
            self.sample.surroundings.again(),
            unheard(),
        ):
            found = self.sample.objective.again({**self.swaps, **(swaps or {})})
        return found / self.sample.scale if self.sample.scale != 1 else found

    def agrees(self) -> bool:
        """Whether the copy gives the loss that the loop itself computed."""
        self.begin()
        with torch.no_grad():
            again = float(self.loss().detach())
        loop = self.sample.loss
        return math.isfinite(again) and abs(again - loop) <= AGREE * max(abs(loop), 1e-6)

    def optimizer(self, original: Optimizer, factor: float) -> Optimizer:
        """A fresh one of the same class and settings for the copy, at `factor` times the rate."""
        groups = []
        for group in original.param_groups:
            held = [self.swaps[id(each)] for each in group["params"]
                    if id(each) in self._originals and each.requires_grad]  # fmt: skip
            if held:
                rate = rate_meant(group, original)
                groups.append({**_settings(group), "params": held, "lr": rate * factor})
        if not groups:
            raise NoTwinError("the optimizer holds nothing of the model")
        known = inspect.signature(type(original).__init__).parameters
        if "lr" not in known:
            return _born_again(original, groups)
        given = {key: value for key, value in original.defaults.items() if key in known}
        given["lr"] = groups[0]["lr"]
        return type(original)(groups, **given)

    @contextlib.contextmanager
    def returning(self) -> Iterator[None]:
        """After the block the weights and buffers of the copy are those at its beginning."""
        tensors = [*self.model.parameters(), *self.model.buffers()]
        kept = [each.detach().clone() for each in tensors]
        modes = [(each, each.training) for each in self.model.modules()]
        try:
            yield
        finally:
            with torch.no_grad():
                for each, content in zip(tensors, kept, strict=True):
                    each.detach().copy_(content)
                    each.grad = None
            for module, training in modes:
                module.training = training


PLAIN = (bool, int, float, str, type(None))
"""What an optimizer of somebody's own may keep beside its groups to be made anew from them."""


def _born_again(original: Optimizer, groups: list[dict[str, Any]]) -> Optimizer:
    """An optimizer of somebody's own, whose constructor calls the rate otherwise: made by that of
    torch, and given the numbers and words that the original has beside."""
    made: Optimizer = object.__new__(type(original))
    Optimizer.__init__(made, groups, dict(original.defaults))
    for name, value in vars(original).items():
        if name not in vars(made):
            if not isinstance(value, PLAIN):
                raise NoTwinError(f"the optimizer keeps {name} of its own")
            vars(made)[name] = value
    return made


def real(gradient: Tensor) -> Tensor:
    """The numbers of a gradient, whatever it is stored as: dense, complex ones by their parts."""
    dense = gradient.detach()
    dense = dense.to_dense() if dense.layout is not torch.strided else dense
    return torch.view_as_real(dense.resolve_conj()) if dense.is_complex() else dense


def rate_meant(group: Mapping[str, Any], optimizer: Optimizer) -> float:
    """The rate a group is to train at, where a schedule begins with less or with nothing.

    Loops that warm up by hand set the rate before the first step; what the optimizer was made with
    is then the rate that is meant.

    >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.1)
    >>> optimizer.param_groups[0]["lr"] = 1e-6
    >>> rate_meant(optimizer.param_groups[0], optimizer)
    0.1
    """
    known = [float(group[key]) for key in ("lr", "initial_lr", "max_lr") if key in group]
    made = optimizer.defaults.get("lr")
    alike = len({float(each["lr"]) for each in optimizer.param_groups}) == 1
    if made is not None and (alike or not max(known)):
        known.append(float(made))
    return max(known)


def _settings(group: Mapping[str, Any]) -> dict[str, Any]:
    """What was set for a group, without what a schedule or the optimizer itself put in."""
    made = ("params", "initial_lr", "max_lr", "min_lr", "base_momentum", "max_momentum")
    return {key: copy.deepcopy(value) for key, value in group.items() if key not in made}


def _bare(model: nn.Module) -> nn.Module:
    while type(model).__name__ in WRAPPERS:
        model = getattr(model, WRAPPERS[type(model).__name__])
    return model


def _wrappers(model: nn.Module) -> Iterator[nn.Module]:
    while type(model).__name__ in WRAPPERS:
        yield model
        model = getattr(model, WRAPPERS[type(model).__name__])


def _copied(model: nn.Module) -> tuple[nn.Module, dict[int, Any]]:
    """A copy, and what stands in it for each module, parameter and buffer, by `id`."""
    if type(model).__name__.startswith("FullySharded"):
        raise NoTwinError("its weights are spread over several processes")
    modules = list(model.modules())
    memo: dict[int, Any] = {}
    for module in modules:
        for name, value in vars(module).items():
            if name in ("_trainer", "_fabric"):  # a whole training behind an attribute
                memo[id(value)] = value
            elif isinstance(value, torch.Generator):
                memo[id(value)] = value.clone_state()
            else:
                for each in tensors_in(value, 3):
                    if not each.is_leaf:
                        memo[id(each)] = each.detach().clone()
    try:
        with _without_hooks(modules):
            made = copy.deepcopy(model, memo)
    except Exception as error:
        raise NoTwinError(str(error).partition("\n")[0]) from error
    pairs = [*zip(modules, made.modules(), strict=True)]
    swaps: dict[int, Any] = {id(old): new for old, new in pairs}
    for old, new in pairs:
        for kind in ("_parameters", "_buffers"):
            ours, theirs = getattr(old, kind), getattr(new, kind)
            swaps.update({id(t): theirs[n] for n, t in ours.items() if t is not None})
    return made, swaps


@contextlib.contextmanager
def _without_hooks(modules: list[nn.Module]) -> Iterator[None]:
    """Meanwhile the modules have only those hooks that torch itself put there."""
    kept = [(each, name, getattr(each, name)) for each in modules for name in HOOKS]
    try:
        for each, name, hooks in kept:
            torchs = {
                key: hook
                for key, hook in hooks.items()
                if str(getattr(hook, "__module__", None) or type(hook).__module__).startswith(
                    "torch."
                )
            }
            each.__dict__[name] = OrderedDict(torchs)
        yield
    finally:
        for each, name, hooks in kept:
            each.__dict__[name] = hooks
