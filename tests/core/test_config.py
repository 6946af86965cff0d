"""The configuration idiom: a range declared once serves every message about it."""

from typing import Literal

import pytest

from netwright.core.config import build, config, flatten, nest, setting, settings_of, show
from netwright.core.errors import SettingError
from netwright.core.languages import speaking


@config
class Options:
    lr: float = setting(0.1, gt=0, le=1, help="learning rate", unit="1/step", search=(1e-4, 1))
    act: Literal["relu", "tanh"] = setting("relu", help="activation")
    weights: Literal["none", "balanced"] | list[float] = setting("none", help="class weights")
    steps: int | None = setting(None, ge=1, help="steps")
    size: tuple[int, int] = setting((28, 28), help="height and width")
    spare: bool = setting(True, help="spare biases")


GOOD = [
    ({}, "lr", 0.1),
    ({"lr": "1e-3"}, "lr", 0.001),
    ({"lr": 1}, "lr", 1.0),
    ({"act": "tanh"}, "act", "tanh"),
    ({"weights": [1, 2.5]}, "weights", [1.0, 2.5]),
    ({"steps": None}, "steps", None),
    ({"size": [8, 9]}, "size", (8, 9)),
    ({"spare": False}, "spare", False),
]


@pytest.mark.parametrize(("values", "name", "value"), GOOD, ids=str)
def test_good_values_are_taken(values, name, value):
    assert getattr(build(Options, values), name) == value


NUMBER = "expected a number above 0, at most 1."
BAD = [
    ({"lr": 0}, f"optim.lr: 0 is not allowed: {NUMBER}"),
    ({"lr": 1.5}, f"optim.lr: 1.5 is not allowed: {NUMBER}"),
    ({"lr": "fast"}, f"optim.lr: fast is not allowed: {NUMBER}"),
    ({"lr": float("nan")}, f"optim.lr: nan is not allowed: {NUMBER}"),
    ({"lr": float("inf")}, f"optim.lr: inf is not allowed: {NUMBER}"),
    ({"lr": None}, f"optim.lr: none is not allowed: {NUMBER}"),
    (
        {"lr": True},
        f"optim.lr: true is not allowed: {NUMBER} (YAML reads yes, no, on and off as true and "
        "false: put quotes around a word.)",
    ),
    (
        {"act": "rleu"},
        "optim.act: rleu is not allowed: expected one of relu, tanh. Did you mean relu?",
    ),
    (
        {"weights": "some"},
        "optim.weights: some is not allowed: expected one of none, balanced or a list, each a "
        "number.",
    ),
    (
        {"steps": 0},
        "optim.steps: 0 is not allowed: expected a whole number at least 1 or none.",
    ),
    (
        {"steps": 1.5},
        "optim.steps: 1.5 is not allowed: expected a whole number at least 1 or none.",
    ),
    ({"spare": "maybe"}, "optim.spare: maybe is not allowed: expected true or false."),
    ({"lrr": 1}, "optim.lrr: no such setting. Did you mean optim.lr?"),
    (
        {"zzz": 1},
        "optim.zzz: no such setting. Known: act, lr, size, spare, steps, weights.",
    ),
]


@pytest.mark.parametrize(("values", "message"), BAD, ids=lambda each: str(each)[:30])
def test_a_bad_value_is_told_with_what_was_expected(values, message):
    with pytest.raises(SettingError) as caught:
        build(Options, values, prefix="optim.")
    assert str(caught.value) == message


def test_every_fault_is_told_at_once():
    with pytest.raises(SettingError) as caught:
        build(Options, {"lr": 0, "lrr": 1, "act": "x", "steps": True})
    assert [line.partition(":")[0] for line in str(caught.value).splitlines()] == [
        "lrr", "steps", "lr", "act",
    ]  # fmt: skip


def test_a_fault_is_spoken_in_chinese():
    with pytest.raises(SettingError) as caught:
        build(Options, {"lr": 0}, prefix="optim.")
    with speaking("zh"):
        assert caught.value.localized() == "optim.lr：不能取 0，应为数字，大于 0，不大于 1。"


def test_a_long_value_is_cut_in_the_message():
    with pytest.raises(SettingError, match=r"act: x{57}\.\.\. is not allowed"):
        build(Options, {"act": "x" * 1000})


def test_a_rule_of_the_class_words_its_own_fault():
    @config
    class Window:
        low: int = setting(0, help="low")
        high: int = setting(9, help="high")

        def __post_init__(self) -> None:
            if self.low > self.high:
                raise ValueError("low is above high")

    with pytest.raises(SettingError, match=r"^window: low is above high$"):
        build(Window, {"low": 10}, prefix="window.")


def test_a_config_is_frozen_and_keyword_only():
    with pytest.raises(AttributeError):
        Options().lr = 3
    with pytest.raises(ValueError, match="positional"):
        Options(0.5)


def test_a_field_says_what_it_is():
    fields = {each.name: each for each in settings_of(Options)}
    assert fields["lr"].range == "above 0, at most 1"
    assert fields["lr"].search == (1e-4, 1)
    assert fields["lr"].unit == "1/step"
    assert fields["act"].choices == ("relu", "tanh")
    assert fields["weights"].choices == ()
    assert fields["steps"].default is None


@pytest.mark.parametrize("each", settings_of(Options), ids=lambda each: each.name)
def test_the_values_just_outside_the_range_are_refused(each):
    for bad in each.bad_values():
        with pytest.raises(SettingError):
            build(Options, {each.name: bad})


def test_flat_and_nested_are_inverse():
    tree = {"epochs": 3, "optim": {"name": "sgd", "deep": {"x": 1}}}
    assert nest(flatten(tree)) == tree


def test_a_name_that_is_value_and_group_is_refused():
    with pytest.raises(SettingError, match="as one value and as a group"):
        nest({"optim": "sgd", "optim.lr": 0.1})
    with pytest.raises(SettingError, match="as one value and as a group"):
        nest({"optim.lr": 0.1, "optim": "sgd"})


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "none"), (False, "false"), (1e-05, "1e-05"), ({"a": [1, None]}, "{a: [1, none]}")],
)
def test_values_are_shown_as_they_are_typed(value, text):
    assert show(value) == text


def test_none_is_said_once_where_it_is_a_choice_and_an_absence():
    @config
    class Options:
        norm: Literal["batch", "none"] | None = setting(None, help="a norm")

    (norm,) = settings_of(Options)
    assert str(norm.expected) == "one of batch, none"
