"""A run with a folder of checkpoints, for the tests of what is kept in it."""

import pytest
import torch

from netwright.train.checkpoints import Checkpoints
from netwright.train.weights import read_weights


@pytest.fixture
def run(tmp_path):
    return tmp_path / "run"


@pytest.fixture
def saves(run):
    opened = Checkpoints(run / "ckpt")
    yield opened
    opened.close()


@pytest.fixture
def save(saves):
    """Saves one weight that says its step, or `value`; gives the checkpoint's folder."""

    def saved(step, *, best=False, value=None):
        weights = {"w": torch.full((3, 2), float(step if value is None else value))}
        path = saves.save(step, weights, {"progress": {"step": step}}, best=best)
        saves.wait()
        return path

    return saved


@pytest.fixture
def best(run):
    """Reads what the best weights say."""
    return lambda: read_weights(run / "best.safetensors")["w"][0, 0].item()
