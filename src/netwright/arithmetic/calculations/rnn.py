"""Recurrent layers: plain, GRU and LSTM, laid out as torch lays them out."""

from __future__ import annotations

from netwright.arithmetic.calculations import CALCULATIONS, missing_settings
from netwright.arithmetic.calculations._costs import (
    flops_note,
    mac_facts,
    memory_fact,
    params_fact,
)
from netwright.arithmetic.calculations._values import MOST
from netwright.arithmetic.recurrent import GATES, layer_widths, recurrent_macs, recurrent_params
from netwright.arithmetic.working import Fact, Worked, line
from netwright.core.config import config, setting
from netwright.core.errors import SettingError
from netwright.core.languages import Phrase


@config
class RecurrentOptions:
    in_channels: int | None = setting(None, ge=1, le=MOST, help="features of one step")
    hidden_size: int | None = setting(None, ge=1, le=MOST, help="units of a layer")
    num_layers: int = setting(1, ge=1, le=1000, help="layers on top of each other")
    bidirectional: bool = setting(False, help="whether a second one reads backwards")
    proj_size: int = setting(0, ge=0, le=MOST, help="width of the LSTM's projection; 0: none")
    bias: bool = setting(True, help="whether there are biases: two for each gate in torch")
    length: int = setting(1, ge=1, le=MOST, help="steps of the sequence")


REQUIRED = ("in_channels", "hidden_size")
EXAMPLE = "netwright calc lstm in=128 hidden=256 layers=2 bidirectional=true"


@CALCULATIONS.register(
    "rnn",
    options=RecurrentOptions,
    example="netwright calc rnn in=128 hidden=256 length=20",
    required=REQUIRED,
    paper="Elman 1990",
)
def rnn(options: RecurrentOptions) -> Worked:
    """Parameters and multiply-adds of a plain recurrent layer."""
    return _recurrent("rnn", options)


@CALCULATIONS.register(
    "gru",
    options=RecurrentOptions,
    example="netwright calc gru in=128 hidden=256",
    required=REQUIRED,
    paper="Cho et al. 2014",
)
def gru(options: RecurrentOptions) -> Worked:
    """Parameters and multiply-adds of a GRU: three gates."""
    return _recurrent("gru", options)


@CALCULATIONS.register(
    "lstm",
    options=RecurrentOptions,
    example=EXAMPLE,
    required=REQUIRED,
    paper="Hochreiter & Schmidhuber 1997; projection: Sak, Senior & Beaufays 2014",
)
def lstm(options: RecurrentOptions) -> Worked:
    """Parameters and multiply-adds of an LSTM: four gates, perhaps a projection."""
    return _recurrent("lstm", options)


def _recurrent(kind: str, options: RecurrentOptions) -> Worked:
    x, h, proj = options.in_channels, options.hidden_size, options.proj_size
    if x is None or h is None:
        raise missing_settings(REQUIRED, EXAMPLE)
    if proj and kind != "lstm":
        raise SettingError("proj_size is for the LSTM alone.", hint="netwright calc lstm has it.")
    both = options.bidirectional
    shape = {"num_layers": options.num_layers, "bidirectional": both, "proj_size": proj}
    widths = list(layer_widths(x, h, **shape))  # type: ignore[arg-type]
    params = recurrent_params(kind, x, h, bias=options.bias, **shape)  # type: ignore[arg-type]
    macs = recurrent_macs(kind, x, h, length=options.length, **shape)  # type: ignore[arg-type]
    two = "2 * " if both else ""
    bias = " + 2*h" if options.bias else ""
    projected = " + P*h" if proj else ""
    working = []
    for number, (comes_in, comes_back) in enumerate(widths[:2]):
        later = "params_2" if len(widths) == 2 else f"params_2..{len(widths)}"
        numbers = {"g": GATES[kind], "h": h, "x": comes_in, "r": comes_back, "P": proj}
        one = f"g*(h*(x + r){bias}){projected}"
        name = later if number else "params_1"
        working.append(line(name, f"{two}({one})" if both else one, topic="params", **numbers))
    if len(widths) > 1:
        first, others = working[0].value, working[1].value
        working.append(
            line(
                "params",
                "a + (n - 1)*b",
                topic="params",
                a=first,
                n=len(widths),
                b=others,
            )
        )
    biases = params - recurrent_params(kind, x, h, bias=False, **shape)  # type: ignore[arg-type]
    working.append(
        line(
            "MACs",
            "L * (params - biases)",
            topic="macs",
            L=options.length,
            params=params,
            biases=biases,
        )
    )
    notes = [flops_note()]
    if options.bias:
        notes.insert(
            0,
            Phrase(
                "torch gives each gate two bias vectors; with one, as in Keras and most papers, "
                "there are {less} fewer parameters: {count}.",
                less=biases // 2,
                count=params - biases // 2,
            ),
        )
    outputs = (proj or h) * (1 + both)
    return Worked(
        facts=(
            Fact(name="output", label=Phrase("output features"), value=outputs, topic="size"),
            params_fact(params),
            memory_fact(params),
            *mac_facts(macs),
        ),
        working=tuple(working),
        notes=tuple(notes),
    )
