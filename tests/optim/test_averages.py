import io

import pytest
import torch
from torch import nn

from netwright.optim.averages import Average


def _model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))


def _train(model: nn.Module, average: Average, steps: int) -> None:
    for _ in range(steps):
        model(torch.randn(4, 3))
        for each in model.parameters():
            each.data.add_(torch.randn_like(each))
        average.update(model)


def _step_by(weight: torch.Tensor, length: float) -> None:
    weight.data.add_(length)


def test_it_equals_the_rule_one_number_at_a_time() -> None:
    model = nn.Linear(1, 1, bias=False)
    model.weight.data.fill_(2.0)
    average = Average(model, decay=0.2)
    expected = 2.0
    for t, value in enumerate([3.0, -1.0, 0.5, 4.0]):
        model.weight.data.fill_(value)
        average.update(model)
        d = min(0.2, (1 + t) / (10 + t))
        expected = d * expected + (1 - d) * value
    assert average.weights()["weight"].item() == pytest.approx(expected)


def test_statistics_of_norms_are_averaged_with_the_weights_and_counts_copied() -> None:
    model = _model()
    average = Average(model, decay=0.99)
    expected = {name: each.clone() for name, each in model.named_buffers()}
    for t in range(3):
        _train(model, average, 1)
        d = min(0.99, (1 + t) / (10 + t))
        for name in ("1.running_mean", "1.running_var"):
            expected[name] = d * expected[name] + (1 - d) * model.get_buffer(name)
    found = average.weights()
    torch.testing.assert_close(found["1.running_mean"], expected["1.running_mean"])
    torch.testing.assert_close(found["1.running_var"], expected["1.running_var"])
    assert found["1.num_batches_tracked"] == 3


def test_averaged_weights_are_evaluated_with_statistics_that_fit_them() -> None:
    """A weight that swings between 1 and 9 averages to 5, its output's spread to some 5 too; the
    last raw statistics say 1 or 9."""
    model = nn.Sequential(nn.Linear(1, 1, bias=False), nn.BatchNorm1d(1, momentum=1.0))
    average = Average(model, decay=0.98)
    inputs = torch.linspace(-1, 1, 64)[:, None]
    for step in range(400):
        model[0].weight.data.fill_(1.0 if step % 2 else 9.0)
        model(inputs)
        average.update(model)
    model.eval()
    with average.applied(model):
        spread = model(inputs).std().item()
    assert 0.7 < spread < 1.1
    assert model(inputs).std().item() == pytest.approx(1.0, abs=0.01)


def test_its_names_are_those_of_the_state_dict() -> None:
    model = _model()
    model.register_buffer("scratch", torch.zeros(1), persistent=False)
    model.load_state_dict(Average(model, decay=0.9).weights())


def test_a_weight_used_twice_is_averaged_once_and_stands_under_both_names() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model[1].weight = model[0].weight
    average = Average(model, decay=0.9)
    _step_by(model[0].weight, 1.0)
    average.update(model)
    found = average.weights()
    assert found["0.weight"] is found["1.weight"]
    torch.testing.assert_close(found["0.weight"], model[0].weight.detach() - 0.1)
    with average.applied(model):
        assert model[1].weight is model[0].weight


def test_the_model_computes_with_the_averages_inside_and_has_its_own_weights_afterwards() -> None:
    model = _model().eval()
    average = Average(model, decay=0.9)
    _train(model, average, 3)
    own = {name: each.clone() for name, each in model.state_dict().items()}
    averages = {name: each.clone() for name, each in average.weights().items()}
    with average.applied(model):
        assert torch.equal(model[0].weight, averages["0.weight"])
    with pytest.raises(ZeroDivisionError), average.applied(model):
        _ = 1 / 0
    assert all(torch.equal(each, own[name]) for name, each in model.state_dict().items())
    assert all(torch.equal(each, averages[name]) for name, each in average.weights().items())


def test_the_optimizer_keeps_its_parameters_through_an_evaluation() -> None:
    model = _model()
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    average = Average(model, decay=0.9)
    with average.applied(model):
        pass
    before = model[0].weight.detach().clone()
    model(torch.randn(4, 3)).square().sum().backward()
    optimizer.step()
    assert not torch.equal(model[0].weight, before)


def test_saved_and_loaded_it_goes_on_with_the_same_bits() -> None:
    model = _model()
    average = Average(model, decay=0.9)
    _train(model, average, 3)
    saved = io.BytesIO()
    torch.save(average.state_dict(), saved)
    saved.seek(0)
    twin = Average(_model(), decay=0.9)
    twin.load_state_dict(torch.load(saved, weights_only=True))
    for each in (average, twin):
        each.update(model)
    for name, tensor in average.weights().items():
        assert torch.equal(tensor, twin.weights()[name])
