"""The patch of a repair is one that git applies, in the folder of the script."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from netwright.tasks.repair.difference import changed_lines, difference

BEFORE = b"a = 1\nb = 2\nc = 3\n"
AFTER = b"a = 1\nb = 20\nextra = 0\nc = 3\n"


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
@pytest.mark.parametrize(
    ("before", "after"),
    [
        (BEFORE, AFTER),
        (BEFORE.replace(b"\n", b"\r\n"), AFTER.replace(b"\n", b"\r\n")),
        (BEFORE.rstrip(), AFTER.rstrip()),
        (BEFORE.rstrip(), AFTER.rstrip() + b"\nd = 4"),
        (b"\xef\xbb\xbf" + BEFORE, b"\xef\xbb\xbf" + AFTER),
        ("é = '你好'\n".encode() + BEFORE, "é = '你好'\n".encode() + AFTER),
        (b"\tif 1:\n\t\tx\x0c\x85\n" + BEFORE, b"\tif 1:\n\t\tx\x0c\x85\n" + AFTER),
        (b"x = 1", b"y = 1\n"),
    ],
    ids=["plain", "crlf", "no end", "no end, changed", "bom", "letters", "odd", "all"],
)
@pytest.mark.parametrize("name", ["train.py", "my script.py", "日本.py"])
@pytest.mark.parametrize("repository", [True, False])
def test_git_applies_it(tmp_path, before, after, name, repository):
    folder = tmp_path / "in" / "side"
    folder.mkdir(parents=True)
    if repository:
        subprocess.run(["git", "init", "-q", str(tmp_path)], check=True, capture_output=True)
    (folder / name).write_bytes(before)
    (folder / "it.diff").write_bytes(difference(name, before, after))
    done = subprocess.run(["git", "apply", "it.diff"], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (folder / name).read_bytes() == after


def test_its_lines_are_counted():
    assert changed_lines(difference("a.py", BEFORE, AFTER)) == 2
