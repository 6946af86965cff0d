"""A digest of the code that finds and heals, so that lines of different states are not mixed."""

from __future__ import annotations

import hashlib
from pathlib import Path


def source() -> str:
    digest = hashlib.sha256()
    root = Path(__file__).resolve().parent.parent.parent / "src" / "netwright"
    for folder in ("doctor", "records"):
        for path in sorted((root / folder).rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]
