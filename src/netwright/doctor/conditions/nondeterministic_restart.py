"""A run that goes on from a checkpoint, and not from where it was."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._anew import anew
from netwright.records.facts.epochs import Epochs
from netwright.records.facts.restarts import RestartFact, Restarts
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.record import Record

# Standard deviations of the losses before, by which those after must lie above.
_FAR = 4.0
# And times the loss before.
_TIMES = 1.2
# Share of the model's names that a file must lack to have restored nothing.
_NOTHING = 0.9
# Loads, about one to an epoch, each of which lost what was gained.
_OFTEN = 4


@CONDITIONS.register(
    "nondeterministic-restart",
    reads=Record,
    when="in the first steps",
    group="wiring",
    severity="warn",
    yields_to=("unshuffled-data", "learning-rate-too-high", "divergence", "labels-inconsistent"),
)
def nondeterministic_restart(record: Record) -> Iterator[Finding]:
    """The loss jumps where weights are loaded in the middle of a run.

    Why it hurts: what was learned is lost in part; a run that is resumed is then another one.

    Evidence: the losses of the steps before weights were loaded and of those after. With the state
    of the optimizer loaded too it is a resumption, and a warning; without it, a note: folds,
    rewinding and restarts load first weights on purpose. A file in which none of the model's names
    is found restores nothing, and is a warning by itself.

    Or the losses alone: epoch after epoch begins where the first one began, though each had ended
    lower, and validation after it was as low: what was learned did not last from one epoch to the
    next. Or weights are loaded about once an epoch, and the loss is higher after each.

    Would be wrong if: weights of another run were loaded on purpose.

    Not to be confused with: a rollback to better weights, after which the loss falls; averaged
    weights that are put in for an evaluation and taken out again. A resumption in a new process
    has no losses before it, and nothing is said.

    Treatment: save and load model, optimizer, schedule and random states together; advice.

    Source: PyTorch documentation, saving and loading a general checkpoint.
    """
    found = list(anew(record))
    yield from found
    restarts, epochs = record.get(Restarts), record.get(Epochs)
    seen = restarts.restarts if restarts is not None else ()
    thrown = [each for each in seen if each.after > each.before + each.spread]
    # As often as there are epochs: no fold is a single epoch, and no best weights come back so.
    often = len(epochs.epochs) if epochs is not None else 0
    regular = len(seen) >= _OFTEN and 1.5 * len(seen) >= often
    if not found and regular and len(thrown) >= 0.9 * len(seen):
        yield _each_epoch(seen)
        return
    for each in seen:
        rise = each.after - each.before
        if found or rise < _FAR * each.spread or each.after < _TIMES * each.before:
            continue
        yield Finding(
            name="nondeterministic-restart",
            severity="warn" if each.optimizer or each.missing >= _NOTHING else "note",
            step=each.step,
            what=Phrase("The loss jumps from {before:.3g} to {after:.3g} where weights are loaded",
                        before=each.before, after=each.after),
            evidence=(
                _loaded(each),
                Evidence(
                    signal=Phrase("median loss of the steps after, against those before"),
                    value=each.after,
                    baseline=each.before,
                    threshold=each.before + _FAR * each.spread,
                    witness="harm",
                    step=each.step,
                ),
            ),
            cause=Phrase("The names in the file are not those of the model: nothing was loaded.")
            if each.missing >= _NOTHING
            else Phrase("The weights that were loaded are not those that training had reached."),
            wrong_if=Phrase("other weights were loaded on purpose"),
            treatments=(
                Treatment(
                    name="whole-checkpoint",
                    grade="advice",
                    why=Phrase("Save and load weights, buffers, optimizer and schedule together."),
                ),
            ),
        )  # fmt: skip


def _loaded(each: RestartFact) -> Evidence:
    if each.missing >= _NOTHING:
        return Evidence(
            signal=Phrase("names of the model that were not in what was loaded"),
            value=each.missing,
            baseline=0.0,
            threshold=_NOTHING,
            unit="share",
            step=each.step,
        )
    return Evidence(
        signal=Phrase("weights loaded, and the optimizer's state too")
        if each.optimizer
        else Phrase("weights loaded, the optimizer's state not"),
        value=1,
        baseline=0,
        step=each.step,
    )


def _each_epoch(seen: tuple[RestartFact, ...]) -> Finding:
    before, after = (
        sum(values) / len(seen)
        for values in ([each.before for each in seen], [each.after for each in seen])
    )
    return Finding(
        name="nondeterministic-restart",
        severity="warn",
        step=seen[0].step,
        what=Phrase("Weights are loaded {count} times, about once an epoch, and the loss jumps "
                    "each time", count=len(seen)),
        evidence=(
            Evidence(
                signal=Phrase("weights loaded, the optimizer's state not"),
                value=len(seen),
                baseline=0,
            ),
            Evidence(
                signal=Phrase("median loss of the steps after, against those before"),
                value=after,
                baseline=before,
                witness="harm",
                step=seen[-1].step,
            ),
        ),
        cause=Phrase("The weights that are loaded are older than those that training had reached."),
        confidence=0.85,
        wrong_if=Phrase("each epoch is a training of its own, as of a fold or of a task"),
        treatments=(
            Treatment(
                name="whole-checkpoint",
                grade="advice",
                why=Phrase("Save and load weights, buffers, optimizer and schedule together."),
            ),
        ),
    )  # fmt: skip
