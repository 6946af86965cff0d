"""What every registered augmentation owes, over the registry."""

import pytest

from netwright.augment import AUGMENTATIONS
from netwright.testing.contracts import check_augmentation


@pytest.mark.parametrize("name", AUGMENTATIONS.names())
def test_every_augmentation_keeps_the_contract_of_its_family(name: str) -> None:
    check_augmentation(AUGMENTATIONS.get(name))
