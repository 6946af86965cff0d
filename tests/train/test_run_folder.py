"""Where a run may be made, who may open it, and what its files hold whatever happens."""

import errno
import json
import os
import re

import pytest

from netwright.core import atomic
from netwright.core.errors import DataError, ExhaustedError, RunBusyError, SettingError
from netwright.train.run_folder import RunFolder, holds_run


@pytest.fixture
def run(tmp_path):
    with RunFolder.create(tmp_path / "run", name_parts=[], root=tmp_path) as folder:
        yield folder


def _create(path):
    return RunFolder.create(path, name_parts=["digits", "mlp"], root=path.parent / "runs")


def _info(run):
    return json.loads((run.path / "run.json").read_bytes())


def _lines(run):
    return [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]


# --- making one ------------------------------------------------------------------------------


def test_a_new_run_is_named_after_time_data_and_model(tmp_path):
    with RunFolder.create(None, name_parts=["digits", "mlp"], root=tmp_path / "runs") as run:
        assert run.path.parent == tmp_path / "runs"
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d{4}-digits-mlp-[0-9a-f]{4}", run.path.name)


def test_two_new_runs_have_two_names(tmp_path):
    with (
        RunFolder.create(None, name_parts=["a", "b"], root=tmp_path) as one,
        RunFolder.create(None, name_parts=["a", "b"], root=tmp_path) as other,
    ):
        assert one.path != other.path


@pytest.mark.parametrize(
    ("part", "word"),
    [
        ("../flowers/", "flowers"),
        ("net.py:make", "net.py-make"),
        ("花卉", "花卉"),
        ("a b\n\x1b[31m", "a-b-31m"),
        ("\udcff", "x"),
        ("", "x"),
        ("y" * 300, "y" * 40),
    ],
)
def test_no_part_of_a_name_leaves_the_folder_or_upsets_a_terminal(tmp_path, part, word):
    with RunFolder.create(None, name_parts=[part], root=tmp_path) as run:
        assert run.path.parent == tmp_path
        assert re.fullmatch(r"[-\dT]{15}-(.*)-[0-9a-f]{4}", run.path.name)[1] == word


def test_missing_parents_are_made(tmp_path):
    with _create(tmp_path / "a" / "b" / "run") as run:
        assert holds_run(run.path)


def test_an_empty_folder_is_taken(tmp_path):
    (tmp_path / "run").mkdir()
    _create(tmp_path / "run").close()


def test_a_folder_with_other_files_is_taken_and_they_stay(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "slurm.out").write_text("queued")
    _create(tmp_path / "run").close()
    assert (tmp_path / "run" / "slurm.out").read_text() == "queued"


def test_a_folder_that_holds_a_run_is_refused_and_nothing_touched(tmp_path):
    _create(tmp_path / "run").close()
    (tmp_path / "run" / ".lock").unlink()
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "run").iterdir()}
    with pytest.raises(SettingError, match=r"already holds a run.\nGo on with it by --resume") as e:
        _create(tmp_path / "run")
    assert e.value.exit_code == 2
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "run").iterdir()} == before


@pytest.mark.parametrize("name", ["config.yaml", "metrics.jsonl", "ckpt"])
def test_a_file_of_the_user_is_never_written_over(tmp_path, name):
    (tmp_path / name).write_text("mine")
    with pytest.raises(SettingError, match=f"holds {name}, which a run would write over"):
        _create(tmp_path)
    assert os.listdir(tmp_path) == [name]


def test_a_folder_of_a_run_killed_before_its_first_file_can_be_created_again(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".lock").touch()
    _create(tmp_path / "run").close()


@pytest.mark.parametrize("below", ["", "a", "a/b"])
def test_a_file_in_the_way_is_named(tmp_path, below):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SettingError, match=r"/file is not a folder, so it cannot be or hold"):
        _create(tmp_path / "file" / below)


@pytest.mark.parametrize(
    ("name", "reason"),
    [("x" * 300, "file name too long"), ("a\0b", "embedded null byte")],
)
def test_a_name_no_folder_can_have_is_a_wrong_setting(tmp_path, name, reason):
    with pytest.raises(SettingError, match=f"cannot be a run folder: {reason}"):
        _create(tmp_path / name)


def test_a_loop_of_links_is_a_wrong_setting(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(SettingError):
        _create(tmp_path / "loop" / "run")


def test_a_name_that_is_not_utf8_is_a_name(tmp_path):
    with _create(tmp_path / os.fsdecode(b"\xff\xfe")) as run:
        run.write_info(why=str(run.path))
        assert _info(run)["why"] == str(run.path)
        assert run.point_latest()


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.ENOSPC])
def test_a_place_that_cannot_be_written_ends_with_6(tmp_path, monkeypatch, number):
    class Refusing(atomic.Disk):
        def make_folder(self, path):
            raise OSError(number, os.strerror(number))

    monkeypatch.setattr(atomic, "disk", Refusing())
    with pytest.raises(ExhaustedError, match=r"Cannot write|is full") as caught:
        _create(tmp_path / "run")
    assert caught.value.exit_code == 6


# --- one owner -------------------------------------------------------------------------------


def test_a_run_in_use_is_refused_with_7(run):
    with pytest.raises(RunBusyError, match="is in use by another process") as caught:
        RunFolder.open(run.path)
    assert caught.value.exit_code == 7


def test_a_closed_run_can_be_opened_and_keeps_what_it_knew(run):
    run.write_info(seed=3)
    run.close()
    with RunFolder.open(run.path) as again:
        assert again.info == {"format": 1, "status": "running", "seed": 3}


def test_a_folder_without_a_run_is_no_run(tmp_path):
    with pytest.raises(SettingError, match="There is no run in"):
        RunFolder.open(tmp_path)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("text", ["", "[]", "{", '{"a": ' * 9999, "\x00"])
def test_a_damaged_run_json_is_said_and_the_lock_given_free(run, text):
    run.close()
    (run.path / "run.json").write_text(text)
    for _ in range(2):
        with pytest.raises(DataError, match=r"run.json is damaged.\nStart a new run from"):
            RunFolder.open(run.path)


# --- its files -------------------------------------------------------------------------------


def test_run_json_is_merged_and_what_is_not_finite_is_null(run):
    run.write_info(best={"value": float("nan")}, steps=1)
    run.write_info(steps=2, list=(1.5, float("inf")))
    assert _info(run) == {
        "format": 1, "status": "running", "best": {"value": None}, "steps": 2, "list": [1.5, None],
    }  # fmt: skip


def test_each_line_of_metrics_is_one_object_of_standard_json(run):
    run.append_metrics({"step": 1, "val/loss": float("inf"), "name": "花\n\udcff"})
    run.append_metrics({"step": 2, "best": True})
    assert _lines(run) == [
        {"step": 1, "val/loss": None, "name": "花\n\udcff"},
        {"step": 2, "best": True},
    ]


def test_metrics_are_cut_back_to_the_length_a_checkpoint_remembers(run):
    run.append_metrics({"step": 1})
    length = run.metrics_length()
    run.append_metrics({"step": 2})
    assert run.cut_metrics(length) == 0
    run.append_metrics({"step": 3})
    assert [line["step"] for line in _lines(run)] == [1, 3]


def test_lines_that_were_lost_are_counted(run):
    run.append_metrics({"step": 1})
    assert run.cut_metrics(run.metrics_length() + 5) == 5


def test_a_run_without_metrics_has_length_0_and_can_be_cut(run):
    assert run.metrics_length() == 0
    assert run.cut_metrics(0) == 0


def test_a_torn_last_line_is_cut_at_opening(run):
    run.append_metrics({"step": 1})
    run.close()
    with open(run.path / "metrics.jsonl", "a") as file:
        file.write('{"step": 2, "val')
    with RunFolder.open(run.path) as again:
        again.append_metrics({"step": 2})
        assert [line["step"] for line in _lines(again)] == [1, 2]
        assert again.metrics_length() == (run.path / "metrics.jsonl").stat().st_size


def test_metrics_are_forced_to_the_disk_before_a_checkpoint_counts_on_them(run, monkeypatch):
    synced = []

    class Watched(atomic.Disk):
        def sync(self, path):
            synced.append(path.name)

    monkeypatch.setattr(atomic, "disk", Watched())
    run.append_metrics({"step": 1})
    assert synced == []
    run.metrics_length()
    run.metrics_length()
    assert synced == ["metrics.jsonl", "run"]


def test_a_full_disk_in_the_middle_of_a_line_leaves_whole_lines(run, monkeypatch):
    class Full(atomic.Disk):
        def append(self, path, data):
            super().append(path, data[:4])
            raise OSError(errno.ENOSPC, "No space left on device")

    run.append_metrics({"step": 1})
    with monkeypatch.context() as patch:
        patch.setattr(atomic, "disk", Full())
        with pytest.raises(ExhaustedError, match="is full: 12 bytes needed"):
            run.append_metrics({"step": 2})
    run.append_metrics({"step": 3})
    assert [line["step"] for line in _lines(run)] == [1, 3]


def test_config_model_and_env_are_written(run):
    run.write_config("seed: 1\n")
    run.write_model({"format": 1, "classes": ["a", "b"]})
    run.write_env("torch 2\n")
    assert (run.path / "config.yaml").read_text() == "seed: 1\n"
    assert json.loads((run.path / "model.json").read_text())["classes"] == ["a", "b"]
    assert (run.path / "env.txt").read_text() == "torch 2\n"


def test_temporary_files_of_a_killed_process_are_removed_at_opening(run):
    run.close()
    (run.path / ".run.json.123.tmp").write_text("{")
    with RunFolder.open(run.path):
        assert sorted(os.listdir(run.path)) == [".lock", "run.json"]


def test_the_log_is_lines_with_a_time_and_never_ends_a_run(run, monkeypatch):
    run.log("started\n")
    run.log("said \udcff")
    lines = (run.path / "log.txt").read_text().splitlines()
    assert [re.sub(r"^[-\dT:]{19} ", "", line) for line in lines] == ["started", r"said \udcff"]

    class Sealed(atomic.Disk):
        def append(self, path, data):
            raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(atomic, "disk", Sealed())
    run.log("lost")


# --- the newest run --------------------------------------------------------------------------


def test_latest_leads_to_the_newest_run(tmp_path):
    for name in ("one", "two"):
        with _create(tmp_path / name) as run:
            assert run.point_latest()
            assert (tmp_path / "latest").resolve() == run.path
    assert os.readlink(tmp_path / "latest") == "two"


def test_a_folder_that_is_called_latest_stays(tmp_path):
    (tmp_path / "latest").mkdir()
    (tmp_path / "latest" / "file").touch()
    with _create(tmp_path / "run") as run:
        assert not run.point_latest()
    assert (tmp_path / "latest" / "file").exists()
    assert not list(tmp_path.glob(".latest*"))
