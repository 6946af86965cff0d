"""What every leaf of every family here owes a listing."""

from typing import Any

import pytest

from netwright.augment import AUGMENTATIONS
from netwright.core.languages import say, speaking
from netwright.core.registry import Entry
from netwright.models import MODELS
from netwright.nn.initialisers import INITIALISERS
from netwright.nn.losses import LOSSES
from netwright.optim.optimizers import OPTIMIZERS
from netwright.optim.schedules import SCHEDULES

FAMILIES = (MODELS, LOSSES, OPTIMIZERS, SCHEDULES, INITIALISERS, AUGMENTATIONS)
LEAVES: list[Entry[Any]] = [entry for family in FAMILIES for entry in family]


@pytest.mark.parametrize("entry", LEAVES, ids=lambda entry: entry.name)
def test_every_leaf_says_what_it_is_in_one_line_of_each_language(entry: Entry[Any]) -> None:
    assert entry.doc.endswith(".")
    with speaking("zh"):
        assert say(entry.doc) != entry.doc
