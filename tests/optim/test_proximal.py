import pytest
import torch
from torch import nn

from netwright.optim.groups import parameter_groups
from netwright.optim.proximal import proximal_step, share_of_zeros, soft_threshold


def test_the_soft_threshold_is_the_point_it_is_defined_as() -> None:
    places = torch.linspace(-3, 3, 60_001, dtype=torch.float64)
    for w in (-2.0, -0.7, -0.2, 0.0, 0.4, 1.5):
        best = places[((places - w) ** 2 / 2 + 0.5 * places.abs()).argmin()]
        found = soft_threshold(torch.tensor(w, dtype=torch.float64), 0.5)
        assert float(found) == pytest.approx(float(best), abs=1e-4)


def test_the_step_is_the_soft_threshold_of_rate_times_l1() -> None:
    torch.manual_seed(0)
    weight = nn.Parameter(torch.randn(30, 40))
    expected = soft_threshold(weight.detach(), 0.1 * 3.0)
    proximal_step([{"params": [weight], "lr": 0.1}], 3.0)
    torch.testing.assert_close(weight.detach(), expected)
    assert bool(((weight == 0) == (expected == 0)).all())


def test_biases_and_norms_are_spared_unless_asked_for() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    before = {name: each.detach().clone() for name, each in model.named_parameters()}
    groups = [group | {"lr": 1e-3} for group in parameter_groups(model, 0.1)]
    proximal_step(groups, 1.0)
    same = [n for n, each in model.named_parameters() if torch.equal(each, before[n])]
    assert same == ["0.bias", "1.weight", "1.bias"]
    proximal_step(groups, 1.0, spare=False)
    assert model[1].weight[0].item() == pytest.approx(1 - 1e-3)  # type: ignore[index]


def test_each_group_shrinks_by_its_own_rate_and_none_at_rate_0() -> None:
    fast, still = nn.Parameter(torch.ones(1, 1)), nn.Parameter(torch.ones(1, 1))
    proximal_step([{"params": [fast], "lr": 0.5}, {"params": [still], "lr": 0.0}], 0.5)
    assert (fast.item(), still.item()) == (0.75, 1.0)


def test_the_lasso_is_solved_with_true_zeros_where_the_gradient_of_l1_leaves_none() -> None:
    torch.manual_seed(0)
    x = torch.randn(80, 20, dtype=torch.float64)
    true = torch.zeros(1, 20, dtype=torch.float64)
    true[0, :3] = torch.tensor([2.0, -1.5, 1.0])
    y = x @ true.T + 0.05 * torch.randn(80, 1, dtype=torch.float64)
    found = {}
    for kind in ("proximal", "gradient"):
        layer = nn.Linear(20, 1, bias=False).double()
        optimizer = torch.optim.SGD(layer.parameters(), lr=0.05)
        for _ in range(400):
            loss = ((layer(x) - y) ** 2).mean() / 2
            if kind == "gradient":
                loss = loss + 0.1 * layer.weight.abs().sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if kind == "proximal":
                proximal_step(optimizer.param_groups, 0.1)
        found[kind] = layer
    assert share_of_zeros(found["gradient"]) == 0
    assert share_of_zeros(found["proximal"]) >= 0.8
    # The conditions of Karush, Kuhn and Tucker: |gradient| is 0.1 where w is not 0, less elsewhere.
    weight = found["proximal"].weight.detach()
    gradient = x.T @ (x @ weight.T - y) / 80
    kept = weight[0] != 0
    torch.testing.assert_close(gradient[kept, 0], -0.1 * weight[0, kept].sign())
    assert bool((gradient[~kept].abs() <= 0.1).all())
    assert bool(kept[:3].all())


def test_what_is_frozen_is_not_shrunk():
    weight = nn.Parameter(torch.ones(1, 2), requires_grad=False)
    proximal_step([{"params": [weight], "lr": 1.0}], l1=0.5)
    assert weight.tolist() == [[1.0, 1.0]]
