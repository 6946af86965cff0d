"""`netwright doctor`: a script runs as it is, and what its training suffers from is told."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import runpy
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch

from netwright.cli.commands import COMMANDS
from netwright.cli.parsing import arguments
from netwright.cli.words import VALUED
from netwright.records.run import find_run
from netwright.tasks import doctoring

HEAD = """
import argparse, sys, os, torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

def train(net, steps=40, lr=0.1):
    torch.manual_seed(0)
    x = torch.randn(128, 4); y = (x[:, 0] > 0).long()
    opt = torch.optim.SGD(net.parameters(), lr=lr)
    done = 0
    while done < steps:
        for a, b in DataLoader(TensorDataset(x, y), batch_size=32, shuffle=True):
            opt.zero_grad(); loss = F.cross_entropy(net(a), b); loss.backward(); opt.step()
            done += 1
    return loss.item()

def net(*more):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2), *more)
"""

HEALTHY = "print(train(net()))"
SICK = "print(train(net(nn.Softmax(1))))"


@pytest.fixture(autouse=True)
def _nothing_listens_afterwards():
    """However a loop ended: torch's functions are nobody's business any more."""
    yield
    assert torch._C._len_torch_function_stack() == 0


@pytest.fixture
def script(tmp_path):
    def write(body: str, name: str = "train.py") -> str:
        (tmp_path / name).write_text(HEAD + textwrap.dedent(body))
        return name

    return write


def test_a_fault_is_named_with_its_numbers_and_ends_with_status_4(netwright, script):
    answer = netwright("doctor", script(SICK))
    assert answer.status == 4
    lines = answer.err.splitlines()
    assert lines[0] == (
        "watching train.py: SGD lr 0.1, Sequential with 2 layers of weights, cross_entropy"
    )
    run, _, again = lines[1].rpartition("   ")
    assert re.fullmatch(r"run      runs/\S+-train-Sequential-\w{4}", run)
    assert again == "(if it is killed: netwright doctor latest)"
    assert "STOP     softmax-before-cross-entropy" in lines
    assert any("safe: Give the loss the logits" in line for line in lines)
    assert any(line.startswith("doctor   1 stop") for line in lines)
    assert "exit     4   (--fail-on never keeps the script's own)" in lines


def test_a_finding_is_told_in_full_once_and_by_its_name_at_the_end(netwright, script):
    err = netwright("doctor", script(SICK)).err
    assert err.count("would be wrong if a row that goes into the loss") == 1
    assert err.count("STOP     softmax-before-cross-entropy") == 2


def test_what_the_script_prints_is_all_there_is_on_standard_output(netwright, script):
    name = script(HEALTHY)
    alone = io.StringIO()
    with contextlib.redirect_stdout(alone):
        runpy.run_path(name, run_name="__main__")
    answer = netwright("doctor", name)
    assert answer.out == alone.getvalue()
    assert answer.status == 0


@pytest.mark.parametrize(("fail_on", "status"), [("never", 5), ("warn", 4), ("stop", 4)])
def test_only_a_finding_at_or_above_the_bound_changes_the_status(
    netwright, script, fail_on, status
):
    name = script(f"{SICK}\nsys.exit(5)")
    assert netwright("doctor", "--fail-on", fail_on, name).status == status


def test_words_behind_the_script_belong_to_it(netwright, script):
    name = script("print(sys.argv)")
    answer = netwright("doctor", "--steps", "3", name, "--json", "--steps", "9", "lr=3", "-h", "--")
    assert answer.out == "['train.py', '--json', '--steps', '9', 'lr=3', '-h', '--']\n"


def test_every_option_with_a_value_may_stand_before_the_script():
    taking = {
        name
        for each in arguments(COMMANDS.get("doctor"))
        for name in each.names
        if name.startswith("--") and each.hint is not bool
    }
    assert taking <= {*VALUED}


def test_under_json_the_document_is_all_there_is_on_standard_output(netwright, script):
    answer = netwright("doctor", "--json", script(f"{SICK}\nos.system('echo from a process')"))
    document = json.loads(answer.out)
    assert answer.status == document["exit"] == 4
    assert document["status"] == 0
    assert document["findings"][0]["name"] == "softmax-before-cross-entropy"
    assert {"share", "checkup", "budget"} <= set(document["cost"][0])
    assert Path(document["run"]).is_dir()
    assert "from a process" in answer.err


def test_the_run_folder_holds_what_the_other_commands_read(netwright, script, tmp_path):
    netwright("doctor", script(SICK))
    assert sorted(each.name for each in tmp_path.iterdir()) == ["runs", "train.py"]
    run = find_run("latest")
    assert run.info["kind"] == "doctor"
    assert (run.status, run.info["steps"]) == ("done", 40)
    assert {each.name for each in run.path.iterdir()} == {
        ".lock", "run.json", "model.json", "metrics.jsonl", "findings.jsonl", "record.json",
        "record.npz", "report.html",
    }  # fmt: skip
    assert run.name in netwright("ls", "runs").out
    assert netwright("report").status == 0
    page = (run.path / "report.html").read_text()
    assert "softmax-before-cross-entropy" in page
    assert "Layers over time" in page


def test_a_saved_record_gives_the_same_findings_without_training(netwright, script):
    live = json.loads(netwright("doctor", "--json", script(SICK)).out)
    again = netwright("doctor", "latest", "--json")
    saved = json.loads(again.out)
    assert saved["findings"] == live["findings"]
    assert again.status == 4
    assert netwright("doctor", "--fail-on", "never", "latest").status == 0


def test_a_run_without_a_record_is_a_wrong_command(netwright, tmp_path):
    (tmp_path / "runs" / "old").mkdir(parents=True)
    (tmp_path / "runs" / "old" / "run.json").write_text("{}")
    answer = netwright("doctor", "old")
    assert answer.status == 2
    assert "holds no record of the doctor" in answer.err


def test_an_endless_script_is_ended_by_its_steps(netwright, script):
    answer = netwright("doctor", "--steps", "12", script("train(net(), steps=10**9)"))
    assert answer.status == 0
    assert find_run("latest").info["steps"] == 12
    assert find_run("latest").info["why"] == "enough"


def test_an_endless_script_is_ended_by_its_minutes(netwright, script):
    answer = netwright("doctor", "--minutes", "0.01", script("train(net(), steps=10**9)"))
    assert answer.status == 0


def test_a_script_that_sleeps_for_ever_is_ended_too(netwright, script, monkeypatch):
    monkeypatch.setattr(doctoring, "GRACE", 0.1)
    answer = netwright("doctor", "--minutes", "0.01", script("import time\ntime.sleep(1000)"))
    assert answer.status == 0


def test_a_script_that_trains_nothing_leaves_nothing(netwright, script, tmp_path):
    answer = netwright("doctor", script("print('hello')"))
    assert (answer.status, answer.out) == (0, "hello\n")
    assert "No training was seen" in answer.err
    assert not (tmp_path / "runs").exists()


def test_the_run_is_where_the_command_was_started(netwright, script, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    netwright("doctor", script("os.chdir('elsewhere')\ntrain(net())"))
    os.chdir(tmp_path)
    assert (tmp_path / "runs" / "latest").is_symlink()
    assert not list((tmp_path / "elsewhere").iterdir())


def test_a_crash_keeps_its_traceback_and_its_status(netwright, script):
    answer = netwright("doctor", script("train(net(), steps=8)\nraise ValueError('my own')"))
    assert answer.status == 1
    assert "ValueError: my own" in answer.err
    assert "netwright/" not in answer.err
    assert find_run("latest").status == "failed"


def test_a_crash_inside_the_backward_pass_shows_no_frame_of_ours(netwright, script):
    answer = netwright(
        "doctor",
        script(
            """
            model = net()
            opt = torch.optim.SGD(model.parameters(), lr=0.1)
            loss = model(torch.randn(3, 4)).sum()
            loss.backward()
            loss.backward()
            """
        ),
    )
    assert answer.status == 1
    assert "RuntimeError: Trying to backward through the graph a second time" in answer.err
    assert "taps.py" not in answer.err


def test_a_loop_that_never_steps_is_watched_too(netwright, script):
    answer = netwright(
        "doctor",
        script(
            """
            model = net()
            opt = torch.optim.SGD(model.parameters(), lr=0.1)
            for _ in range(5):
                F.cross_entropy(model(torch.randn(8, 4)), torch.zeros(8).long()).backward()
            """
        ),
    )
    assert answer.err.startswith("watching train.py: SGD lr 0.1")
    assert find_run("latest").info["steps"] == 0


def test_two_models_are_told_apart(netwright, script):
    answer = netwright("doctor", "--json", script(f"train(net())\n{SICK}"))
    document = json.loads(answer.out)
    assert document["patients"] == 2
    assert {each["patient"] for each in document["findings"] if each["severity"] == "stop"} == {2}
    assert "STOP     softmax-before-cross-entropy  train.py [2]" in answer.err
    assert (Path(document["run"]) / "patient-2" / "record.json").is_file()
    assert json.loads(netwright("doctor", "latest", "--json").out)["patients"] == 2


def test_quiet_says_what_was_found_and_no_more(netwright, script):
    err = netwright("doctor", "--quiet", script(HEALTHY)).err
    assert not err.startswith("watching")


def test_a_fault_of_ours_is_one_line_and_the_script_goes_on(netwright, script, monkeypatch):
    from netwright.doctor.watching import program

    monkeypatch.setattr(program, "owners", lambda *_: 1 / 0)
    answer = netwright("doctor", script(f"{HEALTHY}\nsys.exit(9)"))
    assert answer.status == 9
    assert float(answer.out) < 1
    told = [line for line in answer.err.splitlines() if "fault of ours" in line]
    assert told == [
        "NOTE     Watching has ended by a fault of ours: ZeroDivisionError: division by zero"
    ]


def test_a_disk_that_cannot_be_written_does_not_stop_the_script(netwright, script, monkeypatch):
    monkeypatch.setenv("NETWRIGHT_RUNS", "/proc/none")
    answer = netwright("doctor", script(HEALTHY))
    assert answer.status == 0
    assert float(answer.out) < 1
    assert "fault of ours" in answer.err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["doctor"], "needs a script, -m MODULE, or a run"),
        (["doctor", "none.py"], "There is no script none.py"),
        (["doctor", "--steps", "0", "train.py"], "--steps must be above 0, not 0"),
        (["doctor", "--budget", "2", "train.py"], "--budget is a share"),
        (["doctor", "--checkup", "0", "train.py"], "--checkup must be above 0, not 0"),
        (["doctor", "--checkup", "5", "--no-checkup", "train.py"], "that --no-checkup leaves out"),
        (["doctor", "--fail-on", "nevr", "train.py"], "Did you mean never?"),
        (["doctor", "-m", "no.such"], "There is no module no.such"),
        (["doctor", "--run-dir", "runs", "train.py"], "already holds a run"),
    ],
)
def test_a_wrong_command_is_told_before_anything_runs(netwright, script, tmp_path, words, told):
    script("print('ran')")
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "run.json").write_text("{}")
    answer = netwright(*words)
    assert (answer.status, answer.out) == (2, "")
    assert told in answer.err


def test_it_speaks_chinese(netwright, script):
    err = netwright("--lang", "zh", "doctor", script(SICK)).err
    assert "softmax-before-cross-entropy" in err
    assert "诊断     1 个 stop" in err


# As a process of its own


def in_process(*words: str, python: bool = False) -> subprocess.CompletedProcess[bytes]:
    before = [sys.executable] if python else [sys.executable, "-m", "netwright", "doctor"]
    return subprocess.run(
        [*before, *words],
        capture_output=True,
        check=False,
        timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def test_a_script_cannot_tell_that_it_is_watched(script):
    name = script(
        """
        import atexit, pickle, warnings
        class Batch(TensorDataset): pass
        if __name__ == "__main__":
            atexit.register(lambda: print("at exit", sys.argv))
            print(sorted(each for each in globals() if each.startswith("__")), __spec__)
            print(sys.stdout.errors, sys.stdout.encoding, sys.path[0], __file__)
            data = Batch(torch.randn(32, 4), torch.zeros(32).long())
            pickle.dumps(data)
            torch.manual_seed(0)
            loader = DataLoader(data, 8, num_workers=1, shuffle=True)
            print([y.tolist() for x, y in loader], torch.rand(1))
            print(train(net()), len(warnings.filters))
            sys.exit(6)
        """
    )
    alone, watched = in_process(name, "--a", python=True), in_process(name, "--a")
    assert watched.stdout == alone.stdout
    assert b"at exit" in alone.stdout
    assert (alone.returncode, watched.returncode) == (6, 6)


def test_processes_that_it_spawns_find_its_functions(tmp_path):
    (tmp_path / "spawns.py").write_text(
        "import multiprocessing\ndef work(n): return n * n\n"
        "if __name__ == '__main__':\n"
        "    with multiprocessing.get_context('spawn').Pool(1) as pool:\n"
        "        print(pool.map(work, [1, 2, 3]))\n"
    )
    assert in_process("spawns.py").stdout == b"[1, 4, 9]\n"


def test_torch_is_imported_by_the_script_and_not_before(script, tmp_path):
    (tmp_path / "early.py").write_text(
        "import sys\nprint([m for m in ('torch', 'numpy', 'pydantic') if m in sys.modules])\n"
        "import torch\nprint('torch' in sys.modules)\n"
    )
    assert in_process("early.py").stdout == b"[]\nTrue\n"


def test_a_traceback_is_that_of_python(tmp_path):
    name = "wrong.py"
    (tmp_path / name).write_text(
        "def f(x):\n    return x / 0\ntry:\n    f(1)\nexcept ZeroDivisionError:\n    [][1]\n"
    )
    alone, watched = in_process(name, python=True), in_process(name)
    assert watched.stderr.startswith(alone.stderr)
    assert watched.returncode == alone.returncode == 1


def test_of_a_script_that_is_killed_the_record_is_there_and_where_it_lies_was_said(
    script, netwright, tmp_path
):
    name = script(f"end = {int(signal.SIGKILL)}\ntrain(net(nn.Softmax(1)), steps=4)\n"
                  "os.kill(os.getpid(), end)")  # fmt: skip
    done = in_process("--run-dir", "kept", name)
    assert done.returncode == -signal.SIGKILL
    assert b"run      kept   (if it is killed: netwright doctor kept)" in done.stderr.splitlines()
    answer = netwright("doctor", "--fail-on", "never", "kept", "--json")
    assert json.loads(answer.out)["findings"][0]["name"] == "softmax-before-cross-entropy"
    assert find_run("kept").standing == "interrupted"


def test_a_document_stays_alone_also_after_the_end(script):
    name = script(f"import atexit\natexit.register(lambda: print('at exit'))\n{SICK}")
    done = in_process("--json", name)
    assert json.loads(done.stdout)["exit"] == done.returncode == 4
    assert b"at exit" in done.stderr
