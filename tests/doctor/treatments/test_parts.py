"""Treatments of signal, structure and wiring: what they change in a network and its optimizer."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss

from netwright.core.languages import Phrase
from netwright.doctor.healing import heal
from netwright.doctor.treatments import TREATMENTS, Plan
from netwright.doctor.treatments._widths import resize, widths
from netwright.doctor.trials.course import Course
from netwright.doctor.trials.course_of import course_of
from netwright.doctor.trials.trial import Trial
from netwright.records.findings import Evidence, Finding, Treatment

SAID = Phrase("as it is")


def plans(course: Course, treatment: str, *layers: str, of: str = "") -> list[Plan]:
    entry = TREATMENTS.get(treatment)
    finding = Finding(
        name=of or entry.facts["cures"][0], severity="warn", what=SAID, cause=SAID, wrong_if=SAID,
        evidence=(Evidence(signal=SAID, value=1.0),
                  Evidence(signal=SAID, value=1.0, witness="harm")),
        treatments=(Treatment(name=treatment, grade="ask", why=SAID),), layers=layers,
    )  # fmt: skip
    return list(entry.target(course, finding))


def treated(course: Course, plan: Plan) -> Course:
    made = course.copy()
    torch.manual_seed(0)
    plan.apply(made)
    return made


def course(
    model: nn.Module, *shape: int, batch: int = 32, optimizer: torch.optim.Optimizer | None = None
) -> Course:
    draw = torch.Generator().manual_seed(0)
    x, y = torch.randn(96, *shape, generator=draw), torch.randint(0, 4, (96,), generator=draw)
    made = optimizer or torch.optim.SGD(model.parameters(), lr=0.1)
    loader = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(x, y), batch_size=batch, shuffle=True
    )
    return course_of(model, made, nn.CrossEntropyLoss(), loader, (x, y), 2, None)


def kinds(course: Course) -> list[str]:
    return [
        type(each).__name__
        for each in course.model.modules()
        if not isinstance(each, nn.Sequential)
    ]


def trains(course: Course) -> bool:
    trial = Trial(course)
    trial.go_on(2)
    return not trial.error and trial.judged().value > 0


def images() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(128, 12), nn.Tanh(), nn.Linear(12, 4),
    )  # fmt: skip


def rows(*between: nn.Module, width: int = 8) -> nn.Sequential:
    return nn.Sequential(nn.Linear(6, width), *between, nn.Linear(width, 4))


def test_norms_stand_behind_hidden_layers_alone() -> None:
    before = course(images(), 3, 8, 8)
    after = treated(before, plans(before, "norm-or-residual")[0])
    assert kinds(after) == [
        "Conv2d", "BatchNorm2d", "ReLU", "MaxPool2d", "Flatten", "Linear", "BatchNorm1d", "Tanh",
        "Linear",
    ]  # fmt: skip
    assert trains(after)
    assert not any("batch" in str(each.says) for each in plans(after, "norm-or-residual"))


def test_the_norm_of_tiny_batches_is_group_norm() -> None:
    before = course(images(), 3, 8, 8, batch=2)
    after = treated(before, plans(before, "norm-or-residual")[0])
    assert kinds(after).count("GroupNorm") == 2


def test_a_residual_goes_round_the_activation_too() -> None:
    model = nn.Sequential(
        nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 8), nn.Linear(8, 4)
    )
    before = course(model, 6)
    after = treated(before, plans(before, "norm-or-residual")[1])
    x = torch.randn(5, 6)
    assert after.model[2].inner[0].weight.std() < 0.4  # type: ignore[union-attr,index]
    after.model.load_state_dict(  # what was drawn anew put back
        dict(zip(after.model.state_dict(), before.model.state_dict().values(), strict=True))
    )
    hidden = torch.tanh(model[0](x))
    hidden = hidden + torch.tanh(model[2](hidden))
    expected = model[5](hidden + model[4](hidden))
    assert torch.allclose(after.model(x), expected, atol=1e-6)
    assert trains(copy.deepcopy(after))


def test_clipping_takes_the_median_of_the_norms_that_are_there() -> None:
    before = course(rows(nn.ReLU()), 6)
    median, usual, slower = plans(before, "clip")
    assert 0.05 < (treated(before, median).clip or 0) < 2
    assert treated(before, usual).clip == 1.0
    assert treated(before, slower).rate == pytest.approx(0.01)
    before.clip = 0.01
    assert not plans(before, "clip")


def test_activations_come_between_linear_maps_and_not_behind_the_output() -> None:
    before = course(rows(nn.Identity(), nn.Linear(8, 8)), 6)
    after = treated(before, plans(before, "insert-activation", "0", "2", "3")[0])
    assert kinds(after) == ["Linear", "ReLU", "Identity", "Linear", "ReLU", "Linear"]


def test_the_norm_of_the_output_goes() -> None:
    before = course(nn.Sequential(rows(nn.BatchNorm1d(8)), nn.BatchNorm1d(4)), 6)
    after = treated(before, plans(before, "drop-last-norm")[0])
    assert kinds(after) == ["Linear", "BatchNorm1d", "Linear", "Identity"]
    assert not plans(after, "drop-last-norm")


def test_only_odd_momenta_change() -> None:
    before = course(rows(nn.BatchNorm1d(8, momentum=0.99), nn.BatchNorm1d(8, momentum=0.3)), 6)
    model = treated(before, plans(before, "torch-momentum")[0]).model
    assert [each.momentum for each in model[1:3]] == [0.1, 0.3]  # type: ignore[index,union-attr]


def test_batches_of_two_are_made_larger_or_normed_by_groups() -> None:
    before = course(rows(nn.BatchNorm1d(8)), 6, batch=2)
    groups, larger = plans(before, "larger-batch", of="batchnorm-small-batch")
    assert "GroupNorm" in kinds(treated(before, groups))
    assert (treated(before, larger).train.batch, treated(before, larger).steps) == (16, 12)


def test_a_last_batch_of_one_is_left_out() -> None:
    before = course(rows(nn.BatchNorm1d(8)), 6, batch=19)
    assert before.train.steps == 6
    assert treated(before, plans(before, "drop-last")[0]).train.steps == 5
    assert not plans(course(rows(), 6, batch=32), "drop-last")


def test_dropout_moves_behind_the_last_norm() -> None:
    before = course(rows(nn.Dropout(0.4), nn.BatchNorm1d(8), nn.ReLU()), 6)
    after = treated(before, plans(before, "dropout-last")[0])
    assert kinds(after) == ["Linear", "Identity", "BatchNorm1d", "ReLU", "Dropout", "Linear"]
    assert not plans(after, "dropout-last")


def test_biases_before_a_norm_go_and_the_network_says_the_same() -> None:
    before = course(rows(nn.BatchNorm1d(8), nn.ReLU()), 6)
    before.model[1].running_mean.fill_(0.3)  # type: ignore[index,union-attr]
    after = treated(before, plans(before, "drop-bias")[0])
    x = torch.randn(5, 6)
    assert after.model[0].bias is None  # type: ignore[index]
    assert torch.allclose(before.model.eval()(x), after.model.eval()(x), atol=1e-6)


def test_decay_spares_biases_and_norms_and_the_schedule_follows() -> None:
    model = rows(nn.BatchNorm1d(8))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.1)
    before = course(model, 6, optimizer=optimizer)
    before.scheduler = torch.optim.lr_scheduler.LambdaLR(before.optimizer, lambda step: 0.5)
    after = treated(before, plans(before, "parameter-groups")[0])
    decays = [
        (group["weight_decay"], [each.ndim for each in group["params"]])
        for group in after.optimizer.param_groups
    ]
    assert decays == [(0.1, [2, 2]), (0.0, [1, 1, 1, 1])]
    assert trains(after)


def test_frozen_layers_are_trained_and_held() -> None:
    model = rows(nn.ReLU())
    model[0].requires_grad_(False)
    head = torch.optim.SGD(model[2].parameters(), lr=0.1)
    after = treated(course(model, 6, optimizer=head), plans(course(model, 6), "unfreeze")[0])
    assert sum(len(group["params"]) for group in after.optimizer.param_groups) == 4


def test_groups_come_to_one_rate() -> None:
    model = rows(nn.ReLU())
    groups = [
        {"params": model[0].parameters(), "lr": 0.0}, {"params": model[2].parameters(), "lr": 0.1},
    ]  # fmt: skip
    before = course(model, 6, optimizer=torch.optim.SGD(groups, lr=0.1))
    (plan,) = plans(before, "same-rates")
    assert [g["lr"] for g in treated(before, plan).optimizer.param_groups] == [0.1, 0.1]


def test_an_optimizer_of_another_model_takes_this_one() -> None:
    other = torch.optim.SGD(rows().parameters(), lr=0.1)
    before = course(rows(nn.ReLU()), 6, optimizer=other)
    after = treated(before, plans(before, "rebuild-optimizer")[0])
    held = {id(each) for group in after.optimizer.param_groups for each in group["params"]}
    assert held == {id(each) for each in after.trainable}


def test_a_wider_layer_takes_its_readers_and_norms_with_it() -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 2, 3, padding=1), nn.BatchNorm2d(2), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(32, 12), nn.ReLU(), nn.Linear(12, 4),
    )  # fmt: skip
    made = course(model, 3, 8, 8)
    assert widths(made) == {"0": 2, "5": 12}
    resize(made, {"0": 10})
    shapes = [tuple(each.shape) for each in made.model.parameters() if each.ndim > 1]
    assert shapes == [(10, 3, 3, 3), (12, 160), (4, 12)]
    assert trains(made)


def test_a_state_of_one_number_is_widened_with_its_head() -> None:
    class Reads(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell, self.head = nn.GRU(3, 1, batch_first=True), nn.Linear(1, 4)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.cell(x)[1][-1])

    before = course(Reads(), 5, 3)
    after = treated(before, plans(before, "widen")[0])
    assert after.model.head.in_features == 48  # type: ignore[union-attr]
    assert trains(after)


def test_layers_that_are_added_up_keep_their_width() -> None:
    class Adds(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(6, 6), nn.Linear(6, 6)
            self.head = nn.Linear(6, 4)

        def forward(self, x: Tensor) -> Tensor:
            x = torch.relu(self.first(x))
            return self.head(x + torch.relu(self.second(x)))

    assert widths(course(Adds(), 6)) == {}


def test_a_network_of_linear_maps_is_healed_by_an_activation() -> None:
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(600, 2, generator=draw)
    y = (x[:, 0] * x[:, 1] > 0).long()
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 24), nn.Linear(24, 24), nn.Linear(24, 2))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    parts = (x[:400], y[:400]), (x[400:], y[400:])
    healed = heal(model, optimizer, cross_entropy, *parts, epochs=30)
    assert healed.repaired, healed
    assert healed.score > 0.9 > healed.untreated


def test_a_frozen_body_is_healed_by_training_it() -> None:
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(600, 4, generator=draw)
    y = torch.sin(2 * x[:, :1]) * x[:, 1:2]
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(4, 24), nn.Tanh(), nn.Linear(24, 24), nn.Tanh(), nn.Linear(24, 1)
    )
    for each in model[:-1]:
        each.requires_grad_(False)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    parts = (x[:400], y[:400]), (x[400:], y[400:])
    healed = heal(model, optimizer, mse_loss, *parts, epochs=40)
    assert healed.repaired, healed
    assert healed.score > healed.untreated + 0.2
