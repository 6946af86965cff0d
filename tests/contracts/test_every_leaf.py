"""What every leaf of every family here owes a listing and the manual."""

import inspect
import re
import typing
from typing import Any

import pytest

from netwright.augment import AUGMENTATIONS
from netwright.core.languages import say, speaking
from netwright.core.registry import Entry, Registry
from netwright.data.sources import SOURCES
from netwright.models import MODELS
from netwright.nn.activations import ACTIVATIONS, ActivationName
from netwright.nn.initialisers import INITIALISERS
from netwright.nn.losses import LOSSES
from netwright.nn.normalisation import NORMS, NormName
from netwright.optim.optimizers import OPTIMIZERS
from netwright.optim.schedules import SCHEDULES
from netwright.tasks import TASKS

FAMILIES = (
    TASKS, MODELS, SOURCES, ACTIVATIONS, NORMS, LOSSES, INITIALISERS, OPTIMIZERS, SCHEDULES,
    AUGMENTATIONS,
)  # fmt: skip
LEAVES: list[Entry[Any]] = [entry for family in FAMILIES for entry in family]

# A rate that stays and our own drawings come from nobody; layouts are conventions.
UNPUBLISHED = [
    SCHEDULES.get("constant"),
    *(SOURCES.get(name) for name in ("shapes", "folder", "shards", "table", "idx", "factory")),
]
CITED: list[Entry[Any]] = [
    entry
    for family in (MODELS, LOSSES, INITIALISERS, OPTIMIZERS, SCHEDULES, SOURCES)
    for entry in family
    if entry not in UNPUBLISHED
]

PARTS = ("When to use it", "What goes wrong")


def name(entry: Entry[Any]) -> str:
    return f"{entry.target.__module__.removeprefix('netwright.')}:{entry.name}"


def parts_missing(target: Any, parts: tuple[str, ...] = PARTS) -> list[str]:
    """The parts that begin no line, or have too little in them to be of use."""
    paragraphs = (inspect.getdoc(target) or "").split("\n\n")
    return [
        part
        for part in parts
        if not any(re.search(rf"(^|\n){part}: \S[\s\S]{{10,}}", each) for each in paragraphs)
    ]


@pytest.mark.parametrize("entry", LEAVES, ids=name)
def test_every_leaf_says_what_it_is_in_one_line_of_each_language(entry: Entry[Any]) -> None:
    assert entry.doc.endswith(".")
    with speaking("zh"):
        assert say(entry.doc) != entry.doc


@pytest.mark.parametrize("entry", LEAVES, ids=name)
def test_every_leaf_says_when_to_use_it_and_what_goes_wrong(entry: Entry[Any]) -> None:
    assert parts_missing(entry.target) == []


@pytest.mark.parametrize("entry", CITED, ids=name)
def test_every_leaf_that_was_published_names_its_source_with_the_year(entry: Entry[Any]) -> None:
    assert re.search(r"[A-Z]\w+.* (1[78]|19|20)\d\d", str(entry.facts.get("paper", "")))


@pytest.mark.parametrize("entry", list(MODELS), ids=name)
def test_every_model_shows_its_layers_and_says_what_was_new(entry: Entry[Any]) -> None:
    doc = inspect.getdoc(entry.target) or ""
    assert parts_missing(entry.target, ("What was new",)) == []
    assert len(re.findall(r"^ {4}\S.*\S {2,}\S", doc, flags=re.MULTILINE)) >= 4


@pytest.mark.parametrize("entry", list(MODELS), ids=name)
def test_every_model_publishes_what_the_contract_counts(entry: Entry[Any]) -> None:
    assert {"input", "params", "macs", "paper"} <= set(entry.facts)


@pytest.mark.parametrize("entry", [*ACTIVATIONS, *NORMS], ids=name)
def test_activations_and_norms_name_their_source(entry: Entry[Any]) -> None:
    assert entry is NORMS.get("none") or parts_missing(entry.target, ("Source",)) == []


@pytest.mark.parametrize(("names", "registry"), [(ActivationName, ACTIVATIONS), (NormName, NORMS)])
def test_what_a_setting_takes_is_what_is_registered(names: Any, registry: Registry[Any]) -> None:
    assert sorted(typing.get_args(names)) == sorted(registry.names())


def test_a_leaf_without_the_parts_is_noticed() -> None:
    def bare() -> None:
        """It is a leaf.

        It says When to use it: somewhere, but not as a part.

        What goes wrong: no.
        """

    assert parts_missing(bare) == ["When to use it", "What goes wrong"]
