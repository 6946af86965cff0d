"""Faults of the benchmark that no treatment can mend, decided from their definitions alone.

The goal speaks of *treatable* faults: a training that is to come within two points of its healthy
twin must still have what the twin learned from. Beyond treatment is a fault of one of three kinds:

- *lost*: rows, labels, columns or values are destroyed or absent, so that no change of what `heal`
  is given can bring the twin's score back: labels of other rows by chance, inputs blanked or lost
  in noise, copies in the place of rows, training data of another kind than the test data with no
  transform between. Rows count as lost where fewer than a third of them are left, or fewer than
  ten of a class. Wrong labels are treatable where neighbours or validation data tell the right
  ones, and so are labels in another order or numbering that can be found again;
- *code*: the mistake stands in the code of a forward method, a hook or a custom autograd function,
  and the catalogue of conditions has for it advice or code only (a detached graph, samples of a
  batch mixed, layers that the forward never calls): a model cannot be given another forward;
- *advice*: the catalogue has for each right answer nothing but advice that a person must follow.

A pair is beyond treatment if one of its parts is. All others count as treatable, those in doubt
too: a loss can be replaced, however it is wrong, a setting of a layer or a loader can be set right,
parameters that nobody registered can be handed to the optimizer, activations, norms and weights
can be changed in place, also custom ones, and inputs can be transformed.

Nothing measured went into this list. What is healed of it nonetheless counts among all faults only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

Kind = Literal["lost", "code", "advice"]

BEYOND: Mapping[str, tuple[Kind, str]] = {
    "a-body-under-no-grad": ("code", "the forward runs its body without gradients"),
    "a-column-gives-it-away": ("advice", "a shortcut that validation has as well"),
    "a-column-of-answers": ("advice", "a shortcut that validation has as well"),
    "a-column-sorted-on-its-own": (
        "lost",
        "labels of other rows in training and validation, in no order that could be told",
    ),
    "a-copy-of-the-layers-each-time": (
        "code",
        "the forward never calls the layers it holds, but copies of them",
    ),
    "a-crop-beside-the-digit": ("lost", "seven columns of eight are zero"),
    "a-few-samples-for-long": ("lost", "24 rows are left"),
    "a-handful-of-samples": ("lost", "48 rows are left"),
    "a-hundred-images-copied": ("lost", "copies of 90 rows stand in the place of all others"),
    "a-lens-half-covered": ("lost", "five columns of eight are one grey"),
    "a-long-tail": ("lost", "a fifth of the rows is left, of the last classes two or none"),
    "a-new-layer-at-each-forward": (
        "code",
        "the forward draws a new layer at each call: none is there to be registered",
    ),
    "a-noisier-sensor-later": (
        "lost",
        "noise larger than the signal lies over validation and test data",
    ),
    "a-pixel-tells-the-label": ("advice", "a shortcut that validation has as well"),
    "a-watermark-for-each-class": ("advice", "a shortcut that validation has as well"),
    "a-wide-network-on-forty-rows": ("lost", "40 rows are left"),
    "all-but-the-last-two-detached": ("code", "a hook detaches what it is given"),
    "all-images-black": ("lost", "every pixel is zero"),
    "all-words-unknown": ("lost", "every token is number 0"),
    "an-index-among-the-features": ("lost", "a feature is overwritten by the number of its row"),
    "an-index-modulo-a-hundred": ("lost", "copies of 100 rows stand in the place of all others"),
    "answers-in-the-last-step": ("advice", "a shortcut that validation has as well"),
    "attention-down-the-batch": ("code", "the forward takes its softmax along the batch"),
    "biases-far-below-zero + labels-of-other-rows": ("lost", "labels of other rows, by chance"),
    "channels-first-then-flattened": ("code", "a forward permutes the batch before it flattens"),
    "collected-in-a-narrow-range": (
        "lost",
        "a tenth of the rows is left, all from the middle of four features",
    ),
    "cropped-to-the-border": ("lost", "every pixel is that of the corner"),
    "digits-above-four-are-rare": ("lost", "of five classes about three rows each are left"),
    "embedding-frozen-by-no-grad": ("code", "a forward runs its layers without gradients"),
    "ever-fewer-of-each": ("lost", "three rows in ten are left, of the last class one"),
    "every-image-the-same": ("lost", "every image is the first one"),
    "features-detached": ("code", "a forward detaches what it is given"),
    "features-of-zero": ("lost", "every second feature is zero"),
    "fifty-images": ("lost", "50 rows are left"),
    "fives-only-now-and-then": ("lost", "of five classes four or five rows each are left"),
    "grain-by-class": ("advice", "a shortcut that validation has as well"),
    "half-of-the-classes-unseen": ("lost", "half of the classes have no row"),
    "labels-by-coin-toss": ("lost", "labels of other rows, by chance, in training and validation"),
    "labels-of-other-rows": ("lost", "labels of other rows, by chance"),
    "labels-of-other-rows + the-sum-and-not-the-mean": ("lost", "labels of other rows, by chance"),
    "learned-by-heart": ("lost", "80 rows are left"),
    "made-anew-from-a-list": ("code", "a forward makes a new tensor of a list"),
    "masked-to-nothing": ("lost", "every value is zero"),
    "nearly-all-of-one-kind": (
        "lost",
        "fewer than a third of the rows are left, of three classes about a dozen each",
    ),
    "numpy-in-the-middle": ("code", "a forward goes through NumPy"),
    "one-row-by-the-thousand": ("lost", "copies of one row stand in the place of eleven in twelve"),
    "one-token-hardly-wins": ("lost", "of two classes about seven rows each are left"),
    "only-above-the-limit": ("lost", "the rows below the limit, more than two thirds, are absent"),
    "only-the-bold-digits": (
        "lost",
        "three quarters of the rows, all that are not bold, are absent",
    ),
    "overfits-noisy-targets": ("lost", "250 rows are left, their targets half noise"),
    "random-labels-learned-by-heart": ("lost", "labels of other rows, by chance"),
    "reshaped-in-place-of-transposed": ("code", "the forward reads rows across samples"),
    "rolled-along-the-wrong-axis": ("code", "a forward adds each sample's neighbour"),
    "six-rare-classes": ("lost", "of six classes four rows each are left"),
    "six-rare-classes + polynomial-over-one-epoch": (
        "lost",
        "of six classes four rows each are left",
    ),
    "six-rare-classes + softmax-in-the-model": ("lost", "of six classes four rows each are left"),
    "sixty-rows-for-all-its-weights": ("lost", "60 rows are left"),
    "sixty-samples-copied-over": ("lost", "copies of 60 rows stand in the place of all others"),
    "sorted-down-the-batch": ("code", "a forward sorts along the batch"),
    "summed-down-the-batch": ("code", "a forward adds up along the batch"),
    "ten-of-each-for-very-long": ("lost", "40 rows are left"),
    "the-first-of-the-blocks-each-time": (
        "code",
        "the forward never calls any block but the first",
    ),
    "the-second-channel-unplugged": ("lost", "one of two channels is zero"),
    "three-columns-lost-in-a-join": ("lost", "three features that tell the target are zero"),
    "three-words-and-then-padding": ("lost", "nine tokens of twelve are one padding"),
    "trained-on-half-of-the-world": (
        "lost",
        "half the range of a feature, or four classes, have no row",
    ),
    "two-samples-to-a-row": ("code", "a forward reshapes across samples"),
    "two-waves-are-rare": ("lost", "of two classes about seven rows each are left"),
    "view-instead-of-transpose": ("code", "a forward reshapes across samples"),
    "zoomed-while-training-only": ("lost", "three quarters of each training image are cut off"),
}
