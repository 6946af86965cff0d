"""Which parameters the loss leads back to, and which calls cut the way to the others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from netwright.doctor.patient import Patient, Sample, tensors_in
from netwright.doctor.probes import PROBES
from netwright.doctor.tape import Call
from netwright.doctor.tape import Cut as TapeCut
from netwright.doctor.unfolding import Unfolded, given, unfolded, word_of
from netwright.records.facts.reach import Cut, Reach

STEPS = ("Round", "Floor", "Ceil", "Trunc", "Sign", "Heaviside")
"""Functions in steps, as nodes of the graph are called: their slope is 0 wherever there is one."""

MOST = 1_000_000
"""Nodes of the graph after which the search is given up."""


@PROBES.register("reach", order=2, needs=("sample",), cost="1F")
def reach(patient: Patient) -> Iterator[Reach]:
    """The autograd graph of the loss, followed to the parameters that the optimizers hold.

    Only where some are not reached the loss is computed once more, to see where the way is cut.
    """
    sample = patient.sample
    assert sample is not None
    loss = sample.objective.loss
    held = _held(patient)
    if not held:
        return
    found, opaque = reached_from(loss)
    lacking = [each for each in held if id(each) not in found]
    missing, cuts = (_cut_off(patient, sample, lacking)) if lacking else ([], ())
    if lacking and not loss.requires_grad:
        cuts = cuts or tuple(_told(each) for each in sample.cuts if _leads_on(each, loss))
    sloped, steps = _sloped(loss)
    yield Reach(
        attached=loss.requires_grad,
        leaf=loss.requires_grad and loss.grad_fn is None,
        held=len(held),
        reached=len(held) - len(lacking),
        missing=tuple(filter(None, (patient.path_of(each) for each in missing))),
        missing_numel=sum(each.numel() for each in missing),
        cuts=cuts or _numbers(sample, loss),
        flat=tuple(
            filter(
                None,
                (patient.path_of(e) for e in held if id(e) in found and id(e) not in sloped),
            )
        )
        if steps
        else (),
        steps=steps,
        opaque=opaque,
        besides=sample.besides,
    )


def _held(patient: Patient) -> list[Tensor]:
    groups = [group for each in patient.optimizers for group in each.param_groups]
    held = [each for group in groups for each in group["params"] if each.requires_grad]
    return held or [each for each in patient.model.parameters() if each.requires_grad]


def reached_from(loss: Tensor) -> tuple[set[int], bool]:
    """The leaves behind `loss`, by `id`, and whether functions of somebody's own hide a part."""
    found: set[int] = set()
    opaque = False
    waiting: list[Any] = [loss.grad_fn]
    seen: set[Any] = set()
    while waiting and len(seen) < MOST:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        opaque = opaque or isinstance(node, torch.autograd.function.BackwardCFunction)
        leaf = getattr(node, "variable", None)
        if leaf is not None:
            found.add(id(leaf))
        waiting += [each for each, _ in node.next_functions]
    return found, opaque


def _sloped(loss: Tensor) -> tuple[set[int], tuple[str, ...]]:
    """The leaves behind `loss` on a way without a function in steps, and the words for those."""
    words: dict[str, None] = {}
    found: set[int] = set()
    waiting: list[Any] = [loss.grad_fn]
    seen: set[Any] = set()
    while waiting and len(seen) < MOST:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        word = type(node).__name__.partition("Backward")[0]
        if word in STEPS:
            words[word.lower()] = None
            continue
        leaf = getattr(node, "variable", None)
        if leaf is not None:
            found.add(id(leaf))
        waiting += [each for each, _ in node.next_functions]
    return found, tuple(words)


def _cut_off(
    patient: Patient, sample: Sample, lacking: list[Tensor]
) -> tuple[list[Tensor], tuple[Cut, ...]]:
    """Those of `lacking` that are used on the way, and the calls that cut them off."""
    way = unfolded(patient, sample)
    if way is None:
        return [], ()
    wanted = _behind(way)
    names = {id(each) for each in lacking}
    used = {id(each) for call in wanted for each in given(call) if id(each) in names}
    tainted = set(used)
    for call in way.calls:
        if any(id(each) in tainted for each in given(call)):
            tainted.update(id(each) for each in tensors_in(call.result, 3))
    kept = {id(each) for call in wanted for each in tensors_in(call.result, 3)}
    if not used:
        return _through_another(patient, sample, lacking, way)
    cuts = [
        each
        for each in way.cuts
        if any(id(one) in tainted for one in given(each.call))
        and any(id(one) in kept for one in tensors_in(each.call.result, 3))
    ]
    ungraded = [each for each in cuts if not each.graded]
    chosen = [*[each for each in cuts if each.graded], *ungraded[:1]]
    return [each for each in lacking if id(each) in used], tuple(
        _told(_original(each, sample)) for each in chosen[:8]
    )


def _through_another(
    patient: Patient, sample: Sample, lacking: list[Tensor], way: Unfolded
) -> tuple[list[Tensor], tuple[Cut, ...]]:
    """Values that leave torch, for NumPy's functions or another library's, and come back as a
    tensor that nothing made: of the shape that a cut was given on the way."""
    wanted = _behind(way)
    made = {id(each) for call in way.calls if given(call) for each in tensors_in(call.result, 3)}
    known = {id(each) for each in (*patient.model.parameters(), *patient.model.buffers())}
    known |= {id(each) for each in (*sample.inputs, sample.target) if each is not None}
    shapes = {
        each.shape
        for call in wanted
        for each in given(call)
        if id(each) not in made | known and each.is_floating_point() and each.ndim > 1
    }
    names = {id(each): each for each in lacking}
    tainted: dict[int, set[int]] = {}
    for call in way.calls:
        sources: set[int] = set()
        for each in given(call):
            sources |= tainted.get(id(each), {id(each)} & names.keys())
        for each in tensors_in(call.result, 3):
            tainted[id(each)] = tainted.get(id(each), set()) | sources
    behind: set[int] = set()
    cuts = []
    for cut in way.cuts:
        for one in given(cut.call):
            if one.shape in shapes and tainted.get(id(one)):
                behind |= tainted[id(one)]
                cuts.append(cut)
    chosen = {id(cut.call): cut for cut in cuts}.values()
    return [names[key] for key in names if key in behind], tuple(
        _told(_original(cut, sample)) for cut in [*chosen][:8]
    )


def _behind(way: Unfolded) -> list[Call]:
    """The calls that the loss depends on, through those that cut as well."""
    wanted, chosen = {id(way.loss)}, []
    for call in reversed(way.calls):
        if any(id(each) in wanted for each in tensors_in(call.result, 3)):
            chosen.append(call)
            wanted.update(id(each) for each in given(call))
    chosen.reverse()
    return chosen


def _leads_on(cut: TapeCut, loss: Tensor) -> bool:
    return any(each is loss for each in tensors_in(cut.call.result, 3))


def _numbers(sample: Sample, loss: Tensor) -> tuple[Cut, ...]:
    """A loss made anew from numbers: what made numbers of tensors before it."""
    if loss.grad_fn is not None:
        return ()
    return tuple(_told(each) for each in sample.cuts[-3:])


def _original(cut: TapeCut, sample: Sample) -> TapeCut:
    """The call as the loop made it: one that we made for it knows no line of the loop's."""
    if cut.line:
        return cut
    word, shapes = word_of(cut.call), [each.shape for each in given(cut.call)]
    for each in sample.cuts:
        if word_of(each.call) == word and [one.shape for one in given(each.call)] == shapes:
            return each
    return cut


def _told(cut: TapeCut) -> Cut:
    word = word_of(cut.call)
    if word == "get":
        word = "data"
    if not cut.graded:
        word = "no_grad"
    return Cut(operation=word, place=cut.line)
