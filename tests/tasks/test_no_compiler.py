"""`run.compile=true` where nothing can be compiled is told in our words."""

import pytest
import torch

from netwright.core.errors import SettingError
from netwright.tasks.speed import Speed


def test_a_network_that_cannot_be_compiled_is_told(monkeypatch):
    monkeypatch.setattr("torch.compile", lambda model: refuse)
    with pytest.raises(SettingError, match=r"cannot be compiled here: no compiler"):
        Speed(compile=True).prepare(torch.nn.Identity())(torch.zeros(1))


def refuse(images):
    kind = type("InvalidCxxCompiler", (RuntimeError,), {"__module__": "torch._inductor.exc"})
    raise kind("no compiler\nand a long explanation")
