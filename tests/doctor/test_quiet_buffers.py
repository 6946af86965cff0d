"""A forward pass of ours between the loop's forward and its backward pass disturbs neither."""

import torch
from torch import nn

from netwright.doctor.quiet import quiet


def test_a_pass_between_forward_and_backward_leaves_the_graph_alone():
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
    x = torch.randn(8, 3)
    loss = model(x).square().mean()
    held = dict(model.named_buffers())
    before = {name: each.clone() for name, each in held.items()}
    with quiet(model):
        model(x)
        assert not torch.equal(model[1].running_mean, before["1.running_mean"])
    loss.backward()
    assert all(now is held[name] for name, now in model.named_buffers())
    assert all(torch.equal(held[name], each) for name, each in before.items())


def test_a_buffer_written_under_another_name_is_put_back():
    class Counting(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("count", torch.zeros(()))
            self.alias = (self.count,)

        def forward(self, x):
            self.alias[0].add_(1)
            return x

    model = Counting()
    with quiet(model):
        model(torch.ones(1))
    assert model.count == 0
