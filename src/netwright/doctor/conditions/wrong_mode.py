"""Trained in evaluation mode, or judged in training mode."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._graph import listed
from netwright.doctor.conditions._harm import any_of, nonfinite, stuck
from netwright.records.facts.epochs import Epochs
from netwright.records.facts.loop import Loop
from netwright.records.facts.modes import Modes
from netwright.records.facts.norms import Norms
from netwright.records.facts.setup import Setup
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.record import Record

# Steps in the wrong mode before anything is said.
_STEPS = 10
# The same batch in the two modes: a loss this many times the other's is another judgement.
_GAP = 1.05
# Standard deviations, or times, by which statistics that were never updated are off.
_OFF, _RATIO = 1.0, 4.0
# Evaluations come between epochs, not between steps: else it is a loop that samples as it trains.
_RARE = 5


@CONDITIONS.register(
    "wrong-mode",
    reads=Record,
    when="in the first steps",
    group="wiring",
    severity="warn",
)
def wrong_mode(record: Record) -> Iterator[Finding]:
    """The network is trained in evaluation mode, or evaluated in training mode.

    Why it hurts: in evaluation mode dropout is off and norms keep the statistics they had, from
    a new network the wrong ones. In training mode an evaluation judges with dropout on, each
    sample with its neighbours, and its batches leave their mark in the running statistics.

    Evidence: the mode at each training step, and since when; runs of forwards without gradients in
    training mode; the loss of one batch in both modes with the same weights.

    Would be wrong if: norms and dropout are meant to stand still, as when a trained network is
    tuned further.

    Not to be confused with: dropout at evaluation to draw samples (a note at most); forwards
    without gradients between steps, as for a generator or a target network; statistics of norms
    gathered anew by forwards in training mode.

    Treatment: model.train() before training and model.eval() before evaluation; safe.

    Source: PyTorch documentation, nn.Module.train; PyTorch issues 4741 and 5406.
    """
    loop = record.get(Loop)
    if loop is None:
        return
    if loop.mode_sensitive:
        yield from _trained(record, loop)
        yield from _judged(record, loop)
    yield from _dropped(record)


def _trained(record: Record, loop: Loop) -> Iterator[Finding]:
    setup, norms = record.get(Setup), record.get(Norms)
    count = loop.training_forwards_in_eval
    left = loop.left_in_eval_since
    if left is not None and loop.steps - left + 1 >= _STEPS:
        idle = loop.steps - left + 1
        harm = [
            Evidence(
                signal=Phrase("steps since then without {kinds}, of {all}",
                              kinds=listed(list(loop.mode_sensitive)), all=loop.steps),
                value=idle,
                baseline=0,
                witness="harm",
                step=left,
            )
        ]  # fmt: skip
        yield _finding(
            "warn", left, harm,
            Phrase("Since step {step} the network is trained in evaluation mode", step=left),
            Phrase("An evaluation before step {step} left the network in evaluation mode.",
                   step=left),
            Evidence(signal=Phrase("steps in evaluation mode, in a row to the end"), value=idle,
                     baseline=0, threshold=_STEPS, step=left),
        )  # fmt: skip
        return
    if loop.steps >= _STEPS and count == 0:
        yield from _norms_alone(record, loop)
    if loop.steps < _STEPS or count < loop.steps:
        return
    # From the very beginning on: a habit of those who tune a trained network.
    wrong = [] if norms is None else [
        each for each in norms.norms
        if not each.updated and (each.off > _OFF or each.ratio > _RATIO)
    ]  # fmt: skip
    known = setup is not None and setup.pretrained
    harm = [
        Evidence(
            signal=Phrase("norms whose fixed statistics are far off those of the batch"),
            value=len(wrong),
            baseline=0,
            witness="harm",
        )
    ]
    # Statistics of a new network, 0 and 1, normalise nothing: the signal may grow without bound.
    broken = any_of(nonfinite(record), stuck(record)) if loop.running_statistics else ()
    found = bool(wrong or broken) and not known
    if not wrong:
        harm = list(broken)
    yield _finding(
        "warn" if found else "note", 1, harm if found else [],
        Phrase("All {count} training steps were in evaluation mode", count=count),
        Phrase("model.train() was not called, or model.eval() was called before training."),
        Evidence(signal=Phrase("training steps in evaluation mode, of {all}", all=loop.steps),
                 value=count, baseline=0),
    )  # fmt: skip


def _norms_alone(record: Record, loop: Loop) -> Iterator[Finding]:
    """Norms that were put into evaluation mode by themselves, in a network that is new."""
    setup, norms = record.get(Setup), record.get(Norms)
    still = [] if norms is None else [each for each in norms.norms if not each.updated]
    wrong = [each for each in still if each.off > _OFF or each.ratio > _RATIO]
    if norms is None or len(still) < len(norms.norms) or 2 * len(wrong) <= len(still):
        return
    if setup is not None and setup.pretrained:
        return
    yield _finding(
        "warn", 1,
        [
            Evidence(
                signal=Phrase("norms whose fixed statistics are far off those of the batch"),
                value=len(wrong),
                baseline=0,
                witness="harm",
            )
        ],
        Phrase("The norms stand in evaluation mode while the network is trained"),
        Phrase("eval() was called on the norms, and they keep the statistics of a new network."),
        Evidence(signal=Phrase("norms that take nothing from the batches, of {all}",
                               all=len(norms.norms)),
                 value=len(still), baseline=0),
    )  # fmt: skip


def _dropped(record: Record) -> Iterator[Finding]:
    """Dropout by the function, which is on where nobody tells it the mode; or another layer that
    draws random numbers whatever the mode."""
    modes, told = record.get(Modes), record.get(Epochs)
    if (
        modes is None
        or not (modes.loose or modes.drawn)
        or modes.loose_loss is None
        or modes.tight_loss is None
    ):
        return
    epochs = told.epochs if told is not None else ()
    used = [each for each in epochs if each.used]
    if not used or any(each.val_sampled for each in used):
        return  # answers are drawn on purpose, or nobody evaluates
    harm = []
    if modes.loose_loss > _GAP * modes.tight_loss > 0:
        harm.append(
            Evidence(
                signal=Phrase(
                    "loss of a batch in evaluation mode, against that of the mean of "
                    "several answers"
                )
                if modes.drawn
                else Phrase("loss of a batch in evaluation mode, against that with dropout off"),
                value=modes.loose_loss,
                baseline=modes.tight_loss,
                threshold=_GAP * modes.tight_loss,
                witness="harm",
            )
        )
    if modes.drawn:
        if harm:
            yield _finding(
                "warn", None, harm,
                Phrase("The network draws its answers at random in evaluation mode as well"),
                Phrase("A layer draws random numbers and does not ask for self.training."),
                Evidence(signal=Phrase("answers to one batch in evaluation mode that agree"),
                         value=0, baseline=1),
            )  # fmt: skip
        return
    yield _finding(
        "warn" if harm else "note", None, harm,
        Phrase("Dropout is on in evaluation mode as well"),
        Phrase("F.dropout drops where it is not given training=self.training."),
        Evidence(signal=Phrase("dropouts that act in evaluation mode, in one pass"),
                 value=modes.loose, baseline=0),
    )  # fmt: skip


def _judged(record: Record, loop: Loop) -> Iterator[Finding]:
    setup, norms, modes = record.get(Setup), record.get(Norms), record.get(Modes)
    blocks = loop.evaluation_blocks_in_training
    if not blocks or blocks < loop.evaluation_blocks or blocks * _RARE > loop.steps:
        return
    if setup is not None and setup.special in ("adversarial", "reinforcement", "bootstrapped"):
        return
    told = record.get(Epochs)
    if told is not None and told.epochs and not any(each.used for each in told.epochs):
        return  # nobody looks at what comes out
    if norms is not None and any(each.momentum is None for each in norms.norms):
        return  # its statistics are being gathered
    gap = modes.gap if modes is not None else None
    harm = []
    if gap is not None and gap > _GAP and loop.running_statistics:
        harm.append(
            Evidence(
                signal=Phrase("loss of one batch in one mode, over that in the other"),
                value=gap,
                baseline=1.0,
                threshold=_GAP,
                unit="times",
                witness="harm",
                step=modes.step[-1] if modes is not None else None,
            )
        )
    yield _finding(
        "warn" if harm else "note", None, harm,
        Phrase("{count} evaluations were made in training mode", count=blocks),
        Phrase("model.eval() was not called before the evaluation."),
        Evidence(signal=Phrase("evaluations of which every forward was in training mode, of {all}",
                               all=loop.evaluation_blocks),
                 value=blocks, baseline=0),
    )  # fmt: skip


def _finding(
    severity: str, step: int | None, harm: list[Evidence], what: Phrase, cause: Phrase,
    evidence: Evidence,
) -> Finding:  # fmt: skip
    return Finding(
        name="wrong-mode",
        severity=severity,  # type: ignore[arg-type]
        step=step,
        what=what,
        evidence=(evidence, *harm),
        cause=cause,
        wrong_if=Phrase("dropout and norms are meant to act so"),
        not_to_be_confused_with=Phrase("dropout left on at evaluation to draw samples"),
        treatments=(
            Treatment(
                name="set-mode",
                grade="safe",
                why=Phrase("Set the mode at the beginning of each training and each evaluation."),
                code="model.train()   # before training\nmodel.eval()    # before evaluation",
            ),
        ),
    )
