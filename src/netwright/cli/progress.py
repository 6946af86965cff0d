"""Progress of a run: one listener that draws what the loop announces on standard error.

On a terminal a live line tells where the run is, at most ten times a second; elsewhere there
are only whole lines, one an epoch, without colour or carriage returns. A step costs one look at
the clock: nothing is formatted and no tensor is read between two drawings.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TextIO

from netwright.cli.columns import pad, screen_width, width, wrap
from netwright.cli.screen import Call
from netwright.cli.transfer_line import LEAST_WANTED, TransferLine
from netwright.core import events as e
from netwright.core.escaping import terminal
from netwright.core.languages import escape_values, say

_EVERY = 0.1  # seconds between two drawings of the live line
_ROOMY = 60  # columns from which on the time left is told in two units
_COLOURS = {"OK": "32", "NOTE": "36", "WARN": "33", "STOP": "31"}


class Progress:
    """A listener; call `close` at the end, however the run ended.

    `call` decides how much is said (`--quiet` leaves only WARN and STOP) and learns the run
    folder from the note `run`.
    """

    def __init__(
        self,
        call: Call,
        *,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._call = call
        self._stream: TextIO | None = sys.stderr if stream is None else stream
        self._screen = self._stream.isatty()
        able = self._screen and os.environ.get("TERM") != "dumb"
        self._live = able and not call.quiet
        self._colour = able and not os.environ.get("NO_COLOR")
        self._clock = clock
        self._due = 0.0
        self._started = clock()
        self._run: e.RunStarted | None = None
        self._transfer: TransferLine | None = None
        self._columns: list[str] = []

    def __call__(self, event: e.Event) -> None:
        if isinstance(event, e.StepEnded):
            if self._live and self._clock() >= self._due:
                self._draw(event)
        elif isinstance(event, e.Noted):
            self._note(event)
        elif isinstance(event, e.Measured):
            self._row(event)
        elif isinstance(event, e.BytesCame):
            if self._live:
                self._draw_bytes(event)
        elif isinstance(event, e.RunStarted):
            self._begin(event)
        elif isinstance(event, e.CheckpointSaved):
            if self._call.verbose:
                self._line(say("saved  step {step}  {path}", step=event.step, path=event.path))
        else:
            self.close()

    def close(self) -> None:
        """Take the live line away, and a ^C that the terminal has written since."""
        if self._live and (self._run is not None or self._transfer is not None):
            self._write("\r\x1b[K")

    def _begin(self, event: e.RunStarted) -> None:
        self._run, self._started = event, self._clock()
        if event.resumed == "exact":
            template = "step {step}, exactly as if it had never stopped"
        else:
            template = "step {step}, {how}"
        if event.resumed:
            values = {"step": event.step, "how": event.resumed}
            self._note(e.Noted(word="from", template=template, values=values))

    def _note(self, note: e.Noted) -> None:
        if note.word == "run":
            self._call.run_folder = _folder(note.values)
        if not self._call.quiet or note.word in ("WARN", "STOP"):
            self._line(written(note, colour=self._colour))
        self._transfer = None  # a download is announced, and said to be here: the next is another

    def _draw_bytes(self, event: e.BytesCame) -> None:
        now = self._clock()
        if self._transfer is None:
            self._transfer = TransferLine(event.held, now=now)
        elif now < self._due:
            return
        self._due = now + _EVERY
        cells = _terminal_width()
        parts = self._transfer.parts(event.held, event.total, now=now)
        left = self._transfer.seconds_left(event.held, event.total, now=now)
        if left is not None:
            parts["left"] = say("{left} left", left=duration(left, brief=cells < _ROOMY))
        self._write("\r\x1b[K" + _fitted(parts, cells - 1 - len("^C"), LEAST_WANTED))

    def _draw(self, event: e.StepEnded) -> None:
        now = self._clock()
        self._due = now + _EVERY
        cells = _terminal_width()
        parts = {"step": say("step {step}", step=event.step)}
        if self._run is not None:
            taken, steps = event.step - self._run.step, self._run.steps
            per_epoch = self._run.steps_per_epoch
            if steps is not None:
                parts["step"] = say("step {step}/{steps}", step=event.step, steps=steps)
            if per_epoch is not None and steps is not None:
                epochs = -(-steps // per_epoch)
                first = say("epoch {epoch}/{epochs}", epoch=event.epoch, epochs=epochs)
                parts = {"epoch": first, **parts}
            if "loss" in event.values:
                parts["loss"] = say("loss {loss:.3f}", loss=float(event.values["loss"]))
            rate = taken / max(now - self._started, 1e-9)
            parts["rate"] = say("{rate:.3g} steps/s", rate=rate)
            if steps is not None and rate > 0:
                left = duration((steps - event.step) / rate, brief=cells < _ROOMY)
                parts["left"] = say("{left} left", left=left)
        self._write("\r\x1b[K" + _fitted(parts, cells - 1 - len("^C")))

    def _row(self, event: e.Measured) -> None:
        if self._call.quiet:
            return
        first = "epoch" if event.epoch else "step"
        if not self._columns:
            self._columns = [first, *self._shown(event.metrics)]
            if self._screen:
                self._columns = _narrowed(self._columns, _terminal_width())
            heads = [(_HEADS.get(each, each), _width(each)) for each in self._columns]
            self._line("  ".join(pad(head, cells, right=True) for head, cells in heads))
        cells = {first: str(event.epoch or event.step)}
        cells |= {name: _cell(name, event.metrics) for name in self._columns[1:]}
        row = "  ".join(pad(cells[name], _width(name), right=True) for name in self._columns)
        best = f"   {_painted('best', '1', self._colour)}" if event.best else ""
        self._line(row + best)

    def _shown(self, metrics: Mapping[str, float | None]) -> list[str]:
        """The columns: losses, the metric the run is judged by, rate, seconds, share of waiting."""
        goal = getattr(getattr(self._run, "task", None), "goal", None)
        wanted = ["train/loss", "val/loss", getattr(goal, "metric", "val/acc1"), "lr/g0"]
        shown = [name for name in dict.fromkeys(wanted) if name in metrics]
        return shown + [name for name in ("time/epoch_s", "time/data_s") if name in metrics]

    def _line(self, text: str) -> None:
        self.close()
        self._write(text + "\n")

    def _write(self, text: str) -> None:
        if self._stream is None:
            return
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):
            self._stream = None  # whoever read along has gone; the run goes on


def written(note: e.Noted, *, colour: bool = False) -> str:
    """A note as lines for the screen, its values escaped: `WARN  2 files cannot be read`."""
    text = say(note.template, **escape_values(note.values, terminal))
    first, *more = [line for part in text.split("\n") for line in wrap(part, screen_width() - 6)]
    word = _painted(note.word, _COLOURS.get(note.word, ""), colour)
    word += " " * max(1, 6 - len(note.word))  # colour codes take no cells
    return "\n".join([f"{word}{first}", *(" " * 6 + line for line in more)])


def duration(seconds: float, *, brief: bool = False) -> str:
    """A time for people, in two units at most, `brief` in one.

    >>> duration(4.2), duration(75), duration(5400), duration(5400, brief=True)
    ('4 s', '1 min 15 s', '1 h 30 min', '1.5 h')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min" if brief else f"{whole // 60} min {whole % 60} s"
    return f"{whole / 3600:.1f} h" if brief else f"{whole // 3600} h {whole % 3600 // 60} min"


_HEADS = {"lr/g0": "lr", "time/epoch_s": "s", "time/data_s": "data%"}
_WIDTHS = {"lr/g0": 8, "time/epoch_s": 5}


def _width(name: str) -> int:
    return max(_WIDTHS.get(name, 0), len(_HEADS.get(name, name)))


def _narrowed(columns: list[str], cells: int) -> list[str]:
    """The columns that have room beside the word `best`, the least wanted left out first."""
    columns = list(columns)
    for name in ("time/data_s", "time/epoch_s", "lr/g0", "train/loss", "val/loss"):
        if sum(_width(each) + 2 for each in columns) - 2 + _BEST <= cells:
            break
        if name in columns and len(columns) > 2:
            columns.remove(name)
    return columns


_BEST = len("   best")


def _cell(name: str, metrics: Mapping[str, float | None]) -> str:
    value = metrics.get(name)
    if value is None:
        return "-"
    if name == "time/data_s":
        whole = value + (metrics.get("time/step_s") or 0.0)
        return f"{100 * value / whole:.0f}" if whole > 0 else "-"
    if name == "time/epoch_s":
        return f"{value:.0f}" if value >= 10 else f"{value:.1f}"
    if name.startswith("lr/"):
        return f"{value:.3g}"
    return f"{value:.3f}" if abs(value) < 1e4 else f"{value:.2e}"


def _painted(text: str, colour: str, wanted: bool) -> str:
    return f"\x1b[{colour}m{text}\x1b[0m" if wanted and colour else text


def _folder(values: Mapping[str, object]) -> Path | None:
    for value in values.values():
        if isinstance(value, str | Path) and Path(value).is_dir():
            return Path(value)
    return None


def _terminal_width() -> int:
    try:
        return int(os.environ["COLUMNS"])
    except (KeyError, ValueError):
        try:
            return os.get_terminal_size(sys.stderr.fileno()).columns or 80  # 0: it was never set
        except (OSError, ValueError):
            return 80


def _fitted(
    parts: Mapping[str, str],
    cells: int,
    least_wanted: Sequence[str] = ("rate", "step", "loss", "epoch"),
) -> str:
    """The parts of the live line that have room, the least wanted left out first."""
    kept = dict(parts)
    for name in least_wanted:
        if width("  ".join(kept.values())) <= cells:
            break
        if name in kept and len(kept) > 1:
            del kept[name]
    return _cut("  ".join(kept.values()), cells)


def _cut(text: str, cells: int) -> str:
    while width(text) > max(cells, 1):
        text = text[:-1]
    return text
