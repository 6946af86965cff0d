"""A softmax before a loss that takes one itself is taken away."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.records.findings import Finding
from netwright.tasks.patches import PATCHES, Patch
from netwright.tasks.patches._activations import without_last
from netwright.tasks.source.script import Script


@PATCHES.register("remove-softmax", cures=("softmax-before-cross-entropy",))
def remove_softmax(script: Script, finding: Finding) -> Iterator[Patch]:
    """The loss gets the logits; so does whoever else calls the model."""
    yield Patch(
        says=Phrase("no softmax before the loss"),
        script=without_last(script, "Softmax", "softmax"),
    )
