"""Inputs are standardised on their way into the model."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.records.findings import Finding
from netwright.tasks.patches import PATCHES, Patch
from netwright.tasks.patches.set_mode import set_mode
from netwright.tasks.source.script import CannotPatchError, Edit, Script
from netwright.tasks.source.training import Training

WEIGHTS = ("Linear", "LazyLinear", "Conv1d", "Conv2d", "Conv3d")


@PATCHES.register("standardise-input", cures=("unscaled-input",))
def standardise_input(script: Script, finding: Finding) -> Iterator[Patch]:
    """A norm without weights before the first layer: it travels with the model, and evaluation
    uses the statistics of the training data."""
    training = Training(script)
    code = next((e.code for e in finding.treatments if e.name == "standardise-input"), "")
    told = re.search(r"BatchNorm(\d)d\((\d+)", code)
    if told is None or int(told[2]) == 0:
        raise CannotPatchError("the number of features is not known")
    nn = training.names.spelled("torch.nn.Module").removesuffix("Module")
    norm = f"{nn}BatchNorm{told[1]}d({told[2]}, affine=False)"
    if norm in script.text:
        return
    patched = script.edited(_placed(training, norm))
    if not training.modes("eval"):  # the norm must know training from evaluation
        for each in set_mode(patched, finding):
            patched = each.script
    yield Patch(says=Phrase("inputs standardised by {code}", code=norm), script=patched)


def _placed(training: Training, norm: str) -> list[Edit]:
    """Before the first layer of the Sequential that is the model, else around a call of it."""
    script = training.script
    for each in training.made("Sequential"):
        if training.assigned(each) == training.model and each.args:
            layers = [_layer(training, one) for one in each.args]
            if None in layers[: layers.index("weights")] if "weights" in layers else True:
                break
            first = each.args[layers.index("weights")]
            start = script.span(first)[0]
            line = script.indent(first)
            gap = " " if line is None else f"{script.newline}{line}"
            return [Edit(start, start, f"{norm},{gap}")]
    place = training.optimizer_statement
    model = training.model
    if not re.fullmatch(r"[\w.]+", model):
        raise CannotPatchError("the model has no name")
    if re.search(r"\.(to|cuda)\(", script.text):
        norm += f".to(next({model}.parameters()).device)"
    line = f"{model} = {training.names.spelled('torch.nn.Sequential')}({norm}, {model})"
    used = re.findall(rf"(?<![\w.]){re.escape(model)}\.(\w+)", script.text)
    if set(used) - PLAIN or not _one_argument(training):
        raise CannotPatchError("the parts of the model are used by name")
    return [script.before(place, line)]


def _layer(training: Training, node: ast.expr) -> str | None:
    """Of an argument of a Sequential: whether it has weights, only shapes, or cannot be told."""
    name = training.names.called(node)
    if name in WEIGHTS:
        return "weights"
    return "shape" if name in ("Flatten", "Unflatten", "Identity", "Dropout") else None


PLAIN = {
    "parameters", "named_parameters", "train", "eval", "to", "cuda", "cpu", "zero_grad", "modules",
    "state_dict", "double", "float", "half", "apply", "children", "requires_grad_",
}  # fmt: skip
"""What any module has."""


def _one_argument(training: Training) -> bool:
    call = training.model_call
    return isinstance(call, ast.Call) and len(call.args) == 1 and not call.keywords
