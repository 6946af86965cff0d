"""`netwright doctor --repair SCRIPT.py`, as it is typed: in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

DATA = """\
import torch
import torch.nn as nn
from torch.utils.data import DataLoader, TensorDataset

generator = torch.Generator().manual_seed(0)
means = torch.rand(4, 16, generator=generator)
y = torch.randint(0, 4, (512,), generator=generator)
x = (means[y] + 0.2 * torch.randn(512, 16, generator=generator)).clamp(0, 1)
torch.manual_seed(0)
"""

THREE = (
    DATA
    + """\
x = (x * 255).round()
train = DataLoader(TensorDataset(x[:384], y[:384]), batch_size=32, shuffle=True)
val = DataLoader(TensorDataset(x[384:], y[384:]), batch_size=128)
model = nn.Sequential(
    nn.Linear(16, 32),
    nn.ReLU(),
    nn.Linear(32, 4),
    nn.Softmax(dim=1),  # probabilities
)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for epoch in range(10):
    model.train()
    for a, b in train:
        loss = nn.functional.cross_entropy(model(a), b)
        loss.backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        right = sum(int((model(a).argmax(1) == b).sum()) for a, b in val)
    print("epoch", epoch, right)
"""
)

HEALTHY = (
    DATA
    + """\
model = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 4))
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for epoch in range(3):
    for i in range(0, 512, 32):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x[i:i + 32]), y[i:i + 32]).backward()
        optimizer.step()
        print("x" * 1000)
"""
)


def doctor(folder: Path, text: str | None, *options: str) -> subprocess.CompletedProcess[str]:
    if text is not None:
        (folder / "train.py").write_text(text, encoding="utf-8")
    return subprocess.run(
        [sys.executable, "-m", "netwright", "doctor", "--repair", *options, "train.py"],
        cwd=folder,
        env={**os.environ, "NETWRIGHT_LANG": "en", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=1500,
    )


def account(folder: Path):
    return json.loads((folder / "runs/latest/repair.json").read_text(encoding="utf-8"))


def test_three_faults_at_once_are_mended_and_the_patch_applies(tmp_path):
    done = doctor(tmp_path, THREE, "--checkup", "60")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "train.py").read_text(encoding="utf-8") == THREE
    told = account(tmp_path)
    assert told["repaired"] is True
    assert told["judge"] == "accuracy"
    assert told["validation"] is True
    assert told["score"] > told["untreated"]
    assert "Apply: git apply" in done.stderr
    assert done.stdout.count("epoch 3 ") == 2  # the script as it is, and the patched one
    assert done.stdout.count("epoch 9 ") == 1  # only what is right runs to its end
    subprocess.run(["git", "apply", "runs/latest/train.doctor.diff"], cwd=tmp_path, check=True)
    patched = (tmp_path / "train.py").read_text(encoding="utf-8")
    assert "optimizer.zero_grad()\n        loss.backward()" in patched
    assert "nn.BatchNorm1d(16, affine=False),\n    nn.Linear(16, 32)," in patched
    assert "Softmax" not in patched
    lines = (tmp_path / "runs/latest/findings.jsonl").read_text(encoding="utf-8").splitlines()
    outcomes = {each["name"]: each["outcome"] for each in map(json.loads, lines)}
    assert outcomes["gradients-never-cleared"].startswith("repaired: ")
    page = (tmp_path / "runs/latest/report.html").read_text(encoding="utf-8")
    assert '<section id="repair">' in page


def test_a_healthy_script_runs_as_ever(tmp_path):
    done = doctor(tmp_path, HEALTHY, "--no-checkup")
    assert done.returncode == 0, done.stderr
    assert done.stdout == ("x" * 1000 + "\n") * 48
    assert not (tmp_path / "runs/latest/repair.json").exists()


@pytest.mark.parametrize(
    ("text", "status", "words"),
    [
        (None, 2, "There is no script train.py."),
        ("for x in (", 1, "SyntaxError"),
        ("print('nothing to learn')", 0, "No training was seen"),
        ("import sys\nsys.exit(3)", 3, ""),
        ("raise ValueError('ours')", 1, "ValueError: ours"),
    ],
)
def test_what_is_no_training_ends_as_it_would(tmp_path, text, status, words):
    done = doctor(tmp_path, text)
    assert done.returncode == status
    assert words in done.stderr
    assert "Traceback" not in done.stderr or status == 1


ENDLESS = (
    DATA
    + """\
model = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 4))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
while True:
    i = torch.randint(0, 512, (32,))
    loss = nn.functional.cross_entropy(model(x[i]), y[i])
    loss.backward()
    optimizer.step()
"""
)


def test_a_run_that_its_limit_ends_is_said_to_be_cut(tmp_path):
    done = doctor(tmp_path, ENDLESS, "--minutes", "0.4", "--seeds", "1", "--no-checkup")
    told = account(tmp_path)
    assert told["repaired"] is True
    assert told["cut"] is True
    assert told["status"] == "done"
    assert Path(told["patch"]) == (tmp_path / "runs/latest").resolve() / "train.doctor.diff"
    assert not list((tmp_path / "runs/latest/").glob("*.unproven.diff"))
    assert "stood above the script as it is when --steps or --minutes ended it" in done.stderr
    assert "at its end" not in done.stderr
    assert "Traceback" not in done.stderr
    assert "fault of ours" not in done.stderr


def test_its_options_want_it(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "netwright", "doctor", "--seeds", "2", "train.py"],
        cwd=tmp_path, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 2
    assert "--seeds and --budget-steps are for --repair." in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_who_ends_a_repair_keeps_what_won_so_far(tmp_path, number):
    (tmp_path / "train.py").write_text(ENDLESS, encoding="utf-8")
    with subprocess.Popen(
        [sys.executable, "-m", "netwright", "doctor", "--repair", "--no-checkup", "train.py"],
        cwd=tmp_path,
        env={**os.environ, "NETWRIGHT_LANG": "en", "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # A shell in the background has its children ignore Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as running:
        late = threading.Timer(200, running.kill)
        late.daemon = True
        late.start()
        assert running.stderr is not None
        told = ""
        while "the patched script runs" not in told:
            told += (line := running.stderr.readline())
            assert line, told
        time.sleep(3)
        if number == signal.SIGINT:
            os.killpg(running.pid, number)  # as a terminal does
        else:
            running.send_signal(number)
        told += running.stderr.read()
        assert running.wait(60) == (130 if number == signal.SIGINT else -signal.SIGTERM)
        late.cancel()
    assert "what won so far is kept, unproven: runs/" in told
    assert "Traceback" not in told
    written = account(tmp_path)
    assert written["status"] == "interrupted"
    assert written["repaired"] is False
    assert written["table"][0]["rows"][1]["kept"] is True
    assert "latest" not in written["patch"]
    assert b"+    optimizer.zero_grad()" in Path(written["patch"]).read_bytes()
    assert json.loads((tmp_path / "runs/latest/run.json").read_text())["status"] == "interrupted"


@pytest.mark.skipif(sys.platform != "linux", reason="parent-death signals are Linux's")
def test_nothing_is_left_when_the_command_is_killed(tmp_path):
    (tmp_path / "train.py").write_text(
        "import os, time\nopen('pid', 'w').write(str(os.getpid()))\ntime.sleep(600)\n"
    )
    command = [sys.executable, "-m", "netwright", "doctor", "--repair", "train.py"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL) as running:
        until = time.monotonic() + 200
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
            assert time.monotonic() < until
            time.sleep(0.1)
        child = int((tmp_path / "pid").read_text())
        assert child != running.pid
        running.send_signal(signal.SIGKILL)
        running.wait()
        while Path(f"/proc/{child}").exists() and time.monotonic() < until:
            if "State:\tZ" in Path(f"/proc/{child}/status").read_text():
                break
            time.sleep(0.1)
        assert time.monotonic() < until
