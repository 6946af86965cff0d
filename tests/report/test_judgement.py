"""The verdict in words: each sentence from facts, none where the facts are missing."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from netwright.core import languages
from netwright.records.run import Run
from netwright.report.judgement import beats_guessing, interval, judge
from netwright.report.material import Material

Make = Callable[..., Path]


@pytest.fixture(autouse=True)
def english() -> object:
    with languages.speaking("en"):
        yield


def told(folder: Path) -> str:
    return " ".join(judge(Material(Run(folder))))


def change_metrics(folder: Path, **values: float | None) -> None:
    path = folder / "metrics.jsonl"
    lines = [json.loads(line) | {k.replace("__", "/"): v for k, v in values.items()}
             for line in path.read_text().splitlines()]  # fmt: skip
    path.write_text("\n".join(json.dumps(line) for line in lines) + "\n")


@pytest.mark.parametrize(("correct", "total"), [(355, 360), (1, 40), (50, 100)])
def test_at_the_bounds_of_the_interval_the_rate_is_196_deviations_off(
    correct: int, total: int
) -> None:
    for bound in interval(correct, total):  # which is how Wilson defines them
        deviation = (bound * (1 - bound) / total) ** 0.5
        assert abs(correct / total - bound) / deviation == pytest.approx(1.96, abs=1e-4)


def test_the_interval_of_no_or_only_hits_ends_at_zero_or_one() -> None:
    assert interval(0, 10) == pytest.approx((0, 0.2775), abs=1e-4)  # z^2 / (n + z^2)
    assert interval(10, 10) == pytest.approx((0.7225, 1), abs=1e-4)


def test_it_begins_with_how_many_were_right(make_run: Make, tmp_path: Path) -> None:
    assert told(make_run(tmp_path / "run")).startswith("The network names 354 of 360 test images")


def test_validation_images_that_chose_the_epoch_are_not_sold_as_new(
    make_run: Make, tmp_path: Path
) -> None:
    folder = make_run(tmp_path / "run", splits=("val",))
    assert "expect slightly less on new images" in told(folder)


def test_weights_kept_from_the_last_epoch_were_chosen_by_nobody(
    make_run: Make, tmp_path: Path
) -> None:
    folder = make_run(tmp_path / "run", splits=("val",), best_epoch=20)
    (folder / "config.yaml").write_text("run:\n  select: last\n")
    assert "chose the best epoch" not in told(folder)
    assert "best epoch was" not in told(folder)


def test_a_network_that_guesses_is_called_so(make_run: Make, tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    confusion = np.zeros((10, 10), dtype=np.int64)
    confusion[:, 3] = 36
    np.savez(folder / "evidence" / "test.npz", confusion=confusion, acc1=0.1, loss=2.3)
    assert "has not learned to tell the classes apart" in told(folder)
    assert beats_guessing(Material(Run(folder)).evidence[0]) is False


def test_the_best_epoch_and_what_follows_from_it(make_run: Make, tmp_path: Path) -> None:
    assert "The best epoch was 17 of 20" in told(make_run(tmp_path / "a"))
    last = told(make_run(tmp_path / "b", best_epoch=20))
    assert "longer training may still help" in last


def test_early_stopping_is_said_with_the_epochs_it_spared(make_run: Make, tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", epochs=14, best_epoch=9)  # of 20 in config.yaml
    assert "stopped early, 6 epochs before the planned end" in told(folder)


@pytest.mark.parametrize(
    ("train", "val", "sentence"),
    [
        (0.99, 0.80, "19 points better than validation images: the network remembers"),
        (0.95, 0.90, "5.0 points better than validation images, a moderate gap"),
        (0.95, 0.94, "about equally well"),
        (0.90, 0.95, "about equally well"),
    ],
)
def test_the_gap_between_training_and_validation_is_judged(
    make_run: Make, tmp_path: Path, train: float, val: float, sentence: str
) -> None:
    folder = make_run(tmp_path / "run")
    change_metrics(folder, train__acc1=train, val__acc1=val)
    assert sentence in told(folder)


@pytest.mark.parametrize("status", ["done", "interrupted"])
@pytest.mark.parametrize("train", [0.99, 0.5])
def test_two_epochs_are_too_early_to_judge_overfitting(
    make_run: Make, tmp_path: Path, status: str, train: float
) -> None:
    folder = make_run(tmp_path / "run", epochs=2, best_epoch=2, info={"status": status})
    change_metrics(folder, train__acc1=train, val__acc1=0.5)
    text = told(folder)
    assert "too early to tell whether the network overfits" in text
    assert "equally well" not in text
    assert "remembers" not in text


def test_an_interrupted_run_shows_no_sign_only_up_to_here(make_run: Make, tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", info={"status": "interrupted"})
    change_metrics(folder, train__acc1=0.95, val__acc1=0.95)
    text = told(folder)
    assert "Up to here" in text
    assert "no sign of overfitting" not in text


def test_no_gap_is_judged_where_one_side_is_missing(make_run: Make, tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    change_metrics(folder, train__acc1=None)
    assert "validation images" not in told(folder)


def test_waiting_for_data_is_mentioned_when_it_is_much(make_run: Make, tmp_path: Path) -> None:
    assert "waiting for data" not in told(make_run(tmp_path / "a"))
    slow = make_run(tmp_path / "b", info={"data_wait_share": 0.43})
    assert "43\u202f% of the time was spent waiting for data" in told(slow)


def test_a_run_without_an_epoch_says_only_that(make_run: Make, tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", epochs=0, splits=())
    assert judge(Material(Run(folder))) == [
        "Nothing was measured yet: the run ended before its first evaluation."
    ]
