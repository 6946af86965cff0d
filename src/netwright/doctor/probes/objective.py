"""What the loss is, what goes into it, what guessing would cost, and whether it has a floor."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.optim import Adam

from netwright.doctor.bounds import (
    BINARY,
    DIFFERENCES,
    OVER_CLASSES,
    best_constant,
    floor_of,
    least,
)
from netwright.doctor.graph import operations_between
from netwright.doctor.part import light
from netwright.doctor.patient import Patient, Sample, tensors_in
from netwright.doctor.probes import PROBES
from netwright.doctor.quiet import hushed, quiet
from netwright.doctor.reading import Term, terms
from netwright.doctor.unfolding import VIEWS, Tail, Unfolded, faithful, unfolded, word_of
from netwright.records.facts.objective import Objective, TermFact

DRIVES = (30.0, 3000.0)
"""How far what the last weights give is driven: a range that is the same at both has a bound."""

PART = 0.2
"""The share of the time left that one more pass for the loss of another batch may take."""

LARGEST = 20_000_000
"""Values above which an output is not driven."""

COSINES, CLIMB = {"normalize", "cosine_similarity"}, 40

IN_ROWS = (*OVER_CLASSES, "kl_div", "multi_margin_loss")


@PROBES.register("objective", order=1, needs=("sample",), cost="1F")
def objective(patient: Patient) -> Iterator[Objective]:
    """The loss of the first batch and its terms.

    The loss is computed once more, with every function listened to; what the last weights gave is
    then driven far up and down, to learn which values can reach the loss at all.
    """
    assert patient.sample is not None
    yield told(patient, patient.sample)


def told(patient: Patient, sample: Sample, *, again: bool = True) -> Objective:
    """The facts of one sample's loss. Without `again` nothing is computed once more: what the loop
    itself computed, and the graph it left, have to do."""
    way = unfolded(patient, sample) if again and sample.objective.modules else None
    opaque = way is None
    if way is None:
        way = Unfolded(sample.objective.calls, sample.objective.loss)
    found = terms(way)
    if sample.target is None and found and found[0].target is not None:
        _remember(sample, found[0])
    parts = tuple(_part(patient, sample, way, each, opaque) for each in found)
    attached = sample.objective.loss.requires_grad
    if not parts:
        return Objective(attached=attached, terms=0, losses=(sample.loss,), opaque=opaque)
    main = parts[0]
    alone = len(parts) == 1 and main.factor is not None
    return Objective(
        kind=main.kind,
        terms=len(parts),
        input_shape=main.input_shape,
        target_shape=main.target_shape,
        target_dtype=main.target_dtype,
        classes=main.classes,
        before=main.before,
        attached=attached,
        losses=(main.value, *(_elsewhere(patient, sample, main) if again else ()))
        if alone
        else (sample.loss,),
        constant=main.constant if alone else None,
        least=main.least if alone else None,
        floor=main.floor if alone else None,
        floor_formula=main.floor_formula if alone else "",
        input_min=main.input_min,
        input_max=main.input_max,
        rows_sum_to_one=main.rows_sum_to_one,
        rows_logsumexp_zero=main.rows_logsumexp_zero,
        broadcast=bool(main.broadcast),
        smoothing=main.smoothing,
        weighted=main.weighted,
        factor=main.factor,
        parts=parts,
        opaque=opaque,
    )


def _remember(sample: Sample, term: Term) -> None:
    """A loss by hand has a target too: the tensor that the loop itself handed over."""
    handed = (tensors_in((call.args, call.kwargs), 3) for call in sample.objective.calls)
    if any(each is term.target for tensors in handed for each in tensors):
        sample.target = term.target


def _part(patient: Patient, sample: Sample, way: Unfolded, term: Term, opaque: bool) -> TermFact:
    given, target, options = term.input.detach(), term.target, term.options
    target = None if target is None else target.detach()
    reduction = str(options.get("reduction", "mean"))
    classes = given.shape[1] if term.kind in IN_ROWS and given.ndim > 1 else None
    value, factor = _as_mean(term, target, reduction)
    facts: dict[str, Any] = {
        "kind": term.kind,
        "by_hand": term.by_hand,
        "reduction": reduction,
        "input_shape": tuple(given.shape),
        "target_shape": () if target is None else tuple(target.shape),
        "target_dtype": "" if target is None else str(target.dtype).removeprefix("torch."),
        "classes": classes,
        "value": value,
        "factor": factor,
        "smoothing": float(options.get("label_smoothing", 0.0) or 0.0),
        "weighted": any(isinstance(options.get(each), Tensor) for each in ("weight", "pos_weight")),
        **_range_of(patient, sample, way, term, opaque),
    }
    if given.numel():
        facts.update(_input(given, term.kind))
    if target is not None and target.numel():
        facts.update(_target(target, term, given, facts))
    return TermFact(**facts)


def _elsewhere(patient: Patient, sample: Sample, main: TermFact) -> list[float]:
    """The loss of two other batches, or of thirds of this one, each computed anew (2F)."""
    factor = main.factor
    if sample.target is None or not sample.inputs or not factor or patient.setup.compiled:
        return []
    if not faithful(patient):
        return []
    found: list[float] = []
    deadline, kept = patient.deadline, light(patient, sample).size
    for inputs, target in _other_batches(patient, sample):
        if kept < len(target) and kept < sample.size:
            inputs, target = tuple(each[:kept] for each in inputs), target[:kept]
        if not deadline.affords(deadline.passes(len(target) / max(1, sample.size)) / PART):
            deadline.leave_out("batches", len(found) + 1, 3)
            return found
        swaps = {id(old): new for old, new in zip(sample.inputs, inputs, strict=True)}
        swaps[id(sample.target)] = target
        with (
            hushed(patient.model, begin=sample.random),
            sample.surroundings.again(),
            torch.no_grad(),
        ):
            try:
                loss = float(sample.objective.again(swaps))
            except Exception:
                return found  # what was noted holds for that batch alone
        if main.reduction == "sum":
            factor = (main.factor or 1.0) * len(target) / len(sample.target)
        found.append(loss / factor)
    return found


def _other_batches(patient: Patient, sample: Sample) -> Iterator[tuple[tuple[Tensor, ...], Tensor]]:
    first, target = sample.inputs[0], sample.target
    assert target is not None
    if patient.train is not None and len(sample.inputs) == 1:
        for place, (x, y) in enumerate(patient.train.batches()):
            if place > 2:
                return
            same = y is not None and x.shape[1:] == first.shape[1:] and y.dtype == target.dtype
            if place and same and y.shape[1:] == target.shape[1:]:  # type: ignore[union-attr]
                yield (x.to(first),), y.to(target.device)  # type: ignore[union-attr]
        return
    part = len(target) // 3 if target.ndim else 0
    if part < 2 or any(not each.ndim or len(each) != len(target) for each in sample.inputs):
        return
    for place in (1, 2):
        cut = slice(place * part, (place + 1) * part)
        yield tuple(each[cut] for each in sample.inputs), target[cut]


def _as_mean(term: Term, target: Tensor | None, reduction: str) -> tuple[float, float | None]:
    """The value and the factor, of a loss that averages where this one sums."""
    if reduction == "mean" or target is None or not target.numel():
        return term.value, term.factor
    count = float(target.numel())
    if term.kind in OVER_CLASSES:
        if target.is_floating_point():
            count /= target.shape[1] if target.ndim > 1 else 1
        else:
            count = float((target != int(term.options.get("ignore_index", -100))).sum())
            weight = term.options.get("weight")
            if isinstance(weight, Tensor):
                kept = target[(target >= 0) & (target < len(weight))].long()
                count = float(weight[kept].sum())
    elif reduction == "batchmean":
        return term.value, term.factor
    else:
        count = float(max(target.numel(), term.input.numel()))
    # What was not reduced at all was averaged over its elements when it was noted.
    if reduction == "none":
        elements = target.numel()
        if term.kind in OVER_CLASSES and target.is_floating_point() and target.ndim > 1:
            elements //= target.shape[1]
        count = count / max(elements, 1)
    if not count:
        return term.value, None
    return term.value / count, None if term.factor is None else term.factor * count


def _range_of(
    patient: Patient, sample: Sample, way: Unfolded, term: Term, opaque: bool
) -> dict[str, Any]:
    """The operations before the loss, and what values they let through."""
    source = term.input if term.source is None else term.source
    if opaque:
        return _seen_from_outside(source, term.kind)
    words = way.way(source, term.place).words
    facts: dict[str, Any] = {"before": words}
    tail = way.tail(source, term.place)
    normed = any(
        "norm" in word and word != "normalize" for word in map(word_of, tail.objective.calls)
    )
    if normed or not tail.begins or sum(each.numel() for each in tail.begins) > LARGEST:
        return facts
    lows, highs, ones = [], [], True
    with quiet(patient.model, begin=sample.random), torch.no_grad():
        for drive in DRIVES:
            seen = [tail.driven(each).float() for each in _patterns(tail.begins, drive)]
            if not all(bool(each.isfinite().all()) for each in seen):
                return facts
            lows.append(min(float(each.min()) for each in seen))
            highs.append(max(float(each.max()) for each in seen))
            rows = [_rows(each, term.kind) for each in seen]
            ones = ones and all(
                each.ndim > 1 and bool(_sums_to_one(each).all()) and each.shape[-1] > 1
                for each in rows
            )
    words_of_tail = {word_of(call) for call in tail.objective.calls}
    if not COSINES.isdisjoint(words_of_tail):
        low, high = _climbed(patient, sample, tail)
        lows, highs = [min(each, low) for each in lows], [max(each, high) for each in highs]
    width = max(highs[0] - lows[0], 1e-12)
    facts["driven"] = True
    facts["low"] = lows[1] if lows[0] - lows[1] < 0.02 * width else None
    facts["high"] = highs[1] if highs[1] - highs[0] < 0.02 * width else None
    facts["always_one"] = ones
    return facts


def _climbed(patient: Patient, sample: Sample, tail: Tail) -> tuple[float, float]:
    """The least and the largest value that some steps come to: numbers of length one, multiplied,
    are near their bounds for few directions alone, that no pattern meets."""
    ends = []
    for sign in (-1.0, 1.0):
        values = [each.detach().clone().requires_grad_() for each in tail.begins]
        optimizer = Adam(values, lr=0.3)
        with quiet(patient.model, begin=sample.random), torch.enable_grad():
            for _ in range(CLIMB):
                swaps = {id(old): new for old, new in zip(tail.begins, values, strict=True)}
                end = (sign * tail.driven(swaps)).max()
                slopes = torch.autograd.grad(-end, values, allow_unused=True)
                for each, slope in zip(values, slopes, strict=True):
                    each.grad = torch.zeros_like(each) if slope is None else slope
                optimizer.step()
        ends.append(sign * float(end.detach()))
    return ends[0], ends[1]


_RANGES = {"softmax": (0.0, 1.0), "sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0), "relu": (0.0, None)}


def _seen_from_outside(source: Tensor, kind: str) -> dict[str, Any]:
    """The same where nothing can be run again: by torch's words in the autograd graph, and by the
    rows, of which many do not sum to 1 by chance."""
    words = operations_between(source)
    last = next((word for word in words if word not in VIEWS), "")
    low, high = _RANGES.get(last, (None, None))
    rows = _rows(source.detach().float(), kind)
    ones = rows.ndim > 1 and rows.shape[-1] > 1 and bool(_sums_to_one(rows).all())
    if ones and len(rows) >= 8:
        low, high = 0.0, 1.0
    return {"before": words, "low": low, "high": high, "always_one": ones and high == 1.0}


def _patterns(begins: tuple[Tensor, ...], drive: float) -> Iterator[dict[int, Tensor]]:
    """Other values for all of them, far out: noise, and their own, up and down."""
    generator = torch.Generator().manual_seed(0)
    noises = [torch.randn(tuple(e.shape), generator=generator).to(e) for e in begins]
    own = [e.detach() / e.detach().abs().max().clamp_min(1e-30) for e in begins]
    for patterns in (noises, own):
        for sign in (drive, -drive):
            yield {id(e): (sign * each).clone() for e, each in zip(begins, patterns, strict=True)}


def _rows(values: Tensor, kind: str) -> Tensor:
    """Over the classes, one row for each prediction."""
    return values.movedim(1, -1) if kind in OVER_CLASSES and values.ndim > 2 else values


def _sums_to_one(rows: Tensor) -> Tensor:
    return ((rows.sum(-1) - 1).abs() < 1e-2) & (rows >= -1e-6).all(-1)


def _input(given: Tensor, kind: str) -> dict[str, Any]:
    values = given.float()
    rows = _rows(values, kind)
    facts: dict[str, Any] = {
        "input_min": float(values.min()),
        "input_max": float(values.max()),
        "input_mean": float(values.mean()),
        "input_std": float(values.std(unbiased=False)),
    }
    if rows.ndim > 1:
        logs = (torch.logsumexp(rows, -1).abs() < 1e-2).float().mean()
        if kind == "kl_div" and rows.ndim > 2:
            logs = torch.maximum(logs, (torch.logsumexp(values, 1).abs() < 1e-2).float().mean())
        facts["rows_sum_to_one"] = float(_sums_to_one(rows).float().mean())
        facts["rows_logsumexp_zero"] = float(logs)
    return {name: value if math.isfinite(value) else 0.0 for name, value in facts.items()}


def _target(target: Tensor, term: Term, given: Tensor, facts: dict[str, Any]) -> dict[str, Any]:
    """What the target holds, what guessing costs, and the floor."""
    kind, options, classes = term.kind, term.options, facts["classes"]
    values = target.float()
    finite = bool(values.isfinite().all())
    distinct = values.reshape(-1)[:100_000].unique()
    found: dict[str, Any] = {
        "target_distinct": len(distinct) if len(distinct) <= 64 else None,
        "target_whole": finite and bool((distinct == distinct.round()).all()),
        "in_use": target.numel(),
        "broadcast": _pairing(given, target, kind),
    }
    if not finite:
        return found
    in_use = values
    if kind in OVER_CLASSES and not target.is_floating_point():
        ignored = int(options.get("ignore_index", -100))
        in_use = values[target != ignored]
        found["ignore_index"], found["in_use"] = ignored, in_use.numel()
    if in_use.numel():
        found["target_min"], found["target_max"] = float(in_use.min()), float(in_use.max())
        found["target_mean"] = float(in_use.mean())
        found["target_std"] = float(in_use.std(unbiased=False))
    if target.shape == given.shape and given.ndim == 2 and given.shape[1] > 1:
        found["target_columns_alike"] = bool((values == values[:, :1]).all())
    if target.is_floating_point() and target.shape == given.shape and given.ndim > 1:
        sums = _rows(values, "cross_entropy" if given.ndim > 2 else kind).sum(-1)
        found["target_sums"] = float(sums.mean())
        found["target_sums_to_one"] = float(((sums - 1).abs() < 1e-3).float().mean())
    if facts["reduction"] == "none" and facts["weighted"]:
        return found
    low, high = facts.get("low"), facts.get("high")
    if kind in DIFFERENCES:
        outside = torch.zeros_like(values, dtype=torch.bool)
        margin = 0.01 * float(values.max() - values.min())
        if low is not None:
            outside |= values < low - margin
        if high is not None:
            outside |= values > high + margin
        found["target_outside"] = float(outside.float().mean())
    crossed = found["broadcast"] == "crossed"
    if not crossed and kind in (*DIFFERENCES, *BINARY) and target.shape != given.shape:
        return found
    found["constant"] = best_constant(kind, target, classes, options)
    found["least"] = least(kind, target, classes, options)
    if crossed:
        # Each output is held against every sample's target: no better than one for all.
        pooled = best_constant(kind, target.reshape(-1), None, options)
        found["constant"] = found["floor"] = pooled
        found["floor_formula"] = "the best constant: every output meets every target"
    else:
        simplex = facts.get("always_one", False)
        found["floor"], found["floor_formula"] = floor_of(
            kind, target, classes,
            options, low, high, simplex=simplex,
        )  # fmt: skip
    return {name: _finite(value) for name, value in found.items()}


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _pairing(given: Tensor, target: Tensor, kind: str) -> str:
    """How an elementwise loss pairs them; torch lines shapes up at their ends."""
    if kind not in (*DIFFERENCES, *BINARY) or given.shape == target.shape:
        return ""
    if not given.ndim or not target.ndim or target.numel() == 1 or given.numel() == 1:
        return ""
    a, b = given.ndim, target.ndim
    if len(given) == len(target) > 1 and a != b:
        return "crossed"
    return "spread"
