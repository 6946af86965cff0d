"""The process that runs a script for a repair, with a connection to its parent on a descriptor.
It ends with its parent.

    python child.py FD             runs one script
    python child.py serve FD PID   imports torch once, then makes a copy of itself for each script
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import random
import signal
import socket
import sys
import types
from multiprocessing.connection import Connection
from typing import Any


def main(descriptor: int, parent: int | None = None) -> int:
    """Run one script. `parent` is the process that made this one, where the job does not say."""
    from netwright.core import languages
    from netwright.core.languages import Phrase
    from netwright.core.linux import die_with_parent
    from netwright.records.findings import Finding
    from netwright.tasks.doctoring import doctor_script
    from netwright.tasks.launching import find, when_imported
    from netwright.tasks.repair.beside import Examiner
    from netwright.tasks.repair.jobs import Ended, Job, Message, Shown, Told

    os.set_inheritable(descriptor, False)
    connection: Connection[Any, Any] = Connection(descriptor)
    try:
        job: Job = connection.recv()
    except EOFError:  # the parent has gone
        return 0
    die_with_parent(parent or job.parent)
    languages.use(job.language)

    def send(message: Message) -> None:
        with contextlib.suppress(OSError):  # a parent that has gone needs nothing
            connection.send(message)

    def tell(word: str, what: Phrase) -> None:
        send(Told(word, what))

    def show(finding: Finding, where: str) -> None:
        send(Shown(finding, where))

    script = find(job.target)
    if job.source is not None:
        code = compile(job.source, script.path, "exec", dont_inherit=True)
        script = dataclasses.replace(script, code=code, fault=None)
        sys.excepthook = _silent_when_interrupted  # this run is ours, and the parent says it
    examiner = Examiner(job, connection)
    if job.seed is not None:
        random.seed(job.seed)
    with when_imported("numpy", examiner.numpy_begins):
        done = doctor_script(
            job.target, job.wish, tell=tell, show=show, leave=True, script=script, beside=examiner
        )
    if done.ending.forked:
        return done.ending.status
    ending = dataclasses.replace(done.ending, error=None)
    send(Ended(dataclasses.replace(done, ending=ending)))
    return done.ending.status


def _silent_when_interrupted(
    kind: type[BaseException], error: BaseException, trace: types.TracebackType | None
) -> None:
    if not issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)


def serve(descriptor: int, parent: int) -> int:
    """Answer on a socket: a descriptor that comes is for a new copy, whose number is answered; the
    number of a copy that is over comes back once it is buried. Each copy has a process group of its
    own, so that what its script starts can be ended with it."""
    import numpy
    import torch._dynamo  # an optimizer imports it at its first step, which takes a second

    import netwright.doctor.checkup
    import netwright.tasks.repair.judging
    from netwright.core.linux import die_with_parent
    from netwright.doctor.conditions import CONDITIONS
    from netwright.doctor.probes import PROBES

    assert numpy
    assert torch
    assert netwright.doctor.checkup
    for each in (CONDITIONS, PROBES):  # read now, and not by every copy
        each.names()
    die_with_parent(parent)
    own = os.getpid()
    door = socket.socket(fileno=descriptor)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent is told too, and ends the copies
    while True:
        message, descriptors, _, _ = socket.recv_fds(door, 64, 1)
        if not message:
            return 0
        if descriptors:
            made = os.fork()
            if not made:
                os.setpgid(0, 0)
                signal.signal(signal.SIGINT, signal.default_int_handler)
                door.close()
                return main(descriptors[0], own)
            os.close(descriptors[0])
            with contextlib.suppress(OSError):  # it has done so itself by now, or has ended
                os.setpgid(made, made)
            door.sendall(b"%d\n" % made)
        else:
            os.waitpid(int(message), 0)
            door.sendall(message)


if __name__ == "__main__":
    try:
        if sys.argv[1] == "serve":
            sys.exit(serve(int(sys.argv[2]), int(sys.argv[3])))
        sys.exit(main(int(sys.argv[1])))
    except KeyboardInterrupt:  # the parent was told too, and says it
        sys.exit(130)
