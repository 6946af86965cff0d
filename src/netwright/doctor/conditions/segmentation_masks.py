"""Faults of naming the class of every pixel.

They are listed, and say nothing yet: no rule stands behind them. The rules come, with their proof,
when a network on masks is trained here.
"""

from __future__ import annotations

from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._listed import LATER, nothing
from netwright.records.findings import Finding


@CONDITIONS.register("mask-misaligned", reads=(), when=LATER, group="data", severity="stop")
def mask_misaligned(record: object) -> tuple[Finding, ...]:
    """Masks and images do not lie on each other.

    Why it hurts: the network learns the class of another place; borders are wrong at best.

    Evidence: the agreement of mask borders with edges of the image as it is, and shifted,
    flipped or scaled: the best is not the one that is fed.

    Would be wrong if: the classes have no visible borders.

    Not to be confused with: coarse masks, which agree less but best where they are.

    Treatment: apply the same transform to image and mask, nearest neighbours for masks; advice
    with code.

    Source: Cordts et al. 2016, The Cityscapes dataset (labels and their alignment).
    """
    return nothing(record)


@CONDITIONS.register("ignore-index-trained", reads=(), when=LATER, group="output", severity="warn")
def ignore_index_trained(record: object) -> tuple[Finding, ...]:
    """Pixels that are to be ignored are trained as a class.

    Why it hurts: a large share of the gradient teaches where annotators drew nothing.

    Evidence: the value that fills borders and unknown regions of the masks among the targets of
    the loss, whose ignore_index is another one.

    Would be wrong if: that value is a class of its own.

    Not to be confused with: a background class that is meant to be learned.

    Treatment: give the loss the ignore_index of the data; safe with code.

    Source: Everingham et al. 2010, The PASCAL visual object classes challenge (the value 255).
    """
    return nothing(record)
