"""The network of a script, its first weights, and the average of them that is kept."""

from __future__ import annotations

from typing import Any

from netwright.nn.initialisers import INITIALISERS
from netwright.tasks.scripts.material import Material
from netwright.tasks.scripts.text import Call, Code, statement


def network(material: Material) -> list[str]:
    """The network built, initialised, brought to the device."""
    material.take("netwright.core.keyed", "key")
    shape: dict[str, Any] = {
        "num_classes": Code("len(data.classes)"),
        "in_channels": Code("channels"),
        "input_size": Code("(height, width)"),
    }
    name, options = material.value("model.name"), material.options("model")
    lines = [
        "# The network: its first weights follow from the seed.",
        'torch.manual_seed(key(SEED, "weights"))',
    ]
    if material.own_model:
        material.take("netwright.tasks.architectures", "find_architecture")
        found = Call("find_architecture", [name, Code("MODEL") if options else {}])
        lines += statement("architecture = ", found)
        lines += statement("model = ", Call("architecture.build", keywords=shape))
    else:
        material.take("netwright.models", "build")
        given = {"options": Code("MODEL")} if options else {}
        lines += statement("model = ", Call("build", [name], {**shape, **given}))
    lines += [*_first_weights(material), "model.to(device)"]
    if material.value("run.ema") is not None:
        material.imports.add("import copy")
        lines.append("average = copy.deepcopy(model).eval()  # what is evaluated and kept")
    return lines


def update_of_average(material: Material) -> list[str]:
    """The lines after a step that take the new weights into the average."""
    decay = material.value("run.ema")
    if decay is None:
        return []
    return [
        "# Early on the average is a short one, for the first weights are random.",
        f"share = 1 - min({decay}, (1 + step) / (10 + step))",
        "with torch.no_grad():",
        "    for slow, w in zip(average.parameters(), model.parameters(), strict=True):",
        "        slow.lerp_(w, share)",
        "    # The statistics of norms belong to the weights; a count of batches is no average.",
        "    for slow, b in zip(average.buffers(), model.buffers(), strict=True):",
        "        slow.lerp_(b, share) if b.is_floating_point() else slow.copy_(b)",
    ]


def _first_weights(material: Material) -> list[str]:
    """The network's own, or those of an initialiser."""
    material.value("init.name")
    if material.recipe.init is None:
        return []
    entry = INITIALISERS.get(material.recipe.init.name)
    material.take("netwright.nn.initialisation", "initialise", "last_layer")
    keywords: dict[str, Any] = {
        "name": entry.name,
        "options": material.take_options(entry, material.options("init")),
        "head": Code("last_layer(model)"),
    }
    lines = []
    if entry.facts.get("images"):
        lines = [
            'images = data.splits["train"]',
            "seen = [images.read(i) for i in range(min(64, len(images)))]",
        ]
        keywords["images"] = Code("normalise(torch.stack(seen))")
    act = material.recipe.model.options.get("act", "relu")
    return [*lines, *statement("", Call("initialise", [Code("model"), act], keywords))]
