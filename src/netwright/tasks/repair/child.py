"""The process that runs a script for a repair: `python child.py FD`, with a connection to its
parent on that descriptor. It ends with its parent."""

from __future__ import annotations

import dataclasses
import os
import random
import sys
from multiprocessing.connection import Connection
from typing import Any


def main(descriptor: int) -> int:
    from netwright.core import languages
    from netwright.core.languages import Phrase
    from netwright.core.linux import die_with_parent
    from netwright.records.findings import Finding
    from netwright.tasks.doctoring import doctor_script
    from netwright.tasks.launching import find, when_imported
    from netwright.tasks.repair.beside import Examiner
    from netwright.tasks.repair.jobs import Ended, Job, Shown, Told

    os.set_inheritable(descriptor, False)
    connection: Connection[Any, Any] = Connection(descriptor)
    job: Job = connection.recv()
    die_with_parent(job.parent)
    languages.use(job.language)

    def tell(word: str, what: Phrase) -> None:
        connection.send(Told(word, what))

    def show(finding: Finding, where: str) -> None:
        connection.send(Shown(finding, where))

    script = find(job.target)
    if job.source is not None:
        code = compile(job.source, script.path, "exec", dont_inherit=True)
        script = dataclasses.replace(script, code=code, fault=None)
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
    connection.send(Ended(dataclasses.replace(done, ending=ending)))
    return done.ending.status


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
