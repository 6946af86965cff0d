"""An error of one rank in words that another rank can raise as its own."""

from __future__ import annotations

import json

from netwright.core import errors
from netwright.core.errors import NetwrightError


def write_failure(error: BaseException) -> str:
    """The error as JSON; of one that is not ours only what it says."""
    if not isinstance(error, NetwrightError):
        return json.dumps({"text": f"{type(error).__name__}: {error}"})
    return json.dumps(
        {
            "kind": type(error).__name__,
            "template": error.template,
            "hint": error.hint,
            "exit_code": error.exit_code,
            "values": {name: _plain(value) for name, value in error.values.items()},
        }
    )


def read_failure(data: bytes | str) -> NetwrightError:
    """The error again, marked as `of_other_rank`; one that is not ours is a fault."""
    told = json.loads(data)
    if "text" in told:
        error = NetwrightError("Another rank has failed: {text}", text=told["text"])
    else:
        kind = getattr(errors, told["kind"], NetwrightError)
        error = kind.__new__(kind)
        NetwrightError.__init__(error, told["template"], hint=told["hint"], **told["values"])
        error.exit_code = int(told["exit_code"])
    error.of_other_rank = True  # type: ignore[attr-defined]
    return error


def _plain(value: object) -> object:
    return value if isinstance(value, bool | int | float | list) else str(value)
