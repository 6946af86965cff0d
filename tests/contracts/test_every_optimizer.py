"""What every registered optimizer owes, over the registry."""

import pytest

from netwright.optim.optimizers import OPTIMIZERS
from netwright.testing.contracts import check_optimizer


@pytest.mark.parametrize("name", OPTIMIZERS.names())
def test_every_optimizer_keeps_the_contract_of_its_family(name: str) -> None:
    check_optimizer(OPTIMIZERS.get(name))
