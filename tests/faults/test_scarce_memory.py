"""Memory that runs out in a step: the batch is taken in smaller passes, by all ranks alike."""

from __future__ import annotations

import json

import pytest

from faults.ranks import ended, start_ranks, told
from faults.test_ranks import command, lines

STARVED = "faults.rank_programs:starved"


def test_passes_are_halved_in_all_ranks_where_one_has_no_memory(server, place):
    alone = server.run("netwright.cli:main", command(place / "one"), cwd=place)
    assert alone.wait() == 0, alone.text()
    run = place / "two"
    ranks = start_ranks(server, ["8", *command(run)], cwd=place, call=STARVED)
    assert ended(ranks) == {0: 0, 1: 0}, told(ranks)
    assert "go through the network in passes of 8." in told(ranks)
    for theirs, ours in zip(lines(place / "one"), lines(run), strict=True):
        assert ours == pytest.approx(theirs, rel=2e-4, abs=2e-5)
    info = json.loads((run / "run.json").read_text())
    assert info["passes"] == [{"step": 0, "images": 16}, {"step": 0, "images": 8}]
    again = start_ranks(server, ["8", "train", "--resume", str(run), "steps=30"], cwd=place,
                        call=STARVED)  # fmt: skip
    assert ended(again) == {0: 0, 1: 0}, told(again)
    assert "Memory ran out" not in told(again)  # the checkpoint knows how many passes it takes


@pytest.mark.parametrize(
    ("model", "settings"),
    [("mlp", []), ("resnet20", ["steps=3"])],
    ids=["down-to-one-image", "ranks-that-wait-in-a-pass"],
)
def test_where_nothing_helps_all_ranks_end_alike(server, place, model, settings):
    argv = ["0", *command(place / "run", "batch=8", *settings, model=model)]
    ranks = start_ranks(server, argv, cwd=place, call=STARVED)
    assert ended(ranks) == {0: 6, 1: 6}, told(ranks)
    assert told(ranks).count("Memory ran out: ") == 1
    assert ranks[1].text() == ""
