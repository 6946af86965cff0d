"""Failures that arrive in disguise."""

import errno
import io
import subprocess
import sys
from importlib.metadata import entry_points

import pytest

from netwright.cli import main
from netwright.cli.failures import told
from netwright.cli.screen import Call
from netwright.core.errors import SettingError


def test_an_interrupt_in_the_words_of_another_library_is_one(capsys):
    error = ValueError("Error building serializer:\n  ValueError: Field 4:\n  KeyboardInterrupt: ")
    assert told(error, Call()) == 130
    assert capsys.readouterr().err == "Interrupted.\n"


def test_an_interrupted_rank_leaves_the_telling_to_its_launcher(capsys, monkeypatch):
    monkeypatch.setenv("NETWRIGHT_LAUNCHER", "1")
    assert told(KeyboardInterrupt(), Call(json=True)) == 130
    assert capsys.readouterr() == ("", "")


class Gone(io.StringIO):
    """A terminal that was closed."""

    def write(self, text):
        raise OSError(errno.EIO, "Input/output error")


def test_a_closed_terminal_does_not_change_the_status(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Gone())
    assert main(["trian"]) == 2


@pytest.mark.parametrize(("rank", "documents"), [("0", 1), ("1", 0)])
def test_of_several_processes_the_first_writes_the_document(capsys, monkeypatch, rank, documents):
    monkeypatch.setenv("RANK", rank)
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert told(SettingError("No data."), Call(json=True)) == 2
    out, err = capsys.readouterr()
    assert out.count('"format"') == documents
    assert err == "No data.\n"


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


def test_the_installed_command_leads_to_the_same_door():
    (command,) = entry_points(group="console_scripts", name="netwright")
    assert command.load() is main
