import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from netwright.core.errors import SettingError
from netwright.optim.optimizers import OPTIMIZERS
from netwright.optim.optimizers.lbfgs import LBFGS, LBFGSOptions, lbfgs


def _rosenbrock(w: Tensor) -> Tensor:
    return (1 - w[0]) ** 2 + 100 * (w[1] - w[0] ** 2) ** 2


def _closure(optimizer: LBFGS, loss_of: Any) -> Any:
    def closure() -> Tensor:
        optimizer.zero_grad()
        loss: Tensor = loss_of()
        loss.backward()
        return loss

    return closure


def test_it_says_that_it_needs_a_closure_and_the_whole_training_set() -> None:
    facts = OPTIMIZERS.get("lbfgs").facts
    assert facts["closure"] is True
    assert facts["batch"] == "all"


def test_it_crosses_rosenbrocks_valley_in_a_few_steps() -> None:
    w = nn.Parameter(torch.tensor([-1.2, 1.0], dtype=torch.float64))
    optimizer = lbfgs([{"params": [w], "weight_decay": 0.0}], LBFGSOptions())
    for _ in range(20):
        optimizer.step(_closure(optimizer, lambda: _rosenbrock(w)))
    assert w.tolist() == pytest.approx([1.0, 1.0], abs=1e-5)


def test_one_direction_without_search_is_gradient_descent_of_length_lr_over_the_sum() -> None:
    w = nn.Parameter(torch.tensor([3.0, 0.0], dtype=torch.float64))
    options = LBFGSOptions(lr=0.5, iterations=1, search=False)
    optimizer = lbfgs([{"params": [w], "weight_decay": 0.0}], options)
    optimizer.step(_closure(optimizer, lambda: (w * torch.tensor([3.0, 1.0])).sum()))
    # gradient (3, 1), its absolute sum 4: w - 0.5 / 4 * gradient
    assert w.tolist() == pytest.approx([3 - 0.375, -0.125])


def test_each_group_is_decayed_as_it_says() -> None:
    # (w - 1)^2 / 2 + wd w^2 / 2 has its bottom at 1 / (1 + wd)
    spared, decayed = (nn.Parameter(torch.zeros(1, dtype=torch.float64)) for _ in range(2))
    groups = [
        {"params": [spared], "weight_decay": 0.0},
        {"params": [decayed], "weight_decay": 0.25},
    ]
    optimizer = lbfgs(groups, LBFGSOptions())
    for _ in range(5):
        optimizer.step(
            _closure(optimizer, lambda: ((spared - 1) ** 2 + (decayed - 1) ** 2).sum() / 2)
        )
    assert (spared.item(), decayed.item()) == pytest.approx((1.0, 0.8), abs=1e-6)


def test_it_returns_the_loss_of_before_the_step_without_the_decay() -> None:
    w = nn.Parameter(torch.tensor([3.0]))
    optimizer = lbfgs([{"params": [w], "weight_decay": 0.5}], LBFGSOptions())
    assert float(optimizer.step(_closure(optimizer, lambda: (w**2).sum()))) == 9.0


def test_softmax_regression_comes_to_the_optimum_where_descent_is_still_on_its_way() -> None:
    torch.manual_seed(0)
    x, y = torch.randn(60, 5), torch.arange(60) % 3
    losses = {}
    for name, steps in (("lbfgs", 15), ("gd", 15)):
        layer = nn.Linear(5, 3)
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
        entry = OPTIMIZERS.get(name)
        assert entry.options is not None
        made: Any = entry.target(
            [{"params": list(layer.parameters()), "weight_decay": 0.0}], entry.options()
        )
        closure = _closure(made, lambda layer=layer: nn.functional.cross_entropy(layer(x), y))
        for _ in range(steps):
            losses[name] = made.step(closure).item()
        gradient = max(float(each.grad.abs().max()) for each in layer.parameters())
        assert (gradient < 1e-4) == (name == "lbfgs")
    assert losses["lbfgs"] < losses["gd"] < math.log(3)


@pytest.mark.parametrize("chosen", [{"clip": 1.0}, {"l1": 0.1}])
def test_what_would_mislead_its_line_search_is_refused(chosen: dict[str, float]) -> None:
    with pytest.raises(SettingError, match=r"takes neither optim\.clip nor optim\.l1"):
        lbfgs([{"params": [nn.Parameter(torch.ones(1))]}], LBFGSOptions(**chosen))
