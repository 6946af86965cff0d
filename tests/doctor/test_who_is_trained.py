"""Parameters that the optimizer does not hold, nobody uses or no module registers."""

import torch
from torch import nn
from torch.nn import functional as F

from netwright.doctor.watch import watch
from netwright.testing.loops import batches, found, mlp, sgd, train


def test_a_head_that_was_exchanged_after_the_optimizer_was_made():
    model = mlp()
    optimizer = sgd(model)
    model[2] = nn.Linear(16, 4)
    (finding,) = found(train(model, optimizer, steps=40), "stale-optimizer")
    assert (finding.severity, finding.layers) == ("stop", ("2",))
    assert [each.value for each in finding.evidence] == [2, 2, 0]


def test_a_model_built_anew_after_the_optimizer_was_made():
    optimizer = sgd(mlp())
    (finding,) = found(train(mlp(), optimizer, steps=40), "stale-optimizer")
    assert finding.layers == ("0", "2")


def test_a_head_on_a_network_that_is_left_as_it_is_is_silent():
    model = mlp()
    doctor = train(model, torch.optim.SGD(model[2].parameters(), lr=0.1), steps=40)
    assert not found(doctor, "stale-optimizer")


def test_a_second_optimizer_that_the_watch_does_not_know_is_silent():
    model = mlp()
    first, second = sgd(model[0]), sgd(model[2])

    def step(i, loss):
        model.zero_grad()
        loss.backward()
        first.step()
        second.step()

    assert not found(train(model, first, step=step, steps=40), "stale-optimizer")


def test_weights_of_the_loss_in_the_optimizer_are_silent():
    model = mlp()
    scale = nn.Parameter(torch.zeros(()))
    optimizer = torch.optim.SGD([*model.parameters(), scale], lr=0.1)

    def loss(output, target):
        return F.cross_entropy(output, target) * torch.exp(-scale) + scale

    doctor = train(model, optimizer, loss=loss, steps=40)
    assert not found(doctor, "stale-optimizer")
    assert not found(doctor, "unregistered-parameters")


def test_groups_with_rates_far_apart_are_a_note():
    model = mlp()
    groups = [{"params": model[0].parameters(), "lr": 1e-7}, {"params": model[2].parameters()}]
    (finding,) = found(train(model, torch.optim.SGD(groups, lr=0.1)), "stale-optimizer")
    assert (finding.severity, finding.layers) == ("note", ("0",))


class WithSpare(nn.Module):
    def __init__(self):
        super().__init__()
        self.used, self.spare = nn.Linear(8, 4), nn.Linear(8, 4)

    def forward(self, x):
        return self.used(x)


def test_a_layer_that_never_gets_a_gradient_is_a_note():
    model = WithSpare()
    (finding,) = found(train(model, sgd(model), steps=40), "unused-parameters")
    assert (finding.severity, finding.layers) == ("note", ("spare",))


class PlainList(nn.Module):
    def __init__(self, held=nn.ModuleList):
        super().__init__()
        torch.manual_seed(0)
        self.blocks = held([nn.Linear(8, 8) for _ in range(2)])
        self.head = nn.Linear(8, 4)

    def forward(self, x):
        for each in self.blocks:
            x = torch.relu(each(x))
        return self.head(x)


def test_layers_in_a_plain_list_are_named():
    model = PlainList(list)
    (finding,) = found(train(model, sgd(model)), "unregistered-parameters")
    assert finding.layers == ("blocks[0]", "blocks[1]")
    assert finding.severity == "stop"  # 144 of 180 weights
    assert finding.evidence[1].value == 144


def test_layers_in_a_module_list_are_silent():
    model = PlainList()
    assert not found(train(model, sgd(model)), "unregistered-parameters")


class InFunctions(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        body = nn.Linear(8, 8)
        self.body = lambda x: torch.relu(body(x))
        self.head = nn.Linear(8, 4)

    def forward(self, x):
        return self.head(self.body(x))


def test_layers_within_a_function_are_named():
    model = InFunctions()
    (finding,) = found(train(model, sgd(model)), "unregistered-parameters")
    assert (finding.layers, finding.severity) == (("body",), "stop")


def test_layers_within_a_function_that_another_optimizer_trains_are_silent():
    model, body = InFunctions(), nn.Linear(8, 8)
    model.body = lambda x: torch.relu(body(x))
    other = sgd(body)

    def step(i, loss):
        loss.backward()
        other.step()
        optimizer.step()
        model.zero_grad()
        body.zero_grad()

    optimizer = sgd(model)
    assert not found(train(model, optimizer, step=step), "unregistered-parameters")


class TimesTenth(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.weight = nn.Parameter(torch.randn(8, 8)) * 0.1
        self.head = nn.Linear(8, 4)

    def forward(self, x):
        return self.head(torch.relu(x @ self.weight))


def test_a_parameter_that_was_multiplied_is_none_any_more():
    model = TimesTenth()
    with watch(model, sgd(model), checkup=False) as doctor:
        for x, y in batches(1):
            F.cross_entropy(model(x), y).backward()
    (finding,) = found(doctor, "unregistered-parameters")
    assert finding.layers == ("weight",)


class Keeps(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layers = mlp()

    def forward(self, x):
        self.last = self.layers(x)
        return self.last


def test_a_result_that_is_kept_for_later_is_silent():
    model, encoder = Keeps(), nn.Linear(8, 8)
    optimizer = sgd(model)
    with watch(model, optimizer, checkup=False) as doctor:
        for x, y in batches(12):
            optimizer.zero_grad()
            F.cross_entropy(model(encoder(x)), y).backward()
            optimizer.step()
    assert not found(doctor, "unregistered-parameters")


class MadeAnew(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(8, 4)

    def forward(self, x):
        return self.head(x * nn.Parameter(torch.ones(8)))


def test_parameters_made_in_the_forward_pass_are_found():
    model = MadeAnew()
    (finding,) = found(train(model, sgd(model)), "unregistered-parameters")
    assert "anew" in str(finding.what)


def test_another_model_and_an_input_with_a_gradient_are_silent():
    encoder, decoder = nn.Linear(8, 8), mlp()
    optimizer = torch.optim.SGD([*encoder.parameters(), *decoder.parameters()], lr=0.1)
    with watch(decoder, optimizer, checkup=False) as doctor:
        for x, y in batches(12):
            optimizer.zero_grad()
            F.cross_entropy(decoder(encoder(x.requires_grad_())), y).backward()
            optimizer.step()
    assert not found(doctor, "unregistered-parameters")
