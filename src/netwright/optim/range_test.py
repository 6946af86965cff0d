"""The learning-rate range test: from a curve of rates and losses to one rate, or to none.

The rate is raised by the same factor at every step of a short run, and the loss of each step
written down (Smith 2017, "Cyclical learning rates for training neural networks", section 3.3).
Here is the mathematics only. Three rules read the curve, each of which is misled by another
kind of curve; a rate is suggested where they agree.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from netwright.core.languages import Phrase

FEWEST = 20
"""Points below which no curve is judged."""

_SMOOTHING = 0.04  # of the curve's length: the standard deviation of the smoothing window
_AGREEMENT = 50.0  # between the highest and the lowest rate that the rules name
_CLEAR = 5.0  # how many standard errors of the smoothed curve a fall has to measure


@dataclass(frozen=True, kw_only=True)
class Suggestion:
    """What a range test came to: `rate` is None where it has no answer, and `why` says why."""

    rate: float | None
    why: Phrase
    readings: Mapping[str, float]
    """The rate that each rule names: `steepest`, `middle` and `blow-up`; empty without a rate
    that they could be asked for."""
    smoothed: tuple[float, ...]
    """The losses up to the blow-up as the rules saw them, for drawing."""


def rates(first: float, last: float, count: int) -> list[float]:
    """`count` rates from `first` to `last`, each the same number of times the one before.

    >>> [round(each, 6) for each in rates(1e-4, 1.0, 5)]
    [0.0001, 0.001, 0.01, 0.1, 1.0]
    """
    assert 0 < first < last, (first, last)
    assert count >= 2, count
    return [first * (last / first) ** (number / (count - 1)) for number in range(count)]


def blown_up(losses: Sequence[float]) -> bool:
    """Whether a range test can stop: the last loss is not finite, or four times the first.

    Beyond that the curve says nothing more, and the run only comes nearer to an overflow.

    >>> blown_up([2.0, 1.0, 8.5]), blown_up([2.0, 1.0, 6.0]), blown_up([math.nan])
    (True, False, True)
    """
    first, last = losses[0], losses[-1]
    return not math.isfinite(last) or last > first + 3 * abs(first)


def suggest(rates: Sequence[float], losses: Sequence[float]) -> Suggestion:
    """The rate that a curve of `losses` over rising `rates` speaks for.

    The curve ends where a loss is not finite. Smoothed over 4 % of its length, its fall is
    from the first plateau to the lowest point. The rules:

    - `steepest`: where the loss falls fastest per factor of the rate;
    - `middle`: where half of the fall is done;
    - `blow-up`: a tenth of the rate at which the loss has climbed back half of its fall.

    The suggestion is the middle one of the three, with two digits. None, with the reason, for
    too few points, a loss that is not finite at once, one that does not fall or only rises, a
    fall that noise hides, one that goes on to the last rate, and rules further apart than a
    factor of fifty.

    >>> tried = [10 ** (-5 + 6 * k / 99) for k in range(100)]
    >>> losses = [2.3 - 1.5 / (1 + (0.01 / rate) ** 2) + (rate / 0.5) ** 2 for rate in tried]
    >>> suggest(tried, losses).rate
    0.0093
    """
    assert len(rates) == len(losses), (len(rates), len(losses))
    end = next((k for k, loss in enumerate(losses) if not math.isfinite(loss)), len(losses))
    if end < FEWEST:
        return _nothing(_too_short(end, losses))
    smoothed = _smooth(losses[:end])
    # Once the loss is far above its start, the rest of the curve only flattens the picture.
    lowest = min(range(end), key=lambda k: smoothed[k])
    highest = max(smoothed[: lowest + 1])
    fall = highest - smoothed[lowest]
    noise = _noise(losses[: max(lowest, FEWEST)])
    if lowest == 0 or fall <= _CLEAR * noise or fall <= 1e-3 * abs(highest):
        return _nothing(_no_fall(smoothed, noise), smoothed)
    # From here on a tenth of the fall is done for good: noise on the plateau before is no slope.
    top = max(k for k in range(lowest) if smoothed[k] >= highest - 0.1 * fall)
    up = next((k for k in range(lowest, end) if smoothed[k] > smoothed[lowest] + fall / 2), None)
    if up is None:
        if end == len(losses):
            return _nothing(
                Phrase("The loss has not blown up at the highest rate: test higher ones."),
                smoothed,
            )
        up = end - 1
    readings = {
        "steepest": rates[_steepest(rates, smoothed, top, lowest)],
        "middle": rates[
            next(k for k in range(top, end) if smoothed[k] <= smoothed[lowest] + fall / 2)
        ],
        "blow-up": rates[up] / 10,
    }
    return _agreed(readings, smoothed)


def _agreed(readings: Mapping[str, float], smoothed: Sequence[float]) -> Suggestion:
    low, high = min(readings.values()), max(readings.values())
    frozen, curve = MappingProxyType(dict(readings)), tuple(smoothed)
    if high > _AGREEMENT * low:
        why = Phrase(
            "The rules disagree: they name rates from {low} to {high}.",
            low=f"{low:.1e}",
            high=f"{high:.1e}",
        )
        return Suggestion(rate=None, why=why, readings=frozen, smoothed=curve)
    rate = float(f"{statistics.median(readings.values()):.1e}")
    why = Phrase(
        "Three rules agree on a rate between {low} and {high}.",
        low=f"{low:.1e}",
        high=f"{high:.1e}",
    )
    return Suggestion(rate=rate, why=why, readings=frozen, smoothed=curve)


def _nothing(why: Phrase, smoothed: Sequence[float] = ()) -> Suggestion:
    return Suggestion(rate=None, why=why, readings=MappingProxyType({}), smoothed=tuple(smoothed))


def _too_short(end: int, losses: Sequence[float]) -> Phrase:
    if end == 0 and len(losses):
        return Phrase(
            "The loss is {value} before the first step: look at the data, the start and the loss; "
            "no rate mends that.",
            value=losses[0],
        )
    if end < len(losses) or blown_up(losses):
        return Phrase("The loss blew up after {end} points: test lower rates.", end=end)
    return Phrase(
        "{count} points are too few to read a curve: at least {fewest}.",
        count=len(losses),
        fewest=FEWEST,
    )


def _no_fall(smoothed: Sequence[float], noise: float) -> Phrase:
    if smoothed[-1] - smoothed[0] > max(_CLEAR * noise, 1e-3 * abs(smoothed[0])):
        return Phrase("The loss only rises: test lower rates.")
    return Phrase(
        "The loss does not fall by more than its noise: test higher rates, or more steps of each."
    )


def _smooth(losses: Sequence[float]) -> list[float]:
    """A Gaussian window around each point: unlike a running average it does not lag, and a lag
    would name rates that are too high."""
    width = max(1.0, _SMOOTHING * len(losses))
    reach = math.ceil(3 * width)
    window = [math.exp(-0.5 * (k / width) ** 2) for k in range(-reach, reach + 1)]
    smoothed = []
    for place in range(len(losses)):
        left, right = min(reach, place), min(reach, len(losses) - 1 - place)
        weights = window[reach - left : reach + right + 1]
        near = losses[place - left : place + right + 1]
        smoothed.append(sum(w * x for w, x in zip(weights, near, strict=True)) / sum(weights))
    return smoothed


def _noise(losses: Sequence[float]) -> float:
    """The standard error of the smoothed curve, from second differences, which a slope does not
    enter: of independent noise they have the variance 6 sigma^2."""
    seconds = [abs(a - 2 * b + c) for a, b, c in zip(losses, losses[1:], losses[2:], strict=False)]
    sigma = 1.4826 * statistics.median(seconds) / math.sqrt(6)
    effective = 2 * math.sqrt(math.pi) * max(1.0, _SMOOTHING * len(losses))
    return sigma / math.sqrt(effective)


def _steepest(rates: Sequence[float], smoothed: Sequence[float], top: int, lowest: int) -> int:
    def slope(k: int) -> float:
        before, after = max(0, k - 1), k + 1
        change = smoothed[after] - smoothed[before]
        return change / math.log(rates[after] / rates[before])

    return min(range(top, lowest), key=slope)
