"""What the first pass of a process costs besides itself: nothing is imported for it."""

import gc
import subprocess
import sys

import torch
from torch import nn

from netwright.inspection.tracing import trace

_FIRST = """
import sys
import torch
from netwright import models
from netwright.inspection.tracing import trace

with torch.device("meta"):
    network = models.build("lenet5", num_classes=10, in_channels=1, input_size=(28, 28))
before = set(sys.modules)
trace(network, (torch.empty(1, 1, 28, 28, device="meta"),))
new = set(sys.modules) - before
print(sorted(each for each in new if each.startswith("numpy")), "torch._dynamo" in sys.modules)
"""


def test_building_a_network_on_meta_and_its_first_pass_import_no_compiler_and_no_numpy_random():
    done = subprocess.run(
        [sys.executable, "-c", _FIRST], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.strip() == "[] False"


def test_a_pass_ends_with_a_look_at_the_new_objects_alone():
    looked = []
    listen = lambda phase, info: looked.append(info["generation"])  # noqa: E731
    network = nn.Sequential(*(nn.ReLU() for _ in range(300)))
    gc.collect()
    gc.callbacks.append(listen)
    try:
        trace(network, (torch.empty(1, 3, 8, 8),))
    finally:
        gc.callbacks.remove(listen)
    assert set(looked) == {0}
    assert gc.isenabled()


def test_a_pass_leaves_a_collector_that_is_off_alone():
    gc.disable()
    try:
        trace(nn.ReLU(), (torch.empty(1, 3),))
        assert not gc.isenabled()
    finally:
        gc.enable()
