"""The state a network starts in: the numbers of the textbook, the verdicts, nothing touched."""

from __future__ import annotations

import copy
import json
import math
import random
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from netwright.core.errors import SettingError
from netwright.inspection.initial_state import initial_state
from netwright.models import build
from netwright.records.initial_state import InitialState

Draw = Callable[[nn.Linear], object]


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def normal(spread: float) -> Draw:
    def draw(layer: nn.Linear) -> None:
        nn.init.normal_(layer.weight, 0.0, spread)
        nn.init.zeros_(layer.bias)

    return draw


def as_torch_does(layer: nn.Linear) -> None:
    """Torch's own start."""


def stack(act: Callable[[], nn.Module], draw: Draw, *, depth: int = 10, n: int = 100) -> nn.Module:
    layers: list[nn.Module] = []
    for _ in range(depth):
        linear = nn.Linear(n, n)
        draw(linear)
        layers += [linear, act()]
    return nn.Sequential(*layers, nn.Linear(n, 10))


def of_stack(act: Callable[[], nn.Module], draw: Draw) -> InitialState:
    return initial_state(stack(act, draw), torch.randn(500, 100))


def stds(state: InitialState) -> list[float]:
    return [each.signal.std for each in state.stages[:-1]]


# The numbers of the textbook.


def test_torchs_own_start_lets_the_signal_of_ten_relu_layers_fall_from_034_to_004() -> None:
    state = of_stack(nn.ReLU, as_torch_does)
    first, *_, last = stds(state)
    assert first == pytest.approx(0.34, abs=0.02)
    assert last == pytest.approx(0.04, abs=0.015)
    # Biases keep the forward signal up; backward nothing does: 0.41 a layer.
    assert state.backward_gain == pytest.approx(0.41, abs=0.02)
    assert (state.verdict, state.judgements[0].direction) == ("shrinking", "backward")


def test_he_keeps_the_signal_of_relu_layers_forward_and_backward() -> None:
    state = of_stack(nn.ReLU, normal(math.sqrt(2 / 100)))
    assert state.forward_gain == pytest.approx(1, abs=0.05)
    assert state.backward_gain == pytest.approx(1, abs=0.05)
    assert state.verdict == "steady"


def test_weights_of_spread_one_let_relu_layers_of_100_grow_by_seven_each() -> None:
    state = of_stack(nn.ReLU, normal(1.0))
    first, *_, last = stds(state)
    assert state.forward_gain == pytest.approx(7.07, rel=0.05)
    assert first == pytest.approx(5.9, rel=0.05)
    assert 1e8 < last < 1e9
    assert state.verdict == "growing"
    assert {each.direction for each in state.judgements} == {"forward", "backward"}


def test_tanh_layers_of_spread_001_leave_a_signal_of_1e_10() -> None:
    state = of_stack(nn.Tanh, normal(0.01))
    assert stds(state)[-1] == pytest.approx(1e-10, rel=0.3)
    assert state.verdict == "shrinking"


def test_sigmoid_with_xavier_loses_three_quarters_of_the_gradient_a_layer() -> None:
    state = of_stack(nn.Sigmoid, normal(math.sqrt(1 / 100)))
    assert state.backward_gain == pytest.approx(0.237, abs=0.005)
    assert (state.verdict, state.judgements[0].direction) == ("shrinking", "backward")


def test_large_weights_saturate_tanh_and_sigmoid() -> None:
    for act in (nn.Tanh, nn.Sigmoid):
        found = {each.verdict: each for each in of_stack(act, normal(1.0)).judgements}
        assert found["saturated"].value > 0.5


# A second, slow way to the same numbers.


def test_the_facts_are_those_of_a_forward_and_backward_by_hand() -> None:
    one, two = nn.Linear(6, 5), nn.Linear(5, 3)
    model = nn.Sequential(one, nn.Tanh(), two)
    x, target = torch.randn(64, 6), torch.randint(0, 3, (64,))
    state = initial_state(model, x, target)
    z = x @ one.weight.T + one.bias
    a = torch.tanh(z).detach().requires_grad_()
    loss = F.cross_entropy(a @ two.weight.T + two.bias, target)
    (gradient,) = torch.autograd.grad(loss, a)
    of_weights = ((1 - a**2) * gradient).T @ x
    stage = state.stages[0]
    assert (state.loss, state.samples, stage.layer, stage.activation) == (
        "cross-entropy", 64, "0", "tanh",
    )  # fmt: skip
    assert stage.signal.mean == pytest.approx(a.mean().item(), abs=1e-6)
    assert stage.signal.std == pytest.approx(a.std(correction=0).item(), rel=1e-5)
    assert stage.raw.std == pytest.approx(z.std(correction=0).item(), rel=1e-5)
    assert stage.gradient == pytest.approx(gradient.norm().item(), rel=1e-5)
    assert stage.weight_gradient == pytest.approx(of_weights.norm().item(), rel=1e-5)
    flat = (1 - a**2 < 0.05).float().mean().item()
    assert stage.saturated == pytest.approx(flat, abs=1e-6)


def test_the_share_of_zeros_and_of_dead_units_is_counted() -> None:
    linear = nn.Linear(4, 4)
    nn.init.eye_(linear.weight)
    with torch.no_grad():
        linear.bias.copy_(torch.tensor([0.0, -100.0, -100.0, 100.0]))
    x = torch.randn(400, 4)
    stage = initial_state(nn.Sequential(linear, nn.ReLU()), x).stages[0]
    assert stage.dead == 0.5
    assert stage.signal.zeros == pytest.approx((0.5 + 1 + 1 + 0) / 4, abs=0.02)


def test_bars_are_shares_of_what_is_not_zero() -> None:
    stage = of_stack(nn.ReLU, normal(0.1)).stages[0]
    assert sum(stage.signal.bars) == pytest.approx(1)
    assert stage.signal.low > 0


# What must not alarm.


def test_softmax_regression_from_zero_is_steady() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    nn.init.zeros_(model[1].weight)
    state = initial_state(model, torch.randn(100, 64), torch.randint(0, 10, (100,)))
    assert state.verdict == "steady"


class Residual(nn.Module):
    def __init__(self, n: int) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(n, n), nn.Linear(n, n)
        nn.init.zeros_(self.two.weight)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.two(F.relu(self.one(x))))


def test_residual_branches_that_end_in_zeros_wait_and_do_not_alarm() -> None:
    model = nn.Sequential(*(Residual(32) for _ in range(5)), nn.Linear(32, 10))
    state = initial_state(model, torch.randn(100, 32), torch.randint(0, 10, (100,)))
    assert state.verdict == "steady"
    assert [each.verdict for each in state.stages if each.layer.endswith("one")] == ["waits"] * 5


def with_zero_scales(name: str) -> nn.Module:
    model = build(name, num_classes=10, in_channels=3, input_size=(32, 32))
    for path, module in model.named_modules():
        if path.endswith("bn2"):
            nn.init.zeros_(module.weight)
    return model


def test_norms_whose_scale_starts_at_zero_do_not_alarm() -> None:
    state = initial_state(with_zero_scales("resnet18"), torch.randn(8, 3, 32, 32))
    assert state.verdict == "steady"


def test_they_do_where_the_shortcut_pads_with_zeros() -> None:
    # 0 + 0 before a ReLU whose slope at 0 is 0: three of four channels of the last blocks never
    # get a gradient.
    (judgement,) = initial_state(with_zero_scales("resnet20"), torch.randn(8, 3, 32, 32)).judgements
    assert (judgement.verdict, judgement.value) == ("dead", 0.75)


class ReZero(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear, self.alpha = nn.Linear(16, 16), nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.alpha * torch.tanh(self.linear(x))


def test_a_branch_behind_a_scalar_of_zero_waits() -> None:
    state = initial_state(nn.Sequential(ReZero(), ReZero(), nn.Linear(16, 4)), torch.randn(64, 16))
    assert state.verdict == "steady"
    assert [each.verdict for each in state.stages] == ["waits", "waits", "steady"]


def test_a_head_that_starts_at_zero_lets_the_rest_wait() -> None:
    model = stack(nn.ReLU, normal(math.sqrt(2 / 100)), depth=3)
    nn.init.zeros_(model[-1].weight)
    assert initial_state(model, torch.randn(100, 100)).verdict == "steady"


def test_a_small_head_is_no_fault() -> None:
    model = stack(nn.ReLU, normal(math.sqrt(2 / 100)), depth=3)
    nn.init.normal_(model[-1].weight, 0.0, 1e-6)
    assert initial_state(model, torch.randn(100, 100)).verdict == "steady"


def test_a_frozen_network_is_looked_at_as_any_other() -> None:
    model = stack(nn.ReLU, normal(math.sqrt(2 / 100)), depth=3)
    for each in model.parameters():
        each.requires_grad_(False)
    state = initial_state(model, torch.randn(100, 100))
    assert state.verdict == "steady"
    assert state.stages[0].weight_gradient is not None


@pytest.mark.parametrize(
    "name", ["mlp", "lenet5", "resnet20", "mobilenet_v2", "squeezenet1_1", "googlenet"]
)
def test_registered_networks_start_steady(name: str) -> None:
    model = build(name, num_classes=10, in_channels=3, input_size=(32, 32))
    x, target = torch.randn(8, 3, 32, 32), torch.randint(0, 10, (8,))
    assert initial_state(model, x, target).judgements == ()


def test_a_layer_seen_by_one_sample_is_not_called_dead() -> None:
    model = stack(nn.ReLU, normal(math.sqrt(2 / 100)), depth=3)
    assert initial_state(model, torch.randn(1, 100)).verdict == "steady"


# What must.


def test_dead_units_and_missing_gradients_are_told_apart() -> None:
    model = stack(nn.ReLU, normal(0.1), depth=2)
    with torch.no_grad():
        model[2].bias.fill_(-100)
    state = initial_state(model, torch.randn(64, 100))
    (judgement,) = state.judgements
    assert (judgement.verdict, judgement.value) == ("dead", 1.0)
    assert "2" in judgement.layers
    zeros = initial_state(stack(nn.Tanh, normal(0.0), depth=3), torch.randn(64, 100))
    assert (zeros.judgements[0].verdict, zeros.judgements[0].value) == ("dead", 0.0)


def test_equal_units_are_told() -> None:
    def constant(layer: nn.Linear) -> None:
        nn.init.constant_(layer.weight, 0.01)
        nn.init.zeros_(layer.bias)

    model = stack(nn.Tanh, constant, depth=2)
    nn.init.constant_(model[-1].weight, 0.1)
    state = initial_state(model, torch.randn(64, 100))
    assert "alike" in {each.verdict for each in state.judgements}


def test_overflow_is_told_and_can_be_written_down() -> None:
    state = of_stack(nn.ReLU, normal(1e20))
    assert state.verdict == "nonfinite"
    written = json.dumps(state.to_json(), allow_nan=False)
    assert json.loads(written)["verdict"] == "nonfinite"


# Networks of every make.


class Functional(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)
        self.weight = nn.Parameter(torch.randn(8, 5) / 8**0.5)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        x = torch.relu_(self.conv(image)).mean((2, 3))
        return {"logits": torch.tanh(x @ self.weight)}


def test_functions_in_place_and_dict_outputs_are_seen() -> None:
    state = initial_state(Functional(), {"image": torch.randn(8, 3, 9, 9)})
    assert [(s.layer, s.operation, s.activation) for s in state.stages] == [
        ("conv", "conv2d", "relu"),
        ("", "matmul", "tanh"),
    ]
    assert all(each.gradient for each in state.stages)


def test_attention_and_recurrent_layers_are_seen_as_one() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attend = nn.MultiheadAttention(16, 2, batch_first=True)
            self.recur = nn.LSTM(16, 8, batch_first=True)
            self.head = nn.Linear(8, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.recur(self.attend(x, x, x)[0])[0][:, -1])

    state = initial_state(Net(), torch.randn(4, 6, 16))
    assert [each.layer for each in state.stages] == ["attend", "recur", "head"]
    assert all(each.weight_gradient for each in state.stages)


def test_a_layer_that_runs_twice_has_two_stages() -> None:
    shared = nn.Linear(8, 8)
    state = initial_state(nn.Sequential(shared, nn.Tanh(), shared), torch.randn(16, 8))
    assert [(each.layer, each.call) for each in state.stages] == [("0", 0), ("0", 1)]


# Nothing touched, and bad input.


def facts(model: nn.Module) -> tuple[object, ...]:
    return (
        {name: value.clone() for name, value in model.state_dict().items()},
        {name: each.grad for name, each in model.named_parameters()},
        [(each.training, len(each._forward_hooks)) for each in model.modules()],
        [each.requires_grad for each in model.parameters()],
    )


def assert_equal(one: tuple[object, ...], two: tuple[object, ...]) -> None:
    for a, b in zip(one[:2], two[:2], strict=True):
        assert isinstance(a, dict)
        assert isinstance(b, dict)
        for name, value in a.items():
            assert value is b[name] or torch.equal(value, b[name])
    assert one[2:] == two[2:]


@pytest.mark.parametrize("fails", [False, True])
def test_nothing_is_touched_also_after_an_exception(fails: bool) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(True), nn.Dropout(0.5))
    model.append(nn.Flatten()).append(nn.Linear(4 * 36, 2))
    model(torch.randn(2, 3, 8, 8)).sum().backward()
    model[1].eval()
    model[0].weight.requires_grad_(False)
    x = torch.randn(4, 3, 9 if fails else 8, 8)
    before, image = facts(model), x.clone()
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
    with torch.inference_mode(not fails):
        if fails:
            with pytest.raises(SettingError, match=r"5 \(Linear\) cannot take its input"):
                initial_state(model, x)
        else:
            initial_state(model, x)
    assert_equal(before, facts(model))
    assert torch.equal(x, image)
    assert torch.equal(states[0], torch.get_rng_state())
    assert states[1:] == (random.getstate(), np.random.get_state()[1].tolist())


def test_the_answer_is_the_same_in_any_mode() -> None:
    model = build("resnet20", num_classes=10, in_channels=3, input_size=(32, 32))
    x = torch.randn(4, 3, 32, 32)
    first = initial_state(model.train(), x)
    with torch.no_grad():
        assert initial_state(copy.deepcopy(model).eval(), x) == first


def test_a_network_without_values_is_refused() -> None:
    with pytest.raises(SettingError, match="with weight: it is on the meta device"):
        initial_state(nn.Linear(2, 2, device="meta"), torch.randn(2, 2))
    with pytest.raises(SettingError, match="its shape is not known"):
        initial_state(nn.LazyLinear(3), torch.randn(2, 2))


def test_a_network_without_weights_or_gradient_is_refused() -> None:
    with pytest.raises(SettingError, match="no layer with weights was seen"):
        initial_state(nn.ReLU(), torch.randn(2, 2))

    class Answer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(2, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.linear(x).argmax(1)

    with pytest.raises(SettingError, match="what it puts out has no gradient"):
        initial_state(Answer(), torch.randn(2, 2))


def test_a_loss_of_ones_own_is_used() -> None:
    model = nn.Linear(2, 2)

    def energy(output: Tensor) -> Tensor:
        return 3 * output.square().mean()

    state = initial_state(model, torch.randn(8, 2), loss=energy)
    assert state.loss == "energy"
