"""What every registered condition owes, over the registry."""

import pytest

from netwright.cli.commands.explain import LIGHT, _names
from netwright.cli.commands.ls import FAMILIES
from netwright.core.errors import fold
from netwright.core.languages import say, speaking
from netwright.doctor.conditions import CONDITIONS
from netwright.testing.contracts import check_condition


@pytest.mark.parametrize("name", CONDITIONS.names())
def test_every_condition_keeps_the_contract_of_its_family(name: str) -> None:
    check_condition(CONDITIONS.get(name))


@pytest.mark.parametrize("name", CONDITIONS.names())
def test_every_condition_has_its_line_in_both_languages(name: str) -> None:
    doc = CONDITIONS.get(name).doc
    with speaking("zh"):
        assert say(doc) != doc


def test_no_condition_has_a_name_of_another_family() -> None:
    """So `explain` may look among the conditions first, without importing the others."""
    others = {fold(name) for family in FAMILIES if family not in LIGHT for name in _names(family)}
    assert others.isdisjoint(fold(name) for family in LIGHT for name in _names(family))
