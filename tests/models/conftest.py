import os
from pathlib import Path

import pytest


@pytest.fixture
def shared_data() -> Path:
    """The folder of the optional real data sets, which NETWRIGHT_TEST_DATA names."""
    named = os.environ.get("NETWRIGHT_TEST_DATA")
    if not named or not Path(named).is_dir():
        pytest.skip("NETWRIGHT_TEST_DATA names no folder")
    return Path(named)
