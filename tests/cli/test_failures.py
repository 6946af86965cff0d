"""Failures that arrive in disguise."""

import subprocess
import sys

from netwright.cli.failures import told
from netwright.cli.screen import Call


def test_an_interrupt_in_the_words_of_another_library_is_one(capsys):
    error = ValueError("Error building serializer:\n  ValueError: Field 4:\n  KeyboardInterrupt: ")
    assert told(error, Call()) == 130
    assert capsys.readouterr().err == "Interrupted.\n"


def test_an_error_that_an_interrupt_caused_is_one(capsys):
    try:
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt:
            raise AttributeError("module half has no attribute whole")  # noqa: B904
    except AttributeError as error:
        status = told(error, Call())
    assert status == 130


def test_an_interrupt_while_the_program_is_still_imported_leaves_no_traceback():
    program = (
        "import sys\n"
        "class Interrupted:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'netwright.cli': raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupted())\n"
        "import netwright.__main__\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (130, "")
