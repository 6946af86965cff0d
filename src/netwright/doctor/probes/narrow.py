"""The narrowest place that everything passes: found by its size, proved by closing it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from netwright.doctor.bounds import OVER_CLASSES
from netwright.doctor.deadline import STEP
from netwright.doctor.patient import Patient, first_tensor
from netwright.doctor.probes import PROBES
from netwright.doctor.twin import NoTwinError, Twin
from netwright.records.facts.narrow import Narrow

CLOSED = 1e-5
"""Spread of the outputs over the batch, of their size, with which a place counts as the only way:
rounding leaves about 1e-7."""

PLACES = 3
"""Of the narrowest layers so many are tried: a narrow branch beside others is no bottleneck."""


@PROBES.register("narrow", order=13, needs=("sample",), cost="4F")
def narrow(patient: Patient) -> Iterator[Narrow]:
    """The layers with the fewest numbers a sample are closed in turn, in evaluation mode: each is
    made to put out its mean over the batch, and the outputs are looked at."""
    sample = patient.sample
    assert sample is not None
    if not patient.deadline.affords(patient.deadline.passes(STEP + 1)):
        patient.deadline.leave_out("passes", 0, PLACES + 1)
        return
    try:
        twin = Twin(patient, sample)
    except NoTwinError:
        return
    _, calls = twin.network()
    if len(calls) != 1 or sample.output is None:
        return
    (call,) = calls
    network = twin.swaps[id(call.run)]
    size = sample.size
    with twin, torch.no_grad(), sample.surroundings.again():
        twin.model.eval()
        widths: dict[str, int] = {}
        whole = _answer(network, call, _measuring(twin.model, widths, size))
        if whole is None or not whole.ndim or len(whole) != size or size < 4:
            return
        outputs = whole[0].numel()
        order = sorted((each for each in widths if widths[each] < outputs), key=lambda n: widths[n])
        modules = dict(twin.model.named_modules())
        if _spread(whole) <= 10 * CLOSED:
            return  # nothing passes as it is
        for name in order[:PLACES]:
            closed = _answer(network, call, [modules[name].register_forward_hook(_mean)])
            if closed is not None and _spread(closed) <= CLOSED:
                given = first_tensor((call.args, call.kwargs))
                loss = sample.loss_call.name if sample.loss_call is not None else ""
                target = sample.target
                yield Narrow(
                    layer=name,
                    width=widths[name],
                    inputs=given[0].numel() if given is not None and given.ndim else 0,
                    outputs=outputs,
                    spread=_spread(closed),
                    classes=loss in OVER_CLASSES,
                    copies=given is not None and target is not None and _same(given, target),
                )
                return


def _measuring(model: nn.Module, widths: dict[str, int], size: int) -> list[Any]:
    """Hooks that note how many numbers a sample a layer puts out; one that runs several times, or
    on rows that are not samples, is left out."""

    def note(name: str) -> Any:
        def hook(_: nn.Module, __: Any, output: Any) -> None:
            fits = isinstance(output, Tensor) and output.ndim > 1 and len(output) == size
            widths[name] = output[0].numel() if fits and name not in widths else 10**9

        return hook

    return [
        each.register_forward_hook(note(name))
        for name, each in model.named_modules()
        if not list(each.children())
    ]


def _answer(network: nn.Module, call: Any, hooks: list[Any]) -> Tensor | None:
    """The output under these hooks, which are taken off again."""
    try:
        return first_tensor(network(*call.args, **call.kwargs))
    finally:
        for each in hooks:
            each.remove()


def _mean(_: nn.Module, __: Any, output: Tensor) -> Tensor:
    return output.mean(0, keepdim=True).expand_as(output)


def _spread(output: Tensor) -> float:
    rows = output.detach().double().reshape(len(output), -1)
    return float(rows.std(0).max() / rows.square().mean().sqrt().clamp_min(1e-30))


def _same(given: Tensor, target: Tensor) -> bool:
    return given.numel() == target.numel() and bool(
        torch.equal(given.detach().flatten(), target.detach().flatten().to(given.dtype))
    )
