"""An allocator that keeps its pages while steps are taken, and gives them back afterwards."""

import resource
import subprocess
import sys

import pytest
import torch

from netwright.core.linux import pages_kept

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="glibc alone can be asked for it")

LARGE = 48 * 2**20  # bytes, which glibc would hand back each time
TURNS = 6

FRESH_PAGES = f"""
import resource
from netwright.core.linux import pages_kept

def fresh_pages():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range({TURNS}):
        bytearray({LARGE})
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

as_it_is = fresh_pages()
with pages_kept():
    first, again = fresh_pages(), fresh_pages()
print(as_it_is, first, again, fresh_pages())
"""
"""Pages that the kernel cleared while a large block was taken and freed again and again."""


def resident_mb():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 2**20


def test_a_large_block_is_cleared_by_the_kernel_once_and_not_each_time():
    # In a process of its own: where the holes of a heap lie decides too.
    told = subprocess.run(
        [sys.executable, "-c", FRESH_PAGES], capture_output=True, text=True, check=True
    ).stdout
    as_it_is, first, again, afterwards = (int(each) for each in told.split())
    whole = TURNS * LARGE // resource.getpagesize()
    assert as_it_is >= whole
    assert first < whole / 2
    assert again < whole / 10
    assert afterwards >= whole / 2  # as it was before


def test_what_was_kept_is_given_back():
    with pages_kept():
        torch.zeros(LARGE // 4)
        held = resident_mb()
    assert resident_mb() < held - 40


def test_a_tensor_that_outlives_the_block_stays_whole():
    with pages_kept():
        numbers = torch.arange(LARGE // 4, dtype=torch.float64)
    torch.zeros(LARGE // 4)
    assert numbers[-1] == LARGE // 4 - 1
