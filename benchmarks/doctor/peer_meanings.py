"""What the messages of other tools mean, in the names of Netwright's conditions.

They are translated by `MEANS`, generously: a message that several faults can cause is a right
answer for each of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

START = ("weights-too-large", "weights-too-small", "saturated-at-start", "dead-at-start")
CUT = ("detached-graph", "loss-ignores-parameters", "unused-parameters", "frozen-parameters")
HIGH = ("learning-rate-too-high", "divergence", "exploding-gradients", "oscillating-loss")
SLOW = ("learning-rate-too-low", "slow-convergence", "loss-plateau", "stopped-early",
        "underfitting", "clipping-every-step", "scheduler-misuse", "weak-optimizer")  # fmt: skip

MEANS: Mapping[str, Mapping[str, Sequence[str]]] = {
    "torchtest2": {
        "forward": ("label-dtype", "labels-out-of-range", "labels-shifted", "nonfinite-input"),
        "output_shape": ("silent-broadcast",),
        "output_finite": ("nonfinite", "nonfinite-input", "weights-too-large"),
        "output_range": ("output-activation-mismatch",),
        "output_varies": ("constant-output", "constant-input", "dead-at-start",
                          "symmetric-initialisation"),
        "eval_determinism": ("wrong-mode",),
        "loss": ("loss-mismatch", "silent-broadcast", "label-dtype", "labels-out-of-range",
                 "labels-shifted", "nonfinite", "nonfinite-input", *CUT),
        "initial_loss": ("initial-loss-off", "weights-too-large", "loss-mismatch", "loss-sign",
                         "unscaled-target", "unscaled-input", "softmax-before-cross-entropy"),
        "optimizer_coverage": ("stale-optimizer", "frozen-parameters", "unregistered-parameters"),
        "gradient_flow": (*CUT, "vanishing-gradients", "dead-at-start", "dead-relu",
                          "symmetric-initialisation", "saturated-at-start"),
        "gradient_magnitude": ("exploding-gradients", "vanishing-gradients", "unscaled-input",
                               "unscaled-target", *START),
        "params_change": ("weights-do-not-change", "stale-optimizer", "frozen-parameters",
                          "learning-rate-too-low", *CUT),
        "frozen_params": ("frozen-parameters",),
        "input_dependency": ("constant-output", "constant-input", "dead-at-start",
                             "symmetric-initialisation"),
        "batch_independence": ("batch-mixing", "wrong-dimension"),
        "overfit_batch": ("softmax-before-cross-entropy", "sigmoid-before-bce-with-logits",
                          "output-activation-mismatch", "loss-mismatch", "silent-broadcast",
                          "missing-nonlinearity", "too-little-capacity", "bottleneck",
                          "symmetric-initialisation", "unscaled-input", "unscaled-target",
                          "labels-inconsistent", "batchnorm-on-output", "over-regularised",
                          "vanishing-gradients", "constant-output", "wrong-dimension", "loss-sign",
                          *START, *SLOW, *HIGH, *CUT),
    },
    "torchmortem": {
        "dead_units": ("dead-relu", "dead-at-start", "dead-filters", "symmetric-initialisation"),
        "gradient_flow: vanishing": ("vanishing-gradients", *START),
        "gradient_flow: exploding": ("exploding-gradients", *START, *HIGH),
        "gradient_flow: stalling": ("vanishing-gradients", "frozen-parameters", *CUT),
        "gradient_noise": ("noisy-gradients", "label-noise", "labels-inconsistent"),
        "loss_dynamics: divergence": (*HIGH, "nonfinite", "loss-sign", "loss-spike"),
        "loss_dynamics: plateau": (*SLOW, "weights-do-not-change", "optimizer-never-steps"),
        "loss_dynamics: catapult": (*HIGH, "loss-spike"),
        "rank_collapse": ("bottleneck", "symmetric-initialisation", "constant-output"),
        "saturation": ("saturation", "saturated-at-start", "unscaled-input"),
        "update_ratio: low": (*SLOW, "weights-do-not-change", "frozen-parameters"),
        "update_ratio: high": (*HIGH, "weights-too-small"),
        "weight_norm: explosion": (*HIGH, "weights-too-large", "internal-drift"),
        "weight_norm: stagnant": (*SLOW, "weights-do-not-change", "optimizer-never-steps",
                                  "stale-optimizer"),
        "weight_norm: imbalance": START,
    },
    "torch-audit": {
        "TA100": ("nonfinite", "nonfinite-input", *HIGH),
        "TA102": ("exploding-gradients", "unscaled-target", "unscaled-input", *HIGH),
        "TA103": ("dead-relu", "dead-at-start", "symmetric-initialisation", *CUT),
        "TA104": (*CUT, "weights-do-not-change"),
        "TA105": ("dead-relu", "dead-at-start"),
        "TA301": ("unscaled-input",),
        "TA302": ("constant-input", "dead-feature"),
        "TA303": ("batch-mixing",),
        "TA304": ("batchnorm-small-batch",),
        "TA305": ("nonfinite-input", "labels-out-of-range"),
        "TA400": ("bias-before-batchnorm",),
        "TA402": ("decay-on-norm-and-bias",),
        "TA403": ("decay-on-norm-and-bias",),
        "TA405": ("dead-filters", "symmetric-initialisation"),
        "TA500": ("unused-parameters", "missing-nonlinearity"),
        "TA501": ("unused-parameters",),
    },
    "training-doctor": {
        "lr_too_high": (*HIGH, "loss-spike", "nonfinite"),
        "lr_too_low": SLOW,
        "plateau": (*SLOW, "softmax-before-cross-entropy", "dead-relu"),
        "early_plateau": (*SLOW, "softmax-before-cross-entropy", "dead-relu", "dead-at-start",
                          "labels-inconsistent", "weights-do-not-change", "optimizer-never-steps",
                          "symmetric-initialisation"),
        "overfitting": ("overfitting", "too-much-capacity", "memorised-noise", "label-noise"),
        "train_eval_mismatch": ("wrong-mode", "inconsistent-preprocessing", "distribution-shift",
                                "labels-inconsistent", "split-leakage"),
        "gradient_instability": ("exploding-gradients", "noisy-gradients", "loss-spike", *HIGH),
        "mixed_precision_instability": ("mixed-precision-trouble", "nonfinite"),
    },
    "cockpit": {
        "loss not finite": ("nonfinite", "nonfinite-input", *HIGH),
        "update size zero": ("weights-do-not-change", "optimizer-never-steps", "stale-optimizer"),
        "gradient norm zero": ("dead-relu", "dead-at-start", "symmetric-initialisation", *CUT),
        "gradient norm grown a hundredfold": ("exploding-gradients", *HIGH),
    },
}  # fmt: skip
"""What a message of a tool can mean, in the names of Netwright's conditions."""

Message = tuple[str, str, str, int]
"""Key in `MEANS`, severity, text, step."""


def judged(tool: str, messages: Sequence[Message]) -> dict[str, Any]:
    """One finding for each message, the worst first; `means` are the conditions it can stand for.

    A message is right where one of those is a right answer for the run. One that means none of them
    is about speed or style, as of tensor cores on a processor, and counts as a note.
    """
    order = {"stop": 0, "warn": 1, "note": 2}
    findings, first = [], {}
    seen: set[str] = set()
    for key, severity, text, step in sorted(messages, key=lambda each: order[each[1]]):
        if key in seen:
            continue
        seen.add(key)
        means = list(MEANS[tool].get(key, ()))
        if not means:  # about speed or style: no alarm here
            severity = "note"
        findings.append(
            {"name": key, "severity": severity, "step": step, "what": text, "means": means}
        )
        for name in means:
            first.setdefault(name, step)
    return {"findings": findings, "first": first}
