"""`torchvision:NAME` and `timm:NAME`, with small modules of those names in their place."""

from __future__ import annotations

import importlib
import sys
import textwrap

import pytest
import torch

from netwright.cli import main
from netwright.core.errors import SettingError
from netwright.records.run import Run
from netwright.tasks import training
from netwright.tasks.architectures import find_architecture
from netwright.tasks.libraries import build_library_model, is_library_model
from netwright.tasks.loading import load
from netwright.tasks.settings import resolve
from netwright.tasks.using import evaluate
from netwright.train.weights import read_weights

TORCHVISION = """
from collections.abc import Callable
from torch import nn


class Tiny(nn.Module):
    def __init__(self, num_classes: int = 1000, width: int = 4, dropout: float = 0.0) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, width, 3)
        self.fc = nn.Linear(width, num_classes)

    def forward(self, x):
        return self.fc(self.conv(x).relu().mean((2, 3)))


class Heads(Tiny):
    def __init__(self, aux_logits: bool = True, **kwargs) -> None:
        super().__init__(**kwargs)
        self.aux_logits = aux_logits


def tiny18(*, weights=None, progress: bool = True, **kwargs) -> Tiny:
    return Tiny(**kwargs)


def tiny34(*, weights=None, progress: bool = True, **kwargs) -> Tiny:
    return Tiny(**{"width": 8, **kwargs})


def heads(*, weights=None, progress: bool = True, **kwargs) -> Heads:
    return Heads(**kwargs)


_BUILDERS = {"tiny18": tiny18, "tiny34": tiny34, "heads": heads}


def list_models(module=None):
    import torchvision.models

    assert module is torchvision.models
    return sorted(_BUILDERS)


def get_model_builder(name) -> Callable[..., nn.Module]:
    return _BUILDERS[name]


def get_model(name, **config):
    assert config["weights"] is None
    return get_model_builder(name)(**config)
"""

TIMM = """
from torch import nn

__version__ = "1.0"


def list_models():
    return ["dot10t", "dot26t"]


def model_entrypoint(name):
    return dot10t


def dot10t(pretrained=False, **kwargs):
    return Dot(**kwargs)


class Dot(nn.Sequential):
    def __init__(self, num_classes=1000, in_chans=3, drop_rate=0.0):
        head = nn.Linear(4 * in_chans, num_classes)
        super().__init__(nn.AdaptiveAvgPool2d(2), nn.Flatten(), head)
        self.drop_rate = drop_rate


def create_model(model_name, pretrained=False, **kwargs):
    assert pretrained is False
    return model_entrypoint(model_name)(pretrained, **kwargs)
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder on the path for stand-in libraries; whatever was imported is forgotten."""
    for name in [each for each in sys.modules if each.partition(".")[0] in ("torchvision", "timm")]:
        monkeypatch.delitem(sys.modules, name)
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield folder
    for name in [each for each in sys.modules if each.partition(".")[0] in ("torchvision", "timm")]:
        del sys.modules[name]
    importlib.invalidate_caches()


@pytest.fixture
def torchvision(place):
    (place / "torchvision").mkdir()
    (place / "torchvision" / "__init__.py").write_text('__version__ = "0.0.1+stand-in"\n')
    (place / "torchvision" / "models.py").write_text(TORCHVISION)
    return place


@pytest.fixture
def timm(place):
    (place / "timm.py").write_text(TIMM)
    return place


@pytest.fixture
def absent(place, monkeypatch):
    """Neither library, even where one is installed."""
    monkeypatch.setitem(sys.modules, "torchvision", None)
    monkeypatch.setitem(sys.modules, "timm", None)
    return place


def train(folder, model, **settings):
    base = {"data__channels": 3, "steps": 2}
    resolved = resolve(data="digits", model=model, settings=base | settings, environ={})
    return training.train(resolved, run_dir=folder)


def test_a_model_of_torchvision_trains_loads_and_goes_on(tmp_path, torchvision):
    train(tmp_path / "run", "torchvision:tiny18", model__width=5)
    architecture = Run(tmp_path / "run").model["architecture"]
    assert architecture == {
        "name": "torchvision:tiny18",
        "options": {"width": 5},
        "library": "torchvision",
        "version": "0.0.1+stand-in",
    }
    network = load(tmp_path / "run")
    assert network.module.conv.out_channels == 5
    assert network.module.fc.out_features == 10
    assert evaluate(str(tmp_path / "run")).count > 0
    resumed = training.train(None, resume=str(tmp_path / "run"), asked={"steps": 4})
    assert resumed.steps == 4


def test_a_model_of_timm_takes_grey_images(tmp_path, timm):
    train(tmp_path / "run", "timm:dot10t.a1_in1k", data__channels=1, model__drop_rate=0.5)
    network = load(tmp_path / "run")
    assert (network.module[2].in_features, network.module.drop_rate) == (4, 0.5)


def test_a_model_of_a_library_starts_from_weights(tmp_path, torchvision):
    state = build_library_model("torchvision:tiny18", num_classes=7, in_channels=3, options={})
    weights = {name: torch.ones_like(each) for name, each in state.state_dict().items()}
    from safetensors.torch import save_file

    save_file(weights, tmp_path / "a.safetensors")
    still = {"optim": "sgd", "optim__lr": 1e-12, "sched": "constant"}
    place = str(tmp_path / "a.safetensors")
    train(tmp_path / "run", "torchvision:tiny18", model__weights=place, **still)
    saved = read_weights(tmp_path / "run" / "best.safetensors")
    assert torch.allclose(saved["conv.weight"], torch.ones(4, 3, 3, 3))
    assert Run(tmp_path / "run").model["start"]["fresh"] == ["fc.weight", "fc.bias"]


def test_its_start_follows_the_seed(tmp_path, torchvision):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        train(tmp_path / name, "torchvision:tiny18", seed=seed)
    a, b, c = (read_weights(tmp_path / each / "best.safetensors") for each in "abc")
    assert torch.equal(a["conv.weight"], b["conv.weight"])
    assert not torch.equal(a["conv.weight"], c["conv.weight"])


@pytest.mark.parametrize(
    ("name", "near"), [("torchvision:tiny19", "torchvision:tiny18"), ("timm:dot10", "timm:dot10t")]
)
def test_an_unknown_name_is_answered_with_the_nearest(name, near, torchvision, timm):
    with pytest.raises(SettingError, match=rf'called "{name}"\.\nNearest: .*{near}'):
        find_architecture(name, {})


@pytest.mark.parametrize(
    ("name", "option", "near"),
    [
        ("torchvision:tiny18", "widht", "Did you mean model.width?"),
        ("torchvision:tiny18", "zzz", "It takes: dropout, width."),
        ("timm:dot10t", "drop_rat", ""),
    ],
)
def test_an_option_it_does_not_have_is_refused_by_name(name, option, near, torchvision, timm):
    with pytest.raises(SettingError) as caught:
        build_library_model(name, num_classes=3, in_channels=3, options={option: 1})
    assert f"model.{option}: no such setting of {name}." in str(caught.value)
    assert near in str(caught.value)


@pytest.mark.parametrize("option", ["num_classes", "pretrained", "weights_backbone", "in_chans"])
def test_what_the_data_and_the_weights_decide_is_no_option(option, torchvision):
    with pytest.raises(SettingError, match=rf"model\.{option} is not for torchvision:tiny18"):
        build_library_model("torchvision:tiny18", num_classes=3, in_channels=3, options={option: 1})


def test_a_value_the_library_refuses_is_told_in_its_words(torchvision):
    with pytest.raises(SettingError, match="torchvision:tiny18 raised TypeError"):
        build_library_model(
            "torchvision:tiny18", num_classes=3, in_channels=3, options={"width": "wide"}
        )


def test_grey_images_for_torchvision_are_refused_with_the_cure(tmp_path, torchvision):
    with pytest.raises(SettingError, match=r"takes images of 3 channels; these have 1\.\nSet data"):
        train(tmp_path / "run", "torchvision:tiny18", data__channels=1)
    assert not (tmp_path / "run").exists()


def test_several_outputs_are_refused_with_the_cure(tmp_path, torchvision):
    with pytest.raises(SettingError, match=r"several outputs in training\.\nSet model.aux_logits"):
        train(tmp_path / "run", "torchvision:heads")
    assert train(tmp_path / "run", "torchvision:heads", model__aux_logits=False).status == "done"


@pytest.mark.parametrize(
    ("name", "cure"),
    [
        ("torchvision:resnet18", "Install the build of torchvision that goes with torch"),
        ("timm:resnet18", "pip install timm, after the build of torchvision that goes with torch"),
    ],
)
def test_an_absent_library_ends_the_command_with_what_to_install(name, cure, absent, capsys):
    assert main(["train", "digits", name, "--dry-run"]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert f"{name} needs {name.partition(':')[0]}, which is not installed here." in said
    assert cure in said


@pytest.mark.parametrize(
    "fault",
    [
        'raise RuntimeError("operator torchvision::nms does not exist\\nand more")',
        'raise OSError("libc10_cuda.so: cannot open shared object file")',
        "import no_such_module_of_anyone",
        'raise AttributeError("partially initialized module")',
    ],
)
def test_a_broken_library_is_told_in_one_line(fault, place, capsys):
    (place / "torchvision").mkdir()
    (place / "torchvision" / "__init__.py").write_text(textwrap.dedent(fault))
    assert main(["train", "digits", "torchvision:resnet18", "--dry-run"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("torchvision is installed, and cannot be imported: ")
    assert "Traceback" not in said
    assert "and more" not in said


def test_a_run_says_what_is_missing_where_the_library_is_not(tmp_path, torchvision, monkeypatch):
    train(tmp_path / "run", "torchvision:tiny18")
    monkeypatch.setitem(sys.modules, "torchvision", None)
    monkeypatch.setitem(sys.modules, "torchvision.models", None)
    with pytest.raises(SettingError, match="needs torchvision, which is not installed here"):
        load(tmp_path / "run")


def test_a_file_of_the_users_is_no_library():
    assert not is_library_model("timm.py:make")
    assert not is_library_model("resnet18")
    assert not is_library_model("my.timm:make")
