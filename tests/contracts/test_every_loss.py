"""What every registered loss owes, over the registry."""

import pytest

from netwright.nn.losses import LOSSES
from netwright.testing.contracts import check_loss


@pytest.mark.parametrize("name", LOSSES.names())
def test_every_loss_keeps_the_contract_of_its_family(name: str) -> None:
    check_loss(LOSSES.get(name))
