"""What several test folders share: a collector of garbage that is quick, a cache, real data."""

from __future__ import annotations

import gc
import importlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


MANY = 1000
"""Tests from which on some will import torch's compiler, and the others after them carry it."""


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Iterator[None]:
    """What collecting the tests makes is there to stay: no garbage is looked for among it.

    Nor does the doctor look there, who asks the collector which models are alive: 650,000 objects
    of imports and of tests made that half the time of a test that watches a loop.
    """
    gc.disable()
    try:
        collected = yield
        if session.testscollected > MANY:
            importlib.import_module("torch._dynamo")
        return collected
    finally:
        gc.freeze()
        gc.enable()


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache of the test run's own: no test reads or writes the user's."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NETWRIGHT_HOME", str(folder))
        yield folder


@pytest.fixture
def shared_data(request: pytest.FixtureRequest) -> Path:
    """The folder of real data sets, for tests marked `shared_data("cifar10.zip", ...)`.

    It is named by NETWRIGHT_TEST_DATA, else looked for as `shared/data` beside the checkout; a
    test whose files are not there is skipped.
    """
    folder = Path(os.environ.get("NETWRIGHT_TEST_DATA", ROOT.parent / "shared" / "data"))
    marker = request.node.get_closest_marker("shared_data")
    for name in marker.args if marker is not None else ():
        if not (folder / name).exists():
            pytest.skip(f"needs {name} in NETWRIGHT_TEST_DATA")
    return folder
