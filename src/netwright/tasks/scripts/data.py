"""The top of a script: its constants, and the data opened."""

from __future__ import annotations

from typing import Any

from netwright.augment import AUGMENTATIONS
from netwright.core.config import settings_of
from netwright.data.opening import DataOptions
from netwright.data.sources import SOURCES
from netwright.tasks.scripts.material import Material
from netwright.tasks.scripts.text import Call, Code, statement, written

_OPENING = ("size", "channels", "val_share", "cache", "max_unreadable")
_FEEDING = ("workers", "max_unreadable")


def constants(material: Material) -> list[str]:
    """The numbers a reader will want to change."""
    general = material.recipe.general
    if material.value("task") != "classification":
        material.faults.append(f"task={general.task}")
    lines = [f"SEED = {material.value('seed')}"]
    steps, epochs = material.value("steps"), material.value("epochs")
    name, length = ("EPOCHS", epochs) if steps is None else ("STEPS", steps)
    if length == 0:
        material.faults.append(f"{name.lower()}=0")
    lines.append(f"{name} = {length}")
    batch = material.value("batch")
    if material.resolved.origins["batch"] != "default":
        lines.append(f"BATCH = {batch}")
    if material.passes > 1:
        lines.append(f"ACCUMULATE = {material.passes}  # passes that make one step")
    lines.append(f"LR = {written(material.value('optim.lr'))}")
    lines += statement("DATA = ", _data(material))
    lines += statement("AUGMENT = ", _augment(material)) if _augment(material) else []
    options = material.options("model")
    return [*lines, *(statement("MODEL = ", options) if options else [])]


def opening(material: Material) -> list[str]:
    """Determinism, the device, the data, and how they are fed."""
    for module, names in {
        "netwright.data.feed": ("Feed",),
        "netwright.data.opening": ("open_dataset", "read_options"),
        "netwright.data.preprocessing": ("Preprocessing",),
        "netwright.data.statistics": ("channel_statistics",),
    }.items():
        material.take(module, *names)
    lines = ["torch.use_deterministic_algorithms(True, warn_only=True)"]
    device = material.value("device")
    if device == "auto":
        lines.append('device = torch.device("cuda" if torch.cuda.is_available() else "cpu")')
    else:
        lines.append(f"device = torch.device({written(device)})")
    if _may_download(material):
        material.imports.add("import logging")
        lines.append('logging.basicConfig(level="INFO")  # says what is downloaded')
    statistics = {
        "channels": Code("channels"),
        "size": Code("(height, width)"),
        "mean": Code("mean"),
        "std": Code("std"),
    }
    lines += [
        "",
        "# Data: the split follows from the seed, mean and spread from the training images.",
        "data = open_dataset(read_options(DATA), seed=SEED)",
        "channels, height, width = data.shape",
        'mean, std = channel_statistics(data.splits["train"])',
        *statement("normalise = ", Call("Preprocessing", keywords=statistics)),
        *_batch(material),
        *_feeds(material),
        "per_epoch = train.steps_per_epoch",
    ]
    by_steps = material.recipe.general.steps is not None
    return [*lines, "steps = STEPS" if by_steps else "steps = EPOCHS * per_epoch"]


def _data(material: Material) -> dict[str, Any]:
    """What `read_options` is given: the name, and what differs from its default."""
    name = material.value("data.name")
    if material.left_open:
        material.imports.add("import sys")
        name = Code("sys.argv[1]")
    common = {f"data.{each.name}" for each in settings_of(DataOptions)}
    wanted = [f"data.{each}" for each in _OPENING]
    # The settings of the source itself; a factory and a layout know alone which they have.
    wanted += [n for n in material.resolved.values if n.startswith("data.") and n not in common]
    found = {each: material.value(each) for each in wanted}
    changed = {n: v for n, v in found.items() if not material.is_default(n)}
    return {"name": name, **{n.partition(".")[2]: v for n, v in changed.items()}}


def _augment(material: Material) -> dict[str, Any]:
    """The augmentations that are on. One that changes more than the images stays unread."""
    found = {}
    for name, value in material.recipe.aug.items():
        if value in (None, False, 0):
            material.value(f"aug.{name}")
        elif not AUGMENTATIONS.get(name).facts.get("pairs"):
            found[AUGMENTATIONS.get(name).name] = material.value(f"aug.{name}")
    return found


def _batch(material: Material) -> list[str]:
    """A batch that nobody chose depends on how many images there are."""
    if material.resolved.origins["batch"] != "default":
        return []
    count = 'len(data.splits["train"])' + (" / ACCUMULATE" if material.passes > 1 else "")
    if _takes_all(material):
        return [f"BATCH = math.ceil({count})  # all images in each step"]
    return [
        f"fitting = max(1, 2 ** int(math.log2(max({count}, 8) / 8)))",
        f"BATCH = min({material.recipe.general.batch}, fitting)  # at least 8 steps an epoch",
    ]


def _takes_all(material: Material) -> bool:
    """Whether a step is on the whole training set, by the nature of the optimizer."""
    return material.optimizer.facts.get("batch") == "all"


def _step(material: Material) -> Code:
    """How many images a step takes."""
    if material.passes == 1:
        return Code("BATCH")
    whole = 'len(data.splits["train"])'
    return Code(
        f"min(BATCH * ACCUMULATE, {whole})" if _takes_all(material) else "BATCH * ACCUMULATE"
    )


def _feeds(material: Material) -> list[str]:
    common: dict[str, Any] = {
        "seed": Code("SEED"),
        "preprocessing": Code("normalise"),
        "device": Code("device"),
    }
    for name in _FEEDING:
        if not material.is_default(f"data.{name}"):
            common[name] = material.value(f"data.{name}")
    own: dict[str, Any] = {}
    if _augment(material):
        material.take("netwright.augment", "Augmentation")
        own["augmentation"] = Code("Augmentation(AUGMENT, mean=mean, std=std)")
    if material.value("data.balance") != "none":
        own["balance"] = material.value("data.balance")
    lines = statement("feeding = ", common)
    for split, keywords in (
        ("train", {"batch": _step(material), **own}),
        ("val", {"batch": Code("max(BATCH, 256)"), "shuffle": False}),
    ):
        images = Code(f'data.splits["{split}"]')
        lines += statement(f"{split} = ", Call("Feed", [images], keywords, rest="feeding"))
    return lines


def _may_download(material: Material) -> bool:
    name = material.recipe.data.name
    if material.left_open:
        return True
    named = name in SOURCES and SOURCES.get(name).facts.get("built_in")
    values = material.resolved.values
    return bool(named) and "data.path" in values and values["data.path"] is None
