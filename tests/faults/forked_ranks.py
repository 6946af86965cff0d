"""`netwright ... devices=2` whose launcher forks its ranks instead of starting Python anew.

All else is as it is: torch's launcher, its signals, sessions and parents, and `__main__`, which
each rank runs. What is spared is that every rank imports torch, some four seconds of a processor.
"""

from __future__ import annotations

import os
import runpy
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from typing import Any
from unittest import mock

from torch.distributed.elastic.multiprocessing.subprocess_handler import subprocess_handler

from netwright.cli import main as command

CALL = "faults.forked_ranks:main"


def main(argv: Sequence[str]) -> int:
    """`netwright ARGV`, with ranks that are forked."""
    with mock.patch.object(subprocess_handler, "Popen", Forked):
        return command(argv)


class Forked:
    """What torch's launcher needs of `subprocess.Popen`."""

    def __init__(self, args: Sequence[str], env: Mapping[str, str], **options: Any) -> None:
        assert args[1:3] == ("-m", "netwright"), args
        assert options == {"stdout": None, "stderr": None, "start_new_session": True}
        self.args = args
        self.returncode: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            _be_rank(args[2:], env)

    def poll(self) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout: float) -> int:
        end = time.monotonic() + timeout
        while (status := self.poll()) is None:
            if time.monotonic() > end:
                raise subprocess.TimeoutExpired(self.args, timeout)
            time.sleep(0.005)
        return status


def _be_rank(argv: Sequence[str], env: Mapping[str, str]) -> None:
    status = 1
    try:
        os.setsid()
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGQUIT):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.closerange(3, 256)
        os.environ.clear()
        os.environ.update(env)
        sys.argv = list(argv)
        runpy.run_module("netwright", run_name="__main__", alter_sys=True)
    except SystemExit as leaving:
        status = leaving.code if isinstance(leaving.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
