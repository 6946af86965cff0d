"""What every section of the report owes, over the registry."""

from collections.abc import Callable
from pathlib import Path

import pytest

from netwright.core import languages
from netwright.core.registry import Entry
from netwright.records.run import Run
from netwright.report.material import Material
from netwright.report.pictures import Allowance
from netwright.report.sections import SECTIONS, Part, Section

Make = Callable[..., Path]
ALL = list(SECTIONS)
every = pytest.mark.parametrize("entry", ALL, ids=[entry.name for entry in ALL])


def test_the_sections_stand_in_the_order_of_the_design() -> None:
    ordered = sorted(ALL, key=lambda entry: entry.facts["order"])
    assert [entry.name for entry in ordered] == [
        "verdict", "findings", "repair", "interventions", "notes", "curves", "layer-time",
        "confusion", "recall", "pairs", "mistakes", "first-batch", "augmentations", "features",
        "begun", "model", "data", "reproduce",
    ]  # fmt: skip


def test_no_two_sections_have_one_place() -> None:
    orders = [entry.facts["order"] for entry in ALL]
    assert len(set(orders)) == len(orders)


@every
def test_it_says_what_it_shows(entry: Entry[Section]) -> None:
    assert len(entry.doc) > 10


@every
def test_a_good_run_has_it(entry: Entry[Section], make_run: Make, tmp_path: Path) -> None:
    part = entry.target(Material(Run(make_run(tmp_path / "run"))), Allowance(100_000))
    assert isinstance(part, Part)
    assert part.title
    assert part.body


@every
def test_an_empty_folder_breaks_nothing(entry: Entry[Section], tmp_path: Path) -> None:
    part = entry.target(Material(Run(tmp_path)), Allowance(100_000))
    assert part is None or part.title


@every
def test_it_speaks_both_languages(entry: Entry[Section], make_run: Make, tmp_path: Path) -> None:
    run = Run(make_run(tmp_path / "run"))
    titles = []
    for language in languages.LANGUAGES:
        with languages.speaking(language):
            part = entry.target(Material(run), Allowance(100_000))
            assert part is not None
            titles.append(part.title)
    assert titles[0].isascii()
    assert not titles[1].isascii()


@every
def test_pictures_that_have_no_room_are_left_out(
    entry: Entry[Section], make_run: Make, tmp_path: Path
) -> None:
    part = entry.target(Material(Run(make_run(tmp_path / "run"))), Allowance(0))
    assert part is None or "<img" not in part.body
