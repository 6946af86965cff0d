"""A fully connected layer."""

from __future__ import annotations

from netwright.arithmetic.calculations import CALCULATIONS, missing_settings
from netwright.arithmetic.calculations._costs import (
    flops_note,
    mac_facts,
    memory_fact,
    params_fact,
)
from netwright.arithmetic.calculations._intensity import intensity_of
from netwright.arithmetic.calculations._values import MOST
from netwright.arithmetic.counts import linear_macs, linear_params
from netwright.arithmetic.working import Worked, line
from netwright.core.config import config, setting

EXAMPLE = "netwright calc linear in=512 out=1000"


@config
class LinearOptions:
    in_channels: int | None = setting(None, ge=1, le=10**9, help="features that come in")
    out_channels: int | None = setting(None, ge=1, le=10**9, help="features that go out")
    positions: int = setting(1, ge=1, le=MOST, help="positions it is applied to, as in a sequence")
    bias: bool = setting(True, help="whether each output has one")


@CALCULATIONS.register(
    "linear", options=LinearOptions, example=EXAMPLE, required=("in_channels", "out_channels")
)
def linear(options: LinearOptions) -> Worked:
    """Parameters and multiply-adds of a fully connected layer."""
    n, m = options.in_channels, options.out_channels
    if n is None or m is None:
        raise missing_settings(["in_channels", "out_channels"], EXAMPLE)
    params = linear_params(n, m, bias=options.bias)
    macs = linear_macs(n, m, positions=options.positions)
    many = options.positions > 1
    moved = intensity_of(macs, options.positions * n, params, options.positions * m)
    return Worked(
        facts=(params_fact(params), memory_fact(params), *mac_facts(macs), *moved.facts),
        working=(
            line("params", "n * m + m" if options.bias else "n * m", topic="params", n=n, m=m),
            line(
                "MACs",
                "L * n * m" if many else "n * m",
                topic="macs",
                L=options.positions,
                n=n,
                m=m,
            ),
            *moved.working,
        ),
        notes=(flops_note(), *moved.notes),
    )
