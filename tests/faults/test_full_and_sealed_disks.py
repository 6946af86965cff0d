"""A real disk that is full, and one that is read-only, each in a mount namespace of its own."""

import json

import pytest

from faults.programs import NOT_PERMITTED


def _told(server, place, program, *argv):
    (place / "disk").mkdir()
    child = server.start([str(place / "disk"), *argv], cwd=place, call=f"faults.programs:{program}")
    if child.wait() == NOT_PERMITTED:
        pytest.skip("mounting is not permitted here")
    assert child.wait() == 0, child.text()
    return json.loads(child.text())


@pytest.mark.parametrize("how", ["visible", "hidden"])
def test_a_full_disk_ends_with_6_and_the_last_checkpoint_stands(server, place, how):
    told = _told(server, place, "fill", how)
    assert told["code"] == 6
    assert told["newest"] == told["best"] == told["failed"] - 1 > 3
    assert told["damaged"] == told["left"] == []


def test_a_full_disk_is_told_with_needed_and_free_bytes(server, place):
    error = _told(server, place, "fill", "visible")["error"]
    assert "is full: 22000 bytes needed, " in error
    assert error.endswith("what was saved before is kept.")


def test_a_sealed_disk_ends_with_6_whoever_writes_and_the_run_stands(server, place):
    told = _told(server, place, "seal")
    assert told.pop("kept") == [1, ""]
    assert {name: code for name, (code, _) in told.items()} == dict.fromkeys(
        ["create", "open", "metrics", "info", "save"], 6
    )
    assert all("read-only file system" in text for _, text in told.values())
