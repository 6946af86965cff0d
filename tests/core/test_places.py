"""What stands where a user wants something written."""

import os

import pytest

from netwright.core.errors import SettingError
from netwright.core.places import standing


def test_files_folders_and_nothing_are_told_apart(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("file")
    assert standing(tmp_path) == "folder"
    assert standing(tmp_path / "file") == standing(tmp_path / "link") == "file"
    assert standing(tmp_path / "none") == standing(tmp_path / "file" / "below") == "nothing"


def test_what_a_rename_would_take_away_is_neither(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "loop").symlink_to("loop")
    assert {standing(tmp_path / name) for name in ("pipe", "dangling", "loop")} == {"other"}


@pytest.mark.parametrize("name", ["x" * 300, "y" * 6000, "a\x00b"])
def test_a_name_that_no_system_takes_is_refused(tmp_path, name):
    with pytest.raises(SettingError, match="cannot be the name of a file"):
        standing(tmp_path / name)
