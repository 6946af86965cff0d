"""Progress: whole lines for a log, one live line for a person, nothing that slows a step."""

import io
from types import SimpleNamespace

import pytest

from netwright.cli.progress import Progress, duration, written
from netwright.cli.screen import Call
from netwright.core.events import (
    CheckpointSaved,
    Measured,
    Noted,
    RunEnded,
    RunStarted,
    StepEnded,
)

METRICS = {
    "train/loss": 1.412, "val/loss": 1.19, "val/acc1": 0.5123, "lr/g0": 0.048,
    "time/data_s": 0.01, "time/step_s": 0.1, "time/epoch_s": 131.2, "grad/norm": 3.0,
}  # fmt: skip


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Unread(io.StringIO):
    """A tensor on a device is costly to read; a closed pipe cannot be written."""

    def write(self, text: str) -> int:
        raise BrokenPipeError


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def started(**changes) -> RunStarted:
    task = SimpleNamespace(goal=SimpleNamespace(metric="val/acc1"))
    return RunStarted(**{"task": task, "step": 0, "steps": 40, "steps_per_epoch": 20, **changes})


def step(number: int, loss: object = 0.5) -> StepEnded:
    return StepEnded(
        step=number, epoch=-(-number // 20), batch=None, values={"loss": loss},
        data_seconds=0.0, step_seconds=0.1,
    )  # fmt: skip


def measured(epoch: int, **changes) -> Measured:
    return Measured(**{"step": 20 * epoch, "epoch": epoch, "metrics": METRICS, **changes})


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_log_gets_one_line_an_epoch_without_colour_or_carriage_returns(clock):
    log = io.StringIO()
    progress = Progress(Call(), stream=log, clock=clock)
    for event in [
        started(), step(1), measured(1, best=True), step(21), measured(2),
        RunEnded(step=40, status="done", why=""),
    ]:  # fmt: skip
        progress(event)
        clock.now += 1
    assert log.getvalue() == (
        "epoch  train/loss  val/loss  val/acc1        lr      s  data%\n"
        "    1       1.412     1.190     0.512     0.048    131      9   best\n"
        "    2       1.412     1.190     0.512     0.048    131      9\n"
    )


def test_the_column_of_the_goal_is_what_the_run_is_judged_by(clock):
    log = io.StringIO()
    progress = Progress(Call(), stream=log, clock=clock)
    progress(started(task=SimpleNamespace(goal=SimpleNamespace(metric="val/miou"))))
    progress(measured(1, metrics={"train/loss": 1.0, "val/miou": 0.25}))
    assert log.getvalue().split() == ["epoch", "train/loss", "val/miou", "1", "1.000", "0.250"]


def test_a_task_without_epochs_counts_steps(clock):
    log = io.StringIO()
    progress = Progress(Call(), stream=log, clock=clock)
    progress(started(steps_per_epoch=None, task=SimpleNamespace(goal=None)))
    progress(measured(0, step=500, metrics={"train/loss": 1.0}))
    assert log.getvalue().split() == ["step", "train/loss", "500", "1.000"]


def test_a_value_that_was_not_finite_is_a_dash(clock):
    log = io.StringIO()
    progress = Progress(Call(), stream=log, clock=clock)
    progress(measured(1, metrics={"train/loss": None, "val/loss": 123456.0}))
    assert log.getvalue().splitlines()[1].split() == ["1", "-", "1.23e+05"]


def test_a_terminal_gets_a_live_line_with_the_time_left(clock):
    screen = Terminal()
    progress = Progress(Call(), stream=screen, clock=clock)
    progress(started())
    clock.now += 2
    progress(step(4, loss=0.705))
    assert screen.getvalue() == ("\r\x1b[Kepoch 1/2  step 4/40  loss 0.705  2 steps/s  18 s left")


def test_the_live_line_is_taken_away_before_a_whole_line(clock, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    screen = Terminal()
    progress = Progress(Call(), stream=screen, clock=clock)
    progress(started())
    progress(step(1))
    progress(Noted(word="NOTE", template="Something."))
    assert screen.getvalue().endswith("\r\x1b[KNOTE  Something.\n")


def test_the_live_line_never_wraps(clock, monkeypatch):
    monkeypatch.setenv("COLUMNS", "30")
    screen = Terminal()
    progress = Progress(Call(), stream=screen, clock=clock)
    progress(started())
    progress(step(1))
    assert len(screen.getvalue().removeprefix("\r\x1b[K")) <= 27


def test_a_narrow_live_line_keeps_epoch_loss_and_time_left(clock, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    screen = Terminal()
    progress = Progress(Call(), stream=screen, clock=clock)
    progress(started(steps=4000))
    clock.now += 2
    progress(step(4, loss=0.705))
    assert screen.getvalue() == "\r\x1b[Kepoch 1/200  loss 0.705  33 min left"


def test_a_narrow_table_leaves_columns_out_instead_of_wrapping(clock, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("NO_COLOR", "1")
    screen = Terminal()
    Progress(Call(), stream=screen, clock=clock)(measured(1, best=True))
    head, row = screen.getvalue().splitlines()
    assert head.split() == ["epoch", "val/loss", "val/acc1"]
    assert row.endswith("best")
    assert max(len(head), len(row)) <= 40


def test_what_the_terminal_writes_for_ctrl_c_is_cleared_before_the_next_line(clock, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    screen = Terminal()
    progress = Progress(Call(), stream=screen, clock=clock)
    progress(started())
    progress(Noted(word="NOTE", template="Something."))
    screen.write("^C")
    progress(Noted(word="STOP", template="Interrupted."))
    assert screen.getvalue().endswith("^C\r\x1b[KSTOP  Interrupted.\n")


def test_at_most_ten_drawings_a_second_and_no_value_is_read_between_them(clock):
    class Loss:
        reads = 0

        def __float__(self) -> float:
            Loss.reads += 1
            return 0.5

    screen = Terminal()
    progress = Progress(Call(), stream=screen, clock=clock)
    progress(started(steps=1000))
    for number in range(1, 1001):
        clock.now += 0.001
        progress(step(number, Loss()))
    assert Loss.reads == screen.getvalue().count("\r") <= 11


def test_a_log_reads_no_value_of_a_step(clock):
    progress = Progress(Call(), stream=io.StringIO(), clock=clock)
    progress(started())
    progress(step(1, loss=None))  # float(None) would raise


@pytest.mark.parametrize(("variable", "value"), [("TERM", "dumb")])
def test_a_terminal_that_knows_no_codes_is_a_log(clock, monkeypatch, variable, value):
    monkeypatch.setenv(variable, value)
    screen = Terminal()
    progress = Progress(Call(), stream=screen, clock=clock)
    progress(started())
    progress(step(1))
    assert screen.getvalue() == ""


def test_words_are_coloured_on_a_terminal_unless_no_color_is_set(clock, monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    screen = Terminal()
    Progress(Call(), stream=screen, clock=clock)(Noted(word="WARN", template="Hot."))
    assert screen.getvalue() == "\x1b[33mWARN\x1b[0m  Hot.\n"
    monkeypatch.setenv("NO_COLOR", "1")
    screen = Terminal()
    Progress(Call(), stream=screen, clock=clock)(Noted(word="WARN", template="Hot."))
    assert screen.getvalue() == "WARN  Hot.\n"


def test_quiet_leaves_warnings_only(clock):
    screen = Terminal()
    progress = Progress(Call(quiet=True), stream=screen, clock=clock)
    for event in [
        started(), step(1), measured(1),
        Noted(word="plan", template="5 epochs"), Noted(word="NOTE", template="Guessed."),
    ]:  # fmt: skip
        progress(event)
    assert screen.getvalue() == ""
    progress(Noted(word="STOP", template="Too hot."))
    assert "Too hot." in screen.getvalue()


def test_verbose_tells_of_checkpoints(clock):
    log = io.StringIO()
    saved = CheckpointSaved(step=20, path="ckpt/step-000000020")
    Progress(Call(), stream=log, clock=clock)(saved)
    assert log.getvalue() == ""
    Progress(Call(verbose=True), stream=log, clock=clock)(saved)
    assert "ckpt/step-000000020" in log.getvalue()


def test_a_resumed_run_says_from_where_and_how(clock):
    log = io.StringIO()
    progress = Progress(Call(), stream=log, clock=clock)
    progress(started(step=7, resumed="exact"))
    progress(started(step=7, resumed="approximate because threads 1 -> 2"))
    assert log.getvalue() == (
        "from  step 7, exactly as if it had never stopped\n"
        "from  step 7, approximate because threads 1 -> 2\n"
    )


def test_a_reader_who_leaves_does_not_end_the_run(clock):
    progress = Progress(Call(), stream=Unread(), clock=clock)
    progress(Noted(word="NOTE", template="Something."))
    progress(measured(1))
    progress.close()


def test_the_note_of_the_run_tells_where_a_traceback_would_go(clock, tmp_path):
    call = Call()
    note = Noted(word="run", template="{path}", values={"path": str(tmp_path)})
    Progress(call, stream=io.StringIO(), clock=clock)(note)
    assert call.run_folder == tmp_path


def test_a_name_in_a_note_is_escaped():
    note = Noted(word="WARN", template="{file} is odd", values={"file": "a\x1b[2J\n"})
    assert written(note) == "WARN  a\\x1b[2J\\x0a is odd"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "0 s"), (59.4, "59 s"), (61, "1 min 1 s"), (3600, "1 h 0 min"), (90000, "25 h 0 min")],
)
def test_times_are_for_people(seconds, words):
    assert duration(seconds) == words
