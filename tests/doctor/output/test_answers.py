"""Uneven classes and constant outputs: what the labels tell, and what the loop shows."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from netwright.doctor.patient import Source
from netwright.doctor.watch import watch
from netwright.records.facts.answers import Answers
from netwright.records.facts.fit import Fit, FitTrial
from netwright.records.facts.labels import Labels

UNFIT = Fit(trials=(FitTrial(factor=1, steps=60, start=2.3, end=2.3),), batch=32)


def net(out=4, *last):
    return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, out), *last)


def trained(model, x, y, loss_fn, steps=160, lr=0.1, batch=32):
    """Steps on random batches, looked at every tenth."""
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    doctor = watch(model, optimizer, every=8, checkup=False)
    with doctor:
        for _ in range(steps):
            rows = torch.randint(0, len(x), (batch,))
            optimizer.zero_grad()
            loss_fn(model(x[rows]), y[rows]).backward()
            optimizer.step()
    return doctor


def uneven(rare):
    """Two classes that can be told apart, `rare` of a thousand in the second."""
    x = torch.randn(1000, 6)
    y = torch.zeros(1000, dtype=torch.long)
    y[:rare] = 1
    return x, y


# --- uneven classes ------------------------------------------------------------------------------


def test_a_rare_class_of_the_training_set_is_a_note(looked):
    x, y = uneven(20)

    def batches():
        yield from zip(x.split(50), y.split(50), strict=True)

    train = Source(name="train", batches=batches, samples=1000, batch=50)
    found = looked(net(2), F.cross_entropy, x[:50], y[:50], train=train).named("class-imbalance")
    assert found.severity == "note"
    assert [each.value for each in found.evidence[:2]] == [0.02, 0.98]


def test_a_rare_class_that_is_never_answered_is_a_warning():
    x, y = uneven(70)  # told apart by nothing: the labels have nothing to do with the inputs
    found = trained(net(2), x, y, F.cross_entropy, steps=320).diagnosis().named("class-imbalance")
    assert (found.severity, found.evidence[-1].value) == ("warn", 0)


def test_a_rare_class_that_is_learned_is_a_note():
    x, y = uneven(70)
    x[:70] += 4
    found = trained(net(2), x, y, F.cross_entropy, steps=320).diagnosis().named("class-imbalance")
    assert found.severity == "note"


def test_a_binary_head_is_counted_too():
    x, y = uneven(70)
    doctor = trained(net(1), x, y.float()[:, None], F.binary_cross_entropy_with_logits, steps=320)
    assert doctor.record().get(Answers).binary
    assert doctor.diagnosis().named("class-imbalance").severity == "warn"


@pytest.mark.parametrize(
    "labels",
    [
        Labels(source="train", values=(0, 1), counts=(600, 400), classes=2, batch=32),
        Labels(source="batch", values=tuple(range(9)), counts=(3,) * 9, classes=10, batch=27),
        Labels(source="train", values=(0, 1), counts=(90_000, 900), classes=2, places=True),
        Labels(source="train", values=tuple(range(100)), counts=(50,) * 100, classes=100, batch=32),
        Labels(source="train", values=(0, 3), counts=(9000, 9), classes=5000, batch=32),
    ],
)
def test_even_classes_and_few_labels_and_masks_and_words_are_fine(judge, labels):
    assert judge(labels).named("class-imbalance") is None


# --- constant outputs ----------------------------------------------------------------------------


def dead():
    model = net(4)
    with torch.no_grad():
        model[0].bias.fill_(-100)
    return model


def test_outputs_that_stay_equal_are_a_note_and_a_stop_with_harm(judge):
    x, y = torch.randn(200, 6), torch.arange(200) % 4
    doctor = trained(dead(), x, y, F.cross_entropy, steps=45)
    assert doctor.diagnosis().named("constant-output").severity == "note"
    assert judge(*doctor.record(), UNFIT).named("constant-output").severity == "stop"


def zero_start(out=4):
    model = net(out)
    nn.init.zeros_(model[2].weight)
    nn.init.zeros_(model[2].bias)
    return model


@pytest.mark.parametrize(
    ("model", "x"),
    [
        (net(), torch.randn(200, 6)),
        (zero_start(), torch.randn(200, 6)),
        (dead(), torch.ones(200, 6)),
    ],
)
def test_outputs_that_part_and_inputs_that_are_equal_are_fine(model, x):
    doctor = trained(model, x, torch.arange(200) % 4, F.cross_entropy, steps=60)
    assert doctor.diagnosis().named("constant-output") is None


def test_the_tally_counts_in_bounded_memory():
    x, y = torch.randn(200, 6), torch.arange(200) % 4
    answers = trained(net(), x, y, F.cross_entropy, steps=80).record().get(Answers)
    assert sum(answers.recent) == sum(answers.predicted) == 32 * len(answers.steps[-10:])
    assert all(hit <= label for hit, label in zip(answers.hits, answers.recent, strict=True))
