"""Where backprop gives infinity or NaN, a training breaks: that is told, with the place."""

from __future__ import annotations

import json
import re

import pytest
import torch
from torch import nn
from torch.autograd import Function

import netwright as nw

JUST_HERE = {
    "a square root at 0": (torch.sqrt, torch.tensor([0.0, 1.0, 4.0]), 1),
    "a norm of zeros": (lambda x: x.square().sum().sqrt(), torch.zeros(3), 3),
    "0/0 behind a mask": (
        lambda x: torch.where(x != 0, x.sin() / x, torch.ones_like(x)),
        torch.tensor([0.0, 1.0, 4.0]),
        1,
    ),
    "a small power at 0": (lambda x: x**0.5, torch.tensor([0.0, 1.0]), 1),
    "singular vectors of equal singular values": (
        lambda x: torch.linalg.svd(x)[0],
        torch.eye(3),
        9,
    ),
}


@pytest.mark.parametrize("name", JUST_HERE)
def test_a_derivative_that_is_infinite_just_here_is_no_kink_and_not_ok(name):
    function, x, holes = JUST_HERE[name]
    found = nw.check_gradients(function, x)
    assert not found
    assert [(each.verdict, each.holes) for each in found.table] == [("not finite", holes)]
    assert "backprop gives no finite number" in str(found)


def test_the_entry_is_named():
    found = nw.check_gradients(torch.sqrt, torch.tensor([1.0, 0.0, 4.0]))
    assert found.table[0].entry.index == (1,)
    assert re.search(r"1 of 3 entries. Entry \[1\]: -?inf; stay away from this point", str(found))


def test_beside_the_holes_the_other_entries_are_compared():
    found = nw.check_gradients(torch.sqrt, torch.tensor([0.0, 1.0, 4.0]))
    assert found.table[0].directions == 2

    class HalfOfARoot(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x.sqrt()

        @staticmethod
        def backward(ctx, grad):
            return grad * 0.25 / ctx.saved_tensors[0].sqrt()

    found = nw.check_gradients(HalfOfARoot, torch.tensor([0.0, 1.0, 4.0]))
    assert [each.verdict for each in found.table] == ["wrong"]


def test_no_number_where_there_is_a_derivative_is_wrong():
    def masked_root(x):
        return torch.where(x > 0, x.sqrt(), torch.zeros_like(x))

    found = nw.check_gradients(masked_root, torch.tensor([-1.0, 4.0]))
    (row,) = found.table
    assert (row.verdict, row.entry.index, row.entry.numeric) == ("wrong", (0,), 0.0)
    assert "Entry [0]: backprop nan, numeric 0." in str(found)


def test_one_infinite_entry_among_many_is_wrong():
    class Doubled(Function):
        @staticmethod
        def forward(ctx, x):
            return 2 * x

        @staticmethod
        def backward(ctx, grad):
            given = 2 * grad
            given[3] = float("inf")
            return given

    found = nw.check_gradients(Doubled, torch.randn(30))
    assert [(each.verdict, each.holes) for each in found.table] == [("wrong", 1)]
    assert found.table[0].entry.index == (3,)


def test_the_layer_that_it_comes_from_is_named():
    class Masked(nn.Module):
        def forward(self, x):
            return x * (x > 9)

    class Root(nn.Module):
        def forward(self, x):
            return x.sqrt()

    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), Masked(), Root())
    found = nw.check_gradients(model, (4,))
    assert found.blamed == ("2",)
    assert "What is not finite comes from 2." in str(found)


def test_what_is_written_down_is_json():
    found = nw.check_gradients(torch.sqrt, torch.tensor([0.0, 1.0]))
    told = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert told["rows"][0]["entry"]["backprop"] is None
    assert told["worst"] == {"name": "input0", "error": None, "bound": None}
