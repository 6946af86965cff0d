"""TensorBoard shows what the doctor saw: curves of the network and of each layer, and findings."""

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn
from torch.nn import functional as F

import netwright as nw
from netwright.records.facts.layers import Layers
from netwright.records.facts.steps import Steps
from netwright.tasks.doctor_board import write_board
from netwright.tasks.doctored_again import doctor_run


def read(folder):
    return EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0}).Reload()


@pytest.fixture(scope="module")
def diagnosis():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2), nn.Softmax(1))
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with nw.watch(model, optimizer, every=2) as doctor:
        for _ in range(12):
            x = torch.randn(32, 4)
            optimizer.zero_grad()
            F.cross_entropy(model(x), (x[:, 0] > 0).long()).backward()
            optimizer.step()
    return doctor.diagnosis()


def test_the_curves_are_those_of_the_record(diagnosis, tmp_path):
    events = read(write_board(tmp_path, diagnosis))
    steps, layers = diagnosis.record.get(Steps), diagnosis.record.get(Layers)
    seen = [(each.step, each.value) for each in events.Scalars("step/loss")]
    assert seen == [
        (int(n), float(np.float32(v))) for n, v in zip(steps.step, steps.loss, strict=True)
    ]
    for name, signal in (
        ("gradient", "weight_gradient_norm"), ("update", "update_ratio"), ("zeros", "zero_share"),
    ):  # fmt: skip
        column = layers.column(signal, "0")
        known = ~np.isnan(column)
        if known.any():
            seen = [(each.step, each.value) for each in events.Scalars(f"{name}/0")]
            expected = zip(layers.step[known], column[known], strict=True)
            assert seen == [(int(n), float(np.float32(v))) for n, v in expected]
    assert {"step/lr", "step/grad_norm", "step/update_ratio", "step/efficacy"} <= set(
        events.Tags()["scalars"]
    )


def test_a_finding_is_a_text(diagnosis, tmp_path):
    events = read(write_board(tmp_path, diagnosis))
    (text,) = events.Tensors("finding/softmax-before-cross-entropy/text_summary")
    told = text.tensor_proto.string_val[0].decode()
    assert told.startswith("**STOP**")
    assert "applied before cross_entropy" in told


def test_writing_it_again_shows_each_point_once(diagnosis, tmp_path):
    write_board(tmp_path, diagnosis)
    events = read(write_board(tmp_path, diagnosis))
    assert len(events.Scalars("step/loss")) == len(diagnosis.record.get(Steps).loss)


def test_a_saved_run_can_be_shown_later(diagnosis, tmp_path):
    diagnosis.record.save(tmp_path)
    doctor_run(str(tmp_path), tensorboard=True)
    assert read(tmp_path / "tensorboard" / "doctor").Scalars("step/loss")


def test_other_patients_have_folders_of_their_own(diagnosis, tmp_path):
    assert write_board(tmp_path, diagnosis, patient=2) == tmp_path / "tensorboard" / "doctor-2"
