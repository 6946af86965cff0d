"""An allocator that keeps its pages while steps are taken, and gives them back afterwards."""

import resource
import sys

import pytest
import torch

from netwright.core.linux import pages_kept

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="glibc alone can be asked for it")

LARGE = 12 * 2**20  # float32 numbers in 48 MB, which glibc would hand back each time
TURNS = 6


def fresh_pages():
    """Pages that the kernel cleared while a large tensor was made and freed again and again."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(TURNS):
        torch.zeros(LARGE)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def resident_mb():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 2**20


def test_a_large_tensor_is_cleared_by_the_kernel_once_and_not_each_time():
    as_it_is = fresh_pages()
    with pages_kept():
        fresh_pages()
        kept = fresh_pages()
    assert kept < as_it_is / 10


def test_what_was_kept_is_given_back():
    with pages_kept():
        fresh_pages()
        held = resident_mb()
    assert resident_mb() < held - 40


def test_a_tensor_that_outlives_the_block_stays_whole():
    with pages_kept():
        numbers = torch.arange(LARGE, dtype=torch.float32)
    fresh_pages()
    assert numbers[-1] == LARGE - 1
