"""What a command may put where: the result on standard output, all else on standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from netwright.core.cells import pad
from netwright.core.escaping import terminal
from netwright.core.languages import say


@dataclass(kw_only=True)
class Call:
    """One call of a command: its settings, and how it was asked to speak."""

    settings: tuple[str, ...] = ()
    json: bool = False
    quiet: bool = False
    verbose: bool = False
    behind: tuple[str, ...] = ()
    """What stands behind a script's name: it belongs to the script."""
    errors: tuple[str | None, ...] = ()
    """How standard output and standard error took letters they lack, before this command."""
    ends_process: bool = False
    """Whether this is the command line of the process, which ends with it."""
    line: str = "netwright"
    """The command line as it was typed, for `run.json`."""
    found: Mapping[str, Any] = field(default_factory=dict)
    """What a command that fails has found out all the same: part of the document of its failure."""
    run_folder: Path | None = None
    """The run this call has opened, once it has: where the traceback of a fault of ours goes."""

    def result(self, document: Mapping[str, Any], lines: Iterable[str]) -> None:
        """The one thing a command exists for: `document` under `--json`, else `lines`."""
        if self.json:
            print_document(document)
        else:
            for line in lines:
                print(line)
        sys.stdout.flush()

    def note(self, word: str, template: str, **values: Any) -> None:
        """A line for the person at the screen; `--quiet` drops it."""
        if not self.quiet:
            safe = {name: terminal(value) for name, value in values.items()}
            print(f"{pad(word, 6)}{say(template, **safe)}", file=sys.stderr)


def print_document(document: Mapping[str, Any]) -> None:
    """Exactly one JSON document on standard output; a number that is not one becomes null."""
    text = json.dumps(
        {"format": 1, **_plain(document)}, ensure_ascii=False, allow_nan=False, indent=2
    )
    print(text.encode("utf-8", "backslashreplace").decode("utf-8"))


def _plain(value: Any) -> Any:
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(each) for each in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return _plain(value.item()) if hasattr(value, "item") else str(value)
