"""What the one-batch trials of the check-up say about a rate or a start."""

from __future__ import annotations

from netwright.core.languages import Phrase
from netwright.doctor.conditions._harm import fitted
from netwright.records.facts.fit import Fit, FitTrial
from netwright.records.findings import Evidence
from netwright.records.record import Record


def fits(record: Record, factor: float) -> bool | None:
    """Whether the batch was fitted at `factor` times the rate; None where it was not tried."""
    fit = record.get(Fit)
    trial = fit.at(factor) if fit is not None else None
    return None if fit is None or trial is None else fitted(trial, fit)


def fits_somewhere(record: Record) -> bool:
    fit = record.get(Fit)
    return fit is not None and any(fitted(each, fit) for each in fit.trials)


def unfit_as_set(record: Record) -> Evidence | None:
    """The harm at the rate that is set: the batch is not fitted with it."""
    fit = record.get(Fit)
    trial = fit.at(1.0) if fit is not None else None
    if fit is None or trial is None or fitted(trial, fit) or trial.start - trial.start != 0:
        return None  # (one that begins with no number tells nothing: `nonfinite` does)
    return Evidence(
        signal=Phrase(
            "loss of one batch after {steps} steps on it alone, at the rate that is set",
            steps=trial.steps,
        ),
        value=end_of(trial),
        baseline=trial.start,
        witness="harm",
    )


def end_of(trial: FitTrial) -> float:
    """Its end, or the largest loss on the way where it left the finite numbers."""
    return trial.end if trial.end == trial.end else max(trial.worst, trial.start)


def counterfactual(record: Record, factor: float) -> Phrase | None:
    """What another rate gave on the same batch in the same steps."""
    fit = record.get(Fit)
    trial = fit.at(factor) if fit is not None else None
    if trial is None or trial.end != trial.end:
        return None
    return Phrase(
        "At {factor} x the rate the same batch goes from {start} to {end} in {steps} steps.",
        factor=f"{factor:g}",
        start=f"{trial.start:.3g}",
        end=f"{trial.end:.3g}",
        steps=trial.steps,
    )
