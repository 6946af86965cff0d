"""`devices=2` starts two ranks, and starts them again when one is killed: nothing is lost, nobody
is left behind."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import time

import pytest
import torch
from torch.distributed.elastic.multiprocessing.api import SignalException

import netwright as nw
from faults.fork_server import CLI, _facts, _processes, _state
from faults.forked_ranks import CALL as FORKED
from faults.ranks import ended, start_ranks, told
from faults.runs import newest
from netwright.core.errors import DivergedError, NetwrightError, RankLostError
from netwright.core.linux import Lock
from netwright.tasks import launcher
from netwright.tasks.launcher_signals import PassedOn
from netwright.tasks.rank_words import last_words
from netwright.tasks.settings import resolve
from netwright.train.weights import read_weights

STEPS = 600


def command(run, *settings):
    return ["train", "digits", "mlp", f"steps={STEPS}", "run.checkpoint_every=20", "seed=7",
            "aug.shift=1", "devices=2", "run.rank_timeout=30", *settings,
            "--run-dir", str(run)]  # fmt: skip


def ranks_of(child):
    """The processes that the launcher has started."""
    return [pid for pid in _processes() if (facts := _facts(pid)) and int(facts[1]) == child.pid]


def assert_gone(pids, patience=10):
    end = time.monotonic() + patience
    while alive := [pid for pid in pids if _state(pid) not in ("Z", "")]:
        assert time.monotonic() < end, alive
        time.sleep(0.02)


def lines(run):
    found = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in each.items() if not k.startswith("time/")} for each in found]


@pytest.fixture(scope="module")
def undisturbed(server, tmp_path_factory):
    place = tmp_path_factory.mktemp("ranks")
    ranks = start_ranks(server, command(place / "run"), cwd=place)
    assert ended(ranks) == {0: 0, 1: 0}, told(ranks)
    return place / "run"


def kill_and_compare(server, place, undisturbed, *, kills, seed, call=CLI):
    """Kill a rank `kills` times at random; the run ends as the one that nobody disturbed. The
    seconds from each kill to the next checkpoint."""
    draw = random.Random(seed)
    run = place / "run"
    child = server.start(command(run), cwd=place, call=call)
    seen, back = [], []
    for number in range(1, kills + 1):
        goal = STEPS * number // (kills + 2)
        assert child.comes(lambda goal=goal: newest(run) >= goal, at_most=90), child.text()
        time.sleep(draw.uniform(0.0, 0.03))
        pids = ranks_of(child)
        assert len(pids) == 2
        seen += pids
        before, killed = newest(run), time.monotonic()
        os.kill(draw.choice(pids), signal.SIGKILL)
        assert_gone(pids, patience=30)
        assert child.comes(lambda step=before: newest(run) > step, at_most=90), child.text()
        back.append(time.monotonic() - killed)
    assert child.wait(120) == 0, child.text()
    assert_gone(seen)
    attempts = [json.loads(line) for line in (run / "attempts.jsonl").read_text().splitlines()]
    assert [each["signal"] for each in attempts] == ["SIGKILL"] * kills + [None]
    assert all(each["to_step"] > each["from_step"] for each in attempts)  # none failed further
    assert lines(run) == lines(undisturbed)
    ours, theirs = (read_weights(each / "best.safetensors") for each in (run, undisturbed))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    info = json.loads((run / "run.json").read_text())
    assert info["status"] == "done"
    assert {each["how"] for each in info["resumed"]} == {"exact"}
    assert all("saved" in str(each["said"]["0"]) for each in attempts[:-1])
    return back


def test_three_killed_ranks_change_nothing(server, place, undisturbed):
    kill_and_compare(server, place, undisturbed, kills=3, seed=1, call=FORKED)


@pytest.mark.long
@pytest.mark.parametrize("seed", [2, 3, 4, 5])
def test_twenty_killed_ranks_change_nothing(server, place, undisturbed, seed):
    back = kill_and_compare(server, place, undisturbed, kills=5, seed=seed)
    print("seconds to the next checkpoint:", " ".join(f"{each:.1f}" for each in back))


def test_a_launcher_that_is_stopped_or_killed_leaves_nobody(server, place):
    run = place / "run"
    child = server.start(command(run, "steps=100000"), cwd=place, call=FORKED)
    assert child.comes(lambda: newest(run) >= 40), child.text()
    pids = ranks_of(child)
    child.kill(signal.SIGTERM)
    assert child.wait() == 143, child.text()
    assert "Stopped by SIGTERM after step" in " ".join(child.text().split())
    assert "torch/distributed" not in child.text()
    (line,) = (run / "attempts.jsonl").read_text().splitlines()
    assert json.loads(line)["cause"] == "stopped by SIGTERM"
    assert_gone(pids)
    assert json.loads((run / "run.json").read_text())["status"] == "interrupted"
    step = newest(run)
    again = server.start(["train", "--resume", str(run)], cwd=place, call=FORKED)
    assert again.comes(lambda: newest(run) >= step + 40), again.text()
    pids = ranks_of(again)
    assert len(pids) == 2
    again.kill(signal.SIGKILL)
    assert again.wait() == -9
    assert_gone(pids)


def test_what_a_rank_fails_with_is_told_once_and_not_tried_again(server, place):
    argv = command(place / "run", "optim=sgd", "optim.lr=1e9")
    child = server.start(argv, cwd=place, call=FORKED)
    assert child.wait() == 5, child.text()
    assert child.text().count("Training diverged") == 1
    (line,) = (place / "run" / "attempts.jsonl").read_text().splitlines()
    assert "Training diverged" in str(json.loads(line)["said"]["0"])


def test_where_a_rank_crashed_is_written_down(server, place):
    run = place / "run"
    child = server.start(command(run), cwd=place, call=FORKED)
    assert child.comes(lambda: newest(run) >= 20), child.text()
    os.kill(ranks_of(child)[0], signal.SIGSEGV)
    assert child.wait() == 0, child.text()
    first, second = map(json.loads, (run / "attempts.jsonl").read_text().splitlines())
    assert (first["signal"], second["cause"], second["said"]) == ("SIGSEGV", "done", {})
    assert "Fatal Python error: Segmentation fault" in str(first["said"])


def test_of_a_crash_its_cause_is_kept_however_deep_python_stood(tmp_path):
    said = [f"step {number}" for number in range(100)]
    crash = ["Fatal Python error: Segmentation fault", *[f"  File {at}" for at in range(100)]]
    (tmp_path / "rank-0.txt").write_text("\n".join(said + crash))
    (tmp_path / "rank-1.txt").write_text("\n".join(said))
    words = last_words(tmp_path, 3)
    assert words["0"] == said[-60:] + crash[:60]
    assert words["1"] == said[-60:]
    assert "2" not in words


def test_python_starts_the_ranks_too(tmp_path):
    made = nw.train("digits", model="mlp", steps=4, devices=2, run_dir=tmp_path / "run")
    assert (made.status, made.steps, made.spoken) == ("done", 4, True)
    assert made.run.config["devices"] == 2


def test_what_a_rank_ended_with_is_raised_with_its_words(tmp_path):
    message = {"template": "Training diverged: {what}.", "values": {"what": "loss"}}
    (tmp_path / "run.json").write_text(json.dumps({"format": 1, "why_message": message}))
    error = launcher._told(launcher.End(rank=0, status=5), tmp_path)
    assert isinstance(error, DivergedError)
    assert (str(error), error.exit_code) == ("Training diverged: loss.", 5)
    assert launcher._told(launcher.End(rank=1, status=2), None).exit_code == 2


def launched(monkeypatch, tmp_path, end, **settings):
    """What `launch` raises where its first attempt comes to `end(folder)`, and whether it is
    marked as told."""
    recipe = resolve(data="digits", settings={"devices": 2, **settings}, environ={}).recipe
    monkeypatch.setattr(launcher, "_attempt", lambda *_: end(tmp_path))
    with pytest.raises(NetwrightError) as told:
        launcher.launch(["train"], recipe, tmp_path, launcher.e.Events())
    return told.value, getattr(told.value, "of_other_rank", False)


@pytest.mark.parametrize(
    ("end", "words", "status"),
    [
        ({"signal": signal.SIGINT}, "Stopped by Ctrl-C before the first checkpoint.", 130),
        ({"signal": signal.SIGUSR1}, "Stopped by SIGUSR1 before the first checkpoint.", 143),
        ({"rank": 1, "status": 130}, "Stopped by Ctrl-C before the first checkpoint.", 130),
        ({"rank": 1, "status": -15}, "Stopped by SIGTERM before the first checkpoint.", 143),
    ],
    ids=["ctrl-c", "slurm", "ctrl-c-to-a-rank", "sigterm-to-a-rank"],
)
def test_a_signal_before_the_first_checkpoint_is_told_by_the_launcher(
    tmp_path, monkeypatch, end, words, status
):
    error, told = launched(monkeypatch, tmp_path, lambda _: launcher.End(**end))
    assert (str(error), error.exit_code, told) == (words, status, False)


def test_a_stop_that_the_ranks_did_not_come_to_save_says_what_is_kept(tmp_path, monkeypatch):
    def end(run):
        (run / "ckpt" / "step-000000020").mkdir(parents=True)
        (run / "run.json").write_text(json.dumps({"format": 1, "status": "running"}))
        return launcher.End(signal=signal.SIGTERM)

    error, told = launched(monkeypatch, tmp_path, end)
    assert "Stopped by SIGTERM; the last checkpoint, of step 20, is kept." in str(error)
    assert not told
    (line,) = (tmp_path / "attempts.jsonl").read_text().splitlines()
    assert json.loads(line)["cause"] == "stopped by SIGTERM"


def test_a_stop_that_the_first_rank_has_told_is_not_told_again(tmp_path, monkeypatch):
    message = {"template": "Stopped by {signal} after step {step}; the run is saved.",
               "values": {"signal": "Ctrl-C", "step": 7}}  # fmt: skip
    info = {"format": 1, "status": "interrupted", "why_message": message}

    def end(run):
        (run / "run.json").write_text(json.dumps(info))
        return launcher.End(signal=signal.SIGINT)

    error, told = launched(monkeypatch, tmp_path, end)
    assert str(error) == "Stopped by Ctrl-C after step 7; the run is saved."
    assert told


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"devices": 1000, "batch": 1000}, r"devices=1000 on \d+ processors: each process holds"),
        ({"run.backend": "nccl", "device": "cpu"}, "run.backend=nccl needs GPUs"),
        ({"device": "cuda:0"}, "device=cuda:0 is one GPU"),
    ],
    ids=["crowd", "backend", "one-gpu"],
)
def test_what_every_rank_would_refuse_is_refused_before_one_is_started(
    tmp_path, monkeypatch, settings, words
):
    error, told = launched(monkeypatch, tmp_path, lambda _: pytest.fail("started"), **settings)
    assert re.search(words, str(error))
    assert (error.exit_code, told) == (2, False)


def test_a_folder_in_use_is_refused_before_a_rank_is_started(tmp_path, monkeypatch):
    lock = Lock(tmp_path / ".lock")
    error, _ = launched(monkeypatch, tmp_path, lambda _: pytest.fail("started"))
    lock.release()
    assert error.exit_code == 7
    assert [each.name for each in tmp_path.iterdir()] == [".lock"]


def test_the_first_signal_is_passed_on_and_a_second_ctrl_c_leaves_at_once(monkeypatch):
    left = []
    monkeypatch.setattr(os, "_exit", left.append)
    monkeypatch.setattr(os, "write", lambda *_: 0)
    before = signal.getsignal(signal.SIGINT)
    with PassedOn():
        with pytest.raises(SignalException) as raised:
            signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)
        assert left == []
        signal.raise_signal(signal.SIGINT)
    assert (raised.value.sigval, left) == (signal.SIGINT, [130])
    assert signal.getsignal(signal.SIGINT) is before


def test_a_launcher_under_nohup_does_not_hear_of_the_closed_terminal():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with PassedOn():
            signal.raise_signal(signal.SIGHUP)
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_three_attempts_without_progress_end_the_run(tmp_path, monkeypatch):
    recipe = resolve(data="digits", settings={"devices": 2}, environ={}).recipe
    monkeypatch.setattr(launcher, "_attempt", lambda *_: launcher.End(rank=1, status=-9))
    heard = []
    with pytest.raises(RankLostError, match=r"Rank 1 was lost 3 times in a row.*SIGKILL"):
        launcher.launch(["train"], recipe, tmp_path, launcher.e.Events(heard.append))
    assert len(heard) == 2
    attempts = [json.loads(each) for each in (tmp_path / "attempts.jsonl").read_text().splitlines()]
    assert [(each["attempt"], each["rank"], each["signal"]) for each in attempts] == [
        (1, 1, "SIGKILL"), (2, 1, "SIGKILL"), (3, 1, "SIGKILL"),
    ]  # fmt: skip


def test_an_attempt_with_progress_starts_the_count_anew(tmp_path, monkeypatch):
    recipe = resolve(data="digits", settings={"devices": 2}, environ={}).recipe
    ends = [-9, -9, -9, -9, 0]

    def attempt(*_):
        if len(ends) in (4, 2):
            (tmp_path / "ckpt" / f"step-{100 - len(ends):09d}").mkdir(parents=True)
        return launcher.End(rank=0, status=ends.pop(0))

    monkeypatch.setattr(launcher, "_attempt", attempt)
    launcher.launch(["train"], recipe, tmp_path, launcher.e.Events())
    assert ends == []


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        (["Rank 1 has ended or is silent: Timed out waiting 10000ms for recv operation",
          "The last checkpoint is kept: ..."], "silent or gone"),
        (["Rank 1 has ended or is silent: Connection closed by peer"], "killed by SIGKILL"),
    ],
    ids=["silent", "killed"],
)  # fmt: skip
def test_a_rank_that_was_killed_for_its_silence_was_silent(words, cause):
    assert launcher._seen(launcher.End(rank=1, status=-9), {"0": words}).cause == cause


@pytest.mark.parametrize(
    ("found", "first"),
    [
        ({0: 8, 1: -9}, 1), ({0: -15, 1: 5}, 1), ({0: 8, 1: -15}, 0), ({0: -9, 1: 3}, 0),
    ],
)  # fmt: skip
def test_the_rank_that_fell_first_is_told_from_those_it_took_along(found, first):
    assert min(found, key=lambda rank: launcher._likeliness(found[rank])) == first
