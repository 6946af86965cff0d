"""Labels that belong to their inputs in one split and hardly in the other; shortcuts by size."""

from dataclasses import replace

import numpy as np
import torch
from torch.utils.data import DataLoader, TensorDataset

from netwright.doctor.diagnosis import diagnosed
from netwright.records.facts.epochs import EpochFact, Epochs
from netwright.records.facts.neighbourhood import Neighbourhood
from netwright.records.facts.reliance import Reliance
from netwright.records.facts.splits import Splits
from netwright.records.record import Record


def near(agreement, **known):
    return Neighbourhood(
        classes=4, samples=1000, agreement=agreement, chance=0.25, z=40.0, val_samples=300,
        val_agreement=0.95, val_z=60.0, val_score=0.9, val_chance=0.28, noise=0.3, noise_least=0.25,
        noise_samples=250, purity=0.6, majority=0.26, features=40, alone=0, alone_score=0.4,
        **known,
    )  # fmt: skip


def of_one_kind(**known):
    return Splits(source="data", auc=0.52, neighbour_ratio=1.05, **known)


def epochs(score):
    return Epochs(
        epochs=tuple(
            EpochFact(epoch=n, step=20 * n, train_loss=0.8, train_score=0.55, val_loss=0.9,
                      val_score=score, val_samples=300)
            for n in range(1, 7)
        )
    )  # fmt: skip


def said(*facts):
    return diagnosed(Record(facts)).named("label-noise")


def test_labels_mixed_up_in_training_alone_are_told_by_validation():
    found = said(near(0.55), of_one_kind(), epochs(0.5))
    assert found.severity == "warn"
    assert found.evidence[0].baseline == 0.95


def test_a_network_that_is_as_right_as_neighbours_leaves_it_a_note():
    assert said(near(0.55), of_one_kind(), epochs(0.93)).severity == "warn"  # better than training
    assert said(near(0.55), of_one_kind()).severity == "note"


def test_two_splits_that_agree_alike_say_nothing():
    assert said(near(0.9), of_one_kind(), epochs(0.5)) is None


def test_inputs_that_were_changed_in_training_are_another_matter():
    other = Splits(source="data", auc=0.9, neighbour_ratio=1.05)
    assert said(near(0.55), other, epochs(0.5)) is None
    wider = Splits(source="data", auc=0.52, neighbour_ratio=0.6)
    assert said(near(0.55), wider, epochs(0.5)) is None
    assert said(near(0.55, plain_agreement=0.95), of_one_kind(), epochs(0.5)) is None


def test_fewer_training_samples_than_in_validation_lie_farther_apart_and_say_nothing():
    few = replace(near(0.55), samples=120)
    assert said(few, of_one_kind(), epochs(0.5)) is None
    assert said(replace(few, samples=300), of_one_kind(), epochs(0.5)).severity == "warn"


def sized(kept, followed, rest=0.95):
    labels = near(0.95, overall="largest", overall_score=0.99, rest_score=rest)
    fact = Reliance(feature=-1, step=200, pairs=60, overall="largest", kept=kept, followed=followed)
    return diagnosed(Record([labels, fact])).named("shortcut")


def test_the_size_of_a_sample_that_tells_its_class_is_a_shortcut_once_answers_follow_it():
    assert sized(0.6, 0.6).severity == "warn"
    assert sized(0.3, 0.3).severity == "note"
    assert sized(0.4, 0.4, rest=0.3) is None  # nothing else tells the classes


def test_one_column_among_hundreds_of_noise_tells_that_labels_belong_to_inputs():
    from netwright.doctor.probes.neighbourhood import _single

    draws = np.random.default_rng(0)
    rows = draws.standard_normal((400, 300))
    labels = (rows[:, 7] > 0).astype(np.int64)
    assert _single(rows, labels) > 10
    assert _single(rows, draws.permutation(labels)) < 4


def test_such_labels_are_not_called_unrelated():
    unrelated = Neighbourhood(
        classes=2, samples=400, agreement=0.5, chance=0.5, z=0.2, val_samples=200,
        val_agreement=0.9, val_z=30.0, val_score=0.5, val_chance=0.5,
    )  # fmt: skip
    assert diagnosed(Record([unrelated])).named("labels-inconsistent") is not None
    related = Neighbourhood(
        classes=2, samples=400, agreement=0.5, chance=0.5, z=0.2, val_samples=200,
        val_agreement=0.9, val_z=30.0, val_score=0.5, val_chance=0.5, single_z=40.0,
    )  # fmt: skip
    assert diagnosed(Record([related])).named("labels-inconsistent") is None


def test_two_columns_with_the_answer_are_exchanged_together():
    from netwright.doctor.watch import watch

    torch.manual_seed(0)
    labels = torch.randint(0, 4, (400,))
    x = torch.randn(400, 12)
    x[:, :4] += 1.5 * torch.nn.functional.one_hot(labels, 4)
    x[:, 10], x[:, 11] = 4 * labels.float(), -4 * labels.float()
    model = torch.nn.Sequential(torch.nn.Linear(12, 32), torch.nn.ReLU(), torch.nn.Linear(32, 4))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    loader = DataLoader(TensorDataset(x, labels), batch_size=50, shuffle=True)
    with watch(model, optimizer) as doctor:
        for _ in range(20):
            for a, b in loader:
                optimizer.zero_grad()
                torch.nn.functional.cross_entropy(model(a), b).backward()
                optimizer.step()
    assert doctor.record().get(Neighbourhood).alone_group == (10, 11)
    assert doctor.record().get(Reliance).followed > 0.5
