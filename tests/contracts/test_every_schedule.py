"""What every registered schedule owes, over the registry."""

import pytest

from netwright.optim.schedules import SCHEDULES
from netwright.testing.contracts import check_schedule


@pytest.mark.parametrize("name", SCHEDULES.names())
def test_every_schedule_keeps_the_contract_of_its_family(name: str) -> None:
    check_schedule(SCHEDULES.get(name))
