import pytest

from netwright.core.errors import SettingError, UnknownNameError
from netwright.models import build


def _build(name: str, **options: object) -> object:
    return build(name, num_classes=4, in_channels=1, input_size=(28, 28), options=options)


def test_an_unknown_model_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r'No model called "resnet22"\.\nNearest: resnet20'):
        _build("resnet22")


def test_a_name_is_found_in_any_spelling() -> None:
    assert type(_build("LeNet5_1998")) is type(_build("lenet5-1998"))


def test_an_option_the_model_lacks_is_refused_by_its_dotted_name() -> None:
    with pytest.raises(SettingError, match=r"model\.dropuot: no such setting.*model\.dropout"):
        _build("lenet5", dropuot=0.1)


def test_an_option_out_of_range_is_refused_with_the_range() -> None:
    with pytest.raises(SettingError, match=r"model\.dropout: 1\.0 is not allowed: .*below 1"):
        _build("lenet5", dropout=1.0)


def test_an_image_too_small_is_refused_with_the_smallest_size() -> None:
    with pytest.raises(
        SettingError,
        match=r"lenet5 needs images of at least 12x12 pixels; these "
        r"are 8x30\.\nEnlarge them with data\.size=12",
    ):
        build("lenet5", num_classes=4, in_channels=1, input_size=(8, 30))


def test_an_mlp_without_a_unit_in_a_layer_is_refused() -> None:
    with pytest.raises(SettingError, match=r"model\.hidden: \[8, 0\] is not allowed"):
        _build("mlp", hidden=[8, 0])
