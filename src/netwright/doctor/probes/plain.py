"""Whether a plain network fits the batch that this one does not: what the architecture costs."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Adam

from netwright.doctor.part import light
from netwright.doctor.patient import Patient, tensors_in
from netwright.doctor.probes import PROBES
from netwright.doctor.probes.fit import STEPS, constant_of, trial
from netwright.doctor.quiet import RandomState
from netwright.doctor.tape import Call
from netwright.doctor.twin import NoTwinError, Twin
from netwright.records.facts.fit import Fit
from netwright.records.facts.plain_fit import PlainFit

LEFT = 0.3
"""Share of the loss of guessing that the network's own best trial must leave, or nothing is asked.
Tried in conditions too: under it a batch counts as fitted."""

WIDTH = 128
RATE = 3e-3

SECONDS = 0.8
"""What reading samples, and learning from them, may take each."""

PART = 0.3
"""And what part of the time that is left."""

STEPS_UNSEEN = 300
BATCH = 64
"""Samples of a step, whatever batches the loop has: what is learned is a matter of the data."""
SAMPLES = 1500
FEWEST = 60

MOST = 50_000
"""Numbers of a sample, in or out, above which a plain network is no light thing any more."""

TOKENS = 500
"""Kinds of whole numbers up to which they are told apart, one input for each."""

FREE = (
    "cross_entropy", "mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss",
    "binary_cross_entropy_with_logits",
)  # fmt: skip
"""Losses that take any number for an output."""


@PROBES.register("plain", order=21, needs=("sample", "optimizers"), cost="60S where nothing fits")
def plain(patient: Patient) -> Iterator[PlainFit]:
    """Where one batch is not fitted, two hidden layers of 128 ReLUs are tried in its place.

    They get the inputs of the batch, each number by its own mean and spread, whole numbers one by
    one where they are few; and the loop's own loss of what they put out.
    """
    sample, fit = patient.sample, patient.workings.get("fit")
    assert sample is not None
    if not isinstance(fit, Fit) or sample.loss_call is None:
        return
    if sample.loss_call.name not in FREE:
        return
    sample = light(patient)
    constant = constant_of(sample)
    ends = [each.end for each in (*fit.trials, *fit.variants.values()) if each.end == each.end]
    if constant is None or not ends or min(ends) < LEFT * constant:
        return
    try:
        twin = Twin(patient, sample)
    except NoTwinError:
        return
    _, calls = twin.network()
    shown = _shown(calls[0]) if len(calls) == 1 else None
    output = calls[0].result if calls else None
    if shown is None or not isinstance(output, Tensor) or not _has_rows(output, len(shown)):
        return
    objective = sample.loss_call
    if objective is None or (objective.args and not _is_straight(objective, output)):
        return
    with twin:
        twin.begin()
        network = _perceptron(shown.shape[1], output[0].numel()).to(shown)
        stand_in = _InPlace(twin, network, shown, calls[0], output)
        made = trial(stand_in, Adam(network.parameters(), lr=RATE), STEPS)
        fits = made.end < LEFT * constant
        known = unseen_by_plain(patient, objective) if fits else None
    yield PlainFit(trial=made, width=WIDTH, best=min(ends), constant=constant, unseen=known)


def _perceptron(wide: int, out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(wide, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, out)
    )


def unseen_by_plain(patient: Patient, call: Call) -> float | None:
    """The least loss, with two standard errors on top, on a quarter of the samples of such a
    network that learns from the others: noise can be learned by heart, and tells nothing of what
    was not seen. Several probes ask for it; it is worked out once."""
    known = patient.workings
    if "unseen" not in known:
        work = functools.partial(_unseen_by_plain, patient, call)
        asked = _asked(patient, call)
        known["unseen"] = work() if asked is None else patient.of_data("unseen", work, asked)
    found: float | None = known["unseen"]
    return found


def _asked(patient: Patient, call: Call) -> str | None:
    """What is asked of such a network beside the data, so that another patient who asks the same
    is answered the same; None of a loss with tensors of its own, weights of classes say."""
    own = {k: v for k, v in call.kwargs.items() if k not in ("input", "target")}
    if any(True for _ in tensors_in(own)) or patient.sample is None:
        return None
    shown = (*patient.sample.inputs, *tensors_in((call.args, call.kwargs)))
    sizes = [(tuple(each.shape), each.dtype) for each in shown]
    return f"{call.name} {sizes} {sorted(own.items())}"


def _unseen_by_plain(patient: Patient, call: Call) -> float | None:
    loss = getattr(nn.functional, call.name)
    options = {k: v for k, v in call.kwargs.items() if k not in ("input", "target", "reduction")}
    rows = _rows(patient)
    if rows is None or len(call.args) > 2:
        return None
    inputs, target = rows
    shape = next((tuple(each.shape[1:]) for each in tensors_in((call.args, call.kwargs))), ())
    draw = torch.Generator().manual_seed(0)
    order = torch.randperm(len(inputs), generator=draw)
    known, others = order[len(order) // 4 :], order[: len(order) // 4]
    network = _perceptron(inputs.shape[1], math.prod(shape)).to(inputs)
    optimizer = Adam(network.parameters(), lr=RATE)

    def of(which: Tensor, **how: Any) -> Tensor:
        found: Tensor = loss(
            network(inputs[which]).reshape(-1, *shape), target[which], **options, **how
        )
        return found

    until = time.perf_counter() + PART * patient.deadline.left
    own = time.thread_time() + SECONDS  # what else runs on the machine is not held against it
    least = math.inf
    for step in range(STEPS_UNSEEN):
        chosen = known[torch.randint(0, len(known), (BATCH,), generator=draw)]
        with torch.enable_grad():
            gradients = torch.autograd.grad(of(chosen), list(network.parameters()))
        for each, gradient in zip(network.parameters(), gradients, strict=True):
            each.grad = gradient
        optimizer.step()
        if step % 20 == 19:
            with torch.no_grad():
                errors = of(others, reduction="none").reshape(len(others), -1).mean(1)
                doubt = 2 * float(errors.std()) / len(errors) ** 0.5
                least = min(least, float(errors.mean()) + doubt)
            if time.perf_counter() > until or time.thread_time() > own:
                break
    return least if math.isfinite(least) else None


def rows_of(patient: Patient) -> tuple[Tensor, Tensor] | None:
    """Some samples as they go in, with their targets: of the training data where they can be read,
    else of the batches that came by."""
    pairs: list[tuple[Tensor, Tensor]] = []
    if patient.train is not None:
        until, state = time.perf_counter() + SECONDS, RandomState()
        try:
            for inputs, target in patient.train.batches():
                if not isinstance(inputs, Tensor) or not isinstance(target, Tensor):
                    return None
                pairs.append((inputs, target))
                enough = sum(len(each) for each, _ in pairs) >= SAMPLES
                if enough or time.perf_counter() > until:
                    break
        finally:
            state.restore()
    else:
        for each in patient.samples:
            if len(each.inputs) == 1 and each.target is not None:
                pairs.append((each.inputs[0].detach(), each.target.detach()))
    if sum(len(each) for each, _ in pairs) < FEWEST:
        return None
    inputs, target = (torch.cat(each) for each in zip(*pairs, strict=True))
    return inputs, target


def _rows(patient: Patient) -> tuple[Tensor, Tensor] | None:
    """The same with each sample as one row of numbers."""
    pair = rows_of(patient)
    rows = None if pair is None else _as_rows([pair[0]])
    return None if pair is None or rows is None else (rows, pair[1])


class _InPlace:
    """What `trial` asks of a twin, with a plain network where the own one is called."""

    def __init__(
        self, twin: Twin, network: nn.Module, shown: Tensor, call: Call, output: Tensor
    ) -> None:
        self._twin, self._network, self._shown = twin, network, shown
        self._call, self._output = call, output

    def begin(self) -> None:
        self._twin.begin()

    def loss(self) -> Tensor:
        with torch.enable_grad():
            made = self._network(self._shown).reshape(self._output.shape).to(self._output.dtype)
        return self._twin.loss({id(self._call.run): lambda *_, **__: made})


def _shown(call: Call) -> Tensor | None:
    """The inputs of a call as one row of numbers a sample."""
    found = [each for each in tensors_in((call.args, call.kwargs)) if each.ndim]
    if not found or len({len(each) for each in found}) != 1:
        return None
    return _as_rows(found)


def _as_rows(found: list[Tensor]) -> Tensor | None:
    rows = []
    for each in found:
        values = each.detach()
        if len(values) < 2:
            return None
        if not values.is_floating_point():
            kinds = int(values.max()) + 1 if values.numel() else 0
            if values.dtype == torch.bool or int(values.min()) < 0 or kinds > TOKENS:
                return None
            values = nn.functional.one_hot(values.long(), kinds)
        flat = values.float().flatten(1) if values.ndim > 1 else values.float()[:, None]
        rows.append((flat - flat.mean(0)) / (flat.std(0) + 1e-6))
    shown = torch.cat(rows, 1)
    usable = shown.shape[1] <= MOST and bool(torch.isfinite(shown).all())
    return shown.clamp(-10, 10) if usable else None


def _has_rows(output: Tensor, count: int) -> bool:
    return output.ndim > 0 and len(output) == count and output[0].numel() <= MOST


def _is_straight(call: Call, output: Tensor) -> bool:
    """Whether the loss reads what the network puts out, or a view of it, and nothing between acts
    on its range."""
    given = call.args[0]
    return isinstance(given, Tensor) and given.numel() == output.numel()
