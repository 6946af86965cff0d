"""Whether the samples of a batch keep to themselves, from the model's input to the loss."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from netwright.doctor.part import light
from netwright.doctor.patient import Patient, Sample, first_tensor
from netwright.doctor.probes import PROBES
from netwright.doctor.probes.relations import related
from netwright.doctor.quiet import hushed
from netwright.doctor.reading import Term, bound, terms
from netwright.doctor.tape import Call, Objective
from netwright.doctor.unfolding import Unfolded, faithful, unfolded, word_of
from netwright.records.facts.mixing import Mixing

ACROSS = ("softmax", "log_softmax", "softmin")
OVER_CLASSES = ("cross_entropy", "nll_loss")

_TIME_FIRST = (nn.RNNBase, nn.MultiheadAttention)


@PROBES.register("mixing", order=6, needs=("sample",), cost="4F")
def mixing(patient: Patient) -> Iterator[Mixing]:
    """One sample's output with other neighbours, and the axes of what stands before the loss.

    All samples but one are replaced and the model is run in evaluation mode, where samples have
    nothing to do with each other. Softmax and views on the way to the loss are read off the way.
    """
    sample = patient.sample
    assert sample is not None
    if not sample.inputs or not sample.inputs[0].ndim or len(sample.inputs[0]) < 2:
        return
    batch = len(sample.inputs[0])
    facts: dict[str, Any] = {}
    way = unfolded(patient, sample)
    if way is not None:
        for term in terms(way)[:3]:
            facts.update(_before(way, term, batch))
    if way is None or not related(way, sample, batch):
        facts.update(_neighbours(patient, sample, batch))
    yield Mixing(batch=batch, **facts)


# The way to the loss


def _before(way: Unfolded, term: Term, batch: int) -> dict[str, Any]:
    """A softmax across the batch, or a view in place of a transposition."""
    source = term.input if term.source is None else term.source
    for call in way.way(source, term.place).calls:
        word = word_of(call)
        if word in ACROSS and _across(call, batch, term):
            return {"operation": word, **_floor(word, term)}
        if word == "log_softmax" and _over_places(call, term):
            return {"operation": word, **_floor_of_places(term)}
        if word in ("view", "reshape"):
            found = _scrambled(call, term)
            if found:
                return found
    return {}


def _across(call: Call, batch: int, term: Term) -> bool:
    given = first_tensor(call.args)
    if given is None or given.ndim < 2 or len(given) != batch or given.shape[0] == given.shape[1]:
        return False
    if term.target is None or not term.target.ndim or len(term.target) != batch:
        return False
    dim = bound(call).get("dim", call.args[1] if len(call.args) > 1 else None)
    if dim is None:  # torch's old rule
        return given.ndim == 3
    return isinstance(dim, int) and dim % given.ndim == 0


def _over_places(call: Call, term: Term) -> bool:
    """Whether the rows that a likelihood gets are no distributions, for all that a log_softmax was
    taken of the same numbers: it went along another axis."""
    made, given, target = call.result, term.input.detach(), term.target
    if term.kind != "nll_loss" or term.by_hand or not isinstance(made, Tensor):
        return False
    if given.ndim != 3 or target is None or target.ndim != 2 or made.numel() != given.numel():
        return False
    rows = torch.logsumexp(given.float(), 1).abs() < 1e-2
    across = torch.logsumexp(given.float(), 2).abs() < 1e-2
    return float(rows.float().mean()) < 0.5 and bool(across.all())


def _floor_of_places(term: Term) -> dict[str, Any]:
    """The n places of a sample that are of one class share a sum of 1: at best each has 1 / n."""
    target, classes = term.target, term.input.shape[1]
    assert target is not None
    counts = torch.stack([(target == each).sum(1) for each in range(classes)], 1).double()
    known = float(counts.sum())
    if not known:
        return {}
    shares = counts.sum(0) / known
    return {
        "places": int(term.input.shape[2]),
        "classes": classes,
        "constant": float(-torch.xlogy(shares, shares).sum()),
        "floor": float(torch.xlogy(counts, counts).sum()) / known,
    }


def _floor(word: str, term: Term) -> dict[str, Any]:
    """What the loss comes to at the least when each class shares one unit among the samples."""
    target, given = term.target, term.input
    if term.kind not in OVER_CLASSES or target is None or target.is_floating_point():
        return {}
    if given.ndim != 2 or target.ndim != 1:
        return {}
    counts = torch.bincount(target[target >= 0], minlength=given.shape[1]).double()
    known = float(counts.sum())
    found: dict[str, Any] = {"classes": given.shape[1]}
    if known:
        shares = counts[counts > 0] / known
        found["constant"] = float(-(shares * shares.log()).sum())
        if term.kind == "cross_entropy" and word == "softmax":
            found["floor"] = math.log1p((given.shape[1] - 1) / math.e)
        elif term.kind == "nll_loss" and word == "log_softmax":
            # The n_k samples of a class share a sum of 1: at best each has 1 / n_k.
            found["floor"] = float(torch.xlogy(counts, counts).sum()) / known
    return found


def _scrambled(call: Call, term: Term) -> dict[str, Any]:
    """A view whose shapes are those of a transposition."""
    given, result = first_tensor(call.args), first_tensor(call.result)
    if given is None or result is None or given.ndim < 3 or term.kind not in OVER_CLASSES:
        return {}
    before, after = tuple(given.shape), tuple(result.shape)
    index = torch.arange(given.numel()).reshape(before)
    if len(before) == len(after) and before != after and sorted(before) == sorted(after):
        if len(set(before)) < len(before):
            return {}  # which axis became which cannot be told
        order = [before.index(size) for size in after]
        right = index.permute(order)
    elif len(after) == 2 and after[1] == before[1] != before[-1]:
        # As for (N, C, H, W): the classes are not the last axis, and must be before the view.
        right = index.movedim(1, -1).reshape(after)
    else:
        return {}
    wrong = float((index.reshape(after) != right).float().mean())
    return {"scrambled": (before, after), "misplaced": wrong} if wrong > 0.1 else {}


# Inside the model


def _neighbours(patient: Patient, sample: Sample, batch: int) -> dict[str, Any]:
    """How much the output of a sample changes with the others."""
    if patient.setup.compiled or not faithful(patient) or not _plain(patient, sample, batch):
        return {}
    deadline, whole = patient.deadline, sample.size
    sample = light(patient)
    batch, modules = len(sample.inputs[0]), sample.objective.modules
    if not modules:
        return {}
    if not deadline.affords(deadline.passes(2 * 3 * batch / max(1, whole))):
        deadline.leave_out("neighbours", 0, 2)
        return {}
    calls = sample.objective.calls
    last = max(place for place, call in enumerate(calls) if call.of_module)
    end = first_tensor(calls[last].result)
    if end is None or not end.is_floating_point() or not end.ndim or len(end) != batch:
        return {}
    part = Objective(calls[: last + 1], end)
    roots = [patient.model, *(call.run for call in modules)]

    def run(swaps: dict[int, Tensor], *, graph: bool = False, begin: bool = True) -> Tensor:
        with (
            hushed(*roots, begin=sample.random if begin else None),
            sample.surroundings.again(),
            torch.set_grad_enabled(graph),
        ):
            for each in roots:
                each.eval()
            return part.again(swaps).float()

    plain = run({})
    spread = float(plain.std(unbiased=False))
    if not math.isfinite(spread) or spread <= 0:
        return {}
    if _of_pairs(sample, run, plain, batch):
        return {}
    kept = sorted({0, batch // 2})
    change = 0.0
    for row in kept:
        swaps = {id(each): _others_replaced(each, row) for each in sample.inputs}
        change = max(change, float((run(swaps)[row] - plain[row]).abs().max()) / spread)
    alone = _alone(sample, run, plain, kept[-1])
    return {
        "tested": len(kept),
        "change": change if math.isfinite(change) else 0.0,
        "change_alone": alone / spread if alone is not None and math.isfinite(alone) else None,
        "graded": _graded(sample, run, kept[-1]) if max(change, alone or 0.0) > 0 else None,
    }


def _of_pairs(sample: Sample, run: Any, plain: Tensor, batch: int) -> bool:
    """Whether the output has a row and a column for each sample: what two have in common, as in a
    kernel or where pictures are matched with their words, is told of pairs by design."""
    if batch not in plain.shape[1:] or batch < 4:
        return False
    half = batch // 2
    try:
        found = run({id(each): each.detach()[:half] for each in sample.inputs})
    except Exception:  # somebody's network, made for its own batches
        return False
    return tuple(found.shape) == tuple(half if each == batch else each for each in plain.shape)


def _graded(sample: Sample, run: Any, row: int) -> bool | None:
    """Whether the output of a sample has a gradient with respect to the others. It has none where
    they share nothing but a measure that is held constant, as the range of signals that are
    rounded. None where nobody can tell: of whole numbers there is no gradient."""
    if not all(each.is_floating_point() for each in sample.inputs):
        return None
    given = [each.detach().clone().requires_grad_() for each in sample.inputs]
    try:
        made = run(dict(zip(map(id, sample.inputs), given, strict=True)), graph=True)[row]
        weights = torch.linspace(1, 2, made.numel()).to(made).reshape(made.shape)
        found = torch.autograd.grad((made * weights).sum(), given, allow_unused=True)
    except Exception:  # a layer that has no gradient in evaluation mode
        return None
    others = [each.clone() for each in found if each is not None]
    if not others:
        return None
    for each in others:
        each[row] = 0
    return any(bool(each.any()) for each in others)


def _alone(sample: Sample, run: Any, plain: Tensor, row: int) -> float | None:
    """How far the output of a sample is from what it is in a batch of one; None where the model
    takes no such batch."""
    if float((run({}, begin=False) - plain).abs().max()) > 0:
        return None  # it draws numbers, others for other batches
    try:
        found = run({id(each): each.detach()[row : row + 1] for each in sample.inputs})
    except Exception:  # somebody's network, made for its own batches
        return None
    if found.shape != (1, *plain.shape[1:]):
        return None
    return float((found[0] - plain[row]).abs().max())


def _others_replaced(values: Tensor, row: int) -> Tensor:
    """The same tensor with every row but one taken from elsewhere."""
    other = values.detach().roll(1, 0).clone()
    if other.is_floating_point():
        generator = torch.Generator().manual_seed(row)
        noise = torch.randn(tuple(other.shape), generator=generator).to(other)
        other += 0.5 * other.float().std(unbiased=False).to(other) * noise
    other[row] = values.detach()[row]
    return other


def _plain(patient: Patient, sample: Sample, batch: int) -> bool:
    """Whether axis 0 is the samples', and the model is none that looks at all of them by design."""
    if any(each.is_sparse or not each.ndim or len(each) != batch for each in sample.inputs):
        return False
    for module in patient.model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.running_mean is None:
            return False
        held = [*module._buffers.values(), *vars(module).values()]
        tensors = [each for each in held if isinstance(each, Tensor)]
        if any(each.is_sparse or each.shape[:2] == (batch, batch) for each in tensors):
            return False  # as a graph network has it: who is whose neighbour
    return not _time_first(patient, sample, batch)


def _time_first(patient: Patient, sample: Sample, batch: int) -> bool:
    """Whether axis 0 may be the time, as recurrent layers have it by default."""
    first, target = sample.inputs[0], sample.target
    whole = not first.is_floating_point()
    if first.ndim != (2 if whole else 3):
        return False
    layers = [each for each in patient.model.modules() if isinstance(each, _TIME_FIRST)]
    if not any(not each.batch_first for each in layers):
        return False
    other = first.shape[1]
    if other == batch:
        return True
    known = patient.train.batch if patient.train is not None else patient.setup.batch
    if known is not None:
        return known != batch
    output = sample.output
    one_each = (
        target is not None
        and output is not None
        and target.ndim > 0
        and output.ndim == 2
        and len(target) == len(output) == batch
    )
    return not one_each
