"""What the numbers of a run say, in sentences; every one follows from facts that are shown.

judge(material)  ->  ["The network names 355 of 360 test images correctly. ...", ...]
"""

from __future__ import annotations

import math

from netwright.core.languages import say
from netwright.report.evidence import Evidence
from netwright.report.material import Material
from netwright.report.words import digits, percent, share

# From here on waiting for data is worth a sentence, and what a gap between training and
# validation accuracy is called. Rules of thumb, kept in one place.
_MUCH_WAITING = 0.2
_SMALL_GAP, _LARGE_GAP = 0.03, 0.10

# With fewer epochs than this the two curves have had no time to part.
_FEW_EPOCHS = 3


def judge(material: Material) -> list[str]:
    """The verdict, most important sentence first; at least one."""
    measured = material.evidence[0] if material.evidence else None
    told = [] if measured is None else _result(material, measured)
    return told + _course(material) + _gap(material) + _pace(material)


def interval(correct: int, total: int) -> tuple[float, float]:
    """The 95 % interval of a rate of which `correct` of `total` were seen.

    Wilson (1927), "Probable inference, the law of succession, and statistical inference": unlike
    the usual plus-minus it is right for few images and for rates near 1.

    >>> [round(bound, 3) for bound in interval(355, 360)]
    [0.968, 0.994]
    """
    z = 1.959964
    rate = correct / total
    centre = (rate + z * z / (2 * total)) / (1 + z * z / total)
    spread = (
        z / (1 + z * z / total) * math.sqrt(rate * (1 - rate) / total + z * z / (4 * total * total))
    )
    return max(0.0, centre - spread), min(1.0, centre + spread)


def beats_guessing(evidence: Evidence) -> bool | None:
    """Whether it is right more often than by always saying the most frequent class, by more
    than chance explains; None when that cannot be said."""
    if evidence.majority is None or not evidence.count:
        return None
    low, _ = interval(evidence.correct, evidence.count)
    return low > evidence.majority


def _result(material: Material, measured: Evidence) -> list[str]:
    told = []
    if measured.count:
        right, total = f"{measured.correct:,}", f"{measured.count:,}"
        if measured.split == "val" and material.keeps_last:
            told.append(
                say(
                    "The network names {right} of {total} validation images correctly; they "
                    "played no part in training.",
                    right=right,
                    total=total,
                )
            )
        elif measured.split == "test":
            told.append(
                say(
                    "The network names {right} of {total} test images correctly; they played no "
                    "part in training, nor in choosing the best epoch.",
                    right=right,
                    total=total,
                )
            )
        else:
            told.append(
                say(
                    "The network names {right} of {total} validation images correctly. They also "
                    "chose the best epoch, so expect slightly less on new images.",
                    right=right,
                    total=total,
                )
            )
    better = beats_guessing(measured)
    if better is not None and measured.majority is not None and measured.majority < 1:
        guess = percent(measured.majority)
        if better:
            told.append(
                say(
                    "Always saying the most frequent class would be right {guess} of the time.",
                    guess=guess,
                )
            )
        else:
            told.append(
                say(
                    "That is no better than always saying the most frequent class, which is right "
                    "{guess} of the time: it has not learned to tell the classes apart.",
                    guess=guess,
                )
            )
    return told


def _course(material: Material) -> list[str]:
    """Where the best epoch lies, and what that says about a longer run."""
    last, best, planned = material.epochs_done, material.best_epoch, material.epochs_planned
    if not material.metrics:
        return [say("Nothing was measured yet: the run ended before its first evaluation.")]
    if not best or not last or best > last or last < 2 or material.keeps_last:
        return []
    if best == last:
        return [
            say(
                "The best epoch was the last one, {last}: longer training may still help.",
                last=last,
            )
        ]
    told = say(
        "The best epoch was {best} of {last}; nothing after it was better.", best=best, last=last
    )
    if planned is not None and last < planned and material.status == "done":
        more = say(
            "Training stopped early, {spared} epochs before the planned end.",
            spared=planned - last,
        )
        return [told, more]
    return [told]


def _gap(material: Material) -> list[str]:
    """How much better the training images are known than the others."""
    train, val = share(material.at_best("train/acc1")), share(material.at_best("val/acc1"))
    if train is None or val is None:
        return []
    if material.measurements < _FEW_EPOCHS:
        return [
            say(
                "Fewer than {few} epochs were measured: it is too early to tell whether the "
                "network overfits.",
                few=_FEW_EPOCHS,
            )
        ]
    gap = train - val
    points = digits(100 * gap, 2)
    if gap >= _LARGE_GAP:
        return [
            say(
                "Training images are recognised {points} points better than validation images: "
                "the network remembers what it saw. More data, augmentation or weight decay "
                "would help.",
                points=points,
            )
        ]
    if gap >= _SMALL_GAP:
        return [
            say(
                "Training images are recognised {points} points better than validation images, "
                "a moderate gap.",
                points=points,
            )
        ]
    if material.status != "done":
        return [
            say(
                "Up to here training and validation images are recognised about equally well; "
                "the run has not come to its end."
            )
        ]
    return [
        say(
            "Training and validation images are recognised about equally well: no sign of "
            "overfitting."
        )
    ]


def _pace(material: Material) -> list[str]:
    waiting = share(material.info.get("data_wait_share"))
    if waiting is None or waiting < _MUCH_WAITING:
        return []
    return [
        say(
            "{share} of the time was spent waiting for data; more workers (data.workers) may help.",
            share=percent(waiting, 0),
        )
    ]
