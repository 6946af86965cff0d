"""Weights against a network: what fits, what does not, and putting in what does.

Everything must fit but the head: a network that goes on to other classes keeps what it has
learned to see and learns anew to name it (Yosinski et al. 2014, "How transferable are features
in deep neural networks?").
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor, nn

from netwright.core.errors import CheckpointError, SettingError
from netwright.core.languages import Phrase, Series
from netwright.nn.initialisation import last_layer

Shape: TypeAlias = tuple[int, ...]

# torch's own count of batches, which weights older than PyTorch 0.4.1 lack; nothing reads it.
SPARE = "num_batches_tracked"
_SHOWN = 3


@dataclass(frozen=True, kw_only=True)
class Fit:
    """The tensors of a network and of a file, name by name."""

    own: Mapping[str, Shape]
    given: Mapping[str, Shape]
    fitting: tuple[str, ...]
    fresh: tuple[str, ...] = ()
    """Those of the head, which the network keeps as it drew them: it has other classes."""
    given_classes: int | None = None
    """How many classes the head in the file has, when it is another number or is not there (0)."""
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    misshapen: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    """Those of the file that belong to a part the network has not, and are left out."""

    @property
    def good(self) -> bool:
        """Whether all fits, but perhaps the head."""
        return not self.amiss and bool(self.fitting)

    @property
    def amiss(self) -> tuple[str, ...]:
        """The names of what does not fit."""
        return (*self.missing, *self.unexpected, *self.misshapen)

    @property
    def differences(self) -> Series:
        """What does not fit, to be spoken: counts, and the first few names."""
        kinds = [
            (self.missing, "missing: {count} ({names})"),
            (self.unexpected, "without a place: {count} ({names})"),
            (self.misshapen, "of another shape: {count} ({names})"),
        ]
        shaped = {
            name: f"{name} {_sides(self.given[name])} != {_sides(self.own[name])}"
            for name in self.misshapen
        }
        return Series(
            (
                Phrase(template, count=len(names), names=_first(shaped.get(n, n) for n in names))
                for names, template in kinds
                if names
            ),
            between="; ",
        )


def fit(
    own: Mapping[str, Shape],
    given: Mapping[str, Shape],
    *,
    num_classes: int,
    head: Iterable[str] = (),
    skip: bool = False,
    outside: Collection[str] = (),
) -> Fit:
    """How tensors of the shapes `given` fit a network whose tensors are `own`.

    `head` are the names of the layer that makes the logits. A head for another number of classes
    counts as fitting, and stays fresh: all tensors of another shape then have `num_classes` as
    their first side in the network and one other number in the file. So does a head that the
    file lacks altogether.

    With `skip`, what the file has besides is left out where it is plainly another part: named in
    `outside`, or under a first word that no tensor of the network begins with (`projector.`, not a
    further block of a `layer1` that the network has too).

    >>> found = fit({"a": (8, 3), "fc": (10, 8)}, {"a": (8, 3), "fc": (1000, 8)}, num_classes=10)
    >>> found.good, found.fresh, found.given_classes
    (True, ('fc',), 1000)
    """
    missing = tuple(name for name in own if name not in given and not name.endswith(SPARE))
    unexpected = tuple(name for name in given if name not in own)
    skipped: tuple[str, ...] = ()
    if skip:
        words = {name.partition(".")[0] for name in own}
        skipped = tuple(name for name in unexpected if name in outside or _is_apart(name, words))
        unexpected = tuple(name for name in unexpected if name not in set(skipped))
    misshapen = tuple(name for name in own if name in given and own[name] != given[name])
    fitting = tuple(name for name in own if name in given and own[name] == given[name])
    made = Fit(
        own=own, given=given, fitting=fitting,
        missing=missing, unexpected=unexpected, misshapen=misshapen, skipped=skipped,
    )  # fmt: skip
    if unexpected or not fitting:
        return made
    counts = {_other_classes(own[name], given[name], num_classes) for name in misshapen}
    if misshapen and not missing and len(counts) == 1 and None not in counts:
        return dataclasses.replace(made, misshapen=(), fresh=misshapen, given_classes=counts.pop())
    if missing and not misshapen and set(missing) == set(head):
        return dataclasses.replace(made, missing=(), fresh=missing, given_classes=0)
    return made


def _is_apart(name: str, words: Collection[str]) -> bool:
    """Whether a name begins with a word of its own; numbers are places in one row of layers."""
    first = name.partition(".")[0]
    return first not in words and not first.isdigit()


def fit_module(
    model: nn.Module,
    tensors: Mapping[str, Tensor],
    *,
    num_classes: int | None = None,
    skip: bool = False,
    outside: Collection[str] = (),
) -> Fit:
    """How `tensors` fit `model`; without `num_classes` its head must fit too. `skip` and
    `outside` are those of `fit`."""
    head = head_of(model) if num_classes is not None else ()
    return fit(
        shapes(own_tensors(model)),
        shapes(tensors),
        num_classes=num_classes if num_classes is not None else -1,
        head=head,
        skip=skip,
        outside=outside,
    )


def head_of(model: nn.Module) -> tuple[str, ...]:
    """The names of the parameters of the layer that makes the logits."""
    last = last_layer(model)
    inside = {id(each) for each in last.parameters()} if last is not None else set()
    return tuple(name for name, each in model.named_parameters() if id(each) in inside)


def load_state_dict(model: nn.Module, tensors: Mapping[str, Tensor], *, source: str) -> None:
    """Put `tensors` into `model`, all of them; `source` is their name in an error.

    Raises `SettingError` when names or shapes differ, with the count of what fits and the first
    differences, and `CheckpointError` for numbers that are not finite; the model is then as it
    was.
    """
    found = fit_module(model, tensors)
    if not found.good:
        raise SettingError(
            "The weights in {source} are those of another network: {fitting} of {total} tensors "
            "fit; {differences}.",
            hint="Check the name of the model, its options, and the number of classes.",
            source=source,
            fitting=len(found.fitting),
            total=len(found.own),
            differences=found.differences,
        )
    put(model, tensors, found, source=source)


def put(
    model: nn.Module, tensors: Mapping[str, Tensor], found: Fit, *, source: str
) -> tuple[str, ...]:
    """Copy what fits into `model`; the types that had to be converted come back by name.

    Raises `CheckpointError` for NaN, infinity and a variance below 0, and `SettingError` for
    whole numbers where weights belong; the model is then as it was.
    """
    own = own_tensors(model)
    new, kinds, bad = {}, set(), []
    for name in found.fitting:
        each = tensors[name]
        if own[name].is_floating_point() != each.is_floating_point() or each.is_complex():
            raise SettingError(
                "The weights in {source} are not plain numbers: {name} is {kind}; expected {own}.",
                hint="Quantised weights need an adapter: netwright ls adapters",
                source=source,
                name=name,
                kind=str(each.dtype).removeprefix("torch."),
                own=str(own[name].dtype).removeprefix("torch."),
            )
        new[name] = each.to(own[name].dtype)
        if each.is_floating_point():
            if each.dtype != own[name].dtype:
                kinds.add(str(each.dtype).removeprefix("torch."))
            negative = name.endswith("running_var") and bool((new[name] < 0).any())
            if negative or not bool(torch.isfinite(new[name]).all()):
                bad.append(name)
    if bad:
        raise CheckpointError(
            "The weights in {source} hold NaN, infinity or a variance below 0: {names} ({count} of "
            "{total} tensors).",
            hint="They come from a training that diverged, or the file is damaged.",
            count=len(bad),
            total=len(new),
            source=source,
            names=_first(bad),
        )
    model.load_state_dict({**model.state_dict(), **new})
    return tuple(sorted(kinds))


def zero_throughout(tensors: Mapping[str, Tensor], found: Fit) -> tuple[str, ...]:
    """The weights and variances among those that fit which are 0 everywhere.

    Training leaves none so: a layer with it gives the same whatever it is shown. Biases and means
    may well be.

    >>> held = {"a.weight": torch.zeros(2, 2), "a.bias": torch.zeros(2)}
    >>> zero_throughout(held, Fit(own={}, given={}, fitting=("a.weight", "a.bias")))
    ('a.weight',)
    """
    return tuple(
        name
        for name in found.fitting
        if (tensors[name].ndim >= 2 or name.endswith(("weight", "running_var")))
        and tensors[name].numel()
        and not bool(tensors[name].any())
    )


def own_tensors(model: nn.Module) -> dict[str, Tensor]:
    """The tensors of a state dict, which may hold other things of a user's module."""
    return {name: each for name, each in model.state_dict().items() if isinstance(each, Tensor)}


def shapes(tensors: Mapping[str, Tensor]) -> dict[str, Shape]:
    """The shapes of `tensors`, by name."""
    return {name: tuple(each.shape) for name, each in tensors.items()}


def _other_classes(own: Shape, given: Shape, num_classes: int) -> int | None:
    """The number of classes in the file, if that is all in which the two shapes differ."""
    same = len(own) == len(given) > 0 and own[1:] == given[1:] and own[0] == num_classes
    return given[0] if same else None


def _first(names: Iterable[str]) -> str:
    found = list(names)
    return ", ".join(found[:_SHOWN]) + (", ..." if len(found) > _SHOWN else "")


def _sides(shape: Shape) -> str:
    return "x".join(str(side) for side in shape) or "1"
