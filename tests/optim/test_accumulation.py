from typing import Any

import pytest
import torch
from torch import nn

from netwright.core.config import settings_of
from netwright.core.registry import Entry
from netwright.nn.losses import LOSSES
from netwright.optim.accumulation import accumulate, parts


def test_parts_differ_by_one_at_most_and_leave_nothing_out() -> None:
    for count in range(1, 12):
        for pieces in range(1, 14):
            cut = parts(count, pieces)
            assert [i for part in cut for i in range(count)[part]] == list(range(count))
            sizes = [part.stop - part.start for part in cut]
            assert len(cut) == min(count, pieces)
            assert max(sizes) - min(sizes) <= 1


def _gradients(
    loss: Any, pieces: int, *, whole: bool, weighted: bool
) -> tuple[float, list[torch.Tensor]]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3))
    x, y = torch.randn(32, 6), torch.randint(3, (32,))
    if whole:
        value = loss(model(x), y)
        value.backward()
    else:
        divisor = (lambda part: loss.divisor(y[part])) if weighted else None
        value = accumulate(lambda p: loss(model(x[p]), y[p]), 32, pieces, divisor=divisor)
    return value.item(), [each.grad for each in model.parameters() if each.grad is not None]


@pytest.mark.parametrize("pieces", [1, 4, 5, 32, 50])
@pytest.mark.parametrize("entry", LOSSES, ids=lambda entry: entry.name)
def test_k_pieces_equal_the_whole_batch_for_every_loss(entry: Entry[Any], pieces: int) -> None:
    assert entry.options is not None
    weighted = "class_weights" in {each.name for each in settings_of(entry.options)}
    chosen: dict[str, Any] = {"class_weights": (1.0, 0.2, 3.0)} if weighted else {}
    if entry.facts.get("batchwise"):
        chosen = {"over": "sample"}
    loss: Any = entry.target(entry.options(**chosen), [10, 10, 12])
    value, found = _gradients(loss, pieces, whole=False, weighted=weighted)
    expected_value, expected = _gradients(loss, 1, whole=True, weighted=weighted)
    assert value == pytest.approx(expected_value, rel=1e-6, abs=1e-6)
    for mine, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-6)


def test_unequal_pieces_without_shares_would_be_wrong() -> None:
    x = torch.tensor([1.0, 2.0, 6.0])
    w = torch.tensor(1.0, requires_grad=True)
    accumulate(lambda part: (w * x[part]).mean(), 3, 2)
    assert w.grad is not None
    assert w.grad.item() == pytest.approx(3.0)  # not (1.5 + 6) / 2


def test_a_piece_of_weightless_samples_adds_nothing() -> None:
    entry = LOSSES.get("cross_entropy")
    assert entry.options is not None
    loss: Any = entry.target(entry.options(class_weights=(0.0, 1.0)), [2, 2])
    logits = torch.tensor([[1.0, 0.0], [0.0, 0.0], [0.0, 0.0]], requires_grad=True)
    y = torch.tensor([0, 1, 1])
    value = accumulate(lambda p: loss(logits[p], y[p]), 3, 3, divisor=lambda p: loss.divisor(y[p]))
    assert float(value) == pytest.approx(0.6931, abs=1e-4)


def test_a_batch_without_any_weight_is_no_number_in_pieces_as_it_is_whole() -> None:
    w = torch.tensor(1.0, requires_grad=True)
    loss = accumulate(lambda part: (w * torch.zeros(4)[part]).sum() / 0, 4, 2, divisor=lambda _: 0)
    assert loss.isnan()
