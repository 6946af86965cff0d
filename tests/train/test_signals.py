"""A signal sets a flag and nothing else; the second Ctrl-C does not wait."""

import signal
import subprocess
import sys
import threading

import pytest

from netwright.train.signals import SignalFlag


@pytest.mark.parametrize(
    ("number", "status"),
    [
        (signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGUSR1, 143), (signal.SIGHUP, 143),
    ],
)  # fmt: skip
def test_a_signal_only_sets_the_flag(number, status):
    with SignalFlag() as stop:
        assert stop.pending is None
        signal.raise_signal(number)
        assert (stop.pending, stop.exit_code) == (number, status)


def test_a_closed_terminal_is_nothing_to_a_run_under_nohup():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with SignalFlag() as stop:
            signal.raise_signal(signal.SIGHUP)
            assert stop.pending is None
    finally:
        signal.signal(signal.SIGHUP, before)


def test_the_first_signal_counts():
    with SignalFlag() as stop:
        signal.raise_signal(signal.SIGUSR1)
        signal.raise_signal(signal.SIGTERM)
        assert stop.pending == signal.SIGUSR1


def test_handlers_of_before_come_back_also_after_an_error():
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
    before = [signal.getsignal(number) for number in numbers]
    with pytest.raises(ValueError, match="inside"), SignalFlag():
        raise ValueError("inside")
    assert [signal.getsignal(number) for number in numbers] == before


def test_outside_the_main_thread_it_is_inert():
    before = signal.getsignal(signal.SIGTERM)
    seen = []

    def work():
        with SignalFlag() as stop:
            seen.extend([signal.getsignal(signal.SIGTERM), stop.pending])

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before, None]


def _run(body):
    script = (
        "import os, signal, sys, time\n"
        "from netwright.train.signals import SignalFlag\n"
        f"with SignalFlag() as stop:\n{body}"
    )
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)


def test_a_second_ctrl_c_leaves_at_once_with_130():
    ended = _run(
        "    signal.raise_signal(signal.SIGINT)\n"
        "    print('saving', flush=True)\n"
        "    signal.raise_signal(signal.SIGINT)\n"
        "    print('never said', flush=True)\n"
    )
    assert (ended.returncode, ended.stdout) == (130, "saving\n")


def test_a_forked_worker_leaves_ctrl_c_to_its_parent_and_obeys_sigterm():
    ended = _run(
        "    pid = os.fork()\n"
        "    if pid == 0:\n"
        "        signal.raise_signal(signal.SIGINT)\n"
        "        signal.raise_signal(signal.SIGINT)\n"
        "        signal.raise_signal(signal.SIGTERM)\n"
        "        os._exit(0)\n"
        "    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), stop.pending)\n"
    )
    assert ended.stdout == "-15 None\n"
