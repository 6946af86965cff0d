"""One fork server for all fault tests of a process."""

import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

# The machinery of these tests is imported as `faults.*`, by pytest and by forked children alike.
sys.path.insert(0, str(Path(__file__).parents[1]))

from faults.fork_server import ForkServer
from faults.runs import train


@pytest.fixture(scope="session")
def server() -> Iterator[ForkServer]:
    with ForkServer() as running:
        yield running


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """An empty folder, in memory where the system offers that.

    These tests kill processes and not the power: waiting for a real disk would prove nothing.
    """
    memory = Path("/dev/shm")
    if not memory.is_dir():
        yield tmp_path
        return
    folder = Path(tempfile.mkdtemp(prefix="netwright-faults-", dir=memory))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def reference(server: ForkServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that nobody disturbed."""
    run = tmp_path_factory.mktemp("reference") / "run"
    child = train(server, run)
    assert child.wait() == 0, child.text()
    return run
