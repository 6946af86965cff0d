"""The steps of a learning-rate range test, with a network, a loader and a loss of the user's own.

Here the curve is measured; `netwright.optim.range_test` reads it.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import inspect
import math
from collections import defaultdict
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from numbers import Real
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.optim import SGD, Optimizer

from netwright.core.errors import DataError, SettingError
from netwright.core.languages import Phrase
from netwright.optim.range_test import FEWEST, blown_up
from netwright.optim.untouched import untouched

_WIDEST = 1e30
_MOST = 100_000

Told = Callable[[int, float, Any], None]
"""Called after each step with its number from 1, its loss and its batch."""


def climb(take_step: Callable[[int, float], float], tried: Sequence[float]) -> list[float]:
    """The loss of `take_step(number, rate)` for each rate, until the curve has blown up.

    >>> climb(lambda number, rate: [3.0, 2.0, 50.0, 4.0][number], [0.1, 1, 10, 100])
    [3.0, 2.0, 50.0]
    """
    losses: list[float] = []
    for number, rate in enumerate(tried):
        losses.append(take_step(number, rate))
        if blown_up(losses):
            break
    return losses


def check_range(first: float, last: float, steps: int) -> None:
    """Raise `SettingError` for rates that do not rise or too few steps to read a curve from."""
    for name, value, kind in (("first", first, Real), ("last", last, Real), ("steps", steps, int)):
        if not isinstance(value, kind) or isinstance(value, bool):
            raise SettingError(
                "{name}={value} is not allowed: expected a {kind}.",
                name=name,
                value=repr(value),
                kind=Phrase("number") if kind is Real else Phrase("whole number"),
            )
    if not 0 < first < last < math.inf:
        raise SettingError(
            "A range from {first} to {last} is none: expected two rates above 0, "
            "the first below the last.",
            first=first,
            last=last,
        )
    if not last / first <= _WIDEST:
        raise SettingError(
            "A range from {first} to {last} is too wide: expected a factor of at most {most} "
            "between them.",
            first=first,
            last=last,
            most=f"{_WIDEST:g}",
        )
    if steps > _MOST:
        raise SettingError(
            "{steps} steps are too many for a range test: at most {most}.",
            steps=steps,
            most=_MOST,
        )
    if steps < FEWEST:
        raise SettingError(
            "{steps} steps are too few for a range test: at least {fewest}.",
            steps=steps,
            fewest=FEWEST,
        )


def own_losses(
    model: nn.Module,
    loader: Iterable[Any],
    loss_fn: Callable[[Any, Any], Tensor],
    tried: Sequence[float],
    *,
    optimizer: Optimizer | None = None,
    told: Told | None = None,
) -> list[float]:
    """The losses of training steps whose rates rise over `tried`; then all is put back.

    See `netwright.tasks.rate_range.lr_range` for what is accepted. Each loss is that of its
    batch before the step is taken. Ends early where the loss has blown up.
    """
    _check_loader(loader)
    if not callable(loss_fn):
        raise SettingError(
            "The loss is {kind} and cannot be called.",
            hint="Give a function of outputs and target, as torch.nn.functional.cross_entropy is.",
            kind=type(loss_fn).__name__,
        )
    twin = _default(model) if optimizer is None else _twin(optimizer, model)
    held = [each for group in twin.param_groups for each in group["params"]]
    shares = _shares(twin)
    modules = [model, *_modules_of(loss_fn)]
    with (
        torch.inference_mode(False),
        torch.enable_grad(),
        untouched(*modules, tensors=held, generators=_generators(loader)),
    ):
        if not model.training:
            model.train()  # parts that were set to evaluation one by one stay so otherwise
        batches = _endless(loader)
        device = next(model.parameters()).device

        def take_step(number: int, rate: float) -> float:
            batch = next(batches)
            inputs, target = _pair(batch)
            loss = loss_fn(_called(model, _moved(inputs, device)), _moved(target, device))
            value = _value(loss)
            if math.isfinite(value):
                twin.zero_grad()
                loss.backward()
                for group, share in zip(twin.param_groups, shares, strict=True):
                    group["lr"] = rate * share
                twin.step()
            if told is not None:
                told(number + 1, value, batch)
            return value

        try:
            return climb(take_step, tried)
        finally:
            batches.close()  # ends the workers of a loader now


def _default(model: nn.Module) -> Optimizer:
    trained = _trainable(model)
    return SGD(trained, lr=1.0, momentum=0.9)


def _trainable(model: nn.Module) -> list[Tensor]:
    if not isinstance(model, nn.Module):
        raise SettingError(
            "A torch.nn.Module is expected as model, not {kind}.", kind=type(model).__name__
        )
    trained: list[Tensor] = [each for each in model.parameters() if each.requires_grad]
    if not trained:
        raise SettingError(
            "{model} has no parameters to train.",
            hint="Is everything frozen (requires_grad=False)?",
            model=type(model).__name__,
        )
    if any(is_lazy(each) for each in trained):
        raise SettingError(
            "{model} has parameters without a shape yet.",
            hint="Call it once with a batch first.",
            model=type(model).__name__,
        )
    return trained


def _twin(optimizer: Optimizer, model: nn.Module) -> Optimizer:
    """An optimizer of the same class and settings for the same parameters, but a fresh state.

    What `copy.deepcopy` makes of an optimizer lacks the attributes that a class of the user's
    has added; and `step` may be an attribute too, where a scheduler has wrapped that of the
    original.
    """
    if not isinstance(optimizer, Optimizer):
        raise SettingError(
            "A torch.optim.Optimizer is expected as optimizer, not {kind}.",
            hint="Give the optimizer itself, such as torch.optim.SGD(model.parameters(), lr=0.1).",
            kind=optimizer.__name__ if isinstance(optimizer, type) else type(optimizer).__name__,
        )
    if inspect.signature(type(optimizer).step).parameters.get("closure", _OPTIONAL).default is (
        inspect.Parameter.empty
    ):
        raise SettingError(
            "{optimizer} computes the loss several times a step and looks for the length of each "
            "step itself: a range test would tell nothing about it.",
            optimizer=type(optimizer).__name__,
        )
    held = [each for group in optimizer.param_groups for each in group["params"]]
    own = {id(each) for each in _trainable(model)}
    if not any(id(each) in own for each in held):
        raise SettingError(
            "The optimizer holds no parameter of the model that is trained.",
            hint="Make the optimizer from model.parameters(), after the model has moved "
            "to its device.",
        )
    memo: dict[int, Any] = {id(each): each for each in held}
    memo[id(optimizer.state)] = defaultdict(dict)
    kept = {
        name: value
        for name, value in vars(optimizer).items()
        if name != "step" and not name.endswith("_hooks")
    }
    twin = type(optimizer).__new__(type(optimizer))
    twin.__dict__.update(copy.deepcopy(kept, memo))
    twin.__setstate__({})  # makes empty tables of hooks
    return twin


_OPTIONAL = inspect.Parameter("closure", inspect.Parameter.KEYWORD_ONLY, default=None)


def _shares(optimizer: Optimizer) -> list[float]:
    """The rate of each group as a share of the highest."""
    if any("lr" not in group for group in optimizer.param_groups):
        raise SettingError(
            "{optimizer} has no learning rate to be tested.", optimizer=type(optimizer).__name__
        )
    set_to = [float(group["lr"]) for group in optimizer.param_groups]
    top = max(set_to)
    return [rate / top if top > 0 else 1.0 for rate in set_to]


def _check_loader(loader: Any) -> None:
    if isinstance(loader, Iterator):
        raise DataError(
            "The loader can be read only once: it is {kind}.",
            hint="Give what it was made from: a DataLoader, or a list of batches.",
            kind=type(loader).__name__,
        )
    if not hasattr(loader, "__iter__") and not hasattr(loader, "__getitem__"):
        raise DataError(
            "The loader gives no batches: it is {kind}.",
            hint="Give a DataLoader, or a list of batches (inputs, target).",
            kind=type(loader).__name__,
        )


def _endless(loader: Iterable[Any]) -> Generator[Any, None, None]:
    """The batches of `loader`, from the beginning again when it is exhausted."""
    rounds = 0
    while True:
        empty = True
        for batch in loader:
            empty = False
            yield batch
        if empty:
            raise DataError(
                "The loader gave no batch when it was read a second time."
                if rounds
                else "The loader gives no batches.",
                hint="Does it hold an iterator that is used up?"
                if rounds
                else "Is its data set smaller than a batch, with drop_last=True?",
            )
        rounds += 1


def _generators(loader: Any) -> list[Any]:
    """The random generators that a DataLoader draws its order from."""
    sampler = getattr(loader, "batch_sampler", None)
    holders = (loader, getattr(loader, "sampler", None), sampler, getattr(sampler, "sampler", None))
    found = [getattr(each, "generator", None) for each in holders]
    return [each for each in found if isinstance(each, torch.Generator)]


def _modules_of(loss_fn: Any) -> list[nn.Module]:
    """The modules that a loss function is, belongs to, or was made with: they too may count or
    average what they see."""
    near = [loss_fn, getattr(loss_fn, "__self__", None)]
    for cell in getattr(loss_fn, "__closure__", None) or ():
        with contextlib.suppress(ValueError):  # a name that nothing was assigned to so far
            near.append(cell.cell_contents)
    if isinstance(loss_fn, functools.partial):
        near += [*_modules_of(loss_fn.func), *loss_fn.args, *loss_fn.keywords.values()]
    return [each for each in near if isinstance(each, nn.Module)]


def _pair(batch: Any) -> tuple[Any, Any]:
    if isinstance(batch, tuple | list) and len(batch) == 2:
        return batch[0], batch[1]
    several = isinstance(batch, tuple | list)
    raise DataError(
        "A batch of the loader is {what}: expected a pair (inputs, target).",
        hint="For other batches, give a loader that makes pairs of them.",
        what=Phrase("{count} things", count=len(batch)) if several else type(batch).__name__,
    )


def _moved(thing: Any, device: torch.device) -> Any:
    """`thing` with every tensor in it on `device`, down into tuples, lists and mappings."""
    if isinstance(thing, Tensor):
        return thing.to(device, non_blocking=True)
    if isinstance(thing, Mapping):
        return {name: _moved(each, device) for name, each in thing.items()}
    if isinstance(thing, tuple) and hasattr(thing, "_fields"):
        return type(thing)(*(_moved(each, device) for each in thing))
    if isinstance(thing, tuple | list):
        return type(thing)(_moved(each, device) for each in thing)
    return thing


def _called(model: nn.Module, inputs: Any) -> Any:
    if isinstance(inputs, Mapping):
        return model(**inputs)
    if isinstance(inputs, tuple | list):
        return model(*inputs)
    return model(inputs)


def _value(loss: Any) -> float:
    if not isinstance(loss, Tensor):
        raise SettingError(
            "The loss function gave {kind}: expected a tensor with one number.",
            kind=type(loss).__name__,
        )
    if loss.numel() != 1:
        raise SettingError(
            "The loss has the shape {shape}: expected one number.",
            hint="Take its mean: reduction='mean', or .mean() at the end.",
            shape=tuple(loss.shape),
        )
    if not loss.requires_grad:
        raise SettingError(
            "The loss does not depend on anything that is trained.",
            hint="Is it detached, turned into a number, or computed under torch.no_grad()?",
        )
    return float(loss.detach())
