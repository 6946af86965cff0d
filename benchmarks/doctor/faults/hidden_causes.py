"""Two faults in one run, the one of which hides the other: a rate, a plan or a loop beside data,
output and structure."""

from __future__ import annotations

# The single faults must be entered before they are joined.
from faults import (
    data_faults,
    optimizers,
    output,
    pair,
    penalties,
    precision,
    schedules,
    structure,
    wiring,
)

JOINED = (data_faults, optimizers, output, penalties, precision, schedules, structure, wiring)

pair("softmax-in-the-model", "integers-in-the-warm-up", on="transformer mlp")
pair("pixels-times-255", "cleared-on-a-copy", on="mlp lenet")
pair("six-rare-classes", "polynomial-over-one-epoch", on="lenet mlp")
pair("validation-inverted", "absolute-weights-in-the-loss", on="lenet mlp")
pair("no-activations", "all-gradients-made-one-length", on="mlp regression")
pair("targets-in-thousands", "weights-normalised-into-new-parameters", on="regression")
pair("labels-of-other-rows", "a-middle-layer-replaced-later", on="mlp")
