"""Where nothing can be compared, the true cause is told: the input, the loss, the backward pass."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import Function

import netwright as nw
from netwright.core.errors import SettingError


class Doubled(Function):
    """2 x, whose backward pass gives what `gives` says."""

    @staticmethod
    def forward(ctx, x, gives):
        ctx.gives = gives
        return 2 * x

    @staticmethod
    def backward(ctx, grad):
        return ctx.gives(grad)


def no_rule(grad):
    raise ValueError("no rule here")


@pytest.mark.parametrize(
    ("gives", "reason"),
    [(no_rule, "no rule here"), (lambda grad: (grad[0, 0].repeat(7), None), "invalid gradient"),
     (lambda grad: grad, "incorrect number of gradients")],
)  # fmt: skip
def test_a_backward_pass_that_raises_is_told_to_raise(gives, reason):
    with pytest.raises(SettingError, match=f"The backward pass of .* raises: .*{reason}"):
        nw.check_gradients(lambda x: Doubled.apply(x, gives), torch.randn(3, 4))


def test_what_an_in_place_operation_spoiled_is_no_matter_of_float64():
    def spoiled(x):
        y = x.sigmoid()
        z = y * y
        y.add_(1)
        return z

    with pytest.raises(SettingError, match=r"backward pass of spoiled raises: .*inplace operation"):
        nw.check_gradients(spoiled, torch.randn(3))


def test_a_loss_that_misses_its_target_is_told_so():
    with pytest.raises(
        SettingError, match=r"(?s)The loss cannot take the output of Linear: .*'target'.*target=..."
    ):
        nw.check_gradients(nn.Linear(4, 2), (4,), loss=nn.CrossEntropyLoss())


def test_a_target_that_does_not_fit_is_the_loss_s_matter():
    with pytest.raises(SettingError, match=r"The loss cannot take .*: Target 6 is out of bounds"):
        nw.check_gradients(
            nn.Linear(4, 2), (4,), loss=nn.CrossEntropyLoss(), target=torch.tensor([6, 6])
        )


def test_a_class_in_the_place_of_a_loss_is_told():
    with pytest.raises(SettingError, match="CrossEntropyLoss is a class"):
        nw.check_gradients(nn.Linear(4, 2), (4,), loss=nn.CrossEntropyLoss, target=torch.ones(2))


def test_a_loss_that_is_a_plain_number_is_told():
    with pytest.raises(SettingError, match="The loss gives float, which carries no gradient"):
        nw.check_gradients(nn.Linear(4, 2), (4,), loss=lambda out: 3.0)


def test_a_cast_is_still_a_matter_of_float64():
    with pytest.raises(SettingError, match="does not compute in float64"):
        nw.check_gradients(lambda x: x.float() @ torch.ones(3, 1, dtype=x.dtype), torch.ones(1, 3))


@pytest.mark.parametrize(
    ("function", "inputs"),
    [(lambda x: 2 * x, (torch.tensor([1, 2]),)), (lambda: torch.ones(2, requires_grad=True), ())],
    ids=["whole numbers", "no inputs"],
)
def test_without_a_tensor_to_check_nothing_is_called_right(function, inputs):
    with pytest.raises(SettingError, match="no tensor of real numbers whose gradient is wanted"):
        nw.check_gradients(function, *inputs)


def test_an_empty_batch_gives_nothing_to_compare():
    with pytest.raises(SettingError, match="gives no number for this input"):
        nw.check_gradients(nn.Linear(4, 3), torch.zeros(0, 4))


def test_an_input_without_values_is_told():
    with pytest.raises(SettingError, match="input is on the meta device"):
        nw.check_gradients(nn.Linear(3, 2), torch.randn(3, 3, device="meta"))


def test_a_function_that_takes_this_one_input_only_cannot_be_judged():
    def fussy(x):
        if bool((x != 1).any()):
            raise ValueError("not this one")
        return x.square()

    found = nw.check_gradients(fussy, torch.ones(3))
    assert [each.verdict for each in found.table] == ["not differentiable"]


def test_what_a_module_keeps_in_lists_and_tensors_is_put_back_each_time():
    class Counting(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Linear(3, 3)
            self.calls, self.sums, self.seen = [], {"of": torch.zeros(())}, torch.zeros(3)

        def forward(self, x):
            self.calls.append(1)
            self.sums["of"] = self.sums["of"] + 1
            self.seen += 1
            return self.inner(x) * len(self.calls) * self.sums["of"] * self.seen

    model = Counting()
    assert nw.check_gradients(model, (3,))
    assert (model.calls, float(model.sums["of"]), model.seen.tolist()) == ([], 0.0, [0.0] * 3)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_scripted_module_is_checked_and_gets_no_gradient():
    model = torch.jit.script(nn.Linear(3, 2))
    assert nw.check_gradients(model, (3,))
    assert all(each.grad is None for each in model.parameters())


def test_a_dataclass_is_gone_through():
    @dataclasses.dataclass(frozen=True)
    class Batch:
        x: Tensor
        scale: float

    found = nw.check_gradients(lambda batch: batch.x.sin() * batch.scale, Batch(torch.ones(3), 2.0))
    assert [(each.name, each.verdict) for each in found.table] == [("batch.x", "ok")]


def test_a_layer_that_sends_nothing_back_is_blamed_on_itself():
    class Cut(Function):
        @staticmethod
        def forward(ctx, x, weight):
            ctx.save_for_backward(x)
            return x @ weight

        @staticmethod
        def backward(ctx, grad):
            return None, ctx.saved_tensors[0].T @ grad

    class Layer(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.randn(4, 4))

        def forward(self, x):
            return Cut.apply(x, self.weight)

    found = nw.check_gradients(nn.Sequential(nn.Linear(3, 4), Layer(), nn.Linear(4, 4)), (3,))
    assert [e.name for e in found.table if e.verdict == "wrong"] == ["0.weight", "0.bias"]
    assert found.blamed == ("1",)
