"""The values of the settings: sizes per axis, paddings, and their checks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, ClassVar, Literal, TypeAlias, TypeVar

from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from netwright.arithmetic.calculations import missing_settings
from netwright.arithmetic.sizes import Padding
from netwright.core.errors import SettingError

T = TypeVar("T")

MOST = 1_000_000
"""No axis, kernel or channel count is larger."""


class PerAxis(tuple[int, ...]):
    """Whole numbers: one for all axes, or one for each (`224` or `224x112`)."""

    least: ClassVar[int] = 0
    in_words: ClassVar[str]

    def __str__(self) -> str:
        return "x".join(map(str, self))

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(cls._read)

    @classmethod
    def _read(cls, value: Any) -> PerAxis:
        parts = value if isinstance(value, tuple | list) else re.split(r"[x×,]", str(value))
        if not 1 <= len(parts) <= 4:
            raise PydanticCustomError("axes", "one to four numbers")
        return cls(_number(each, cls.least) for each in parts)


class Extent(PerAxis):
    """Sizes, kernels, strides and rates: from 1."""

    least = 1
    in_words = "a whole number from 1 to 1000000 (or one for each axis, such as 7x5)"


class Amount(PerAxis):
    """What may be nothing: from 0."""

    in_words = "a whole number from 0 to 1000000 (or one for each axis, such as 1x2)"


class Margins(tuple[Padding, ...]):
    """What is added before and behind, for each axis: `1`, `1x2`, or `0:1` where they differ."""

    in_words = (
        "a whole number from 0 to 1000000 (or one for each axis, such as 1x2, or before:after, "
        "such as 0:1)"
    )

    def __str__(self) -> str:
        return margins(self)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(cls._read)

    @classmethod
    def _read(cls, value: Any) -> Margins:
        if isinstance(value, cls):
            return value
        parts = value if isinstance(value, tuple | list) else re.split(r"[x×,]", str(value))
        pairs = [each if isinstance(each, tuple) else str(each).split(":") for each in parts]
        if not 1 <= len(pairs) <= 3 or any(len(pair) > 2 for pair in pairs):
            raise PydanticCustomError("axes", "one to three numbers or pairs")
        return cls((_number(pair[0], 0), _number(pair[-1], 0)) for pair in pairs)


def _number(text: Any, least: int) -> int:
    if isinstance(text, bool) or not re.fullmatch(r"[0-9]{1,12}", str(text).strip()):
        raise PydanticCustomError("axes", "a whole number")
    if not least <= int(text) <= MOST:
        raise PydanticCustomError("axes", "out of range")
    return int(text)


AnyOf: TypeAlias = Literal["any"]


def margins(pairs: Sequence[Padding]) -> str:
    """As it is typed, and once where all axes have the same.

    >>> margins([(1, 1), (1, 1)]), margins([(0, 1), (2, 2)])
    ('1', '0:1x2')
    """
    parts = [str(before) if before == after else f"{before}:{after}" for before, after in pairs]
    return parts[0] if len(set(parts)) == 1 else "x".join(parts)


def given(value: T | None, name: str, example: str) -> T:
    """`value`, or a `SettingError` that says it is missing."""
    if value is None:
        raise missing_settings([name], example)
    return value


def per_axis(values: Sequence[T], dims: int, name: str) -> tuple[T, ...]:
    """One value for each of `dims` axes; one alone is for all."""
    if len(values) == 1:
        return tuple(values) * dims
    if len(values) != dims:
        raise SettingError(
            "{name} has {count} numbers, but there are {dims} axes.",
            hint="Give one for all axes, or one for each. dims=1, dims=2 or dims=3 sets how many "
            "axes there are.",
            name=name,
            count=len(values),
            dims=dims,
        )
    return tuple(values)


def sample(
    shape: Sequence[int] | None, dims: int, channels: int | None, name: str = "in_channels"
) -> tuple[int | None, tuple[int, ...] | None]:
    """Channels and sizes of one input: `input=3x224x224` has both, `input=224` is a square."""
    if shape is None:
        return channels, None
    if len(shape) == dims + 1:
        if channels not in (None, shape[0]):
            raise SettingError(
                "input={shape} has {found} channels, but {name}={channels}.",
                hint="Leave one of them out. dims=3 reads it as a volume without channels."
                if dims == 2
                else "Leave one of them out.",
                shape=Extent(shape),
                found=shape[0],
                name=name,
                channels=channels,
            )
        return shape[0], tuple(shape[1:])
    return channels, per_axis(shape, dims, "input")


def letters(dims: int, *, same: bool = False) -> list[str]:
    """What tells the axes apart in a formula: nothing where all are the same."""
    return [""] if same or dims == 1 else [f"_{letter}" for letter in "dhw"[-dims:]]
