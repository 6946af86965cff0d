"""Reading a run folder: what is there, what is torn, what is not a run at all."""

import json
import os
from pathlib import Path

import pytest

from netwright.core.errors import DataError, SettingError
from netwright.records.arrays import read_arrays
from netwright.records.run import Run, find_run, list_runs, runs_root


def write_run(folder: Path, *, started: str = "2026-11-20T18:02:11+00:00", **info: object) -> Path:
    folder.mkdir(parents=True)
    facts = {"format": 1, "status": "done", "started": started} | info
    (folder / "run.json").write_text(json.dumps(facts))
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    runs = tmp_path / "runs"
    write_run(runs / "2026-11-20T1802-digits-mlp-3f2a", started="2026-11-20T18:02:00+00:00")
    write_run(runs / "2026-11-20T1915-digits-lenet5-77b0", started="2026-11-20T19:15:00+00:00")
    write_run(runs / "2026-11-21T0900-flowers-resnet20-0c1d", started="2026-11-21T09:00:00+00:00")
    return runs


def test_a_run_is_found_by_its_path(root: Path) -> None:
    path = root / "2026-11-20T1802-digits-mlp-3f2a"
    assert find_run(path, root).path == path


def test_a_run_is_found_by_its_name(root: Path) -> None:
    assert find_run("2026-11-20T1802-digits-mlp-3f2a", root).name.endswith("3f2a")


def test_a_run_is_found_by_the_start_of_its_name(root: Path) -> None:
    assert find_run("2026-11-20T19", root).name == "2026-11-20T1915-digits-lenet5-77b0"


def test_a_start_that_fits_two_runs_is_refused_and_names_them(root: Path) -> None:
    with pytest.raises(SettingError, match=r"Several runs begin .* 77b0|3f2a"):
        find_run("2026-11-20", root)


def test_latest_follows_the_link(root: Path) -> None:
    (root / "latest").symlink_to("2026-11-20T1802-digits-mlp-3f2a")
    assert find_run("latest", root).name == "2026-11-20T1802-digits-mlp-3f2a"


def test_latest_does_not_move_when_the_link_does(root: Path) -> None:
    (root / "latest").symlink_to("2026-11-20T1802-digits-mlp-3f2a")
    run = find_run("latest", root)
    (root / "latest").unlink()
    (root / "latest").symlink_to("2026-11-21T0900-flowers-resnet20-0c1d")
    assert run.name == "2026-11-20T1802-digits-mlp-3f2a"


@pytest.mark.parametrize("target", [None, "gone"], ids=["no link", "a dangling link"])
def test_latest_without_a_good_link_is_the_newest_run(root: Path, target: str | None) -> None:
    if target:
        (root / "latest").symlink_to(target)
    assert find_run("latest", root).name == "2026-11-21T0900-flowers-resnet20-0c1d"


def test_latest_where_nothing_was_trained_says_how_to_train(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"no run under .*\n.*netwright train digits"):
        find_run("latest", tmp_path / "runs")


def test_a_name_nobody_has_is_answered_with_the_nearest(root: Path) -> None:
    with pytest.raises(SettingError, match=r"Nearest: 2026-11-20T1802-digits-mlp-3f2a") as caught:
        find_run("2026-11-20T1802-digits-mlp-3f2b", root)
    assert caught.value.exit_code == 2


def test_a_folder_that_is_no_run_says_what_was_expected(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    with pytest.raises(SettingError, match=r"not a run folder: it holds no run\.json"):
        find_run(tmp_path / "photos", tmp_path / "runs")


@pytest.mark.parametrize("spec", ["", "\0", "x" * 5000, "../..", "a/b/c"])
def test_no_odd_name_is_a_run(root: Path, spec: str) -> None:
    with pytest.raises(SettingError):
        find_run(spec, root)


def test_runs_are_listed_newest_first_and_once(root: Path) -> None:
    (root / "latest").symlink_to("2026-11-20T1802-digits-mlp-3f2a")
    (root / "notes.txt").write_text("not a run")
    (root / "empty").mkdir()
    assert [run.name[:15] for run in list_runs(root)] == [
        "2026-11-21T0900",
        "2026-11-20T1915",
        "2026-11-20T1802",
    ]


def test_a_damaged_run_is_still_listed(root: Path) -> None:
    (root / "2026-11-20T1802-digits-mlp-3f2a" / "run.json").write_text("{")
    os.utime(root / "2026-11-20T1802-digits-mlp-3f2a", (0, 0))
    assert list_runs(root)[-1].name == "2026-11-20T1802-digits-mlp-3f2a"


def test_the_folder_of_runs_can_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NETWRIGHT_RUNS", "/somewhere")
    assert runs_root() == Path("/somewhere")
    monkeypatch.delenv("NETWRIGHT_RUNS")
    assert runs_root() == Path("runs")


def test_what_run_json_says_is_read(tmp_path: Path) -> None:
    best = {"metric": "val/acc1", "value": 0.98, "epoch": 3, "step": 120}
    run = Run(write_run(tmp_path / "run", best=best))
    assert run.status == "done"
    assert run.best == best


@pytest.mark.parametrize("content", ["{", "[1, 2]", "", "null", "[" * 100_000])
def test_a_damaged_run_json_is_named(tmp_path: Path, content: str) -> None:
    run = Run(write_run(tmp_path / "run"))
    (run.path / "run.json").write_text(content)
    with pytest.raises(DataError, match=r"run\.json is damaged and cannot be read"):
        _ = run.info


def test_a_torn_last_line_of_the_metrics_is_left_out(tmp_path: Path) -> None:
    run = Run(write_run(tmp_path / "run"))
    lines = '{"step": 40, "epoch": 1, "val/acc1": 0.9}\n{"step": 80, "epo'
    (run.path / "metrics.jsonl").write_text(lines)
    assert run.metrics == [{"step": 40, "epoch": 1, "val/acc1": 0.9}]


def test_values_that_are_not_finite_are_read_as_missing(tmp_path: Path) -> None:
    run = Run(write_run(tmp_path / "run"))
    (run.path / "metrics.jsonl").write_text('{"a": NaN, "b": -Infinity, "c": 1e999, "d": null}\n')
    assert run.metrics == [{"a": None, "b": None, "c": None, "d": None}]


def test_files_that_are_not_there_yet_read_as_empty(tmp_path: Path) -> None:
    run = Run(write_run(tmp_path / "run"))
    assert (run.metrics, run.model, run.config, run.config_text) == ([], {}, {}, "")
    assert (run.classes, run.best) == ([], None)
    assert run.evidence("val") is None
    assert run.first_batch() is None


def test_the_settings_are_read_as_values_and_as_text(tmp_path: Path) -> None:
    run = Run(write_run(tmp_path / "run"))
    (run.path / "config.yaml").write_text("optim:\n  lr: 0.1  # command line\n")
    assert run.config == {"optim": {"lr": 0.1}}
    assert "# command line" in run.config_text


def test_settings_that_would_run_code_are_refused(tmp_path: Path) -> None:
    run = Run(write_run(tmp_path / "run"))
    (run.path / "config.yaml").write_text("a: !!python/object/apply:os.system ['true']\n")
    with pytest.raises(DataError, match="line 1"):
        _ = run.config


def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(tmp_path: Path) -> None:
    run = Run(write_run(tmp_path / "run"))
    os.mkfifo(run.path / "model.json")
    with pytest.raises(DataError, match="not a file"):
        _ = run.model


BOMB = "a: &a {x: 1}\n" + "".join(
    f"{b}: &{b} {{<<: [{','.join(['*' + a] * 10)}]}}\n"
    for a, b in zip("abcdefghi", "bcdefghij", strict=True)
)


def test_a_bomb_of_aliases_in_a_config_is_damage(tmp_path):
    (tmp_path / "run.json").write_text("{}")
    (tmp_path / "config.yaml").write_text(BOMB)
    with pytest.raises(DataError, match="aliases"):
        Run(tmp_path).config  # noqa: B018


@pytest.mark.parametrize(
    "best", ['{"metric": null, "value": 1}', '{"metric": "a", "value": "x"}', "[]",
             '{"metric": "a", "value": 1' + "0" * 4000 + "}"],
)  # fmt: skip
def test_a_best_that_makes_no_sense_is_none(tmp_path, best):
    (tmp_path / "run.json").write_text(f'{{"best": {best}}}')
    assert Run(tmp_path).best is None


def test_a_fifo_in_place_of_arrays_is_damage_and_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.npz")
    with pytest.raises(DataError, match="not a regular file"):
        read_arrays(tmp_path / "a.npz")
