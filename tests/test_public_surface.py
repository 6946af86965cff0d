"""The public door is small, listed, and costs nothing until it is used."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import netwright as nw

PACKAGE = Path(nw.__file__).parent

NEEDS = {"HFDoctor": "transformers", "LightningDoctor": "lightning"}
"""Names behind an extra."""

HERE = [each for each in nw.__all__ if each not in NEEDS or find_spec(NEEDS[each])]


def test_every_listed_name_is_there_and_nothing_else_is_public():
    assert sorted(nw.__all__) == [
        "Comparison", "Diagnosis", "Doctor", "Evaluation", "FindingError", "GradientCheck",
        "HFDoctor", "Healed", "Inspection", "Layer", "LightningDoctor", "Network",
        "NetwrightError", "Prediction", "Predictions", "RateRange", "ReceptiveField", "Trained",
        "__version__", "check_gradients", "checkup", "heal", "inspect", "load", "lr_range", "train",
        "watch",
    ]  # fmt: skip
    for name in nw.__all__:
        assert name in dir(nw)
    for name in HERE:
        assert getattr(nw, name) is not None


def test_every_public_function_and_class_is_documented_and_annotated():
    for name in HERE:
        thing = getattr(nw, name)
        if inspect.isclass(thing) or inspect.isfunction(thing):
            assert inspect.getdoc(thing), name
        if inspect.isfunction(thing):
            signature = inspect.signature(thing)
            assert signature.return_annotation is not inspect.Signature.empty
            for each in signature.parameters.values():
                assert each.annotation is not inspect.Parameter.empty, (name, each.name)


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="trane"):
        nw.trane  # noqa: B018


def test_a_package_of_the_same_name_can_still_be_called(tmp_path):
    import netwright.train.trainer  # sets nw.train to the package

    assert inspect.ismodule(nw.train)
    made = nw.train("digits", model="mlp", steps=1, run_dir=tmp_path / "run")
    assert made.steps == 1
    assert netwright.train.trainer.Trainer


def test_importing_the_door_imports_neither_torch_nor_numpy():
    heavy = "('torch', 'numpy', 'pydantic')"
    code = f"import sys, netwright; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_nobody_inside_imports_from_the_door():
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module == "netwright":
                names = {each.name for each in node.names}
                assert not names & set(nw.__all__) - {"train"}, f"{path} imports {names}"


def test_no_package_has_a_name_that_says_nothing():
    banned = {"inspect", "types", "random", "profile", "signal", "trace", "utils", "helpers",
              "common", "misc"}  # fmt: skip
    for path in PACKAGE.rglob("*"):
        if path.is_dir() or path.suffix == ".py":
            assert path.stem not in banned, path
