"""Two faults in one run, as real programs have them."""

from __future__ import annotations

# The single faults must be entered before they are joined.
from faults import (
    batch_norm,
    data_faults,
    generalisation,
    loops,
    nonfinite,
    output,
    pair,
    rates,
    signal_path,
    start,
    structure,
)

JOINED = (
    batch_norm, data_faults, generalisation, loops, nonfinite, output, rates, signal_path, start,
    structure,
)  # fmt: skip

pair("softmax-in-the-model", "pixels-times-255", on="mlp")
pair("pixels-times-255", "no-zero-grad", on="mlp")
pair("labels-numbered-otherwise-in-validation", "rate-by-thousand", on="mlp lenet")
pair("sorted-and-not-shuffled", "softmax-in-the-model", on="lenet mlp")
pair("relu-on-a-regression", "targets-in-thousands", on="regression")
pair("no-activations", "features-of-very-different-size", on="regression binary")
pair("validation-inverted", "rate-by-thousand", on="mlp lenet resnet")
pair("six-rare-classes", "softmax-in-the-model", on="mlp lenet")
pair("sigmoid-in-the-model", "one-in-fifty-positive", on="binary")
pair("all-but-the-head-frozen", "rate-by-thousand", on="lenet regression")
pair("squares-broadcast", "features-far-from-zero", on="regression")
pair("deep-sigmoids", "no-zero-grad", on="deep-tanh")
pair("biases-far-below-zero", "labels-of-other-rows", on="mlp lenet")
pair("layers-in-a-plain-list", "clipped-to-a-ten-thousandth", on="mlp deep-tanh")
pair("dropout-before-batch-norm", "labels-numbered-otherwise-in-validation", on="mlp")
pair("epoch-schedule-stepped-per-batch", "tiny-inputs", on="mlp regression gru")
