"""Another optimizer, or its usual settings."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.records.findings import Finding
from netwright.tasks.patches import PATCHES, Patch
from netwright.tasks.source.script import Script
from netwright.tasks.source.training import Training


@PATCHES.register("adam", cures=("weak-optimizer",))
def adam(script: Script, finding: Finding) -> Iterator[Patch]:
    """Adam at its usual rate, then at a tenth of it."""
    training = Training(script)
    call = training.optimizer
    if training.names.called(call) in ("Adam", "AdamW") or not call.args:
        return
    name = training.names.spelled("torch.optim.Adam")
    for rate in ("1e-3", "1e-2", "1e-4"):
        new = f"{name}({script.of(call.args[0])}, lr={rate})"
        yield Patch(
            says=Phrase("{code}", code=f"Adam, lr={rate}"),
            script=script.edited([script.replaced(call, new)]),
        )


@PATCHES.register("usual-betas", cures=())
def usual_betas(script: Script, finding: Finding) -> Iterator[Patch]:
    """The memory of the moments as it is by default."""
    training = Training(script)
    for each in training.optimizer.keywords:
        if each.arg == "betas":
            edit = script.without_item(training.optimizer, each)
            yield Patch(says=Phrase("usual betas"), script=script.edited([edit]))


@PATCHES.register("usual-eps", cures=())
def usual_eps(script: Script, finding: Finding) -> Iterator[Patch]:
    """What is added to the root of the second moment as it is by default."""
    training = Training(script)
    for each in training.optimizer.keywords:
        if each.arg == "eps":
            edit = script.without_item(training.optimizer, each)
            yield Patch(says=Phrase("usual eps"), script=script.edited([edit]))
