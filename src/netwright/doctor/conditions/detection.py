"""Faults of finding objects by boxes.

They are listed, and say nothing yet: no rule stands behind them. The rules come, with their proof,
when a detector is trained here.
"""

from __future__ import annotations

from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._listed import LATER, nothing
from netwright.records.findings import Finding


@CONDITIONS.register("no-positive-anchors", reads=(), when=LATER, group="data", severity="stop")
def no_positive_anchors(record: object) -> tuple[Finding, ...]:
    """No anchor is matched with any object, so only background is learned.

    Why it hurts: the boxes get no gradient, and the scores learn that nothing is there.

    Evidence: the number of positive anchors for each image over many batches, against the
    number of objects; the best overlap of every object with any anchor.

    Would be wrong if: the images that were seen hold no objects on purpose.

    Not to be confused with: rare small objects, of which some are matched.

    Treatment: anchors of the sizes and shapes that the data have, a lower overlap, a best match
    for each object; ask.

    Source: Ren et al. 2015, Faster R-CNN; Lin et al. 2017, Focal loss for dense object
    detection.
    """
    return nothing(record)


@CONDITIONS.register("background-collapse", reads=(), when=LATER, group="output", severity="warn")
def background_collapse(record: object) -> tuple[Finding, ...]:
    """Everything is called background, and the loss is low because most places are.

    Why it hurts: nothing is found, while the loss and the accuracy over places look good.

    Evidence: the highest score of any object at places that hold one, against the prior of the
    class, after many steps; recall on the training images.

    Would be wrong if: a bias of the last layer begins at the prior on purpose, in the first
    steps.

    Not to be confused with: images without objects; a threshold of the score that is too high.

    Treatment: focal loss, a fixed ratio of negatives, a bias that starts at the prior; ask.

    Source: Lin et al. 2017, Focal loss for dense object detection.
    """
    return nothing(record)
