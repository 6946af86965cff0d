"""A sigmoid before a loss that takes one itself: the sigmoid goes, or the loss becomes the one
that takes probabilities."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.records.findings import Finding
from netwright.tasks.patches import PATCHES, Patch
from netwright.tasks.patches._activations import without_last
from netwright.tasks.source.script import CannotPatchError, Script
from netwright.tasks.source.training import Training

PLAIN = {
    "BCEWithLogitsLoss": "torch.nn.BCELoss",
    "binary_cross_entropy_with_logits": "torch.nn.functional.binary_cross_entropy",
}


@PATCHES.register("remove-sigmoid", cures=("sigmoid-before-bce-with-logits",))
def remove_sigmoid(script: Script, finding: Finding) -> Iterator[Patch]:
    """Where predictions are held against 0.5 somewhere, the loss is exchanged first: they mean
    probabilities."""
    found = []
    with contextlib.suppress(CannotPatchError):
        found.append(
            Patch(
                says=Phrase("no sigmoid before the loss"),
                script=without_last(script, "Sigmoid", "sigmoid"),
            )
        )
    training = Training(script)
    losses = training.made(*PLAIN)
    if len(losses) == 1 and not losses[0].keywords:
        plain = PLAIN[training.names.called(losses[0])]
        named = training.names.spelled(plain)
        found.append(
            Patch(
                says=Phrase("{loss}, which takes probabilities", loss=plain.rpartition(".")[2]),
                script=script.edited([script.replaced(losses[0].func, named)]),
            )
        )
    if re.search(r">=?\s*0?\.5\b|\.round\(\)", script.text):
        found.reverse()
    yield from found
