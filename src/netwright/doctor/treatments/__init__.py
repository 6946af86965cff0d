"""The treatments: each knows the names of conditions, and what may be changed where one stands.

A treatment is asked about a finding and gives plans, the likeliest first. A plan is carried out on
a copy of the course, so that nothing has to be undone; whether it helps is for a race to say.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from netwright.core.languages import Phrase
from netwright.core.registry import Entry, Registry
from netwright.doctor.trials.course import Course
from netwright.records.findings import Finding


@dataclass(frozen=True, kw_only=True)
class Plan:
    """`says` what is changed, in a few words; `apply` does it to a course that is a copy."""

    says: Phrase
    apply: Callable[[Course], None]


Planner: TypeAlias = Callable[[Course, Finding], Iterable[Plan]]

TREATMENTS: Registry[Planner] = Registry("treatment", "netwright.doctor.treatments")
"""Facts of a leaf: `grade` (`safe`, `ask`); `cures`, the names of the conditions it is for. A
treatment that only a person can carry out is advice in the finding, and has no leaf."""


def plans_for(course: Course, finding: Finding) -> Iterator[tuple[str, Plan]]:
    """The plans of every treatment that the finding names, each with its name: the first of each,
    in the finding's order, then the second of each, and so on."""
    several = [
        [(entry.name, plan) for plan in entry.target(course, finding)]
        for entry in _treatments_of(finding)
    ]
    for row in itertools.zip_longest(*several):
        yield from (each for each in row if each is not None)


def treatable(course: Course, finding: Finding) -> bool:
    """Whether there is any plan."""
    return any(True for entry in _treatments_of(finding) for _ in entry.target(course, finding))


def _treatments_of(finding: Finding) -> Iterator[Entry[Planner]]:
    for each in finding.treatments:
        if each.name in TREATMENTS and finding.name in TREATMENTS.get(each.name).facts["cures"]:
            yield TREATMENTS.get(each.name)
