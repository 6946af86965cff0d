"""What a loop computes is noted, and computed again gives the same loss."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from netwright.doctor.patient import noted
from netwright.doctor.quiet import RandomState, quiet
from netwright.doctor.tape import Objective, Tape, objective


def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))


X, Y = torch.randn(5, 6, generator=torch.Generator().manual_seed(1)), torch.tensor([0, 1, 2, 0, 1])


def taken(model: nn.Module, run: Callable[[nn.Module], Tensor]) -> Objective:
    """What the tape holds of `run`, the calls of `model` as one call each."""
    tape = Tape()

    def called(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
        tape.note(module, args, {}, output)
        tape.on()

    def calling(*_: object) -> None:
        tape.off()

    before = model.register_forward_pre_hook(calling)
    after = model.register_forward_hook(called)
    loss = run(model)
    tape.off()
    before.remove()
    after.remove()
    found = objective(tape, loss)
    assert found is not None
    return found


LOOPS: dict[str, Callable[[nn.Module], Tensor]] = {
    "one loss": lambda m: F.cross_entropy(m(X), Y),
    "a module as loss": lambda m: nn.CrossEntropyLoss()(m(X), Y),
    "by hand": lambda m: -torch.log_softmax(m(X), 1)[torch.arange(5), Y].mean(),
    "two calls": lambda m: (m(X) - m(X * 2)).pow(2).mean(),
    "two losses": lambda m: F.cross_entropy(m(X), Y) + 0.1 * m(X).abs().mean(),
    "a penalty on weights": lambda m: (
        F.cross_entropy(m(X), Y) + 1e-2 * sum(p.pow(2).sum() for p in m.parameters())
    ),
    "in place": lambda m: F.cross_entropy(m(X), Y).mul_(2).add_(1),
    "divided": lambda m: F.cross_entropy(m(X), Y) / 4,
    "labels as floats": lambda m: F.binary_cross_entropy_with_logits(m(X), F.one_hot(Y, 3).float()),
}


@pytest.mark.parametrize("name", LOOPS)
def test_the_loss_computed_again_is_the_loss(name: str) -> None:
    model = net()
    found = taken(model, LOOPS[name])
    assert torch.equal(found.again(), found.loss)


@pytest.mark.parametrize("name", LOOPS)
def test_it_follows_the_weights(name: str) -> None:
    model = net()
    found = taken(model, LOOPS[name])
    with torch.no_grad():
        for each in model.parameters():
            each.mul_(0.5)
    expected = LOOPS[name](model)
    assert torch.equal(found.again(), expected)


@pytest.mark.parametrize("name", LOOPS)
def test_a_copy_can_stand_in_for_the_model(name: str) -> None:
    model = net()
    found = taken(model, LOOPS[name])
    twin = copy.deepcopy(model)
    with torch.no_grad():
        for each in twin.parameters():
            each.add_(0.1)
    swaps: dict[int, object] = {id(model): twin}
    swaps |= {id(a): b for a, b in zip(model.parameters(), twin.parameters(), strict=True)}
    assert torch.equal(found.again(swaps), LOOPS[name](twin))
    assert torch.equal(found.again(), found.loss)


def test_another_batch_can_stand_in() -> None:
    model = net()
    found = taken(model, LOOPS["one loss"])
    other = torch.randn(5, 6)
    assert torch.equal(found.again({id(X): other}), F.cross_entropy(model(other), Y))


def test_what_the_loop_adds_up_beside_the_loss_is_not_touched() -> None:
    total = torch.zeros(())

    def run(model: nn.Module) -> Tensor:
        loss = F.cross_entropy(model(X), Y)
        total.add_(loss.detach())
        return loss

    found = taken(net(), run)
    before = total.clone()
    found.again()
    assert torch.equal(total, before)


def test_a_loss_the_tape_does_not_reach_has_no_objective() -> None:
    tape = Tape()
    assert objective(tape, torch.ones(())) is None


def test_a_tape_that_grows_too_long_is_given_up() -> None:
    model = net()
    tape = Tape()
    output = model(X)
    tape.note(model, (X,), {}, output)
    tape.on()
    value = output.sum()
    for _ in range(2_100):
        value = value + 1
    tape.off()
    assert tape.full
    assert objective(tape, value) is None


def test_modes_entered_later_survive_the_end_of_the_tape() -> None:
    tape = Tape()
    tape.on()
    with torch.device("meta"):
        tape.off()
        assert torch.zeros(1).is_meta
    assert torch._C._len_torch_function_stack() == 0


def test_quiet_puts_buffers_random_numbers_and_attributes_back() -> None:
    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.BatchNorm1d(6)
            self.calls = 0
            self.seen: list[int] = []

        def forward(self, x: Tensor) -> Tensor:
            self.calls += 1
            self.seen.append(len(x))
            print("computing")
            return F.dropout(self.norm(x))

    model = Counting()
    state, mean = torch.get_rng_state(), model.norm.running_mean.clone()  # type: ignore[union-attr]
    with quiet(model):
        model(X)
    assert model.calls == 0
    assert model.seen == []
    assert torch.equal(model.norm.running_mean, mean)  # type: ignore[arg-type]
    assert torch.equal(torch.get_rng_state(), state)


def test_quiet_begins_where_it_is_told() -> None:
    begin = RandomState()
    first = torch.rand(3)
    with quiet(begin=begin):
        assert torch.equal(torch.rand(3), first)


def test_a_sample_knows_its_target_and_its_scale() -> None:
    sample = noted(net(), lambda out, y: F.cross_entropy(out, y) / 4, (X,), Y)
    assert sample.target is Y
    assert sample.scale == pytest.approx(0.25)
    assert sample.loss == pytest.approx(4 * float(sample.objective.loss.detach()))
    assert sample.size == 5
