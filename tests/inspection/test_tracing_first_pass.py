"""The first pass of a process finds what every later one finds."""

import subprocess
import sys

import pytest

_TWO_PASSES = """
import sys
import torch
from netwright.inspection.tracing import trace
from netwright.models import build

net = build("resnet20", num_classes=10, in_channels=3, input_size=(32, 32))
for _ in range(2):
    print(trace(net, (torch.empty(2, 3, 32, 32),), training={training}).peak_activation_bytes)
print("torch._dynamo" in sys.modules)
"""


@pytest.mark.parametrize("training", [False, True])
def test_what_torch_imports_on_the_way_holds_no_activation(training: bool) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _TWO_PASSES.format(training=training)],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    first, second, compiler = done.stdout.split()
    assert first == second
    assert compiler == "False"
