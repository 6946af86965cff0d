"""Finished cells of a benchmark, one JSON line each, so that a run can be stopped and go on.

The first line is the set-up: machine, versions, settings. Lines measured under another set-up
are not mixed with new ones: the file must be moved away, or the benchmark told to start afresh.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class Cells:
    """The lines of one file, by the name of the cell."""

    def __init__(self, path: Path, setup: Mapping[str, Any], *, fresh: bool = False) -> None:
        self.path = path
        self.found: dict[str, dict[str, Any]] = {}
        if fresh:
            path.unlink(missing_ok=True)
        lines = _read(path)
        if not lines:
            self._append({"setup": dict(setup)})
        elif lines[0].get("setup") != dict(setup):
            raise SystemExit(
                f"{path} was measured under another set-up:\n  {lines[0].get('setup')}\n"
                f"now:\n  {dict(setup)}\nUse --fresh to start again."
            )
        for line in lines[1:]:
            self.found[line.pop("cell")] = line

    def __contains__(self, cell: str) -> bool:
        return cell in self.found

    def add(self, cell: str, values: Mapping[str, Any]) -> None:
        self.found[cell] = dict(values)
        self._append({"cell": cell, **values})

    def _append(self, line: Mapping[str, Any]) -> None:
        with self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")
            file.flush()
            os.fsync(file.fileno())


def lines_of(path: Path) -> dict[str, dict[str, Any]]:
    """The lines of a file, whatever machine measured them: for what does not depend on it."""
    return {line.pop("cell"): line for line in _read(path)[1:]}


def machine() -> dict[str, Any]:
    """What the numbers depend on besides the code."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _read(path: Path) -> list[dict[str, Any]]:
    """The whole lines; a torn one at the end is cut off, so that the next begins its own line."""
    if not path.exists():
        return []
    text = path.read_bytes()
    whole = text[: text.rfind(b"\n") + 1]
    if whole != text:
        path.write_bytes(whole)
    return [json.loads(line) for line in whole.splitlines()]
