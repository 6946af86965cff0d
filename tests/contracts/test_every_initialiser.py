"""What every registered initialiser owes, over the registry."""

import pytest

from netwright.nn.initialisers import INITIALISERS
from netwright.testing.contracts import check_initialiser


@pytest.mark.parametrize("name", INITIALISERS.names())
def test_every_initialiser_keeps_the_contract_of_its_family(name: str) -> None:
    check_initialiser(INITIALISERS.get(name))
