"""Products added to a tensor in place are counted, and are seen by all that share its memory."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from netwright.inspection.tracing import trace


class Adding(nn.Module):
    """`how(sum, x)` writes into zeros."""

    def __init__(self, shape: tuple[int, ...], how: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.shape = shape
        self.how = how

    def forward(self, x: Tensor) -> Tensor:
        total = x.new_zeros(self.shape)
        self.how(total, x)
        return total + 1


CASES: dict[str, tuple[tuple[int, ...], tuple[int, ...], int, Callable[[Tensor, Tensor], Tensor]]]
CASES = {
    "addmm_": ((2, 5), (2, 3), 30, lambda t, x: t.addmm_(x, torch.ones(3, 5))),
    "baddbmm_": ((4, 2, 5), (4, 2, 3), 120, lambda t, x: t.baddbmm_(x, torch.ones(4, 3, 5))),
    "addbmm_": ((2, 5), (4, 2, 3), 120, lambda t, x: t.addbmm_(x, torch.ones(4, 3, 5))),
    "addmv_": ((2,), (2, 3), 6, lambda t, x: t.addmv_(x, torch.ones(3))),
    "addr_": ((3, 5), (3,), 15, lambda t, x: t.addr_(x, torch.ones(5))),
    "addmm(out=)": ((2, 5), (2, 3), 30,
                    lambda t, x: torch.addmm(torch.ones(5), x, torch.ones(3, 5), out=t)),
    "mm(out=)": ((2, 5), (2, 3), 30, lambda t, x: torch.mm(x, torch.ones(3, 5), out=t)),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_products_written_in_place_are_counted(case: str) -> None:
    shape, given, macs, how = CASES[case]
    record = trace(Adding(shape, how), (torch.ones(given),))
    assert record.macs == macs
    assert record.unruled == ()
    assert record.outputs == (shape,)


def test_what_a_product_in_place_sees_the_rest_of_the_network_sees() -> None:
    class Mixing(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            total = x.new_zeros(8, 8)
            total.addmm_(x[0, 0], torch.ones(8, 8))
            return total * 2

    record = trace(
        nn.Sequential(nn.Conv2d(1, 1, 3, padding=1), Mixing()), (torch.ones(1, 1, 8, 8),)
    )
    rows, columns = record.operations[-1].fields
    assert (rows.sight, rows.size) == ("window", 3)
    assert columns.sight == "all"
