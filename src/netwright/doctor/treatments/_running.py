"""Which modules run, in which order, and what lies between the layers with weights."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from netwright.doctor.graph import name_of
from netwright.doctor.quiet import quiet
from netwright.doctor.treatments._bending import acts_alone, bends
from netwright.doctor.trials.course import Course
from netwright.records.findings import Finding

MAPS = (
    nn.Linear,
    nn.Conv1d, nn.Conv2d, nn.Conv3d,
    nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d,
)  # fmt: skip
"""Layers that are one linear map."""

NORMS = (
    nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm,
    nn.GroupNorm, nn.LayerNorm, nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d,
)  # fmt: skip

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)

MOST_NODES = 500
"""Of the graph between two layers."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Call:
    """One call of a module that has no parts, or of a recurrent one. `after` are torch's words for
    the operations between what it put out and the next maps, `readers` the places of those in the
    list of calls; -1 stands for the network's output; `added` says that every one of them reads a
    sum with something else. Of maps alone."""

    path: str
    module: nn.Module
    given: Tensor | None
    made: Tensor | None
    after: frozenset[str] = frozenset()
    readers: tuple[int, ...] = ()
    added: bool = False

    @property
    def is_map(self) -> bool:
        return isinstance(self.module, (*MAPS, nn.RNNBase))


def calls(course: Course) -> list[Call]:
    """The calls of one forward pass on the first batch, in evaluation mode; nothing of the course
    is changed. None where the model raises."""
    model = course.model
    found: list[tuple[str, nn.Module, Any, Any, Any, Any]] = []

    def heard(path: str) -> Any:
        def hook(module: nn.Module, given: Any, made: Any) -> None:
            first, out = _tensor(given), _tensor(made)
            # An activation in place moves a tensor on in the graph: what it is now is kept apart.
            found.append((path, module, first, out, _node(first), _nodes(made)))

        return hook

    parts = list(_units(model))
    training = [(each, each.training) for each in model.modules()]
    inputs, _ = next(course.train.batches())
    if inputs.is_floating_point():
        inputs = inputs.detach().clone().requires_grad_()  # so that frozen layers are in the graph
    with quiet(model), torch.enable_grad():
        hooks = [each.register_forward_hook(heard(path)) for path, each in parts]
        try:
            model.eval()
            output = _tensor(model(inputs))
        except Exception:  # somebody's model
            return []
        finally:
            for hook in hooks:
                hook.remove()
            for each, mode in training:
                each.training = mode
    made = {
        id(node): place
        for place, (_, module, _, _, _, nodes) in enumerate(found)
        if isinstance(module, (*MAPS, nn.RNNBase))
        for node in nodes
    }
    after: dict[int, set[str]] = {place: set() for place in made.values()}
    readers: dict[int, list[int]] = {place: [] for place in made.values()}
    alone: set[int] = set()
    ends = [(place, call[4]) for place, call in enumerate(found) if place in after]
    for reader, node in [*ends, (-1, _node(output))]:
        for place, words in _back(node, made):
            after[place] |= words
            readers[place].append(reader)
            if "add" not in words:
                alone.add(place)
    return [
        Call(
            path=path, module=module, given=first, made=out,
            after=frozenset(after.get(place, ())), readers=tuple(readers.get(place, ())),
            added=bool(readers.get(place)) and place not in alone,
        )
        for place, (path, module, first, out, _, _) in enumerate(found)
    ]  # fmt: skip


def maps(course: Course) -> list[Call]:
    """The first call of each map, in the order they run."""
    seen: set[str] = set()
    found = []
    for each in calls(course):
        if each.is_map and each.path not in seen:
            seen.add(each.path)
            found.append(each)
    return found


def hidden_activations(course: Course) -> list[str]:
    """The paths of the activation modules that a map comes after, in the order they run."""
    run = calls(course)
    last = max((place for place, each in enumerate(run) if each.is_map), default=-1)
    found = [each for each in run[: max(0, last)] if acts_alone(each.module)]
    return list(dict.fromkeys(each.path for each in found if bends(each.module)))


def head_of(run: list[Call]) -> list[str]:
    """The paths of maps whose result reaches the output with no map between; the last that ran
    where none is seen."""
    ends = [each.path for each in run if each.is_map and -1 in each.readers]
    return ends or [each.path for each in run if each.is_map][-1:]


def named_layers(course: Course, finding: Finding) -> list[str]:
    """The paths that a finding names, as they stand in the model: `0:relu` is behind `0`, and of
    what is below a module that has been replaced the module itself is named."""
    known = dict(course.model.named_modules())
    found = []
    for each in finding.layers:
        path = each.partition(":")[0].partition("#")[0]
        while path and path not in known:
            path = path.rpartition(".")[0]
        if path not in found and path in known:
            found.append(path)
    return found


def with_weights(model: nn.Module, paths: list[str] | None = None) -> Iterator[nn.Module]:
    """The modules that hold parameters of their own, all or those at and below these paths."""
    roots = [model] if paths is None else [model.get_submodule(each) for each in paths]
    seen: set[int] = set()
    for root in roots:
        for each in root.modules():
            if id(each) not in seen and any(True for _ in each.parameters(recurse=False)):
                seen.add(id(each))
                yield each


def _back(node: Any, made: dict[int, int]) -> Iterator[tuple[int, set[str]]]:
    """The maps that a node of the graph comes from, each with the words of what lies between."""
    waiting: list[tuple[Any, tuple[str, ...]]] = [(node, ())]
    seen: set[int] = set()
    while waiting and len(seen) < MOST_NODES:
        at, words = waiting.pop()
        if at is None or id(at) in seen:
            continue
        seen.add(id(at))
        if id(at) in made:
            yield made[id(at)], set(words)
            continue
        word = name_of(at)
        waiting += [(each, (*words, word)) for each, _ in at.next_functions]


def _units(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Modules without parts, recurrent ones, and the outermost of those that act on each number
    alone: an activation with a factor round it is one."""
    seen: set[int] = set()

    def below(path: str, module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
        if id(module) in seen:
            return
        seen.add(id(module))
        parts = list(module.named_children())
        if not parts or isinstance(module, nn.RNNBase) or acts_alone(module):
            yield path, module
            return
        for name, each in parts:
            yield from below(f"{path}.{name}" if path else name, each)

    return below("", model)


def _tensor(value: Any) -> Tensor | None:
    if isinstance(value, tuple | list) and value:
        return _tensor(value[0])
    return value if isinstance(value, Tensor) else None


def _nodes(value: Any) -> list[Any]:
    """Where each tensor of a result stands in the graph; a recurrent layer gives several."""
    if isinstance(value, tuple | list):
        return [node for each in value for node in _nodes(each)]
    return [value.grad_fn] if isinstance(value, Tensor) and value.grad_fn is not None else []


def _node(tensor: Tensor | None) -> Any:
    return None if tensor is None else tensor.grad_fn
