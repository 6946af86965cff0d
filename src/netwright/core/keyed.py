"""Keyed randomness: every random choice is a function of integers, never of a hidden state.

The order of samples is a function of (seed, epoch), an augmentation of (seed, epoch, index),
dropout of (seed, step). So a run can go on from any step knowing one number, its position, and
gives the same bits with any number of workers. Nothing here knows torch: who needs a torch
generator seeds it from `key`.

The mixing function is the finaliser of SplitMix64 (Steele, Lea & Flood 2014, "Fast splittable
pseudorandom number generators"), folded over the parts of the key.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Uint64Array: TypeAlias = npt.NDArray[np.uint64]

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15
_MIX1 = 0xBF58476D1CE4E5B9
_MIX2 = 0x94D049BB133111EB


def key(*parts: int | str) -> int:
    """One 63-bit integer from the parts; a different part anywhere gives an unrelated key.

    >>> key(0, "dropout", 17) == key(0, "dropout", 17), key(0, 1) == key(1, 0)
    (True, False)
    """
    state = len(parts)
    for part in parts:
        state = _mix((state + _GOLDEN) & _MASK ^ _number(part))
    return state >> 1


def bits(indices: npt.ArrayLike, *parts: int | str) -> Uint64Array:
    """64 random bits for each index, a function of (index, parts) alone.

    `indices`: integers of any shape; the result has the same shape. Negative ones are refused.
    """
    values = np.asarray(indices)
    if values.size and int(values.min()) < 0:
        raise ValueError("indices of a keyed draw are counted from 0")
    return _scrambled(values, np.uint64(key(*parts)))


def _scrambled(values: npt.NDArray[Any], base: Any) -> Uint64Array:
    """64 bits for each of `values`, under `base` or the one that broadcasting gives it."""
    with np.errstate(over="ignore"):
        state = values.astype(np.uint64) * np.uint64(_GOLDEN) + base
        state = (state ^ (state >> np.uint64(30))) * np.uint64(_MIX1)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(_MIX2)
        # A second round: neighbouring indices under one key must not show a pattern.
        state = (state ^ (state >> np.uint64(31))) + base
        state = (state ^ (state >> np.uint64(30))) * np.uint64(_MIX1)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(_MIX2)
        mixed: Uint64Array = state ^ (state >> np.uint64(31))
    return mixed


def uniform(indices: npt.ArrayLike, *parts: int | str) -> npt.NDArray[np.float64]:
    """A number in [0, 1) for each index, a function of (index, parts) alone."""
    return _unit(bits(indices, *parts))


def uniforms(
    indices: npt.NDArray[np.int64], lanes: Sequence[str], *parts: int | str
) -> npt.NDArray[np.float64]:
    """`uniform(indices, *parts, lane)` for each of `lanes`, (lanes, N), in one pass: a batch is
    so short that the passes cost and not its length.

    >>> both = uniforms(np.arange(5), ["flip", "crop-x"], 0, 1)
    >>> bool((both[1] == uniform(np.arange(5), 0, 1, "crop-x")).all())
    True
    """
    if len(indices) and int(indices.min()) < 0:
        raise ValueError("indices of a keyed draw are counted from 0")
    bases = np.array([[key(*parts, lane)] for lane in lanes], np.uint64)
    return _unit(_scrambled(indices, bases))


def integers(
    indices: npt.ArrayLike, low: int, high: int, *parts: int | str
) -> npt.NDArray[np.int64]:
    """An integer in [low, high] (both ends included) for each index."""
    if high < low:
        raise ValueError(f"empty range [{low}, {high}]")
    return whole(uniform(indices, *parts), low, high)


def whole(draws: npt.NDArray[np.float64], low: int, high: int) -> npt.NDArray[np.int64]:
    """Draws from [0, 1) as integers in [low, high]."""
    return low + np.floor(draws * (high - low + 1)).astype(np.int64)


def permutation(count: int, *parts: int | str) -> npt.NDArray[np.int64]:
    """The numbers 0 .. count-1 in an order that is a function of the parts.

    Sorting hashes, rather than a library's shuffle, keeps the order the same for every version
    of every library.
    """
    return np.argsort(bits(np.arange(count), "order", *parts), kind="stable").astype(np.int64)


def _unit(mixed: Uint64Array) -> npt.NDArray[np.float64]:
    unit: npt.NDArray[np.float64] = (mixed >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return unit


def _number(part: int | str) -> int:
    return _hash(part) if isinstance(part, str) else int(part) & _MASK


@functools.lru_cache(maxsize=256)  # the names of lanes are few, and asked for at each step
def _hash(name: str) -> int:
    number = 0xCBF29CE484222325  # FNV-1a, so that a lane can have a readable name
    for byte in name.encode():
        number = ((number ^ byte) * 0x100000001B3) & _MASK
    return number


def _mix(state: int) -> int:
    state = ((state ^ (state >> 30)) * _MIX1) & _MASK
    state = ((state ^ (state >> 27)) * _MIX2) & _MASK
    return state ^ (state >> 31)
