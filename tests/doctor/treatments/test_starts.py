"""Treatments of the start: what they draw, and that it heals."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from netwright.core.languages import Phrase
from netwright.doctor.healing import heal
from netwright.doctor.treatments import TREATMENTS, Plan
from netwright.doctor.treatments._dead import dead_units
from netwright.doctor.treatments._running import head_of, hidden_activations, maps
from netwright.doctor.trials.course import Course
from netwright.doctor.trials.course_of import course_of
from netwright.records.findings import Evidence, Finding, Treatment

SAID = Phrase("as it is")


def finding(name: str, treatment: str, *layers: str) -> Finding:
    return Finding(
        name=name, severity="warn", what=SAID, cause=SAID, wrong_if=SAID, layers=layers,
        evidence=(Evidence(signal=SAID, value=1.0),
                  Evidence(signal=SAID, value=1.0, witness="harm")),
        treatments=(Treatment(name=treatment, grade="ask", why=SAID),),
    )  # fmt: skip


def plans(course: Course, treatment: str, *layers: str) -> list[Plan]:
    entry = TREATMENTS.get(treatment)
    return list(entry.target(course, finding(entry.facts["cures"][0], treatment, *layers)))


def treated(course: Course, plan: Plan) -> Course:
    made = course.copy()
    torch.manual_seed(0)
    plan.apply(made)
    return made


def course(model: nn.Module, *shape: int, classes: int = 4, rate: float = 0.1) -> Course:
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(256, *shape, generator=draw)
    y = torch.randint(0, classes, (256,), generator=draw)
    optimizer = torch.optim.SGD(model.parameters(), lr=rate, momentum=0.9)
    return course_of(model, optimizer, nn.CrossEntropyLoss(), (x, y), (x, y), 2, None)


def deep(activation: type[nn.Module], depth: int = 6, width: int = 40) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Linear(8, width), activation()]
    for _ in range(depth - 2):
        layers += [nn.Linear(width, width), activation()]
    return nn.Sequential(*layers, nn.Linear(width, 4))


class Functional(nn.Module):
    """Activations that are no modules, the first one in place."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.head = nn.Linear(8, 64), nn.Linear(64, 64), nn.Linear(64, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu_(self.first(x))
        x = x + torch.tanh(self.second(x))
        return self.head(x)


def test_the_activation_behind_a_layer_is_seen_where_it_is_no_module() -> None:
    run = maps(course(Functional(), 8))
    assert [each.path for each in run] == ["first", "second", "head"]
    assert "relu" in run[0].after
    assert "tanh" in run[1].after
    assert head_of(run) == ["head"]


def test_weights_are_drawn_for_what_follows_them() -> None:
    """He's root of 2 before a ReLU, 5/3 before tanh, 1 for the output, over the root of the fan."""
    model = nn.Sequential(
        nn.Linear(100, 400), nn.ReLU(), nn.Linear(400, 400), nn.Tanh(), nn.Linear(400, 300)
    )
    made = treated(course(model, 100), plans(course(model, 100), "matched-initialiser")[0]).model
    spreads = [made[place].weight.std().item() for place in (0, 2, 4)]  # type: ignore[index]
    assert spreads == pytest.approx([0.1414, 0.0833, 0.05], rel=0.02)
    assert not made[0].bias.any()  # type: ignore[index]


def test_layers_that_are_not_named_keep_their_weights_in_one_of_the_plans() -> None:
    before = course(deep(nn.ReLU), 8)
    _, named, _ = plans(before, "matched-initialiser", "2:relu")
    after = treated(before, named)
    old, new = before.model.state_dict(), after.model.state_dict()
    assert [name for name in old if not torch.equal(old[name], new[name])] == [
        "2.weight", "2.bias",
    ]  # fmt: skip


def test_lsuv_gives_every_layer_the_variance_one() -> None:
    model = deep(nn.Tanh)
    nn.init.zeros_(model[4].weight)
    made = treated(course(model, 8), plans(course(model, 8), "matched-initialiser")[-1])
    x, _ = next(made.train.batches())
    for place, each in enumerate(made.model.children()):
        x = each(x)
        if place % 2 == 0:
            assert x.var().item() == pytest.approx(1, abs=0.02)


def test_frozen_layers_are_not_drawn() -> None:
    model = deep(nn.ReLU)
    model[0].requires_grad_(False)
    before = copy.deepcopy(model[0].weight)
    made = treated(course(model, 8), plans(course(model, 8), "matched-initialiser")[0])
    assert torch.equal(made.model[0].weight, before)  # type: ignore[index]


def test_a_recurrent_layer_begins_as_a_rotation() -> None:
    class Reads(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell, self.head = nn.LSTM(3, 16, batch_first=True), nn.Linear(16, 4)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.cell(x)[0][:, -1])

    made = treated(course(Reads(), 5, 3), plans(course(Reads(), 5, 3), "matched-initialiser")[0])
    gate = made.model.cell.weight_hh_l0[:16]  # type: ignore[union-attr,index]
    assert torch.allclose(gate @ gate.T, torch.eye(16), atol=1e-5)


def test_activations_are_known_by_what_they_do() -> None:
    """A factor round an activation is part of it; dropout and flattening are none."""

    class Times(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Tanh()

        def forward(self, x: Tensor) -> Tensor:
            return 0.02 * self.inner(x)

    model = nn.Sequential(
        nn.Flatten(), nn.Linear(8, 8), Times(), nn.Dropout(0.5), nn.Linear(8, 8), nn.Identity(),
        nn.Linear(8, 4), nn.Sigmoid(),
    )  # fmt: skip
    assert hidden_activations(course(model, 8)) == ["2"]


def test_hidden_activations_give_way_to_relu_and_the_last_one_stays() -> None:
    model = nn.Sequential(nn.Linear(8, 8), nn.Sigmoid(), nn.Linear(8, 4), nn.Sigmoid())
    made = treated(course(model, 8), plans(course(model, 8), "activation-and-start")[0])
    assert [type(each).__name__ for each in made.model] == ["Linear", "ReLU", "Linear", "Sigmoid"]  # type: ignore[union-attr]


def test_the_later_plans_lower_the_rate_too() -> None:
    before = course(deep(nn.Sigmoid), 8, rate=0.5)
    rates = [treated(before, each).rate for each in plans(before, "activation-and-start")]
    assert rates == pytest.approx([0.5, 0.05, 0.15])


def test_functional_activations_are_left_and_the_start_is_drawn() -> None:
    before = course(Functional(), 8)
    assert not plans(before, "other-activation")
    assert not plans(before, "leaky")
    assert len(plans(before, "activation-and-start")) == 2


def test_leaky_activations_leave_the_weights() -> None:
    before = course(deep(nn.ReLU), 8)
    after = treated(before, plans(before, "leaky")[0])
    assert isinstance(after.model[1], nn.LeakyReLU)  # type: ignore[index]
    assert torch.equal(after.model[0].weight, before.model[0].weight)  # type: ignore[index]


def test_dead_units_alone_are_drawn_anew() -> None:
    model = deep(nn.ReLU, depth=3)
    with torch.no_grad():
        model[0].bias[:30] = -50.0
    before = course(model, 8)
    assert int(dead_units(before)["0"].sum()) == 30
    after = treated(before, plans(before, "revive")[0])
    old, new = before.model[0], after.model[0]  # type: ignore[index]
    assert torch.equal(old.weight[30:], new.weight[30:])
    assert not new.bias[:30].any()
    assert "0" not in dead_units(after)
    assert not plans(after, "revive")


def clouds() -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Four clouds in eight dimensions, near each other."""
    draw = torch.Generator().manual_seed(0)
    middles = torch.randn(4, 8, generator=draw)
    y = torch.randint(0, 4, (1200,), generator=draw)
    x = middles[y] + 0.6 * torch.randn(1200, 8, generator=draw)
    return (x[:800], y[:800]), (x[800:], y[800:])


def test_a_start_that_is_stuck_is_healed() -> None:
    torch.manual_seed(0)
    model = deep(nn.ReLU, depth=3)
    with torch.no_grad():
        model[0].bias.fill_(-30.0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    train, val = clouds()
    healed = heal(model, optimizer, cross_entropy, train, val, epochs=8)
    assert healed.repaired, healed
    assert healed.score > 0.85 > healed.untreated


def test_deep_sigmoids_are_healed_by_another_activation() -> None:
    torch.manual_seed(0)
    model = deep(nn.Sigmoid, depth=8, width=24)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    train, val = clouds()
    healed = heal(model, optimizer, cross_entropy, train, val, epochs=8)
    assert healed.repaired, healed
    assert healed.score > 0.85
