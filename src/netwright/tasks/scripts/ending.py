"""How a script evaluates, and what it does with its weights at the end."""

from __future__ import annotations

from netwright.data.sources import SOURCES
from netwright.tasks.scripts.material import Material
from netwright.tasks.scripts.text import written


def evaluation(material: Material) -> list[str]:
    """The function `evaluate`."""
    material.imports.add("import torch.nn.functional as F")
    classes = _num_classes(material)
    five = classes is None or classes >= 10
    found = '{"loss": loss / count, "acc1": right / count'
    judge = [
        "best5 = logits.topk(5, dim=1).indices",
        "right5 += (best5 == batch.target[:, None]).any(1).sum().item()",
    ]
    lines = [
        "@torch.no_grad()",
        "def evaluate(network, feed):",
        '    """Mean cross-entropy and the share of right answers, over all images."""',
        "    network.eval()",
        f"    loss, right,{' right5,' if five else ''} count = 0.0, 0,{' 0,' if five else ''} 0",
        "    for batch in feed.once():",
        "        logits = network(batch.images)",
        '        loss += F.cross_entropy(logits.double(), batch.target, reduction="sum").item()',
        "        right += (logits.argmax(1) == batch.target).sum().item()",
        "        count += len(batch.target)",
    ]
    if classes is None:
        asks = "if len(data.classes) >= 10:"
        lines += [f"        {asks}", *(f"            {line}" for line in judge)]
        lines += [f"    found = {found}}}", f"    {asks}", '        found["acc5"] = right5 / count']
        return [*lines, "    return found"]
    if five:
        lines += [f"        {line}" for line in judge]
        found += ', "acc5": right5 / count'
    return [*lines, f"    return {found}}}"]


def ending(material: Material) -> list[str]:
    """The weights that count, judged on test images and saved."""
    network = material.network
    lines = []
    if material.value("run.select") == "best":
        lines = ["# The best weights count.", f"{network}.load_state_dict(weights)"]
    return [*lines, f"torch.save({network}.state_dict(), {written(material.stem + '.pt')})"]


def _num_classes(material: Material) -> int | None:
    """How many classes a named set has at the least; None where the script has to ask."""
    name = material.recipe.data.name
    if name in SOURCES and SOURCES.get(name).facts.get("built_in"):
        classes = SOURCES.get(name).facts.get("classes")
        return int(classes) if classes is not None else None
    return None
