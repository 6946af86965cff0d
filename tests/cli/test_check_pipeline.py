"""`netwright check DATA --pipeline`: how fast images come, stage by stage."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from netwright.core.languages import Phrase, speaking
from netwright.records.pipeline import Pipeline, Stage
from netwright.report.pipeline_table import pipeline_table, told
from netwright.tasks import pipeline


@pytest.fixture
def photos(tmp_path):
    rng = np.random.default_rng(0)
    for label in ("ash", "birch"):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for i in range(8):
            rough = Image.fromarray(rng.integers(0, 256, (6, 8, 3), np.uint8))
            rough.resize((200, 150)).save(tmp_path / "photos" / label / f"{i}.jpg")
    return "photos"


def asked(netwright, *words):
    answer = netwright("check", *words, "--pipeline", "--seconds", "0.4", "--json")
    assert answer.status == 0, answer.err
    return json.loads(answer.out)["pipeline"]


def names(found, *, once):
    return [each["name"] for each in found["stages"] if each["once"] is once]


def test_a_stream_is_measured_from_the_file_to_the_batch(netwright, photos):
    words = (photos, "mlp", "data.size=32", "batch=4", "data.cache=stream", "aug.flip=true")
    found = asked(netwright, *words, "data.workers=1")
    assert names(found, once=False) == ["read", "decode", "resize", "batch", "augment", "tensor"]
    assert {"0", "1"} <= set(found["images_per_second"])
    assert found["workers"] == 1
    assert found["stored"] == [150, 200]
    slowest = max(found["stages"], key=lambda each: each["seconds_per_image"])
    assert found["bottleneck"] == slowest["name"]


def test_what_is_held_in_memory_is_decoded_once(netwright, photos):
    found = asked(netwright, photos, "mlp", "data.size=32", "batch=4")
    assert names(found, once=True) == ["read", "decode", "resize"]
    assert names(found, once=False) == ["gather", "tensor"]
    assert list(found["images_per_second"]) == ["0"]


def test_a_set_without_files_has_no_stages_of_files(netwright):
    found = asked(netwright, "digits", "mlp", "batch=16")
    assert names(found, once=True) == []
    assert found["stored"] is None


def test_the_users_own_data_set_is_one_stage(netwright, tmp_path):
    (tmp_path / "own.py").write_text(
        "import torch\nclass Own(torch.utils.data.Dataset):\n"
        "    def __len__(self): return 12\n"
        "    def __getitem__(self, i): return torch.rand(1, 8, 8), i % 2\n"
        "def make(): return Own(), Own()\n"
    )
    words = ("own.py:make", "mlp", "batch=4", "data.cache=stream", "data.workers=0")
    # Floats are normalised before they are augmented.
    expected = ["source", "batch", "tensor", "augment"]
    assert names(asked(netwright, *words, "aug.flip=true"), once=False) == expected


def test_nothing_is_left_and_the_table_names_the_slowest(netwright, photos, tmp_path):
    before = sorted(each.name for each in tmp_path.iterdir())
    answer = netwright("check", photos, "mlp", "batch=4", "--pipeline", "--seconds", "0.4")
    assert "images/s" in answer.out
    assert "Most of the time of an image" in answer.out
    assert sorted(each.name for each in tmp_path.iterdir()) == before


@pytest.mark.parametrize("more", [["--pipeline"], []])
@pytest.mark.parametrize("seconds", ["0", "-1", "nan"])
def test_a_time_that_is_none_is_refused(netwright, seconds, more):
    answer = netwright("check", "digits", "mlp", *more, "--seconds", seconds)
    assert answer.status == 2
    assert "seconds says how long a check-up may take, above 0" in answer.err


def test_it_ends_by_itself_however_long_it_may_take(netwright, monkeypatch):
    monkeypatch.setattr(pipeline, "_MOST", 0.2)
    answer = netwright("check", "digits", "mlp", "--pipeline", "--seconds", "inf")
    assert answer.status == 0, answer.err


def test_one_large_image_counts_as_much_as_it_takes(monkeypatch):
    """Nine images of a second and one of eleven, each taken five times: two seconds an image."""
    clock = [0.0]

    def take(i):
        clock[0] += 11.0 if i == 3 else 1.0

    monkeypatch.setattr(pipeline, "time", SimpleNamespace(perf_counter=lambda: clock[0]))
    assert pipeline._each(take, 10, seconds=100.0) == 2.0


def test_a_rate_that_spoils_the_weights_does_not_end_it(netwright):
    found = asked(netwright, "digits", "mlp", "optim=sgd", "optim.lr=1e30")
    assert found["network_images_per_second"] > 0


def test_it_is_one_check_or_the_other(netwright):
    assert netwright("check", "digits", "--pipeline", "--gradients").status == 2


def measured(**changed):
    stages = (
        Stage(name="read", seconds=1e-4),
        Stage(name="decode", seconds=3e-3),
        Stage(name="resize", seconds=1e-3),
    )
    values = {
        "images": 9, "batch": 4, "size": (64, 64), "stored": (375, 500), "held": False,
        "jpeg": 1.0, "decode": "exact", "stages": stages, "whole": {0: 200.0, 2: 390.0},
        "workers": 0, "network": 300.0,
    }  # fmt: skip
    return Pipeline(**(values | changed))


def advice(found):
    return [str(each) for word, each in told(found) if word == "DO"]


def test_advice_fits_what_is_slow():
    slow = " ".join(advice(measured()))
    assert "data.workers=2" in slow
    assert "data.decode=fast" in slow
    assert "data.cache=memory" in slow
    assert "375x500" in slow
    fast = " ".join(advice(measured(decode="fast", stored=(70, 90), workers=2, network=500.0)))
    assert "data.workers" not in fast
    assert "decode=fast" not in fast
    assert "smaller" not in fast
    assert advice(measured(network=150.0)) == []  # nobody waits: there is nothing to do


def test_a_crowded_machine_is_said_and_no_worker_is_blamed_for_it():
    found = measured(other_work=0.6)
    said = " ".join(str(each) for word, each in told(found) if word == "WARN")
    assert "60%" in said
    assert "data.workers" not in " ".join(advice(found))
    assert not any("Other work" in str(each) for _, each in told(measured(other_work=0.1)))


def test_a_torn_file_of_the_sample_is_named(netwright, photos, tmp_path):
    torn = tmp_path / photos / "ash" / "3.jpg"
    torn.write_bytes(torn.read_bytes()[:-600])
    words = ("check", photos, "mlp", "data.size=32", "batch=4", "--pipeline", "--seconds", "0.4")
    # Reading into memory leaves it out before; of a stream the first look takes 64 files, here all.
    for cache in ("memory", "stream"):
        answer = netwright(*words, f"data.cache={cache}")
        assert "ash/3.jpg" in answer.out + answer.err
    bad = Phrase("{name} ({reason})", name="ash/3.jpg", reason="torn")
    said = [str(each) for _, each in told(measured(unreadable=1, first_unreadable=bad))]
    assert "1 of the 10 images that were tried cannot be read: ash/3.jpg (torn)." in said


def test_it_speaks_chinese():
    with speaking("zh"):
        text = "\n".join(pipeline_table(measured(), cells=80))
        text += "".join(each.localized() for _, each in told(measured()))
    assert "解码" in text
    assert "瓶颈" in text or "阶段" in text
    assert "decode" not in text.replace("data.decode", "")
