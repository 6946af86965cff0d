"""A feature that explains the labels alone: does the network go by it, and by nothing else?

Asked of the network as it is after some steps, on the first batches of the loop: every sample is
given the values of a sample of another class, in all places but one, and in that place only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from netwright.doctor.data.shrinking import channels_first
from netwright.doctor.patient import Patient, Sample
from netwright.doctor.quiet import Surroundings, quiet, strange_hooks
from netwright.doctor.twin import _bare
from netwright.doctor.watching.watcher import Watcher
from netwright.records.facts.neighbourhood import Neighbourhood
from netwright.records.facts.reliance import Reliance

ALONE = 0.95
"""Share of the labels that the feature names by itself, from which on it is asked."""

FIRST = 50
"""Steps before which a network goes by nothing yet."""

SIZES: dict[str, Callable[[Tensor], Tensor]] = {
    "mean": lambda rows: rows.mean(1),
    "spread": lambda rows: rows.std(1, correction=0),
    "largest": lambda rows: rows.amax(1),
}

PAIRS = 24
"""Pairs at the least."""


@dataclass(frozen=True, eq=False)
class Batch:
    """A batch, and how it is put to the network."""

    run: nn.Module
    given: Tensor
    labels: Tensor
    surroundings: Surroundings


class Relying:
    """Asks when the steps have doubled since the last time, and once the watch is over."""

    def __init__(self) -> None:
        self._batch: Batch | None = None
        self._fact: Reliance | None = None
        self._asked = 0
        self._over = False

    def keep(self, sample: Sample, labels: Neighbourhood | None) -> None:
        """The first batch is about to be let go; it is kept where there is something to ask."""
        if labels is not None and (_features(labels) or _whole(labels)):
            self._batch = _batch_of(sample, labels.features)

    def fact(
        self, patient: Patient, watcher: Watcher, labels: Neighbourhood | None
    ) -> Reliance | None:
        batch = self._batch
        if batch is None or labels is None:
            return None
        steps, last = watcher.steps, watcher.over and not self._over
        if watcher.fault or steps < FIRST or not (last or steps >= 2 * self._asked):
            return self._fact
        self._asked, self._over = steps, watcher.over
        ours, watcher.ours = watcher.ours, True
        try:
            self._fact = relies(patient.model, batch, _features(labels), steps, _whole(labels))
        except Exception:
            # Somebody's network, moved or changed since its first batch: it is not asked again.
            self._over, self._asked = True, 1 << 60
        finally:
            watcher.ours = ours
        return self._fact


def _features(labels: Neighbourhood) -> tuple[int, ...]:
    """Those that explain the labels each alone: they are exchanged together."""
    if labels.alone is None or (labels.alone_score or 0.0) < ALONE:
        return ()
    return labels.alone_group or (labels.alone,)


def _whole(labels: Neighbourhood) -> str:
    """The number of the whole sample that does, where no feature does."""
    return "" if _features(labels) or (labels.overall_score or 0.0) < ALONE else labels.overall


def _batch_of(sample: Sample, features: int) -> Batch | None:
    """The batch of a sample, where the network is called on it once, with these places."""
    calls = sample.objective.modules
    call = calls[0] if calls else None
    if call is None or len(call.args) != 1 or call.kwargs or sample.target is None:
        return None
    given, labels = call.args[0], sample.target
    if not isinstance(given, Tensor) or not given.is_floating_point():
        return None
    if given[0].numel() != features or len(labels) != len(given):
        return None
    if given.ndim > 3 and channels_first(given).shape != given.shape:  # another order of places
        return None
    labels = labels.reshape(len(given), -1).argmax(1) if labels[0].numel() > 1 else labels.flatten()
    return Batch(call.run, given.detach(), labels, sample.surroundings)


def relies(
    model: nn.Module, batch: Batch, features: tuple[int, ...], step: int, whole: str = ""
) -> Reliance | None:
    """The answers of pairs of different classes, some places or all others exchanged; or the number
    `whole` of each sample, by a factor."""
    if strange_hooks(model):
        return None
    given, labels = batch.given, batch.labels
    partners = _partners(labels)
    own = (labels[partners] != labels).nonzero()[:, 0]
    if len(own) < PAIRS:
        return None
    one = given[own].reshape(len(own), -1)
    other = given[partners[own]].reshape(len(own), -1)
    rest, alone = other.clone(), one.clone()
    if whole:
        sizes = [SIZES[whole](each)[:, None].clamp_min(1e-12) for each in (one, other)]
        rest, alone = other * sizes[0] / sizes[1], one * sizes[1] / sizes[0]
    else:
        places = list(features)
        rest[:, places], alone[:, places] = one[:, places], other[:, places]
    with quiet(model), batch.surroundings.again(), torch.no_grad():
        model.eval()
        asked = torch.cat([one, other, rest, alone]).reshape(-1, *given.shape[1:])
        output = _bare(batch.run)(asked)
    if not isinstance(output, Tensor) or output.ndim != 2:
        return None
    answers = output.argmax(1) if output.shape[1] > 1 else output[:, 0] > 0
    before, partner, kept, moved = answers.chunk(4)
    told = before != partner
    if int(told.sum()) < PAIRS:
        return None
    return Reliance(
        feature=features[0] if features else -1,
        overall=whole,
        step=step,
        pairs=int(told.sum()),
        kept=float((kept == before)[told].float().mean()),
        followed=float((moved == partner)[told].float().mean()),
    )


def _partners(labels: Tensor) -> Tensor:
    """For each sample one of another class, where there is one: the classes in order, and the list
    moved by half its length.

    >>> labels = torch.tensor([0, 1, 0, 1])
    >>> labels[_partners(labels)].tolist()
    [1, 0, 1, 0]
    """
    order = labels.argsort(stable=True)
    partners = torch.empty_like(order)
    partners[order] = order.roll(len(order) // 2)
    return partners
