"""The first number of a step that is not finite, in a batch that goes through in passes."""

from __future__ import annotations

import torch
from torch import nn

from netwright.tasks.first_nonfinite import FirstNonFinite


def looked_at(model: nn.Module, passes: list[list[list[float]]]):
    """One step over a batch in these passes of samples, with the sum of the outputs as loss."""
    with FirstNonFinite(model) as watch:
        for samples in passes:
            model(torch.tensor(samples, requires_grad=True)).sum().backward()
    return watch.origin()


class Log(nn.Module):
    def forward(self, x):
        return x.log()


class Root(nn.Module):
    def forward(self, x):
        return x.sqrt()  # whose slope at 0 is infinite


def test_samples_of_all_passes_are_named_by_their_place_in_the_batch():
    origin = looked_at(Log(), [[[1.0], [0.0]], [[2.0], [3.0]], [[0.0], [5.0]]])
    assert (origin.where, origin.samples) == ("output", (1, 4))
    assert (origin.bad, origin.count) == (2, 4)  # of the two passes that it is in
    assert origin.largest == 5.0


def test_a_gradient_is_looked_for_in_all_passes_too():
    origin = looked_at(nn.Sequential(nn.Identity(), Root()), [[[0.0], [1.0]], [[1.0], [0.0]]])
    assert (origin.where, origin.layer, origin.samples) == ("back", "1", (0, 3))


def test_a_later_pass_does_not_move_where_it_began():
    """The second pass is bad from the first layer on; the step was lost in the second layer."""
    model = nn.Sequential(nn.Identity(), Log())
    origin = looked_at(model, [[[0.0], [1.0]], [[float("inf")], [1.0]]])
    assert (origin.layer, origin.samples) == ("1", (0, 2))
