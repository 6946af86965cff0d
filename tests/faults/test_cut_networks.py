"""Two ranks that each hold half of a network: the same run as one that holds all of it."""

from __future__ import annotations

import json
import signal

import pytest
import torch

from faults.ranks import ended, start_ranks, told
from faults.test_ranks import command, lines
from netwright.train.weights import read_weights

CUT = "run.shard=true"


@pytest.mark.parametrize(
    ("model", "settings"),
    [
        ("mlp", ["aug.shift=1", "run.ema=0.9", "optim.clip=1", "optim=adamw"]),
        ("mlp", ["batch=16", "optim.accumulate=3", "optim=sgd", "optim.l1=1e-4"]),
        # Some parts of three images weigh nothing, and are passes that the other rank waits for.
        (
            "mlp",
            ["batch=12", "optim.accumulate=2", "loss.class_weights=[1, 1, 1, 0, 0, 0, 0, 0, 0, 0]"],
        ),
        pytest.param(
            "resnet20", ["steps=3", "optim=sgd", "optim.lr=0.005"], marks=pytest.mark.long
        ),
    ],
    ids=["averaged-clipped", "accumulated", "weightless", "batch-norm"],
)
def test_half_a_network_each_computes_what_one_computes(server, place, model, settings):
    alone = server.run(
        "netwright.cli:main", command(place / "one", *settings, model=model), cwd=place
    )
    assert alone.wait() == 0, alone.text()
    ranks = start_ranks(server, command(place / "two", *settings, CUT, model=model), cwd=place)
    assert ended(ranks) == {0: 0, 1: 0}, told(ranks)
    assert "are cut among 2 processes" in told(ranks)
    for theirs, ours in zip(lines(place / "one"), lines(place / "two"), strict=True):
        assert ours == pytest.approx(theirs, rel=2e-4, abs=2e-5)
    left, right = (read_weights(place / run / "best.safetensors") for run in ("one", "two"))
    assert list(left) == list(right)
    for name, value in left.items():
        torch.testing.assert_close(value, right[name], rtol=1e-3, atol=1e-4)


def test_after_a_kill_it_goes_on_exactly_and_in_one_process_approximately(server, place):
    run, settings = place / "run", [CUT, "steps=60", "run.ema=0.9", "run.rank_timeout=20"]
    whole = start_ranks(server, command(place / "whole", *settings), cwd=place)
    assert ended(whole) == {0: 0, 1: 0}, told(whole)
    ranks = start_ranks(server, command(run, *settings), cwd=place)
    assert ranks[0].comes(lambda: (run / "ckpt" / "step-000000018").exists())
    ranks[1].kill(signal.SIGKILL)
    assert ended(ranks) == {0: 8, 1: -9}, told(ranks)
    assert "Rank 1 has ended or is silent" in told(ranks)
    again = start_ranks(server, ["train", "--resume", str(run)], cwd=place)
    assert ended(again) == {0: 0, 1: 0}, told(again)
    assert "exactly as if it had never stopped" in told(again)
    assert lines(run) == lines(place / "whole")
    ours, theirs = (read_weights(each / "best.safetensors") for each in (run, place / "whole"))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    alone = server.start(["train", "--resume", str(run), "devices=1", "steps=70"], cwd=place)
    assert alone.wait() == 0, alone.text()
    said = " ".join(alone.text().split())
    assert "number of processes 2 -> 1" in said
    assert "network cut among processes on -> off" in said


def test_each_rank_holds_half(server, place):
    ranks = start_ranks(server, [], cwd=place, call="faults.rank_programs:measure")
    assert ended(ranks) == {0: 0, 1: 0}, told(ranks)
    for each in ranks.values():
        cut, whole = json.loads(each.text().splitlines()[-1])
        for name in ("weights", "gradients", "state", "model"):
            assert 0.45 < cut[name] / whole[name] < 0.55, (name, cut, whole)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["doctor.mode=watch"], "doctor.mode=watch does not go with a network that is cut"),
        (["optim=lbfgs"], "optim=lbfgs does not go with a network that is cut"),
        (["run.channels_last=true"], "run.channels_last=true does not go with"),
    ],
    ids=["doctor", "lbfgs", "channels-last"],
)
def test_what_a_cut_network_cannot_do_is_refused(server, place, settings, words):
    ranks = start_ranks(server, command(place / "run", CUT, *settings), cwd=place)
    assert ended(ranks) == {0: 2, 1: 2}, told(ranks)
    assert words in told(ranks)
    assert not (place / "run").exists()
