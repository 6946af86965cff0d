"""The loops of `loops.py`, run in this process; a framework that is not installed is skipped."""

from __future__ import annotations

import contextlib
import importlib.util
from pathlib import Path

import pytest

import netwright as nw

PLACE = Path(__file__).with_name("loops.py")
_spec = importlib.util.spec_from_file_location("framework_loops", PLACE)
loops = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(loops)

FRAMEWORKS = [each for each in loops.LOOPS if each != "plain"]


class Trained:
    """What a training came to: the final state, the validation losses, and the doctor's record."""

    def __init__(self, framework, *args, watched=True, **options):
        if framework in loops.NEEDS:
            pytest.importorskip(loops.NEEDS[framework])
        loop = loops.Loop(*args, **options)
        loop.framework = framework
        self.doctor = None

        def watch(model, optimizer):
            if not watched:
                return contextlib.nullcontext()
            self.doctor = nw.watch(model, optimizer)
            return self.doctor

        loops.LOOPS[framework](loop, watch)
        self.state = {name: each.clone() for name, each in loop.net.state_dict().items()}
        self.score = loop.score
        if self.doctor is not None:
            assert not self.doctor.watcher.fault
            self.record = self.doctor.record()
            self.findings = [(each.severity, each.name) for each in self.doctor.findings]


@pytest.fixture(params=FRAMEWORKS)
def framework(request):
    if request.param in loops.NEEDS:
        pytest.importorskip(loops.NEEDS[request.param])
    return request.param


@pytest.fixture(scope="session")
def trained():
    """Trains in a framework; the plain loop's results are kept, to compare with."""
    kept = {}

    def train(framework, fault="", **options):
        key = (framework, fault, *sorted(options.items())) if framework == "plain" else None
        if key is None or key not in kept:
            made = Trained(framework, fault, **options)
            if key is None:
                return made
            made.doctor = None  # its loaders would be alive as long as the tests
            kept[key] = made
        return kept[key]

    return train


@pytest.fixture(scope="session")
def framework_loops():
    return loops


@pytest.fixture(scope="session")
def script():
    """The same loops as a script: its arguments are a framework and perhaps `--fault NAME`."""
    return PLACE


@pytest.fixture(autouse=True)
def _nothing_listens_afterwards():
    import torch

    before = (torch.autograd.backward, torch.optim.Optimizer.__init__)
    yield
    assert torch._C._len_torch_function_stack() == 0
    assert (torch.autograd.backward, torch.optim.Optimizer.__init__) == before
