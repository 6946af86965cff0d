"""A user at a terminal: types a line, sees what comes back."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from netwright.cli import main


@dataclass(frozen=True)
class Answer:
    status: int
    out: str
    err: str


Type = Callable[..., Answer]


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder to work in, English, 80 columns, and nothing of the developer's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NETWRIGHT_LANG", "en")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("NETWRIGHT_RUNS", raising=False)


@pytest.fixture
def netwright(capfd: pytest.CaptureFixture[str]) -> Type:
    def type_line(*words: str) -> Answer:
        capfd.readouterr()
        status = main(list(words))
        out, err = capfd.readouterr()
        return Answer(status, out, err)

    return type_line
