"""What every registered model owes, over the registry."""

import pytest

from netwright.models import MODELS
from netwright.testing.contracts import check_model


@pytest.mark.parametrize("name", MODELS.names())
def test_every_model_keeps_the_contract_of_its_family(name: str) -> None:
    check_model(MODELS.get(name))
