"""Names of others: state dicts whose tensors are those of a network, under other names or shapes.

A wrapper round a network puts its own name before each (`model.`, `backbone.`, `encoder_q.`);
timm and transformers call the layers of some networks otherwise than torchvision; and a linear
layer is a convolution of one pixel. What the numbers are for does not change by that.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from torch import Tensor

from netwright.models.weights.fitting import Shape

Rule: TypeAlias = tuple[str, str | Callable[[re.Match[str]], str]]
"""A pattern that must match a whole name, and what it is called here (as `re.sub` takes it)."""

_NORMS = r"(weight|bias|running_mean|running_var|num_batches_tracked)"
_ANY = r"(?:[\w.]*\.)?"  # whatever the network is wrapped in


@dataclass(frozen=True, kw_only=True)
class Arrangement:
    """The tensors of a file under the names and in the shapes of a network.

    `renamed` are those whose name changed (new name: old name), `reshaped` those whose shape did,
    `outside` those of the file that are not of this network: the other half of a pair, a loss.
    """

    tensors: Mapping[str, Tensor]
    renamed: Mapping[str, str] = field(default_factory=dict)
    reshaped: Sequence[str] = ()
    outside: frozenset[str] = frozenset()


def arrange(own: Mapping[str, Shape], tensors: Mapping[str, Tensor]) -> Arrangement:
    """`tensors` as a network with the tensors `own` would call and shape them.

    Of several ways that of the most fitting tensors is taken, the plainest first. What fits
    nothing keeps its name: whether that matters is for `fit` to say.

    >>> import torch
    >>> made = arrange({"fc.weight": (2, 3)}, {"model.fc.weight": torch.zeros(2, 3, 1, 1)})
    >>> tuple(made.tensors["fc.weight"].shape), made.renamed, made.reshaped
    ((2, 3), {'fc.weight': 'model.fc.weight'}, ('fc.weight',))
    """
    best: tuple[int, Arrangement] | None = None
    for names, outside in _ways(own, list(tensors)):
        if len(set(names.values())) < len(names):  # two would become one
            continue
        made, shaped, good = {}, [], 0
        for old, new in names.items():
            each = tensors[old]
            if new in own and is_same_layer(own[new], tuple(each.shape)):
                each = each.reshape(each.shape[0], *own[new][1:])
                shaped.append(new)
            made[new] = each
            good += new in own and own[new][1:] == tuple(each.shape)[1:]
        if best is None or good > best[0]:
            renamed = {new: old for old, new in names.items() if new != old}
            found = Arrangement(
                tensors=made, renamed=renamed, reshaped=tuple(shaped), outside=frozenset(outside)
            )
            best = (good, found)
    return best[1] if best is not None else Arrangement(tensors=tensors)


def is_same_layer(own: Shape, given: Shape) -> bool:
    """Whether two different shapes are a linear layer and the convolution that equals it.

    The convolution covers its whole input, of one pixel or more, which the linear layer reads
    flattened; the number of outputs may differ.

    >>> is_same_layer((10, 8), (1000, 8, 1, 1)), is_same_layer((4, 18), (4, 2, 3, 3))
    (True, True)
    >>> is_same_layer((4, 2, 3, 3), (4, 2, 3, 3)), is_same_layer((8, 4), (4, 8))
    (False, False)
    """
    return {len(own), len(given)} == {2, 4} and math.prod(own[1:]) == math.prod(given[1:])


def _ways(
    own: Mapping[str, Shape], given: Sequence[str]
) -> Iterator[tuple[dict[str, str], set[str]]]:
    """Ways to call the given names, and which of them are then outside of the network."""
    yield {name: name for name in given}, set()
    before = Counter(
        name[: len(name) - len(end)] for name in given for end in _ends(name) if end in own
    )
    for prefix, _ in before.most_common(3):
        if prefix:
            inside = {name: name.removeprefix(prefix) for name in given if name.startswith(prefix)}
            taken = set(inside.values())
            kept = {name: name for name in given if name not in inside and name not in taken}
            yield inside | kept, set(kept)
    known = set(given)
    lacking = Counter(
        name[: len(name) - len(end)] for name in own for end in _ends(name) if end in known
    )
    for prefix, _ in lacking.most_common(1):
        if prefix:
            yield {name: prefix + name for name in given}, set()
    for dialect in DIALECTS:
        yield {name: _translated(name, dialect) for name in given}, set()


def _ends(name: str) -> Iterator[str]:
    """A name, and what is left of it after each dot."""
    yield name
    for i, letter in enumerate(name):
        if letter == ".":
            yield name[i + 1 :]


def _translated(name: str, dialect: Sequence[Rule]) -> str:
    for pattern, replacement in dialect:
        match = re.fullmatch(pattern, name)
        if match is not None:
            return replacement(match) if callable(replacement) else match.expand(replacement)
    return name


def _resnet_of_transformers() -> tuple[Rule, ...]:
    """transformers, ResNetModel and ResNetForImageClassification."""
    block = rf"{_ANY}encoder\.stages\.(\d+)\.layers\.(\d+)\."
    return (
        (rf"{_ANY}embedder\.embedder\.convolution\.(weight)", r"conv1.\1"),
        (rf"{_ANY}embedder\.embedder\.normalization\.{_NORMS}", r"bn1.\1"),
        (
            rf"{block}shortcut\.(convolution|normalization)\.{_NORMS}",
            lambda m: f"layer{int(m[1]) + 1}.{m[2]}.downsample.{int(m[3][0] == 'n')}.{m[4]}",
        ),
        (
            rf"{block}layer\.(\d+)\.(convolution|normalization)\.{_NORMS}",
            lambda m: (
                f"layer{int(m[1]) + 1}.{m[2]}.{'conv' if m[4][0] == 'c' else 'bn'}"
                f"{int(m[3]) + 1}.{m[5]}"
            ),
        ),
        (r"classifier\.1\.(weight|bias)", r"fc.\1"),
    )


def _vgg_of_timm() -> tuple[Rule, ...]:
    """timm, vgg: the first two linear layers are convolutions there."""
    return (
        (r"pre_logits\.fc1\.(weight|bias)", r"classifier.0.\1"),
        (r"pre_logits\.fc2\.(weight|bias)", r"classifier.3.\1"),
        (r"head\.fc\.(weight|bias)", r"classifier.6.\1"),
    )


# Blocks in each stage of MobileNetV2 (Sandler et al. 2018, table 2), which torchvision counts
# through.
_REPEATS = (1, 2, 3, 4, 3, 3, 1)
_FIRST = {"conv_dw": "conv.0.0", "bn1": "conv.0.1", "conv_pw": "conv.1", "bn2": "conv.2"}
_LATER = {
    "conv_pw": "conv.0.0", "bn1": "conv.0.1", "conv_dw": "conv.1.0", "bn2": "conv.1.1",
    "conv_pwl": "conv.2", "bn3": "conv.3",
}  # fmt: skip


def _block_of_timm(match: re.Match[str]) -> str:
    stage, block = int(match[1]), int(match[2])
    layers = _LATER if stage else _FIRST
    if stage >= len(_REPEATS) or block >= _REPEATS[stage] or match[3] not in layers:
        return match[0]
    return f"features.{1 + sum(_REPEATS[:stage]) + block}.{layers[match[3]]}.{match[4]}"


def _mobilenet_v2_of_timm() -> tuple[Rule, ...]:
    """timm, mobilenetv2_100 and its widths."""
    return (
        (rf"{_ANY}conv_stem\.(weight)", r"features.0.0.\1"),
        (rf"{_ANY}blocks\.(\d+)\.(\d+)\.(\w+)\.{_NORMS}", _block_of_timm),
        (rf"{_ANY}bn1\.{_NORMS}", r"features.0.1.\1"),
        (rf"{_ANY}conv_head\.(weight)", r"features.18.0.\1"),
        (rf"{_ANY}bn2\.{_NORMS}", r"features.18.1.\1"),
        (r"classifier\.(weight|bias)", r"classifier.1.\1"),
    )


DIALECTS: tuple[tuple[Rule, ...], ...] = (
    _resnet_of_transformers(),
    _vgg_of_timm(),
    _mobilenet_v2_of_timm(),
)
