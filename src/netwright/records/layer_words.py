"""What a layer is called to a reader: by its path, and one of numbers with its kind.

A child of `nn.Sequential` has a number for a name, and "in 3" says nothing: it is told as
"layer 3 (Linear)". Facts and the `layers` of a finding keep the bare path.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping
from typing import Any

from netwright.core.languages import Phrase
from netwright.records.facts.layers import Layers
from netwright.records.findings import Finding
from netwright.records.inspection import InspectionRecord

PLACES = {"layer", "layers", "first", "second", "norms", "dropout", "names", "places"}
"""The places of a template that hold a path, or several with commas between them."""

_NUMBERED = re.compile(r"\d[\w.:]*")


def layer_words(paths: str, kinds: Mapping[str, str]) -> Phrase | str:
    """`paths` (one, or several with commas) for a reader; `kinds` has the kind of each layer.

    >>> kinds = {"0": "Conv2d", "3": "Linear", "head": "Linear"}
    >>> str(layer_words("3", kinds)), str(layer_words("0, 3, ... (5)", kinds))
    ('layer 3 (Linear)', 'layers 0 (Conv2d), 3 (Linear), ... (5)')
    >>> layer_words("head", kinds)
    'head'
    """
    names = paths.split(", ")
    more = [names.pop()] if names[-1].startswith("... (") else []
    if not names or not all(_NUMBERED.fullmatch(each) and each in kinds for each in names):
        return paths
    told = ", ".join([with_kind(each, kinds) for each in names] + more)
    if len(names) == 1 and not more:
        return Phrase("layer {path}", path=told)
    return Phrase("layers {paths}", paths=told)


def with_kind(path: str, kinds: Mapping[str, str]) -> str:
    """
    >>> with_kind("3", {"3": "Linear"}), with_kind("head", {"head": "Linear"})
    ('3 (Linear)', 'head')
    """
    kind = kinds.get(path)
    return f"{path} ({kind})" if kind and _NUMBERED.fullmatch(path) and ":" not in path else path


def kinds_of(facts: Iterable[object]) -> dict[str, str]:
    """The kind of each layer by its path, as far as the facts tell: the class of its module, else
    what it computes."""
    classes: dict[str, str] = {}
    kinds: dict[str, str] = {}
    for fact in facts:
        if isinstance(fact, InspectionRecord):
            classes |= {each.name: each.kind for each in fact.layers}
        elif isinstance(fact, Layers):
            kinds |= dict(zip(fact.names, fact.kinds, strict=False))
    return kinds | classes


def in_words_of_layers(finding: Finding, facts: Iterable[object]) -> Finding:
    """`finding` with each numbered path in its sentences told as a layer."""
    named = {*finding.layers, *(each.layer for each in finding.evidence)}
    if not any(_NUMBERED.fullmatch(each) for each in named):
        return finding
    kinds = dict.fromkeys(named, "") | kinds_of(facts)

    def told(phrase: Phrase | None) -> Any:
        if phrase is None or not isinstance(phrase, Phrase):
            return phrase
        values = {
            name: told(value)
            if isinstance(value, Phrase)
            else layer_words(value, kinds)
            if isinstance(value, str) and name in PLACES
            else value
            for name, value in phrase.values.items()
        }
        return Phrase(phrase.template, **values)

    return dataclasses.replace(
        finding,
        what=told(finding.what),
        cause=told(finding.cause),
        wrong_if=told(finding.wrong_if),
        counterfactual=told(finding.counterfactual),
        not_to_be_confused_with=told(finding.not_to_be_confused_with),
        evidence=tuple(
            dataclasses.replace(each, signal=told(each.signal)) for each in finding.evidence
        ),
        treatments=tuple(
            dataclasses.replace(each, why=told(each.why)) for each in finding.treatments
        ),
    )
