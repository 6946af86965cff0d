"""Netwright: a workbench for vision networks on PyTorch.

    import netwright as nw
    trained = nw.train("digits")
    nw.load(trained.run.path).predict("seven.png").images[0].label
    nw.inspect("resnet18")["layer3"].receptive_field.size
    with nw.watch(model, optimizer) as doctor: ...
    nw.heal(model, optimizer, loss_fn, train, val, epochs=10).model

The public names are looked up when they are used, so importing the package costs nothing;
inside the package nobody imports from here.
"""

from __future__ import annotations

import importlib
import sys
import types
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from netwright.core.errors import NetwrightError
    from netwright.doctor.checking import checkup
    from netwright.doctor.diagnosis import Diagnosis
    from netwright.doctor.frameworks.hf import HFDoctor
    from netwright.doctor.frameworks.lightning import LightningDoctor
    from netwright.doctor.healed import Healed
    from netwright.doctor.healing import heal
    from netwright.doctor.stopping import FindingError
    from netwright.doctor.watch import Doctor, watch
    from netwright.inspection.gradients.checking import GradientCheck, check_gradients
    from netwright.report.network_comparison import Comparison
    from netwright.tasks.door import train
    from netwright.tasks.inspected import Layer, ReceptiveField
    from netwright.tasks.inspecting import inspect
    from netwright.tasks.inspection import Inspection
    from netwright.tasks.loading import Network, load
    from netwright.tasks.rate_range import RateRange, lr_range
    from netwright.tasks.running import Trained
    from netwright.tasks.using import Evaluation, Prediction, Predictions

__all__ = [
    "Comparison",
    "Diagnosis",
    "Doctor",
    "Evaluation",
    "FindingError",
    "GradientCheck",
    "HFDoctor",
    "Healed",
    "Inspection",
    "Layer",
    "LightningDoctor",
    "Network",
    "NetwrightError",
    "Prediction",
    "Predictions",
    "RateRange",
    "ReceptiveField",
    "Trained",
    "__version__",
    "check_gradients",
    "checkup",
    "heal",
    "inspect",
    "load",
    "lr_range",
    "train",
    "watch",
]

_PLACES = {
    "Comparison": "netwright.report.network_comparison",
    "Diagnosis": "netwright.doctor.diagnosis",
    "Doctor": "netwright.doctor.watch",
    "Evaluation": "netwright.tasks.using",
    "FindingError": "netwright.doctor.stopping",
    "GradientCheck": "netwright.inspection.gradients.checking",
    "HFDoctor": "netwright.doctor.frameworks.hf",
    "Healed": "netwright.doctor.healed",
    "Inspection": "netwright.tasks.inspection",
    "Layer": "netwright.tasks.inspected",
    "LightningDoctor": "netwright.doctor.frameworks.lightning",
    "Network": "netwright.tasks.loading",
    "NetwrightError": "netwright.core.errors",
    "Prediction": "netwright.tasks.using",
    "Predictions": "netwright.tasks.using",
    "RateRange": "netwright.tasks.rate_range",
    "ReceptiveField": "netwright.tasks.inspected",
    "Trained": "netwright.tasks.running",
    "check_gradients": "netwright.inspection.gradients.checking",
    "checkup": "netwright.doctor.checking",
    "heal": "netwright.doctor.healing",
    "inspect": "netwright.tasks.inspecting",
    "load": "netwright.tasks.loading",
    "lr_range": "netwright.tasks.rate_range",
    "train": "netwright.tasks.door",
    "watch": "netwright.doctor.watch",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("netwright")
    if name in _PLACES:
        return getattr(importlib.import_module(_PLACES[name]), name)
    raise AttributeError(f"module 'netwright' has no attribute {name!r}")


class _CallablePackage(types.ModuleType):
    """A package that shares its name with a public function, and can be called as that."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return __getattr__(self.__name__.rpartition(".")[2])(*args, **kwargs)


class _Door(types.ModuleType):
    """Importing `netwright.train` sets it as an attribute here, over the function `train`; so
    such a package is made callable. See docs/decisions/0003-callable-packages.md."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _PLACES and isinstance(value, types.ModuleType):
            value.__class__ = _CallablePackage
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Door


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
