"""The way of a loss with every torch function by itself, those inside the model too.

The tape of a loop has the model as one call. Computed once more with the tape listening inside,
the same loss tells which functions lie between the last weights and it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from netwright.doctor.patient import Patient, Sample, tensors_in
from netwright.doctor.quiet import hushed, strange_hooks
from netwright.doctor.tape import Call, Cut, Objective, Tape

STILL = {
    "to", "float", "double", "half", "bfloat16", "type", "clone", "contiguous", "alias", "cpu",
    "cuda", "dropout", "alpha_dropout", "feature_dropout", "identity", "requires_grad",
}  # fmt: skip
"""Functions that leave every value as it is, or nearly; they are not told."""

VIEWS = {
    "view", "reshape", "flatten", "squeeze", "unsqueeze", "permute", "transpose", "movedim", "t",
    "getitem", "unflatten", "expand", "ravel", "swapaxes", "rearrange", "select", "chunk", "split",
    "unbind", "stack", "cat", "concat", "T", "mT",
}  # fmt: skip
"""Functions that only place values elsewhere."""


@dataclass(frozen=True, eq=False)
class Unfolded:
    """`calls` in their order, down to torch's functions; `loss` is what they end in."""

    calls: tuple[Call, ...]
    loss: Tensor
    cuts: tuple[Cut, ...] = ()

    def maker(self, tensor: Tensor, before: int | None = None) -> int | None:
        """The place of the call that gave `tensor`, the last one before place `before`."""
        end = len(self.calls) if before is None else before
        for place in range(end - 1, -1, -1):
            if any(each is tensor for each in tensors_in(self.calls[place].result, 3)):
                return place
        return None

    def way(self, tensor: Tensor, before: int | None = None) -> Way:
        """From `tensor` back to the last layer with weights, along the first input of each call
        that has a gradient."""
        calls: list[Call] = []
        place = self.maker(tensor, before)
        while place is not None:
            call = self.calls[place]
            if call.of_module or any(isinstance(each, nn.Parameter) for each in given(call)):
                return Way(tuple(calls), tensor, place)
            calls.append(call)
            above = [each for each in given(call) if each.is_floating_point()]
            above = [each for each in above if each.requires_grad] or above
            if not above:
                break
            tensor = above[0]
            place = self.maker(tensor, place)
        return Way(tuple(calls), tensor, -1)

    def tail(self, end: Tensor, before: int | None = None) -> Tail:
        """All that lies between the last weights on any way to `end`, and `end`."""
        chosen: set[int] = set()
        begins: dict[int, Tensor] = {}
        open_: list[tuple[Tensor, int | None]] = [(end, before)]
        while open_:
            tensor, limit = open_.pop()
            place = self.maker(tensor, limit)
            if place is None or place in chosen:
                continue
            call = self.calls[place]
            fed = given(call)
            if word_of(call) == "normalize" and fed and isinstance(fed[0], nn.Parameter):
                # Weights of length one, as before cosines: what is free are those before.
                chosen.add(place)
                begins[id(fed[0])] = fed[0]
                continue
            if call.of_module or any(isinstance(each, nn.Parameter) for each in fed):
                if tensor.is_floating_point():
                    begins[id(tensor)] = tensor
                continue
            chosen.add(place)
            open_ += [(each, place) for each in given(call)]
        calls = tuple(self.calls[place] for place in sorted(chosen))
        return Tail(Objective(calls, end), tuple(begins.values()))


@dataclass(frozen=True, eq=False)
class Tail:
    """The functions without weights at the end of a way; `begins` is what the weights gave them."""

    objective: Objective
    begins: tuple[Tensor, ...]

    def driven(self, swaps: Mapping[int, Tensor]) -> Tensor:
        """The end, computed again with other beginnings."""
        if not self.objective.calls:
            return swaps.get(id(self.objective.loss), self.objective.loss)
        return self.objective.again(swaps)


@dataclass(frozen=True, eq=False)
class Way:
    """The calls from a tensor back to `begin`, nearest to the tensor first; `since` is the place
    of the call with weights that gave `begin`, -1 where there is none."""

    calls: tuple[Call, ...]
    begin: Tensor
    since: int

    @property
    def words(self) -> tuple[str, ...]:
        """Torch's words for them, without those that change nothing."""
        return tuple(word for word in map(word_of, self.calls) if word not in STILL)


def given(call: Call) -> tuple[Tensor, ...]:
    """The tensors a call was given."""
    return tuple(tensors_in((call.args, call.kwargs), 3))


def word_of(call: Call) -> str:
    """The bare word of a function: `softmax`, `getitem`, `sub`.

    >>> word_of(Call(torch.Tensor.__rsub__, (), {}, None)), word_of(Call(torch.relu_, (), {}, None))
    ('sub', 'relu')
    """
    word = call.name
    if word.startswith("__") and word.endswith("__"):
        word = word.strip("_")
        bare = word[1:]
        if word[0] in "ri" and bare in ARITHMETIC:
            word = bare
    else:
        word = word.strip("_")
    return SAME.get(word, word)


ARITHMETIC = {"sub", "add", "mul", "truediv", "div", "pow"}
SAME = {
    "truediv": "div", "divide": "div", "multiply": "mul", "subtract": "sub", "negative": "neg",
    "absolute": "abs", "special_expit": "sigmoid", "expit": "sigmoid",
    "special_softmax": "softmax", "special_log_softmax": "log_softmax", "special_logit": "logit",
}  # fmt: skip


AGREE = 1e-3
"""How far the loss may be from the loop's where hooks of somebody's own are not woken, relative."""


def unfolded(patient: Patient, sample: Sample) -> Unfolded | None:
    """The way of the sample's loss, computed once more (1F), for all the probes of a check-up; None
    where that cannot be done: a compiled model must not be listened into, and hooks that take a
    part in what is computed are not woken."""
    known = patient.workings.get("unfolded")
    if known is None or known[0] is not sample:
        known = patient.workings["unfolded"] = (sample, _unfolded(patient, sample))
    found: Unfolded | None = known[1]
    return found


def faithful(patient: Patient) -> bool:
    """Whether the model computes without the hooks of its user what it computes with them."""
    sample = patient.sample
    if not strange_hooks(patient.model):
        return True
    return sample is not None and unfolded(patient, sample) is not None


def _unfolded(patient: Patient, sample: Sample) -> Unfolded | None:
    if patient.setup.compiled or any(
        type(each).__name__ == "OptimizedModule" or each._compiled_call_impl is not None
        for each in patient.model.modules()
    ):
        return None
    tape = Tape()
    with (
        hushed(patient.model, *_others(patient, sample), begin=sample.random),
        sample.surroundings.again(),
        torch.enable_grad(),
        patient.deadline.timed(),
    ):
        tape.on()
        try:
            loss = sample.objective.again()
        except LookupError:  # no call leads from the model to this loss
            return None
        finally:
            tape.off()
    if tape.full or (strange_hooks(patient.model) and not _agree(loss, sample.objective.loss)):
        return None
    return Unfolded(tuple(tape.calls), loss, tuple(tape.cuts))


def _others(patient: Patient, sample: Sample) -> list[nn.Module]:
    """The other modules on the way."""
    return [each.run for each in sample.objective.modules if each.run is not patient.model]


def _agree(again: Tensor, loss: Tensor) -> bool:
    one, other = float(again.detach()), float(loss.detach())
    return abs(one - other) <= AGREE * max(abs(other), 1e-6)
