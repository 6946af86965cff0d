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
from typing import TypeAlias

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
    base = np.uint64(key(*parts))
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
    return (bits(indices, *parts) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def integers(
    indices: npt.ArrayLike, low: int, high: int, *parts: int | str
) -> npt.NDArray[np.int64]:
    """An integer in [low, high] (both ends included) for each index."""
    if high < low:
        raise ValueError(f"empty range [{low}, {high}]")
    return low + np.floor(uniform(indices, *parts) * (high - low + 1)).astype(np.int64)


def permutation(count: int, *parts: int | str) -> npt.NDArray[np.int64]:
    """The numbers 0 .. count-1 in an order that is a function of the parts.

    Sorting hashes, rather than a library's shuffle, keeps the order the same for every version
    of every library.
    """
    return np.argsort(bits(np.arange(count), "order", *parts), kind="stable").astype(np.int64)


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
