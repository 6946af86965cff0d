"""The same batch in training mode and in evaluation mode."""

from __future__ import annotations

from dataclasses import dataclass

from netwright.records.facts import fact


@fact("modes")
@dataclass(frozen=True, kw_only=True)
class Modes:
    """Losses of the same batches with the same weights, at the steps in `step`."""

    step: tuple[int, ...] = ()
    training: tuple[float, ...] = ()
    evaluation: tuple[float, ...] = ()
    loose: int = 0
    """Dropouts that act in evaluation mode too, of one pass: called by the function, which is not
    told the mode."""
    drawn: bool = False
    """Whether the same batch gets another loss in evaluation mode each time, though no such
    dropout was heard: something draws random numbers by itself."""
    loose_loss: float | None = None
    """The loss of a batch in evaluation mode as it is, the latest that was tried."""
    tight_loss: float | None = None
    """The same with those dropouts off, or of the mean of several answers that were drawn."""

    @property
    def gap(self) -> float | None:
        """Evaluation over training at the last of them, as a ratio of the larger to the smaller."""
        if not self.step or min(self.training[-1], self.evaluation[-1]) <= 0:
            return None
        low, high = sorted((self.training[-1], self.evaluation[-1]))
        return high / low

    @property
    def usual_gap(self) -> float | None:
        """The median of these ratios, where there are three of them."""
        pairs = [sorted(each) for each in zip(self.training, self.evaluation, strict=True)]
        ratios = sorted(high / low for low, high in pairs if low > 0)
        return ratios[len(ratios) // 2] if len(ratios) >= 3 else None
