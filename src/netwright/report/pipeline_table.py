"""The stages between a file and the network as a table, the slowest named and what would help."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase, say
from netwright.records.pipeline import Name, Pipeline, Stage
from netwright.report.text_table import Column, aligned

STAGES: dict[Name, str] = {
    "read": "read the bytes",
    "decode": "decode",
    "resize": "resize",
    "source": "the data set's own reading",
    "gather": "gather from memory",
    "batch": "stack to a batch",
    "augment": "augment",
    "tensor": "to normalised floats",
    "transfer": "to the device",
}
_LARGE = 1.5  # files with sides so many times those that are used are worth storing smaller


def pipeline_table(found: Pipeline, *, cells: int) -> list[str]:
    """One row a stage, with its time for an image and its part of the whole, then the whole."""
    rows = [
        (
            say(STAGES[each.name]),
            f"{each.seconds * 1e3:.3f}",
            f"{1 / each.seconds:,.0f}",
            say("once") if each.once else f"{found.share(each):.0%}",
        )
        for each in found.stages
    ]
    for workers, rate in found.whole.items():
        label = say("the whole, {count} workers", count=workers)
        rows.append((label, f"{1e3 / rate:.3f}", f"{rate:,.0f}", ""))
    label = say("the network, a step")
    rows.append((label, f"{1e3 / found.network:.3f}", f"{found.network:,.0f}", ""))
    names, times, rates, parts = zip(*rows, strict=True)
    columns = [
        Column(head=say("stage"), cells=names),
        Column(head=say("ms per image"), cells=times),
        Column(head=say("images/s"), cells=rates),
        Column(head=say("share"), cells=parts, rank=1),
    ]
    stages = len(found.stages)
    return aligned(columns, cells=cells, rules=[stages, stages + len(found.whole)])


def told(found: Pipeline) -> Iterator[tuple[str, Phrase]]:
    """What holds the training up, and what to do about it: (word, sentence)."""
    rate, stage = found.whole[found.workers], found.bottleneck
    values = {"rate": f"{rate:,.0f}", "network": f"{found.network:,.0f}"}
    if not found.waits:
        yield (
            "OK",
            Phrase(
                "The network takes {network} images a second and gets up to {rate}: no wait.",
                **values,
            ),
        )
    else:
        yield (
            "WARN",
            Phrase(
                "The network could take {network} images a second and gets {rate}: it waits.",
                **values,
            ),
        )
    yield (
        "NOTE",
        Phrase(
            "Most of the time of an image, {share}, goes into one stage: {stage}.",
            share=f"{found.share(stage):.0%}",
            stage=Phrase(STAGES[stage.name]),
        ),
    )
    if found.crowded:
        yield (
            "WARN",
            Phrase(
                "Other work on this machine took {share} of the processor meanwhile: the whole "
                "would be faster without it. Measure again when it is done.",
                share=f"{found.other_work:.0%}",
            ),
        )
    if found.unreadable:
        yield (
            "WARN",
            Phrase(
                "{count} of the {tried} images that were tried cannot be read: {first}.",
                count=found.unreadable,
                tried=found.images + found.unreadable,
                first=found.first_unreadable or "",
            ),
        )
    if found.waits:
        for advice in _advice(found, stage):
            yield "DO", advice


def _advice(found: Pipeline, stage: Stage) -> Iterator[Phrase]:
    best = max(found.whole, key=lambda workers: found.whole[workers])
    if found.whole[best] > 1.1 * found.whole[found.workers] and not found.crowded:
        yield Phrase("Set data.workers={count}.", count=best)
    if stage.name in ("read", "decode", "resize", "source") and not found.held:
        yield Phrase("If the images fit into memory, set data.cache=memory: they are decoded once.")
    if stage.name == "read":
        yield Phrase("Put the data on a faster disk, or pack them into tar files.")
    if stage.name in ("decode", "resize"):
        if found.jpeg and found.decode == "exact":
            yield Phrase("Set data.decode=fast.")
        if found.stored is not None and min(found.stored) > _LARGE * max(found.size):
            yield Phrase(
                "Store the files smaller: they are {height}x{width}, {size} are used.",
                height=found.stored[0],
                width=found.stored[1],
                size=f"{found.size[0]}x{found.size[1]}",
            )
    if stage.name == "source":
        yield Phrase("Speed up what the data set does for each image, or give tensors.")
    if stage.name == "augment":
        yield Phrase("Leave out the dearest of the augmentations (aug.*), or take a simpler one.")
    if stage.name == "transfer":
        yield Phrase("Take larger batches, or smaller images.")
