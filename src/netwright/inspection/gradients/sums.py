"""Few directions over all tensors at once: a wrong gradient anywhere shows in the sum."""

from __future__ import annotations

from collections.abc import Sequence

from netwright.inspection.gradients.cases import Case
from netwright.inspection.gradients.comparison import SMALLEST, Comparison


def all_agree(
    comparison: Comparison, cases: Sequence[Case], *, directions: int, entries: int
) -> bool:
    """Whether sums over all of them agree; those whose share was large enough to be seen are `ok`
    then, the others have no verdict yet."""
    agreed = _directions_agree(comparison, cases, directions) and _entries_agree(
        comparison, cases, entries
    )
    for case in cases:
        if agreed and case.directions >= directions:
            case.verdict = "ok"
        else:
            case.forget()
    if agreed:
        _smaller(comparison, [each for each in cases if each.verdict is None])
    return agreed


def _directions_agree(comparison: Comparison, cases: Sequence[Case], directions: int) -> bool:
    """One that says nothing is drawn anew, as often as there are directions."""
    done = 0
    for _ in range(2 * directions):
        found, expected, sizes = comparison.of_sum(cases, comparison.moves(cases))
        if found.says == "differs":
            return False
        if found.says == "agrees":
            comparison.keep(cases, found, expected, sizes)
            done += 1
        if done == directions:
            return True
    return False


def _entries_agree(comparison: Comparison, cases: Sequence[Case], entries: int) -> bool:
    for _ in range(entries):
        found, expected, sizes = comparison.of_sum(cases, comparison.moves(cases, single=True))
        if found.says == "differs":
            return False
        if found.says == "agrees":
            comparison.keep(cases, found, expected, sizes, single=True)
    return True


def _smaller(comparison: Comparison, cases: Sequence[Case]) -> None:
    """Those whose share of the sum was too small to be seen, by sums of their own; the largest of
    them drop out each time. Gradients of nothing are looked at last: is it nothing?"""
    while cases:
        found, expected, sizes = comparison.of_sum(cases, comparison.moves(cases))
        nothing = max(sizes) <= SMALLEST * comparison.overall
        if found.says != "agrees":
            return
        whole = comparison.overall if nothing else 0.0
        comparison.keep(cases, found, expected, sizes, whole=whole)
        left = [each for each in cases if not each.directions]
        for case in cases:
            case.verdict = "ok" if case.directions else None
        if len(left) == len(cases):
            return
        cases = left
