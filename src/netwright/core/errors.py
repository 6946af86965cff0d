"""The error tree: every failure a user can meet, with the exit status it ends a command with.

    NetwrightError            1  a fault in Netwright itself
    ├── SettingError          2  wrong command or setting
    │   └── UnknownNameError  2  a name nobody registered
    ├── DataError             3  missing, corrupt or unfit data
    │   └── CheckpointError   3  no checkpoint that verifies
    ├── CheckFailedError      4  a check that was asked for did not pass
    ├── DivergedError         5  training left the finite numbers
    ├── ExhaustedError        6  disk or memory is used up, or the disk cannot be written
    ├── RunBusyError          7  another process holds the run folder
    └── InterruptedRunError   130 or 143  stopped by a signal, can be resumed
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

from netwright.core.languages import say


class NetwrightError(Exception):
    """What was wrong, what was expected and how to mend it.

    `template` is an English sentence with `{name}` places and `hint` the way out, also a
    template; `values` fill both. `str(error)` is English, for logs and for Python;
    `error.localized()` is the same in the language of the user, for the screen.
    """

    exit_code = 1

    def __init__(self, template: str, *, hint: str = "", **values: Any) -> None:
        self.template = template
        self.hint = hint
        self.values = values
        super().__init__(self._text(lambda text, **known: text.format(**known)))

    def localized(self) -> str:
        """The message in the language of the user."""
        return self._text(say)

    def _text(self, speak: Any) -> str:
        parts = [speak(part, **self.values) for part in (self.template, self.hint) if part]
        return "\n".join(parts)

    def __reduce__(self) -> tuple[Any, ...]:
        # Worker processes hand errors over by pickle, which knows positional arguments only.
        return _rebuild, (type(self), self.template, self.hint, self.values)


def _rebuild(
    kind: type[NetwrightError], template: str, hint: str, values: dict[str, Any]
) -> NetwrightError:
    return kind(template, hint=hint, **values)


class SettingError(NetwrightError):
    exit_code = 2


class UnknownNameError(SettingError):
    """A name nobody registered; the message carries the nearest known ones."""

    def __init__(
        self, kind: str, name: str, known: Iterable[str], *, listing: str = ""
    ) -> None:
        near = nearest(name, known)
        template = 'No {kind} called "{name}".'
        hint = "Nearest: {near}." if near else "Known: {known}."
        if listing:
            hint += "\nList them: {listing}"
        super().__init__(
            template,
            hint=hint,
            kind=kind,
            name=name,
            near=", ".join(near),
            known=", ".join(sorted(known)) or "-",
            listing=listing,
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild_unknown, (self.template, self.hint, self.values)


def _rebuild_unknown(template: str, hint: str, values: dict[str, Any]) -> NetwrightError:
    error = UnknownNameError.__new__(UnknownNameError)
    NetwrightError.__init__(error, template, hint=hint, **values)
    return error


class DataError(NetwrightError):
    exit_code = 3


class CheckpointError(DataError):
    exit_code = 3


class CheckFailedError(NetwrightError):
    exit_code = 4


class DivergedError(NetwrightError):
    exit_code = 5


class ExhaustedError(NetwrightError):
    exit_code = 6


class RunBusyError(NetwrightError):
    exit_code = 7


class InterruptedRunError(NetwrightError):
    """A signal ended the run after its last step was saved; `exit_code` is 128 + the signal."""

    def __init__(self, template: str, *, exit_code: int, hint: str = "", **values: Any) -> None:
        super().__init__(template, hint=hint, **values)
        self.exit_code = exit_code


def nearest(name: str, known: Iterable[str], *, count: int = 3) -> list[str]:
    """The known names most like `name`, best first; those that begin with it or end in it count.

    >>> nearest("resnet8", ["resnet20", "lenet5", "resnet56"])
    ['resnet20', 'resnet56']
    """
    names = sorted(set(known))
    folded = {fold(each): each for each in names}
    close = difflib.get_close_matches(fold(name), folded, n=count, cutoff=0.6)
    found = [folded[each] for each in close]
    wanted = fold(name)
    if len(wanted) > 1:
        found += [e for e in names if e not in found and fold(e).startswith(wanted)]
    return found[:count]


def fold(name: str) -> str:
    """A name as it is compared: `-` and `_` and any case are equal."""
    return name.strip().lower().replace("_", "-")
