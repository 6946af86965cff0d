"""Batch norm over several ranks is that of one process with all images."""

from __future__ import annotations

import copy
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn

from netwright.train.ranks import Alone
from netwright.train.synced_norm import synchronise


class Thread(Alone):
    """One of several ranks in one process: they add up by a barrier."""

    several = True

    def __init__(self, rank, size, tables, barrier):
        self.rank, self.size = rank, size
        self._tables, self._barrier = tables, barrier

    def total(self, table):
        self._tables[self.rank] = table
        self._barrier.wait(20)
        found = torch.stack(self._tables).sum(0)
        self._barrier.wait(20)
        return found


def step(model, images, slopes, ranks):
    """One step of a rank: output, gradient of its images, and its copy of the network."""
    model = copy.deepcopy(model)
    together = synchronise(model, ranks)
    images = images.clone().requires_grad_()
    with together.computing():
        out = model(images)
    (out * slopes).sum().backward()
    return out.detach(), images.grad, model


def together(model, images, slopes, size):
    tables, barrier = [None] * size, threading.Barrier(size)
    ranks = [Thread(rank, size, tables, barrier) for rank in range(size)]
    with ThreadPoolExecutor(size) as pool:
        return list(pool.map(step, [model] * size, images.chunk(size), slopes.chunk(size), ranks))


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda: nn.BatchNorm2d(5), (6, 5, 4, 3)),
        (lambda: nn.BatchNorm1d(5), (6, 5)),
        (lambda: nn.BatchNorm1d(5, affine=False), (6, 5, 3)),
        (lambda: nn.BatchNorm2d(5, momentum=None), (6, 5, 2, 2)),
        (lambda: nn.BatchNorm2d(5, track_running_stats=False), (6, 5, 2, 2)),
        (lambda: nn.BatchNorm3d(5), (6, 5, 1, 2, 2)),
    ],
    ids=["2d", "1d", "plain", "cumulative", "untracked", "3d"],
)
@pytest.mark.parametrize("size", [2, 3])
def test_values_gradients_and_running_statistics_are_those_of_one_process(make, shape, size):
    generator = torch.Generator().manual_seed(3)
    model = make()
    if model.affine:
        nn.init.uniform_(model.weight, 0.5, 2, generator=generator)
    images = 3 * torch.randn(shape, generator=generator) + 7
    slopes = torch.randn(shape, generator=generator)
    found = together(model, images, slopes, size)
    alone = images.clone().requires_grad_()
    out = model(alone)
    (out * slopes).sum().backward()
    torch.testing.assert_close(torch.cat([each[0] for each in found]), out.detach())
    torch.testing.assert_close(torch.cat([each[1] for each in found]), alone.grad)
    for _, _, theirs in found:
        for name, buffer in model.named_buffers():
            torch.testing.assert_close(dict(theirs.named_buffers())[name], buffer)
    for name, parameter in model.named_parameters():
        parts = [dict(theirs.named_parameters())[name].grad for _, _, theirs in found]
        torch.testing.assert_close(sum(parts), parameter.grad)


def test_one_image_in_each_of_two_ranks_is_enough_and_one_in_all_is_not():
    model = nn.BatchNorm1d(3)
    together(model, torch.randn(2, 3), torch.ones(2, 3), 2)
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        step(model, torch.randn(1, 3), torch.ones(1, 3), Alone())


def test_outside_of_a_step_and_in_evaluation_nobody_is_asked():
    class Deaf(Alone):
        def total(self, table):
            raise AssertionError

    model = nn.Sequential(nn.BatchNorm1d(3))
    plain = copy.deepcopy(model)
    images = torch.randn(4, 3)
    shared = synchronise(model, Deaf())
    torch.testing.assert_close(model(images), plain(images))
    model.eval()
    with shared.computing():
        torch.testing.assert_close(model(images), plain.eval()(images))
    assert list(model.state_dict()) == list(plain.state_dict())
    assert copy.deepcopy(model)[0].together.ranks is None
    assert synchronise(nn.Sequential(nn.Linear(2, 2)), Deaf()) is None


def test_half_precision_keeps_its_type():
    model = nn.BatchNorm2d(2)
    images = torch.randn(4, 2, 3, 3).bfloat16()
    out, gradient, _ = step(model, images, torch.ones_like(images), Alone())
    assert (out.dtype, gradient.dtype) == (torch.bfloat16, torch.bfloat16)
