"""What a person takes home from healing: lines for a script, and labels to look at."""

from __future__ import annotations

import dataclasses
import json

import pytest
import torch
from torch import nn
from torch.optim import SGD, Adam
from torch.optim.lr_scheduler import StepLR

import netwright as nw
from netwright.doctor.patching import patch_of
from netwright.doctor.treatments import TREATMENTS
from netwright.testing.treatments import finding_of

CROSS_ENTROPY = nn.CrossEntropyLoss()


def test_a_rate_that_was_raised_is_a_line_that_makes_the_optimizer(network, problem):
    model = network()
    healed = nw.heal(model, SGD(model.parameters(), lr=1e-6, momentum=0.9), CROSS_ENTROPY,
                     problem(), problem(96, 1), epochs=40)  # fmt: skip
    assert healed.repaired
    known = {"torch": torch, "model": model}
    exec(healed.patch, known)
    rate = known["optimizer"].param_groups[0]["lr"]
    assert rate > 1e-4
    assert f"lr={rate}, momentum=0.9)" in healed.patch
    assert f"  {healed.patch}" in str(healed)
    assert healed.to_json()["patch"] == healed.patch


def test_nothing_changed_is_no_line(course):
    given = course()
    assert patch_of(given, given.copy(), given) == ""


def test_a_first_layer_that_standardises_is_written_out(course, problem):
    x, y = problem()
    given = course(train=(1e4 * x + 3e4, y), val=(1e4 * x + 3e4, y))
    finding = finding_of("unscaled-input", "standardise-input", given)
    plan = next(iter(TREATMENTS.get("standardise-input").target(given, finding)))
    treated = given.copy()
    plan.apply(treated)
    known = {"torch": torch, "model": given.model}
    exec(patch_of(given, treated, treated), known)
    assert torch.allclose(known["model"](1e4 * x + 3e4), treated.model(1e4 * x + 3e4))


def test_batches_clipping_and_epochs_are_lines(course):
    given = course()
    treated = given.copy()
    treated.epochs, treated.clip = 16, 0.51234
    treated.train = dataclasses.replace(treated.train, shuffle=False, batch=16)
    assert patch_of(given, treated, treated).splitlines() == [
        "loader = DataLoader(train_data, batch_size=16, shuffle=False)",
        "epochs = 16",
        "# between loss.backward() and optimizer.step():",
        "torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5123)",
    ]


def test_groups_keep_their_own_rates(course, network):
    model = network()
    groups = [{"params": model[0].parameters()}, {"params": model[3].parameters(), "lr": 1e-3}]
    given = course(model, optimizer=Adam(groups, lr=1e-2))
    treated = given.copy()
    treated.scale_rates(0.1)
    known = {"optimizer": given.optimizer}
    exec(patch_of(given, treated, treated), known)
    assert [each["lr"] for each in given.optimizer.param_groups] == pytest.approx([1e-3, 1e-4])


def test_a_schedule_goes_on_from_the_new_rate(course, network):
    model = network()
    optimizer = SGD(model.parameters(), lr=3.0)
    given = course(model, optimizer=optimizer, scheduler=StepLR(optimizer, 2, 0.1))
    treated = given.copy()
    treated.scale_rates(0.1)
    line = "optimizer = torch.optim.SGD(model.parameters(), lr=0.3)  # before its scheduler"
    assert patch_of(given, treated, treated) == line


@pytest.mark.parametrize("what", ["weights", "layers", "loss", "labels", "under way", "schedule"])
def test_what_has_no_line_leaves_no_patch_at_all(course, what):
    given = course()
    treated = given.copy()
    treated.scale_rates(0.1)
    assert patch_of(given, treated, treated) != ""
    if what == "weights":
        nn.init.normal_(treated.model[0].weight)
    elif what == "layers":
        treated.replace_modules({"1": nn.Tanh()})
    elif what == "loss":
        treated.loss = nn.CrossEntropyLoss(label_smoothing=0.1)
    elif what == "labels":
        treated.train = treated.train.changed(lambda x, y: (x, 1 - y))
    elif what == "under way":
        treated.done = 30
    else:
        treated.scheduler = StepLR(treated.optimizer, 3)
    assert patch_of(given, treated, treated) == ""


def test_suspects_are_rows_of_the_data_with_the_label_that_they_look_like():
    draw = torch.Generator().manual_seed(0)
    truth = torch.arange(600) % 3
    x = torch.randn(600, 6, generator=draw) + 4.0 * nn.functional.one_hot(truth, 6)
    y, wrong = truth.clone(), set(range(0, 600, 5))
    y[list(wrong)] = (truth[list(wrong)] + 1) % 3
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 64), nn.ReLU(), nn.Linear(64, 3))
    healed = nw.heal(model, Adam(model.parameters(), lr=1e-2), CROSS_ENTROPY, (x, y), epochs=40)
    assert healed.diagnosis.named("label-noise") is not None
    assert healed.held_back
    found = {each.row for each in healed.suspects}
    assert len(found - wrong) <= 0.05 * len(found)
    assert len(found) >= 0.7 * len(wrong)
    right = [each for each in healed.suspects if each.row in wrong]
    assert all(each.given == y[each.row] for each in right)
    assert sum(each.suggested == truth[each.row] for each in right) >= 0.95 * len(right)
    assert [each.vote for each in healed.suspects] == sorted(
        (each.vote for each in healed.suspects), reverse=True
    )
    assert f"Labels to look at, {len(healed.suspects)} in all" in str(healed)
    told = json.loads(json.dumps(healed.to_json()))["suspects"][0]
    assert set(told) == {"row", "given", "suggested", "vote"}


def test_without_a_finding_of_labels_nobody_is_suspected(network, problem):
    model = network()
    healed = nw.heal(model, SGD(model.parameters(), lr=1e-6), CROSS_ENTROPY, problem(),
                     problem(96, 1), epochs=10)  # fmt: skip
    assert healed.suspects == ()
