"""The loss of a script: what stands before the loop, and the lines that make it of logits."""

from __future__ import annotations

from typing import Any

from netwright.nn.losses import LOSSES
from netwright.tasks.scripts.material import Material
from netwright.tasks.scripts.text import Call, Code, statement

_WRITTEN_OUT = {"smoothing", "class_weights"}


def preparation(material: Material) -> list[str]:
    """The weights of classes, or a loss made by its leaf; nothing for plain cross-entropy."""
    entry = LOSSES.get(material.recipe.loss.name)
    material.value("loss.name")
    given = material.options("loss")
    if not _is_written_out(material):
        material.take("netwright.data.dataset", "class_counts")
        function, options = material.take_leaf(entry, given)
        made = Call(function, [options, Code("counts")])
        return [
            'counts = class_counts(data.splits["train"], len(data.classes))',
            *statement("criterion = ", made),
        ]
    weights = given.get("class_weights")
    if weights == "balanced":
        return [
            "# Every class counts the same, however many images it has.",
            'labels = torch.from_numpy(data.splits["train"].labels)',
            "counts = torch.bincount(labels, minlength=len(data.classes)).tolist()",
            "present = [n for n in counts if n > 0]",
            "scale = [sum(present) / (len(present) * n) if n else 1.0 for n in counts]",
            "class_weights = torch.tensor(scale, device=device)",
        ]
    if weights is not None:
        numbers = [float(each) for each in weights]
        made = Call("torch.tensor", [numbers], {"device": Code("device")})
        return statement("class_weights = ", made)
    return []


def loss_lines(
    material: Material,
    *,
    indent: int,
    logits: str = "logits",
    target: str = "batch.target",
) -> list[str]:
    """The lines, `indent` columns in, that make `loss` of logits and targets."""
    keywords: dict[str, Any] = {}
    if _is_written_out(material):
        material.imports.add("import torch.nn.functional as F")
        given = material.options("loss")
        if "class_weights" in given:
            keywords["weight"] = Code("class_weights")
        if "smoothing" in given:
            keywords["label_smoothing"] = given["smoothing"]
    function = "F.cross_entropy" if _is_written_out(material) else "criterion"

    def of(answers: str, before: str, further: int) -> list[str]:
        made = Call(function, [Code(answers), Code(target)], keywords)
        return statement(before, made, indent=indent + further)

    lines = of(logits, "loss = ", 0)
    if material.own_model or material.recipe.model.options.get("aux"):
        heads = 'getattr(model, "aux_logits", ())' if material.own_model else "model.aux_logits"
        early = "early.float()" if material.value("run.precision") == "bf16" else "early"
        lines += [
            " " * indent + f"for early in {heads}:  # heads half-way",
            *of(early, "more = ", 4),
            " " * (indent + 4) + "loss = loss + model.aux_weight * more",
        ]
    return lines


def divisor(material: Material) -> str:
    """What the mean over a part of a batch is divided by, if not by how many images it has."""
    if not _is_written_out(material):  # some losses say so themselves, some are no mean at all
        material.faults.append(f"optim.accumulate={material.passes}")
        material.faults.append(f"loss={material.recipe.loss.name}")
    if "class_weights" in material.options("loss"):
        return "lambda part: class_weights[batch.target[part]].sum().item()"
    return ""


def _is_written_out(material: Material) -> bool:
    loss = material.recipe.loss
    return LOSSES.get(loss.name).name == "cross_entropy" and set(loss.options) <= _WRITTEN_OUT
