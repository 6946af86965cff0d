"""One small trained run that many tests only read."""

from __future__ import annotations

from pathlib import Path

import pytest

import netwright as nw


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two epochs of an MLP on the digits: about 90 % right, in about a second."""
    folder = tmp_path_factory.mktemp("runs") / "digits"
    nw.train("digits", model="mlp", epochs=2, run_dir=folder)
    return folder
