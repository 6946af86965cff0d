"""What a plain network learned in a moment, held against a whole training that is judged."""

import pytest
import torch
from torch import nn

import netwright as nw
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions.behind_a_plain_network import behind_a_plain_network
from netwright.records.facts.judged import Judged
from netwright.records.facts.objective import Objective
from netwright.records.facts.reference import Reference
from netwright.records.record import Record
from netwright.testing.conditions import check_finding


def said(least, *, step=1000, ended=True, plain=0.2, terms=1):
    record = Record([
        Judged(step=step, planned=1000, least=least, ended=ended),
        Reference(unseen=plain, width=128),
        Objective(kind="cross_entropy", constant=2.3, terms=terms),
    ])  # fmt: skip
    return list(behind_a_plain_network(record))


def test_a_training_that_ends_above_the_plain_network_is_behind_it():
    (found,) = said(0.4)
    check_finding(CONDITIONS.get("behind-a-plain-network"), found)
    assert found.evidence[1].value == 0.4
    assert found.evidence[1].baseline == 0.2


@pytest.mark.parametrize("least", [0.02, 0.2, 0.24])
def test_one_that_ends_near_it_is_not(least):
    assert said(least) == []


def test_one_without_a_loss_that_is_a_number_stands_at_guessing():
    (found,) = said(None, step=1)
    assert found.evidence[1].value == 2.3


def test_one_under_way_may_be_slow():
    assert said(0.7, step=500, ended=False) == []
    assert said(1.5, step=200, ended=False) == []
    assert said(1.5, step=500, ended=False)


def test_a_plain_network_that_learned_little_is_no_measure():
    assert said(2.2, plain=1.7) == []


def test_a_loss_of_several_terms_cannot_be_held_against_its_loss():
    assert said(2.2, terms=2) == []


class FirstColumn(nn.Module):
    def forward(self, x):
        return x[:, :1]


def test_what_is_cut_off_gets_another_way():
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(500, 6, generator=draw)
    y = (x[:, 1] + x[:, 2] > 0).long()
    torch.manual_seed(0)
    model = nn.Sequential(FirstColumn(), nn.Linear(1, 16), nn.ReLU(), nn.Linear(16, 2))
    healed = nw.heal(model, torch.optim.Adam(model.parameters(), lr=3e-3), nn.CrossEntropyLoss(),
                     (x[:400], y[:400]), (x[400:], y[400:]), epochs=24)  # fmt: skip
    assert healed.repaired
    assert healed.kept[-1].names == ("sound-recipe",)
    assert healed.untreated < 0.7 < 0.9 < healed.score
