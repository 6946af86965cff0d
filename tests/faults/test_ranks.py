"""Several processes that train one network: the same numbers as one, and every fault is told."""

from __future__ import annotations

import json
import signal

import pytest
import torch

from faults.ranks import ended, start_ranks, told
from netwright.train.weights import read_weights

QUICK = ["run.rank_timeout=5"]


def command(run, *settings, model="mlp"):
    return ["train", "digits", model, "steps=24", "sched=constant", "run.checkpoint_every=6",
            *settings, "--run-dir", str(run)]  # fmt: skip


def lines(run):
    found = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in each.items() if not k.startswith("time/")} for each in found]


@pytest.mark.parametrize(
    ("model", "settings"),
    [
        ("mlp", ["aug.shift=1", "run.ema=0.9", "optim.clip=1"]),
        ("mlp", ["batch=16", "optim.accumulate=3", "optim=sgd"]),
        ("mlp", ["aug.mixup=0.4", "loss.class_weights=balanced"]),
        ("mlp", ["loss=focal", "loss.class_weights=balanced", "data.cache=stream",
                 "data.workers=1"]),
        ("resnet20", ["model.norm=group", "steps=4", "optim=sgd"]),
        ("resnet20", ["steps=4", "optim=sgd", "optim.lr=0.005"]),
        ("mlp", ["optim=lbfgs", "steps=3", "batch=1294"]),
    ],
    ids=["shift-ema-clip", "accumulated", "mixed-weighted", "streamed-focal", "group-norm",
         "batch-norm", "closure"],
)  # fmt: skip
def test_two_ranks_compute_what_one_computes(server, place, model, settings):
    """The curve of two ranks with half a batch each is that of one with all of it: the same data,
    and rounding."""
    alone = server.run(
        "netwright.cli:main", command(place / "one", *settings, model=model), cwd=place
    )
    assert alone.wait() == 0, alone.text()
    ranks = start_ranks(server, command(place / "two", *settings, model=model), cwd=place)
    assert ended(ranks) == {0: 0, 1: 0}, told(ranks)
    one, two = lines(place / "one"), lines(place / "two")
    assert [each["step"] for each in one] == [each["step"] for each in two]
    for theirs, ours in zip(one, two, strict=True):
        assert ours == pytest.approx(theirs, rel=2e-4, abs=2e-5)
        assert ours["val/acc1"] == theirs["val/acc1"]
    left, right = (read_weights(place / run / "best.safetensors") for run in ("one", "two"))
    for name, value in left.items():
        torch.testing.assert_close(value, right[name], rtol=1e-3, atol=1e-4)


def test_passes_of_a_step_exchange_nothing_until_the_last(server, place):
    ranks = start_ranks(server, [], cwd=place, call="faults.rank_programs:count_exchanges")
    assert ended(ranks) == {0: 0, 1: 0}, told(ranks)
    for each in ranks.values():
        one_pass, four = json.loads(each.text().splitlines()[-1])
        assert one_pass == four == 2  # loss and which gradients there are, then all of these


def test_one_rank_speaks_and_writes(server, place):
    ranks = start_ranks(server, [*command(place / "run"), "--json"], cwd=place)
    assert ended(ranks) == {0: 0, 1: 0}
    assert '"status": "done"' in ranks[0].text()
    assert ranks[1].text() == ""
    info = json.loads((place / "run" / "run.json").read_text())
    assert info["status"] == "done"
    assert "devices: 2" in (place / "run" / "config.yaml").read_text()


def test_an_evaluation_counts_each_image_once(server, place):
    """Three ranks over 144 images in batches of 60: what is counted is what is there."""
    ranks = start_ranks(server, [], cwd=place, size=3, call="faults.rank_programs:evaluate")
    assert ended(ranks) == {0: 0, 1: 0, 2: 0}, told(ranks)
    found = [json.loads(each.text().splitlines()[-1]) for each in ranks.values()]
    for each in found:
        assert each["alone"] == each["together"]  # to the last bit, the loss too
    assert sorted(i for each in found for i in each["index"]) == list(range(144))


def test_a_signal_stops_all_ranks_after_the_same_step_and_they_go_on_exactly(server, place):
    run = place / "run"
    argv = command(run, "steps=120", "run.ema=0.9", "aug.shift=1")
    whole = start_ranks(server, command(place / "whole", *argv[3:-2]), cwd=place)
    assert ended(whole) == {0: 0, 1: 0}, told(whole)
    ranks = start_ranks(server, argv, cwd=place)
    assert ranks[1].comes(lambda: (run / "ckpt" / "step-000000030").exists())
    ranks[1].kill(signal.SIGTERM)  # to one of them only
    assert ended(ranks) == {0: 143, 1: 143}, told(ranks)
    assert "Stopped by SIGTERM" in ranks[0].text()
    assert ranks[1].text() == ""
    again = start_ranks(server, ["train", "--resume", str(run)], cwd=place)
    assert ended(again) == {0: 0, 1: 0}, told(again)
    assert "exactly as if it had never stopped" in told(again)
    assert lines(run) == lines(place / "whole")
    ours, theirs = (read_weights(each / "best.safetensors") for each in (run, place / "whole"))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_a_run_of_two_ranks_goes_on_in_one_process_and_says_it_is_approximate(server, place):
    run = place / "run"
    ranks = start_ranks(server, command(run), cwd=place)
    assert ended(ranks) == {0: 0, 1: 0}, told(ranks)
    child = server.start(["train", "--resume", str(run), "devices=1", "steps=30"], cwd=place)
    assert child.wait() == 0, child.text()
    assert "number of processes 2 -> 1" in " ".join(child.text().split())


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["optim.lr=0.5"], "optim.lr: 0.001 -> 0.5."),
        (["--dry-run"], "run: new -> rehearsal."),
    ],
    ids=["setting", "rehearsal"],
)
def test_recipes_that_differ_are_named(server, place, more, words):
    ranks = start_ranks(server, command(place / "run", *QUICK), cwd=place, more={1: more})
    assert ended(ranks) == {0: 2, 1: 2}
    assert f"The recipes of the ranks differ, in rank 1: {words}" in told(ranks)
    assert ranks[1].text() == ""
    assert not (place / "run").exists()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["batch=33"], "batch: 33 cannot be shared equally among devices=2. Set batch=32 or "
         "batch=34."),
        (["devices=4"], "devices=4, but this is one of 2 processes"),
        (["seeds=3"], "seeds=3 goes with devices=1 only."),
        (["doctor.mode=repair"], "doctor.mode=repair goes with devices=1 only."),
        (["loss=dice"], "loss=dice is a loss of the batch as a whole: devices=2 would change it."),
        (["run.backend=mpi"], "run.backend"),
        (["run.backend=nccl", "device=cpu"], "run.backend=nccl needs GPUs"),
        (["device=cuda:0"], "device=cuda:0 is one GPU"),
    ],
    ids=["share", "devices", "seeds", "repair", "dice", "unknown-backend", "nccl", "one-gpu"],
)  # fmt: skip
def test_what_cannot_be_is_refused_in_every_rank(server, place, settings, words):
    ranks = start_ranks(server, command(place / "run", *settings, *QUICK), cwd=place)
    assert ended(ranks) == {0: 2, 1: 2}, told(ranks)
    assert words in told(ranks)
    assert not (place / "run").exists()


def test_a_first_rank_that_is_not_there_is_named(server, place):
    ranks = start_ranks(server, command(place / "run", "run.rank_timeout=2"), cwd=place, absent=[0])
    assert ended(ranks) == {1: 2}
    assert "Rank 1 cannot reach the first rank at 127.0.0.1:" in told(ranks)


def test_a_rank_that_does_not_come_is_named(server, place):
    argv = command(place / "run", "batch=66", "run.rank_timeout=2")
    ranks = start_ranks(server, argv, cwd=place, size=3, absent=[2])
    assert ended(ranks) == {0: 2, 1: 2}
    assert "Of 3 ranks these have not come within 2 s: 2." in told(ranks)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_rank_that_is_killed_or_hangs_is_named_by_the_others(server, place, number):
    run = place / "run"
    argv = command(run, "steps=100000", "batch=66", "run.rank_timeout=4")
    ranks = start_ranks(server, argv, cwd=place, size=3)
    assert ranks[0].comes(lambda: (run / "ckpt" / "step-000000018").exists())
    ranks[1].kill(number)
    assert {rank: ranks[rank].wait() for rank in (0, 2)} == {0: 8, 2: 8}
    said = " ".join(ranks[0].text().split())
    assert "Rank 1 has ended or is silent: " in said
    assert "gloo/" not in said  # where torch's source says so is no help
    assert ranks[2].text() == ""
    ranks[1].kill()
    ranks[1].wait()
    assert json.loads((run / "run.json").read_text())["status"] == "failed"


def test_the_error_of_one_rank_is_told_by_the_first_with_its_status(server, place):
    (place / "run").mkdir()
    (place / "run" / "metrics.jsonl").write_text("mine")
    ranks = start_ranks(server, command(place / "run", *QUICK), cwd=place)
    assert ended(ranks) == {0: 2, 1: 2}
    assert "holds metrics.jsonl" in ranks[0].text()
    assert ranks[1].text() == ""


def test_numbers_that_are_not_finite_end_all_ranks_alike(server, place):
    ranks = start_ranks(
        server, command(place / "run", "optim=sgd", "optim.lr=1e9", *QUICK), cwd=place
    )
    assert ended(ranks) == {0: 5, 1: 5}, told(ranks)
    assert ranks[1].text() == ""
    (bundle,) = (place / "run" / "evidence").glob("nonfinite-*.json")
    assert len(json.loads(bundle.read_text())["batch"]["index"]) == 64  # of all ranks
