import numpy as np
import pytest
import torch

from netwright.data.dataset import Dataset, MemoryImages


def test_a_fingerprint_is_taken_once_however_many_checkpoints_state_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[int] = []
    images = MemoryImages(
        torch.zeros(2, 1, 3, 3, dtype=torch.uint8),
        np.array([0, 1]),
        names=lambda i: asked.append(i) or f"image {i}",
    )
    dataset = Dataset(name="two", layout="", classes=("a", "b"), splits={"train": images})
    assert dataset.fingerprint() == dataset.fingerprint()
    assert asked == [0, 1]
