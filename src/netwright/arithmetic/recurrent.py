"""Parameters and multiply-adds of recurrent layers, laid out as torch lays them out.

One layer of one direction holds g gates: 1 for the plain RNN, 3 for GRU, 4 for LSTM. Each gate has
a matrix for what comes in, one for what came back, and torch gives it *two* bias vectors; Keras
and most papers have one. With `proj_size` (LSTM alone) what comes back is P wide instead of h,
through a matrix of P x h without bias. A second layer reads what all directions of the first say.
"""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.errors import SettingError

GATES = {"rnn": 1, "gru": 3, "lstm": 4}


def layer_widths(
    input_size: int,
    hidden_size: int,
    *,
    num_layers: int = 1,
    bidirectional: bool = False,
    proj_size: int = 0,
) -> Iterator[tuple[int, int]]:
    """What comes in and what comes back, (x, r), for every layer; each direction has the same.

    >>> list(layer_widths(10, 20, num_layers=2, bidirectional=True))
    [(10, 20), (40, 20)]
    """
    if proj_size >= hidden_size:
        raise SettingError(
            "proj_size {value} must be below hidden_size {bound}.",
            value=proj_size,
            bound=hidden_size,
        )
    back = proj_size or hidden_size
    for number in range(num_layers):
        yield (input_size if number == 0 else back * (1 + bidirectional)), back


def recurrent_params(
    kind: str,
    input_size: int,
    hidden_size: int,
    *,
    num_layers: int = 1,
    bidirectional: bool = False,
    proj_size: int = 0,
    bias: bool = True,
) -> int:
    """Sum over layers and directions of g (h (x + r) + 2h) + P h.

    >>> recurrent_params("lstm", 10, 20)  # 4 * (20 * (10 + 20) + 2 * 20)
    2560
    """
    widths = layer_widths(
        input_size,
        hidden_size,
        num_layers=num_layers,
        bidirectional=bidirectional,
        proj_size=proj_size,
    )
    one = sum(
        GATES[kind] * (hidden_size * (x + r) + (2 * hidden_size if bias else 0))
        + proj_size * hidden_size
        for x, r in widths
    )
    return one * (1 + bidirectional)


def recurrent_macs(
    kind: str,
    input_size: int,
    hidden_size: int,
    *,
    length: int = 1,
    num_layers: int = 1,
    bidirectional: bool = False,
    proj_size: int = 0,
) -> int:
    """Every weight that is no bias is used once in each of the `length` steps."""
    return length * recurrent_params(
        kind,
        input_size,
        hidden_size,
        num_layers=num_layers,
        bidirectional=bidirectional,
        proj_size=proj_size,
        bias=False,
    )
