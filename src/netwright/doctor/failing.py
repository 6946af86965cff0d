"""A loss whose call raised: what it had been given, read from the tape or from the traceback."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from netwright.doctor.patient import LOSSES
from netwright.doctor.reading import bound
from netwright.doctor.tape import Call, Tape
from netwright.doctor.unfolding import given, word_of
from netwright.records.facts.failure import Failure

PICKING = ("getitem", "gather", "take_along_dim", "one_hot")
"""Functions by which losses by hand pick the class of each sample."""

OVER_CLASSES = ("cross_entropy", "nll_loss", "multi_margin_loss", *PICKING)


def failure_of(error: BaseException, tape: Tape | None = None, *, step: int = 1) -> Failure | None:
    """The failed call behind `error`; None where the loss has nothing to do with it.

    A loss of torch is found in the traceback, at any step; one by hand only where a tape ran.
    """
    failed = tape.failed if tape is not None else None
    if failed is not None and failed[1] is error:
        call = failed[0]
        if call.name in LOSSES or word_of(call) in PICKING:
            return _facts(call, error, step, "loss")
    for call in _in_traceback(error):
        return _facts(call, error, step, "loss")
    if tape is not None and "dtype" in str(error):
        losses = [each for each in tape.calls if each.name in LOSSES]
        if losses:
            return _facts(losses[-1], error, step, "backward")
    return None


def _in_traceback(error: BaseException) -> Iterator[Call]:
    """Calls of torch's losses among the frames of an error; each frame still has its arguments."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        name = frame.f_code.co_name
        if name in LOSSES and frame.f_globals.get("__name__") == F.__name__:
            local = frame.f_locals
            known: dict[str, Any] = {
                each: local[each] for each in ("input", "target", "ignore_index") if each in local
            }
            yield Call(getattr(F, name), (), known, None)


def _facts(call: Call, error: BaseException, step: int, where: Any) -> Failure:
    options = bound(call)
    tensors = given(call)
    judged = options.get("input") if call.name in LOSSES else (tensors[0] if tensors else None)
    target = options.get("target")
    if not isinstance(target, Tensor) and call.name not in LOSSES:
        whole = [each for each in tensors if not each.is_floating_point()]
        target = whole[-1] if whole else None
    kind = call.name if call.name in LOSSES else word_of(call)
    classes = None
    if isinstance(judged, Tensor) and judged.ndim > 1 and kind in OVER_CLASSES:
        classes = judged.shape[1]
    ignored = options.get("ignore_index")
    facts: dict[str, Any] = {}
    if isinstance(judged, Tensor):
        facts.update(input_shape=tuple(judged.shape), input_dtype=_word(judged))
    if isinstance(target, Tensor):
        facts.update(_target(target, classes, ignored))
    return Failure(
        error=type(error).__name__,
        message=str(error).partition("\n")[0][:200],
        kind=kind,
        where=where,
        step=step,
        classes=classes,
        ignore_index=ignored if isinstance(ignored, int) else None,
        **facts,
    )


def _target(target: Tensor, classes: int | None, ignored: Any) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "target_shape": tuple(target.shape),
        "target_dtype": _word(target),
        "target_floating": target.is_floating_point(),
        "target_count": target.numel(),
    }
    # After an assertion on a GPU nothing can be read from it any more.
    if not target.numel() or target.device.type != "cpu":
        return facts
    values = target.detach().double().reshape(-1)
    if isinstance(ignored, int) and not target.is_floating_point():
        values = values[values != ignored]
    if not values.numel() or not bool(values.isfinite().all()):
        return facts
    distinct = values[:100_000].unique()
    facts.update(
        target_min=float(values.min()),
        target_max=float(values.max()),
        target_distinct=len(distinct),
        target_whole=bool((distinct == distinct.round()).all()),
        outside=int(((values < 0) | (values >= (classes or torch.inf))).sum()),
    )
    return facts


def _word(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
