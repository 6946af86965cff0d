"""Tracing a step changes nothing, works in any mode, and says why where it cannot."""

import copy
import random
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn, optim
from torch._subclasses.fake_tensor import FakeTensorMode

from netwright.core.errors import SettingError, UnknownNameError
from netwright.inspection.training_step import inference_memory, training_memory


def network() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(), nn.Flatten(),
        nn.Linear(288, 10),
    )  # fmt: skip


BATCH = torch.randn(4, 3, 8, 8)


def peak(net: nn.Module, batch: Tensor = BATCH) -> int:
    return training_memory(net, (batch,), optimizer="adam").peak_bytes


@pytest.fixture(scope="module")
def usual() -> int:
    return peak(network())


def test_inference_mode_and_no_grad_do_not_matter(usual: int) -> None:
    with torch.inference_mode():
        net, batch = network(), torch.ones(4, 3, 8, 8)
        assert peak(net, batch) == usual
    with torch.no_grad():
        assert peak(network()) == usual
    assert torch.is_grad_enabled()


def test_meta_and_fake_tensors_do_not_matter(usual: int) -> None:
    with torch.device("meta"):
        assert peak(network()) == usual
    assert peak(network().to("meta"), BATCH.to("meta")) == usual
    with FakeTensorMode():
        assert peak(network(), torch.ones(4, 3, 8, 8)) == usual


def test_evaluation_mode_and_wrappers_do_not_matter(usual: int) -> None:
    assert peak(network().eval()) == usual
    assert peak(nn.DataParallel(network())) == usual


def test_nothing_is_changed() -> None:
    net = network()
    net[1].eval()
    net(BATCH).sum().backward()
    optimizer = optim.Adam(net.parameters())
    schedule = optim.lr_scheduler.StepLR(optimizer, 1)
    before = copy.deepcopy((net.state_dict(), [each.grad for each in net.parameters()]))
    names = [sorted(vars(each)) for each in net.modules()]
    modes = [each.training for each in net.modules()]
    torchs, pythons, numpys = torch.get_rng_state(), random.getstate(), np.random.get_state()
    training_memory(net, (BATCH,), optimizer=optimizer)
    inference_memory(net, (BATCH,))
    after = (net.state_dict(), [each.grad for each in net.parameters()])
    torch.testing.assert_close(after, before, rtol=0, atol=0)
    assert [sorted(vars(each)) for each in net.modules()] == names
    assert [each.training for each in net.modules()] == modes
    assert (len(optimizer.state), schedule.last_epoch) == (0, 0)
    assert torch.equal(torch.get_rng_state(), torchs)
    assert random.getstate() == pythons
    assert np.array_equal(np.random.get_state()[1], numpys[1])


class Odd(nn.Module):
    """Draws numbers and then does what it was told."""

    def __init__(self, then: str) -> None:
        super().__init__()
        self.inner = nn.Linear(3, 3)
        self.then = then

    def forward(self, rows: Tensor) -> Any:
        random.random()
        rows = self.inner(rows + torch.rand(3))
        if self.then == "branch":
            return rows if rows.sum() > 0 else -rows
        if self.then == "choose":
            return rows[rows > 0]
        raise ValueError("no such thing")


@pytest.mark.parametrize(
    ("then", "words"),
    [
        ("branch", r"0 needs the values of a tensor \(_local_scalar_dense\)"),
        ("choose", r"0 needs the values of a tensor \(index\)"),
        ("raise", "The step does not run in 0: no such thing"),
    ],
)
def test_what_cannot_be_traced_says_why_and_changes_nothing(then: str, words: str) -> None:
    net = nn.Sequential(Odd(then))
    state = torch.get_rng_state(), random.getstate()
    with torch.inference_mode(), pytest.raises(SettingError, match=words):
        training_memory(net, (torch.ones(2, 3),))
    assert torch.equal(torch.get_rng_state(), state[0])
    assert random.getstate() == state[1]
    assert not torch.utils._python_dispatch._get_current_dispatch_mode_stack()
    assert net(torch.ones(2, 3)) is not None if then == "branch" else True


def test_a_shape_that_does_not_fit_names_the_layer(caplog: pytest.LogCaptureFixture) -> None:
    net = nn.Sequential(nn.Linear(3, 3), nn.Sequential(nn.ReLU(), nn.Linear(4, 4)))
    with pytest.raises(SettingError, match=r"in 1\.1: .*\[2, 3\] X \[4, 4\]"):
        training_memory(net, (torch.ones(2, 3),))
    assert not caplog.records


def test_what_has_nothing_to_train_says_so() -> None:
    with pytest.raises(SettingError, match=r"(?s)nothing to train.*frozen"):
        training_memory(nn.Linear(3, 3).requires_grad_(False), (torch.ones(2, 3),))


def test_a_lazy_and_a_scripted_model_say_why_not() -> None:
    with pytest.raises(SettingError, match=r"(?s)lazy.*Run it once"):
        training_memory(nn.LazyLinear(3), (torch.ones(2, 3),))
    with warnings.catch_warnings(action="ignore"):  # torch gives its scripts up
        scripted = torch.jit.trace(nn.Linear(3, 3), torch.ones(2, 3))
    with pytest.raises(SettingError, match="scripted"):
        training_memory(scripted, (torch.ones(2, 3),))


def test_a_model_that_cannot_be_copied_says_why() -> None:
    net = nn.Linear(3, 3)
    net.later = (each for each in "abc")
    with pytest.raises(SettingError, match=r"(?s)cannot be copied.*generator"):
        training_memory(net, (torch.ones(2, 3),))


def test_an_optimizer_that_will_not_do_is_refused() -> None:
    net, batch = nn.Linear(3, 3), (torch.ones(2, 3),)
    with pytest.raises(UnknownNameError, match=r"adan(?s:.*)adam"):
        training_memory(net, batch, optimizer="adan")
    with pytest.raises(SettingError, match="is a int"):
        training_memory(net, batch, optimizer=3)  # type: ignore[arg-type]
    with pytest.raises(SettingError, match=r"(?s)LBFGS runs the network again.*None"):
        training_memory(net, batch, optimizer=optim.LBFGS)
    with pytest.raises(SettingError, match="holds no weight of this model"):
        training_memory(net, batch, optimizer=optim.SGD(nn.Linear(2, 2).parameters(), lr=0.1))


def test_a_loss_must_be_a_scalar() -> None:
    with pytest.raises(SettingError, match=r"gives \(2, 3\), not a scalar"):
        training_memory(nn.Linear(3, 3), (torch.ones(2, 3),), loss=lambda output: output)
