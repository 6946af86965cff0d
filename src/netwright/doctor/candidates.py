"""What is tried against some causes: all first plans together, and what else there is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch

from netwright.core.languages import Phrase
from netwright.doctor.quiet import RandomState
from netwright.doctor.treatments import Plan, plans_for
from netwright.doctor.trials.course import Course
from netwright.doctor.trials.runners import Candidate
from netwright.records.findings import Finding

CANDIDATES = 6
"""How many changes race at a time, at most."""


def candidates_for(
    course: Course, findings: Sequence[Finding], *, but: frozenset[str] = frozenset()
) -> Iterator[Candidate]:
    """All first plans together, then each other plan in the place of the first of its kind, then
    each cause alone; without the treatments named in `but`."""
    plans = [
        found
        for each in findings
        if (found := [one for one in plans_for(course, each) if one[0] not in but])
    ]
    if not plans:
        return
    first = [each[0] for each in plans]
    chosen: list[list[tuple[str, Plan]]] = [first]
    for depth in range(1, max(map(len, plans))):
        for place, each in enumerate(plans):
            if depth < len(each):
                chosen.append([*first[:place], each[depth], *first[place + 1 :]])
    if len(first) > 1:
        chosen += [[each] for each in first]
    for some in chosen[:CANDIDATES]:
        yield Candidate(
            names=tuple(name for name, _ in some),
            says=_joined([plan.says for _, plan in some]),
            begin=_changed(course, [plan for _, plan in some]),
        )


def _changed(course: Course, plans: Sequence[Plan]) -> Callable[[], Course]:
    """What makes a copy of the course and carries out the plans on it; each copy is the same."""

    def begin() -> Course:
        made, state = course.copy(), RandomState()
        torch.manual_seed(0)
        try:
            for plan in plans:
                plan.apply(made)
        finally:
            state.restore()
        return made

    return begin


def _joined(parts: Sequence[Phrase]) -> Phrase:
    found = parts[0]
    for each in parts[1:]:
        found = Phrase("{first}; {second}", first=found, second=each)
    return found
