"""Which third is held out: a fixed hash of the name decides, for faults, kinds and set-ups alike.

Who tunes a condition never sees the findings of a held-out cell; `run.py` does not show them unless
asked by `--part held-out`. A fault made of two is held out where either of them is.

The third is one of what was there when it was first measured. Faults and kinds that were written
since, by people who then looked at what the doctor says of them, belong to the open part: they have
names that say so.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Literal

Part = Literal["tune", "held-out"]


def part_of(names: Iterable[str]) -> Part:
    """
    >>> part_of(["learning-rate-too-high"]) in ("tune", "held-out")
    True
    """
    return "held-out" if any(_hashed(name) % 3 == 0 for name in names) else "tune"


def _hashed(name: str) -> int:
    return int.from_bytes(hashlib.sha256(f"netwright doctor {name}".encode()).digest()[:8], "big")
