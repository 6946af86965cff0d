"""Less dropout, less decay, labels less smooth."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.records.findings import Finding
from netwright.tasks.patches import PATCHES, Patch
from netwright.tasks.patches._rates import argument, constant, number, written
from netwright.tasks.source.script import Edit, Script
from netwright.tasks.source.training import Training

DROPOUTS = ("Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout", "dropout")

MUCH, SOME = 0.5, 0.2
"""Dropout above the first becomes the second."""

SMOOTH, USUAL = 0.2, 0.1
"""The same of label smoothing."""

PART = 0.01
"""Of the weight decay."""


@PATCHES.register("weaken", cures=("over-regularised",))
def weaken(script: Script, finding: Finding) -> Iterator[Patch]:
    """Dropout above a half becomes a fifth, decay a hundredth, label smoothing a tenth; or nothing
    of it all is left."""
    training = Training(script)
    for says, edits in (
        (
            Phrase("less dropout, decay and smoothing of labels"),
            _edits(training, MUCH, SOME, PART, SMOOTH, USUAL),
        ),
        (
            Phrase("no dropout, decay or smoothing of labels"),
            _edits(training, 0.0, 0.0, 0.0, 0.0, 0.0),
        ),
    ):
        if edits:
            yield Patch(says=says, script=script.edited(edits))


def _edits(
    training: Training, much: float, some: float, part: float, smooth: float, usual: float
) -> list[Edit]:
    changes: dict[tuple[int, int], Edit] = {}  # one constant may be used in several places
    for call in training.calls():
        named = training.names.called(call)
        given = None
        if named in DROPOUTS:
            given, limit, factor, new = (
                argument(call, "p", int(named == "dropout")),
                much,
                None,
                some,
            )
        elif call in training.optimizers:
            given = next((e.value for e in call.keywords if e.arg == "weight_decay"), None)
            limit, factor, new = 0.0, part, 0.0
        elif named in ("CrossEntropyLoss", "cross_entropy"):
            given = next((e.value for e in call.keywords if e.arg == "label_smoothing"), None)
            limit, factor, new = smooth, None, usual
        place = constant(training, given) if given is not None else None
        old = number(place)
        if place is None or old is None or old <= limit:
            continue
        text = written(old * factor if factor is not None else new)
        changes[training.script.span(place)] = training.script.replaced(place, text)
    return list(changes.values())
