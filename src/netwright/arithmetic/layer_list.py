"""A chain of layers written down: "conv 7 s2 p3, pool 3 s2 p1, conv 3 d2, up 2, global".

A layer is a word, its kernel size, and single letters with a number: s stride, p padding, d
dilation, o output padding; `ceil` makes a pool round up; `same` pads a convolution so that it
keeps the size; a factor in front repeats the layer ("3*conv 3 same"). The word alone may be left
out for a convolution. Commas, semicolons, arrows (->) or line breaks stand between layers.
"""

from __future__ import annotations

import re

from netwright.arithmetic.receptive_field import Kind, Layer
from netwright.arithmetic.sizes import same_padding
from netwright.core.errors import SettingError, nearest

WORDS: dict[str, Kind] = {
    "conv": "conv",
    "dwconv": "conv",
    "pool": "pool",
    "maxpool": "pool",
    "avgpool": "pool",
    "transposed": "transposed",
    "deconv": "transposed",
    "up": "up",
    "global": "global",
    "linear": "global",
}
MOST_LAYERS = 1000
MOST = 100_000

_FORM = 'A layer is written as "conv 3 s2 p1 d1", "pool 2 s2", "transposed 4 s2 p1" or "global".'


def read_layers(text: str) -> list[Layer]:
    """The layers of `text`; `SettingError` names the one that cannot be read, and why.

    >>> read_layers("conv 7 s2 p3, pool 2")[1]
    Layer(kind='pool', kernel_size=2, stride=2, padding=(0, 0), dilation=1, ceil_mode=False, \
output_padding=0)
    """
    layers: list[Layer] = []
    before = ""
    for part in re.split(r",|;|->|→|\n", text):
        if not part.strip():
            continue
        if part.strip().isdigit() and re.search(r"[spdo]\d+$", before):
            raise SettingError(
                '"{text}" behind "{before}" may be a kernel or one more number of that layer.',
                hint='Write "conv {text}", or each layer whole: "conv 3 d1, conv 3 d2".',
                text=part.strip(),
                before=before,
            )
        before = part.strip()
        times, layer = _layer(part.strip())
        if len(layers) + times > MOST_LAYERS:
            raise SettingError("These are more than {most} layers.", hint=_FORM, most=MOST_LAYERS)
        layers += [layer] * times
    if not layers:
        raise SettingError("There is no layer in it.", hint=_FORM)
    return layers


def spelled(layer: Layer) -> str:
    """The layer as `read_layers` reads it.

    >>> spelled(Layer(kernel_size=3, stride=2, padding=(1, 1)))
    'conv 3 s2 p1'
    """
    if layer.kind == "global":
        return "global"
    if layer.kind == "up":
        return f"up {layer.stride}"
    words = [layer.kind, str(layer.kernel_size)]
    if layer.stride != (layer.kernel_size if layer.kind == "pool" else 1):
        words.append(f"s{layer.stride}")
    if layer.padding[0] != layer.padding[1]:
        words.append("same")
    elif layer.padding[0]:
        words.append(f"p{layer.padding[0]}")
    if layer.dilation != 1:
        words.append(f"d{layer.dilation}")
    if layer.output_padding:
        words.append(f"o{layer.output_padding}")
    return " ".join([*words, *(["ceil"] if layer.ceil_mode else [])])


def _layer(text: str) -> tuple[int, Layer]:
    """One layer and how often it stands there."""
    times, rest = 1, text.lower()
    if repeated := re.fullmatch(r"(\d+)\s*[*x×]\s*([a-z].*)", rest):
        times = _number(repeated[1], text, least=1, most=MOST_LAYERS)
        rest = repeated[2]
    found = re.match(r"([^\d\s]*)(?:[123]d\b)?", rest)
    assert found is not None  # it can be empty: a convolution without its word
    word, tokens = found[1] or "conv", rest[found.end() :].split()
    if word not in WORDS:
        near = nearest(word, WORDS)
        raise SettingError(
            'No layer called "{word}" in "{text}".',
            hint="Nearest: {near}." if near else "Known: {known}.",
            word=word,
            text=text,
            near=", ".join(near),
            known=", ".join(WORDS),
        )
    return times, _built(WORDS[word], tokens, text)


def _built(kind: Kind, tokens: list[str], text: str) -> Layer:
    found: dict[str, int] = {}
    flags: set[str] = set()
    for token in tokens:
        letter, rest = (token[0], token[1:]) if token[0].isalpha() else ("k", token)
        if token in ("ceil", "same"):
            flags.add(token)
        elif letter not in "kspdo" or not rest or rest[0].isalpha():
            raise SettingError(
                '"{token}" in "{text}" is no part of a layer.', hint=_FORM, token=token, text=text
            )
        elif letter in found:
            raise SettingError(
                '"{text}" says {letter} twice.', hint=_FORM, text=text, letter=letter
            )
        else:
            square = re.fullmatch(r"(\d+)[x×]\1", rest)
            rest = square[1] if square else rest
            found[letter] = _number(rest, text, least=0 if letter in "po" else 1, most=MOST)
    if kind == "global":
        return Layer(kind="global")
    if "k" not in found:
        raise SettingError('"{text}" says no kernel size.', hint=_FORM, text=text)
    kernel, dilation = found["k"], found.get("d", 1)
    if kind == "up":
        return Layer(kind="up", kernel_size=kernel, stride=kernel)
    padding = (found.get("p", 0),) * 2
    if "same" in flags:
        padding = same_padding(kernel, dilation=dilation)
    return Layer(
        kind=kind,
        kernel_size=kernel,
        stride=found.get("s", kernel if kind == "pool" else 1),
        padding=(padding[0], padding[1]),
        dilation=dilation,
        ceil_mode="ceil" in flags,
        output_padding=found.get("o", 0),
    )


def _number(text: str, layer: str, *, least: int, most: int) -> int:
    if re.fullmatch(r"[0-9]{1,12}", text) and least <= int(text) <= most:
        return int(text)
    raise SettingError(
        '"{value}" in "{text}" is not allowed: expected a whole number from {least} to {most}.',
        hint=_FORM,
        value=text,
        text=layer,
        least=least,
        most=most,
    )
