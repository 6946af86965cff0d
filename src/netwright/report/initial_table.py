"""The state a network starts in as a table of text: one line for each stage."""

from __future__ import annotations

from netwright.core.languages import say
from netwright.records.initial_state import InitialState
from netwright.report.initial_state import rows_of
from netwright.report.text_table import Column, aligned
from netwright.report.words import NONE, digits, percent


def initial_table(state: InitialState, *, cells: int = 80) -> list[str]:
    """The signal of each stage (mean, standard deviation, share of zeros), what is flat, and the
    norms of the gradients; the lines that matter least give way in a narrow place. Of very many
    stages those of the picture are shown, and the rest is counted."""
    shown = rows_of(state)
    columns = [
        Column(head=say("layer"), cells=[each.layer or "-" for each in shown], right=False),
        Column(head=say("mean"), cells=[digits(e.signal.mean, 2) for e in shown], rank=2),
        Column(head=say("std"), cells=[digits(e.signal.std, 2) for e in shown]),
        Column(head=say("zeros"), cells=[percent(e.signal.zeros, 0) for e in shown], rank=3),
        Column(
            head=say("flat"),
            cells=[NONE if e.saturated is None else percent(e.saturated, 0) for e in shown],
            rank=1,
        ),
        Column(
            head=say("gradient"),
            cells=[NONE if e.gradient is None else digits(e.gradient, 2) for e in shown],
        ),
        Column(
            head=say("of weights"),
            cells=[
                NONE if e.weight_gradient is None else digits(e.weight_gradient, 2) for e in shown
            ],
            rank=4,
        ),
    ]
    lines = aligned(columns, cells=cells)
    if len(shown) < len(state.stages):
        lines.append(say("stages not shown: {count}", count=len(state.stages) - len(shown)))
    return lines
