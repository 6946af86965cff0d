"""The weights are drawn anew before the training: at random, or matched to the activation."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.records.findings import Finding
from netwright.tasks.patches import PATCHES, Patch
from netwright.tasks.patches._placing import when_complete
from netwright.tasks.source.script import Script
from netwright.tasks.source.training import Training


def drawn(training: Training, how: str = "kaiming") -> list[str]:
    """The lines that draw every linear and convolutional layer, by He's or Glorot's rule."""
    nn = training.names.spelled("torch.nn.Linear").removesuffix("Linear")
    init = training.names.spelled("torch.nn.init")
    rule = (
        f'{init}.kaiming_normal_(LAYER.weight, nonlinearity="relu")'
        if how == "kaiming"
        else f"{init}.xavier_uniform_(LAYER.weight)"
    )
    return [
        "for LAYER in MODEL.modules():",
        f"\tif isinstance(LAYER, ({nn}Linear, {nn}Conv1d, {nn}Conv2d)):",
        f"\t\t{rule}",
        "\t\tif LAYER.bias is not None:",
        f"\t\t\t{init}.zeros_(LAYER.bias)",
    ]


@PATCHES.register("matched-initialiser", cures=())
def matched_initialiser(script: Script, finding: Finding) -> Iterator[Patch]:
    """He's rule (for ReLU), then Glorot's (for tanh and sigmoid), before the optimizer is made."""
    training = Training(script)
    if "kaiming_normal_(" in script.text and ".modules():" in script.text:
        return
    saturating = any(word in script.text for word in ("Tanh", "tanh", "Sigmoid", "sigmoid"))
    kinds = ("xavier", "kaiming") if saturating else ("kaiming", "xavier")
    for how in kinds:
        yield Patch(
            says=Phrase("weights drawn by {rule}", rule="He" if how == "kaiming" else "Glorot"),
            script=script.edited([when_complete(training, *drawn(training, how))]),
        )


@PATCHES.register("random-initialiser", cures=("symmetric-initialisation",))
def random_initialiser(script: Script, finding: Finding) -> Iterator[Patch]:
    """Torch's own rule for every layer, before the optimizer is made."""
    training = Training(script)
    if ".reset_parameters()" in script.text:
        return
    lines = [
        "for LAYER in MODEL.modules():",
        '\tif hasattr(LAYER, "reset_parameters"):',
        "\t\tLAYER.reset_parameters()",
    ]
    yield Patch(
        says=Phrase("weights drawn at random"),
        script=script.edited([when_complete(training, *lines)]),
    )
