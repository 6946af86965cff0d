"""Multi-head attention."""

from __future__ import annotations

from netwright.arithmetic.calculations import CALCULATIONS, missing_settings
from netwright.arithmetic.calculations._costs import (
    flops_note,
    mac_facts,
    memory_fact,
    params_fact,
)
from netwright.arithmetic.calculations._values import MOST
from netwright.arithmetic.counts import attention_macs, attention_params
from netwright.arithmetic.working import Fact, Worked, line
from netwright.core.config import config, setting
from netwright.core.errors import SettingError
from netwright.core.languages import Phrase

EXAMPLE = "netwright calc attention dim=512 heads=8 length=196"


@config
class AttentionOptions:
    embed_dim: int | None = setting(None, ge=1, le=MOST, help="width of queries and result")
    num_heads: int = setting(1, ge=1, le=MOST, help="heads; the width is split among them")
    length: int | None = setting(None, ge=1, le=MOST, help="positions that ask")
    source: int | None = setting(None, ge=1, le=MOST, help="positions that are asked; as length")
    kdim: int | None = setting(None, ge=1, le=MOST, help="width of the keys that come in")
    vdim: int | None = setting(None, ge=1, le=MOST, help="width of the values that come in")
    bias: bool = setting(True, help="whether the four projections have one")


@CALCULATIONS.register(
    "attention",
    options=AttentionOptions,
    example=EXAMPLE,
    required=("embed_dim",),
    paper="Vaswani et al. 2017",
)
def attention(options: AttentionOptions) -> Worked:
    """Parameters and multiply-adds of multi-head attention, projections included."""
    width = options.embed_dim
    if width is None:
        raise missing_settings(["embed_dim"], EXAMPLE)
    if width % options.num_heads:
        raise SettingError(
            "{width} cannot be split among {heads} heads.",
            hint="The number of heads must divide the width.",
            width=width,
            heads=options.num_heads,
        )
    keys, values = options.kdim or width, options.vdim or width
    params = attention_params(width, kdim=keys, vdim=values, bias=options.bias)
    sides = {"E": width, "K": keys, "V": values}
    plain = keys == values == width
    bias = " + 4*E" if options.bias else ""
    formula = "4 * E**2" if plain else "E * (2*E + K + V)"
    facts = [
        Fact(
            name="head_width",
            label=Phrase("width of a head"),
            value=width // options.num_heads,
            topic="size",
        ),
        params_fact(params),
        memory_fact(params),
    ]
    working = [line("params", formula + bias, topic="params", **sides)]
    notes = [Phrase("The number of heads changes neither parameters nor multiply-adds.")]
    if options.length is not None:
        length, source = options.length, options.source or options.length
        macs = attention_macs(width, length, source=source, kdim=keys, vdim=values)
        facts += mac_facts(macs)
        facts.append(
            Fact(
                name="scores",
                label=Phrase("scores held for a backward pass"),
                value=options.num_heads * length * source,
                topic="macs",
            )
        )
        formula = "2*L*E**2 + S*E*(K + V) + 2*L*S*E"
        working.append(line("MACs", formula, topic="macs", L=length, S=source, **sides))
        notes += [
            Phrase(
                "The projections grow with the length, the two products with its square; they are "
                "equal at a length of {length}. A causal mask does not halve them.",
                length=2 * width,
            ),
            flops_note(),
        ]
    return Worked(facts=tuple(facts), working=tuple(working), notes=tuple(notes))
