"""What every adapter owes: a registered network, options it has, and how images are prepared."""

from typing import Any

import pytest

from netwright.core.config import build
from netwright.core.languages import say, speaking
from netwright.core.registry import Entry
from netwright.models import MODELS
from netwright.models.adapters import ADAPTERS, network_of


@pytest.mark.parametrize("entry", list(ADAPTERS), ids=lambda entry: entry.name)
def test_every_adapter_keeps_the_contract_of_its_family(entry: Entry[Any]) -> None:
    assert entry.doc.endswith(".")
    with speaking("zh"):
        assert say(entry.doc) != entry.doc
    network = MODELS.get(network_of(entry, {}))
    assert network.options is not None
    made: Any = build(network.options, entry.facts["needs"], prefix="model.")
    assert made is not None
    assert len(entry.facts["mean"]) == len(entry.facts["std"]) == network.facts["input"][0]
    assert all(std > 0 for std in entry.facts["std"])
    assert entry.facts["short_side"] >= min(entry.facts["size"])
    assert "," in entry.facts["source"], "the source, and its licence"
    assert not entry.facts["recognises"]({}, {}), "what says nothing is of no known source"
    assert entry.target({}) == {}
