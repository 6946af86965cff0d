"""`nw.LightningDoctor` and `nw.HFDoctor`: thin, exact, and gone when the training is over."""

from __future__ import annotations

import contextlib
import logging
import pickle
import subprocess
import sys

import pytest
import torch

import netwright as nw
from netwright.core.errors import SettingError
from netwright.records.facts.setup import Setup
from netwright.records.facts.steps import Steps


def name_of(framework):
    return {"lightning": "LightningDoctor", "hf": "HFDoctor"}[framework]


@pytest.fixture(params=["lightning", "hf"])
def visited(request, framework_loops):
    """Trains with the callback of a framework: gives the callback and the final state."""
    pytest.importorskip(framework_loops.NEEDS[request.param])

    def train(fault="", doctor=None, **options):
        made = doctor or getattr(nw, name_of(request.param))(**options)
        callbacks = [] if doctor is False else [made]
        loop = framework_loops.Loop(fault, callbacks=callbacks, dropout=0.1)
        try:
            framework_loops.LOOPS[request.param](loop, lambda *_: contextlib.nullcontext())
        finally:
            train.state = loop.net.state_dict()
        return made

    train.framework = request.param
    return train


def test_the_training_computes_the_same_bits_and_is_silent(visited):
    visited(doctor=False)
    alone = visited.state
    doctor = visited()
    assert all(torch.equal(alone[each], visited.state[each]) for each in alone)
    assert doctor.findings == ()
    assert not doctor.diagnosis()
    whose = {"lightning": "lightning", "hf": "huggingface"}[visited.framework]
    assert doctor.record().get(Setup).loop == whose


def test_a_fault_is_named_with_its_layers_and_logged_once(visited, caplog):
    with caplog.at_level(logging.WARNING, "netwright.doctor"):
        doctor = visited("softmax")
    assert doctor.findings[0].name == "softmax-before-cross-entropy"
    lines = [each.getMessage() for each in caplog.records if each.name == "netwright.doctor"]
    assert [each.partition(":")[0] for each in lines] == ["softmax-before-cross-entropy"]


def test_a_stop_may_end_the_training(visited):
    doctor = getattr(nw, name_of(visited.framework))(on_stop="raise")
    with pytest.raises(nw.FindingError, match="softmax-before-cross-entropy") as caught:
        visited("softmax", doctor=doctor)
    assert caught.value.finding.severity == "stop"
    assert doctor.record().get(Steps).total == 1


def test_a_second_training_is_a_watch_of_its_own(visited):
    doctor = visited("softmax")
    visited("", doctor=doctor)
    assert doctor.findings == ()
    assert doctor.record().get(Steps).total == 48


def test_before_any_training_it_has_nothing_to_say(visited):
    doctor = getattr(nw, name_of(visited.framework))()
    with pytest.raises(SettingError, match="No training has begun"):
        doctor.diagnosis()
    assert pickle.loads(pickle.dumps(doctor))  # as Lightning's launchers do


def test_a_wrong_option_is_refused_at_once(visited):
    with pytest.raises(SettingError, match='on_stop is "warn" or "raise", not \'explode\''):
        getattr(nw, name_of(visited.framework))(on_stop="explode")


@pytest.mark.parametrize(
    ("name", "package", "extra"),
    [("LightningDoctor", "lightning", "lightning"), ("HFDoctor", "transformers", "hf"),
     ("HFDoctor", "accelerate", "hf")],
)  # fmt: skip
def test_without_the_extra_the_command_that_installs_it_is_told(name, package, extra, monkeypatch):
    for each in [e for e in sys.modules if e.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, each)
    monkeypatch.setitem(sys.modules, package, None)
    module = f"netwright.doctor.frameworks.{extra}"
    monkeypatch.delitem(sys.modules, module, raising=False)
    with pytest.raises(SettingError, match=f"nw.{name} needs packages that are not here") as found:
        getattr(nw, name)
    assert f'pip install "netwright[{extra}]"' in str(found.value)
    assert module not in sys.modules


def test_nothing_of_a_framework_is_imported_until_it_is_used():
    code = (
        "import sys, torch, netwright as nw; nw.watch; "
        "print({'lightning', 'transformers', 'accelerate'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
