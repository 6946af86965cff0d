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
├── RankLostError         8  one of several processes of a run has ended or is silent
└── InterruptedRunError   130 or 143  stopped by a signal, can be resumed
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from typing import Any

from netwright.core.languages import Phrase, Series


class NetwrightError(Exception):
    """What was wrong, what was expected and how to mend it.

    `template` is an English sentence with `{name}` places and `hint` the way out, also a
    template; `values` fill both. `str(error)` is English, for logs and for Python;
    `error.localized()` is the same in the language of the user, for the screen. A value may
    be a `Phrase` or a `Series` of them: it is spoken when the whole is.

    >>> print(DataError("No image in {path}.", hint="Expected PNG files.", path="a/"))
    No image in a/.
    Expected PNG files.
    """

    exit_code = 1

    def __init__(self, template: str, /, *, hint: str = "", **values: Any) -> None:
        self.template = template
        self.hint = hint
        self.values = values
        super().__init__(str(self.phrase))

    @property
    def phrase(self) -> Series:
        """The message to be spoken inside another one."""
        return Series(Phrase(part, **self.values) for part in (self.template, self.hint) if part)

    def localized(self, *, escape: Callable[[object], str] = str) -> str:
        """The message in the language of the user, each value passed through `escape`
        (`escaping.terminal` for the screen, `escaping.html_text` for a page)."""
        return self.phrase.escaped(escape).localized()

    def __reduce__(self) -> tuple[Any, ...]:
        # Worker processes hand errors over by pickle, which would call the class again with
        # what `Exception` remembers; a subclass may be made from quite other arguments.
        return _rebuild, (type(self), vars(self))


def _rebuild(kind: type[NetwrightError], state: dict[str, Any]) -> NetwrightError:
    error = kind.__new__(kind)
    NetwrightError.__init__(error, state["template"], hint=state["hint"], **state["values"])
    vars(error).update(state)
    return error


class SettingError(NetwrightError):
    exit_code = 2


class UnknownNameError(SettingError):
    """A name nobody registered; the message carries the nearest known ones.

    >>> print(UnknownNameError("model", "resnet21", ["lenet5", "resnet20"]))
    No model called "resnet21".
    Nearest: resnet20.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str], *, listing: str = "") -> None:
        known = sorted(set(known))
        near = nearest(name, known)
        if listing:
            hint = (
                "Nearest: {near}.\nList them: {listing}"
                if near
                else "Known: {known}.\nList them: {listing}"
            )
        else:
            hint = "Nearest: {near}." if near else "Known: {known}."
        super().__init__(
            'No {kind} called "{name}".',
            hint=hint,
            kind=Phrase(kind),
            name=name,
            near=", ".join(near),
            known=", ".join(known[:_SHOWN]) + (", ..." if len(known) > _SHOWN else "") or "-",
            listing=listing,
        )


_SHOWN = 20  # more names than this are a list to look at, not a hint


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


class RankLostError(NetwrightError):
    exit_code = 8


class InterruptedRunError(NetwrightError):
    """A signal ended the run after its last step was saved; `exit_code` is 128 + the signal."""

    def __init__(self, template: str, /, *, exit_code: int, hint: str = "", **values: Any) -> None:
        super().__init__(template, hint=hint, **values)
        self.exit_code = exit_code


def nearest(name: str, known: Iterable[str], *, count: int = 3) -> list[str]:
    """The known names most like `name`, best first, then those that begin with it.

    A name much less like it than the best one is no help and is left out.

    >>> nearest("resnet8", ["resnet20", "lenet5", "resnet56"])
    ['resnet20', 'resnet56']
    """
    wanted = fold(name)
    likeness = {
        each: difflib.SequenceMatcher(None, fold(each), wanted).ratio() for each in set(known)
    }
    best = max(likeness.values(), default=0.0)
    close = [each for each, ratio in likeness.items() if ratio >= max(0.6, best - 0.15)]
    close.sort(key=lambda each: (-likeness[each], each))
    if len(wanted) > 1:
        close += [e for e in sorted(likeness) if e not in close and fold(e).startswith(wanted)]
    return close[:count]


def fold(name: object) -> str:
    """A name as it is compared: `-` and `_` and any case are equal. What is no text, which Python
    code may give for a name, is compared as it is written, and so is unknown."""
    return str(name).strip().lower().replace("_", "-")
