"""Ranks that are started wrongly: a message, the right status, nothing lost, nobody left."""

from __future__ import annotations

import shutil
import socket

import pytest

from faults.ranks import ended, start_ranks, told
from faults.test_ranks import QUICK, command, lines


@pytest.mark.parametrize(
    ("env", "words"),
    [
        ({"MASTER_PORT": ""}, "MASTER_PORT= is not allowed: expected a number."),
        ({"MASTER_PORT": "99999"}, "MASTER_PORT=99999 is not allowed"),
        ({"RANK": "first"}, "RANK=first is not allowed: expected a number."),
        ({"RANK": "7"}, "RANK=7 and WORLD_SIZE=2 do not go together."),
        ({"WORLD_SIZE": "0"}, "RANK=0 and WORLD_SIZE=0 do not go together."),
        ({"MASTER_ADDR": "no.such.host.invalid", "RANK": "1"},
         "Rank 1 cannot reach the first rank at no.such.host.invalid:"),
    ],
    ids=["no-port", "large-port", "no-number", "rank", "size", "unknown-host"],
)  # fmt: skip
def test_variables_that_cannot_be_are_named(server, place, env, words):
    ranks = start_ranks(server, command(place / "run", *QUICK), cwd=place, absent=[1], env=env)
    assert ended(ranks) == {0: 2}, told(ranks)
    assert words in told(ranks)
    assert not (place / "run").exists()


def test_a_port_that_is_taken_is_named(server, place):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        env = {"MASTER_PORT": str(taken.getsockname()[1])}
        ranks = start_ranks(server, command(place / "run", *QUICK), cwd=place, absent=[1], env=env)
        assert ended(ranks) == {0: 2}, told(ranks)
    assert f"127.0.0.1:{env['MASTER_PORT']}" in told(ranks)


@pytest.mark.parametrize("settings", [[], ["run.shard=true"]], ids=["whole", "cut"])
def test_a_checkpoint_of_another_network_is_told_once_and_nothing_is_lost(server, place, settings):
    run, other = place / "run", place / "other"
    for each in (run, other):
        words = [*command(each, *settings, "steps=12"), *(["model.hidden=[7]"] * (each == other))]
        ranks = start_ranks(server, words, cwd=place)
        assert ended(ranks) == {0: 0, 1: 0}, told(ranks)
    shutil.rmtree(run / "ckpt" / "step-000000012")
    shutil.copytree(other / "ckpt" / "step-000000012", run / "ckpt" / "step-000000012")
    before = lines(run)
    ranks = start_ranks(server, ["train", "--resume", str(run), "steps=18"], cwd=place)
    assert ended(ranks) == {0: 3, 1: 3}, told(ranks)
    assert "step-000000012 is of another network" in told(ranks)
    assert ranks[1].text() == ""
    assert lines(run) == before
    assert (run / "ckpt" / "step-000000012" / "weights.safetensors").exists()
