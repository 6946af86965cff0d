"""Failures that arrive in disguise."""

from netwright.cli.failures import told
from netwright.cli.screen import Call


def test_an_interrupt_in_the_words_of_another_library_is_one(capsys):
    error = ValueError("Error building serializer:\n  ValueError: Field 4:\n  KeyboardInterrupt: ")
    assert told(error, Call()) == 130
    assert capsys.readouterr().err == "Interrupted.\n"


def test_an_interrupted_rank_leaves_the_telling_to_its_launcher(capsys, monkeypatch):
    monkeypatch.setenv("NETWRIGHT_LAUNCHER", "1")
    assert told(KeyboardInterrupt(), Call(json=True)) == 130
    assert capsys.readouterr() == ("", "")


def test_an_error_that_an_interrupt_caused_is_one(capsys):
    try:
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt:
            raise AttributeError("module half has no attribute whole")  # noqa: B904
    except AttributeError as error:
        status = told(error, Call())
    assert status == 130
