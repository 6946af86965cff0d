"""A script that is run in this process is `__main__`, and ends as it would have ended."""

from __future__ import annotations

import sys
import textwrap

import pytest

from netwright.core.errors import SettingError
from netwright.tasks.launching import (
    Ending,
    Enough,
    Target,
    find,
    launch,
    own_frames,
    when_imported,
)


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write_and_run(source: str, *args: str) -> Ending:
        (tmp_path / "script.py").write_text(textwrap.dedent(source))
        return launch(find(Target(name="script.py", args=args)), leave=False)

    return write_and_run


def test_it_is_the_main_module_with_arguments_paths_and_classes_of_its_own(run, tmp_path, capfd):
    ending = run(
        """
        import pickle, sys, os
        class Own: pass
        assert __name__ == "__main__" and __spec__ is None and __package__ is None
        assert sys.modules["__main__"].Own is Own
        assert type(pickle.loads(pickle.dumps(Own()))) is Own
        print(sys.argv, os.path.basename(__file__), sys.path[0] == os.path.dirname(__file__))
        """,
        "--json",
        "a=b",
    )
    assert ending == Ending(status=0, why="done")
    assert capfd.readouterr().out == "['script.py', '--json', 'a=b'] script.py True\n"


def test_what_it_had_comes_back(run):
    before = sys.modules["__main__"], list(sys.argv), list(sys.path)
    run("import sys; sys.argv.append('more'); sys.path.append('more')")
    assert (sys.modules["__main__"], sys.argv, sys.path) == before


@pytest.mark.parametrize(
    ("last", "status", "why", "told"),
    [
        ("sys.exit()", 0, "exit", ""),
        ("sys.exit(3)", 3, "exit", ""),
        ("sys.exit('words')", 1, "exit", "words\n"),
        ("sys.exit(256 + 7)", 7, "exit", ""),
        ("raise ValueError('oh')", 1, "error", "ValueError: oh\n"),
        ("raise KeyboardInterrupt", 130, "interrupted", "KeyboardInterrupt\n"),
    ],
)
def test_it_ends_with_the_status_it_would_have_had(run, capfd, last, status, why, told):
    ending = run(f"import sys\n{last}")
    assert (ending.status, ending.why) == (status, why)
    assert capfd.readouterr().err.endswith(told)


def test_it_can_be_ended_from_outside(run, monkeypatch):
    monkeypatch.setattr(sys, "ended", Enough, raising=False)
    assert run("import sys\nraise sys.ended").why == "enough"


def test_a_crash_shows_frames_of_the_script_only(run, capfd):
    run("def f():\n    return 1 / 0\nf()")
    err = capfd.readouterr().err
    assert err.splitlines()[0] == "Traceback (most recent call last):"
    assert [line.split(", ")[1:] for line in err.splitlines() if "File" in line] == [
        ["line 3", "in <module>"],
        ["line 2", "in f"],
    ]


def test_a_syntax_error_is_told_as_python_tells_it(run, capfd):
    assert run("x = (1,\n").status == 1
    assert "SyntaxError: '(' was never closed" in capfd.readouterr().err


def test_threads_that_are_still_at_work_are_waited_for(run, capfd):
    run(
        """
        import threading, time
        def late():
            time.sleep(0.1)
            print("late")
        threading.Thread(target=late).start()
        """
    )
    assert capfd.readouterr().out == "late\n"


def test_a_module_runs_as_python_m_runs_it(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "__init__.py").write_text("")
    (tmp_path / "pack" / "__main__.py").write_text(
        "import sys, os\nfrom . import sibling\n"
        "print(__name__, __spec__.name, __package__, sys.argv[1:], sys.path[0] == os.getcwd())\n"
    )
    (tmp_path / "pack" / "sibling.py").write_text("")
    launch(find(Target(name="pack", args=("x",), module=True)), leave=False)
    assert capfd.readouterr().out == "__main__ pack.__main__ pack ['x'] True\n"


def test_what_is_not_there_is_a_wrong_command(tmp_path):
    with pytest.raises(SettingError, match=r"There is no script .*none.py"):
        find(Target(name=str(tmp_path / "none.py")))
    with pytest.raises(SettingError, match=r"There is no module no.such that can be run"):
        find(Target(name="no.such", module=True))


def test_the_arrival_of_a_library_is_told_when_it_has_been_read(tmp_path, monkeypatch):
    (tmp_path / "newcomer.py").write_text("value = 3\n")
    monkeypatch.syspath_prepend(tmp_path)
    seen = []
    with when_imported("newcomer", lambda: seen.append(sys.modules["newcomer"].value)):
        assert seen == []
        import newcomer  # type: ignore[import-not-found]  # noqa: F401
    assert seen == [3]
    with when_imported("newcomer", lambda: seen.append("there already")):
        pass
    assert seen == [3, "there already"]
    assert not [each for each in sys.meta_path if type(each).__name__ == "_Arrival"]


def test_an_empty_traceback_stays_empty():
    assert own_frames(None) is None
