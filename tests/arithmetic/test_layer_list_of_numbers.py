import pytest

from netwright.arithmetic.layer_list import read_layers
from netwright.core.errors import SettingError


def test_a_list_of_dilations_is_not_taken_for_further_kernels() -> None:
    with pytest.raises(SettingError, match='"2" behind "3\\*conv 3 d1"'):
        read_layers("3*conv 3 d1,2,5")


def test_bare_kernels_are_still_convolutions() -> None:
    assert [layer.kernel_size for layer in read_layers("3, 3, conv 5 s2, pool 2")] == [3, 3, 5, 2]
