"""What every registered treatment owes, over the registry."""

import pytest

from netwright.doctor.treatments import TREATMENTS
from netwright.testing.contracts import check_treatment


@pytest.mark.parametrize("name", TREATMENTS.names())
def test_every_treatment_keeps_the_contract_of_its_family(name: str) -> None:
    check_treatment(TREATMENTS.get(name))
