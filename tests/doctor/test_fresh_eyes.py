"""What a newcomer met who took the doctor by its page alone."""

import shutil

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import netwright as nw
from netwright.core.errors import DataError, SettingError
from netwright.doctor.watch import watch
from netwright.records.record import ARRAYS, Record
from netwright.testing.loops import found


def blobs(bad=None):
    """Four heaps that are easily told apart; sample `bad` holds one value that is none."""
    torch.manual_seed(0)
    y = torch.randint(0, 4, (600,))
    x = 2 * torch.randn(4, 16)[y] + torch.randn(600, 16)
    if bad is not None:
        x[bad, 3] = float("nan")
    return x, y


def trained(x, y, device="cpu", steps=120):
    model = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 4)).to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    with watch(model, optimizer, every=4, checkup=False) as doctor:
        for step in range(steps):
            rows = torch.arange(32 * step, 32 * step + 32) % 600
            optimizer.zero_grad()
            F.cross_entropy(model(x[rows].to(device)), y[rows].to(device)).backward()
            optimizer.step()
    return doctor


def test_a_nan_that_came_with_a_batch_is_not_laid_to_the_rate_nor_to_the_output():
    doctor = trained(*blobs(bad=501))
    (named,) = found(doctor, "nonfinite")
    assert "The batch of step 16 holds nan" in str(named.what)
    assert not found(doctor, "learning-rate-too-high")
    assert not found(doctor, "constant-output")


def test_a_model_on_meta_goes_through_its_loop_and_nothing_stops_it():
    said = trained(*blobs(), device="meta", steps=5).diagnosis()
    assert "optimizer-never-steps" not in [each.name for each in said.findings]


@pytest.mark.parametrize("length", [0, 3, 100, 400])
def test_a_record_that_was_cut_short_is_damaged_data_and_no_fault_of_ours(tmp_path, length):
    trained(*blobs(), steps=30).record().save(tmp_path)
    whole = tmp_path / ARRAYS
    with whole.open("r+b") as file:
        file.truncate(length)
    with pytest.raises(DataError, match="holds no record that can be read"):
        Record.load(tmp_path)
    shutil.rmtree(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "named", "options"),
    [
        ((3, 4), "not int", {}),
        ((nn.Linear, None), "not the class Linear", {}),
        ((None, None), "not NoneType", {}),
        ((nn.Linear(2, 2), 4), "not int", {}),
        ((nn.Linear(2, 2), "sgd"), "not str", {}),
        ((nn.Linear(2, 2), "sgd"), "not 5", {"budget": 5, "optimizer": True}),
        ((nn.Linear(2, 2), "sgd"), "not 'explode'", {"on_stop": "explode", "optimizer": True}),
    ],
)
def test_what_cannot_be_watched_is_refused_with_what_is_wanted(arguments, named, options):
    model, optimizer = arguments
    if options.pop("optimizer", False):
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(SettingError, match=named):
        nw.watch(model, optimizer, **options)


def test_a_fault_of_ours_in_a_question_from_within_the_loop_breaks_no_loop(monkeypatch):
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with nw.watch(model, optimizer, checkup=False) as doctor:
        monkeypatch.setattr(doctor.watcher.table, "facts", lambda: 1 / 0)
        for _ in range(3):
            optimizer.zero_grad()
            model(torch.randn(8, 4)).square().mean().backward()
            optimizer.step()
            assert not doctor.findings
    assert "ZeroDivisionError" in doctor.watcher.fault
