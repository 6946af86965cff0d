"""What lies behind what: the order of causes that rank findings as one story.

Data, loss, wiring and start are proved before the first step, or by exact logic; what goes on in
the layers and in the loss afterwards follows from them, and yields to them.
"""

from __future__ import annotations

PROVED = (
    "unscaled-input", "unscaled-target", "nonfinite-input", "constant-input",
    "softmax-before-cross-entropy", "sigmoid-before-bce-with-logits", "output-activation-mismatch",
    "loss-mismatch", "loss-sign", "wrong-dimension", "silent-broadcast", "batch-mixing",
    "loss-ignores-parameters", "labels-out-of-range", "labels-shifted", "label-dtype",
    "labels-inconsistent", "gradients-never-cleared", "optimizer-never-steps", "stale-optimizer",
    "frozen-parameters", "unregistered-parameters", "detached-graph", "double-backward-or-step",
    "symmetric-initialisation", "weights-too-large", "weights-too-small", "saturated-at-start",
    "dead-at-start", "wrong-mode",
)  # fmt: skip
"""Faults of data, loss, wiring and start."""

THROWN = ("learning-rate-too-high", "divergence", "loss-spike", "nonfinite")
"""What throws the weights to where units are dead, outputs saturated and filters alike."""
