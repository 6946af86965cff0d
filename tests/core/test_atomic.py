"""A file holds the old content or the new, and a disk that refuses is told in words."""

import contextlib
import errno
import json
import os

import pytest

from netwright.core import atomic
from netwright.core.atomic import (
    explained,
    free_bytes,
    make_folder,
    write_bytes,
    write_json,
    write_text,
)
from netwright.core.errors import ExhaustedError


def test_the_new_content_replaces_the_old_and_nothing_else_is_left(tmp_path):
    write_bytes(tmp_path / "a", b"old")
    write_bytes(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["a"]


def test_text_that_has_no_utf8_is_written_with_its_escapes(tmp_path):
    write_text(tmp_path / "a", "花 \udcff")
    assert (tmp_path / "a").read_text(encoding="utf-8") == r"花 \udcff"


def test_json_is_readable_and_ends_with_a_line_end(tmp_path):
    write_json(tmp_path / "a", {"name": "花", "odd": "\udcff"})
    text = (tmp_path / "a").read_text(encoding="utf-8")
    assert '"花"' in text
    assert text.endswith("}\n")
    assert json.loads(text) == {"name": "花", "odd": "\udcff"}


def test_json_refuses_nan_for_no_standard_reader_takes_it(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a", float("nan"))
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("operation", ["write", "sync", "rename"])
def test_whatever_fails_the_old_content_stays_and_nothing_else_is_left(
    tmp_path, monkeypatch, operation
):
    class Broken(atomic.Disk):
        pass

    def refuse(*_):
        raise OSError(errno.EIO, "Input/output error")

    write_bytes(tmp_path / "a", b"old")
    setattr(Broken, operation, refuse)
    monkeypatch.setattr(atomic, "disk", Broken())
    with pytest.raises(ExhaustedError, match=r"Cannot write .*/a: input/output error"):
        write_bytes(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_told_with_needed_and_free_bytes(tmp_path, monkeypatch, number):
    class Small(atomic.Disk):
        def free(self, path):
            return 12

    monkeypatch.setattr(atomic, "disk", Small())
    with (
        pytest.raises(ExhaustedError, match="is full: 500 bytes needed, 12 free") as caught,
        explained(tmp_path / "a", needed=500),
    ):
        raise OSError(number, os.strerror(number))
    assert caught.value.values["path"] == str(tmp_path)


def test_a_missing_folder_is_told_and_never_a_traceback(tmp_path):
    with pytest.raises(ExhaustedError, match="no such file or directory"):
        write_bytes(tmp_path / "gone" / "a", b"")


def test_free_bytes_of_a_place_not_there_yet_are_those_of_its_nearest_parent(tmp_path):
    assert free_bytes(tmp_path / "a" / "b") > 0


def test_removing_takes_files_folders_links_and_what_is_not_there(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").touch()
    (tmp_path / "link").symlink_to("folder")
    atomic.disk.remove(tmp_path / "link")
    assert (tmp_path / "folder" / "file").exists()
    atomic.disk.remove(tmp_path / "folder")
    atomic.disk.remove(tmp_path / "folder")
    assert os.listdir(tmp_path) == []


def test_new_folders_are_forced_to_the_disk_level_by_level(tmp_path, monkeypatch):
    synced = []

    class Watched(atomic.Disk):
        def sync(self, path):
            synced.append(path)
            super().sync(path)

    monkeypatch.setattr(atomic, "disk", Watched())
    for _ in range(2):
        make_folder(tmp_path / "a" / "b")
    assert synced == [tmp_path / "a", tmp_path]


@pytest.mark.parametrize(("number", "told"), [(errno.EINVAL, False), (errno.EIO, True)])
def test_only_a_disk_that_cannot_force_folders_may_leave_it(tmp_path, monkeypatch, number, told):
    def refuse(_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match="error") if told else contextlib.nullcontext():
        atomic.disk.sync(tmp_path)
