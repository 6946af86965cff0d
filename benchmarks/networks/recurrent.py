"""Recurrent layers. A step of an LSTM has 4 gates of H (I + H) products, of a GRU 3."""

from __future__ import annotations

from torch import Tensor, nn

from networks.kit import Calls, add, positional

add(
    "LSTM, two layers, both ways",
    lambda: Calls(
        lambda net, x: net.head(net.lstm(x)[0]),
        lstm=nn.LSTM(32, 48, 2, batch_first=True, bidirectional=True, dropout=0.1),
        head=nn.Linear(96, 10),
    ),
    positional((1, 20, 32)),
    20 * (2 * 4 * 48 * (32 + 48) + 2 * 4 * 48 * (96 + 48) + 96 * 10),
)

add(
    "LSTM with projection",
    lambda: Calls(
        lambda net, x: net.lstm(x)[1][0], lstm=nn.LSTM(32, 48, batch_first=True, proj_size=16)
    ),
    positional((1, 20, 32)),
    20 * (4 * 48 * (32 + 16) + 48 * 16),
)

add(
    "GRU",
    lambda: Calls(
        lambda net, x: net.head(net.gru(x)[0][:, -1]),
        gru=nn.GRU(32, 48, batch_first=True),
        head=nn.Linear(48, 10),
    ),
    positional((1, 20, 32)),
    20 * 3 * 48 * (32 + 48) + 48 * 10,
    "nn.GRU, time on the second axis",
)


def steps(net: Calls, x: Tensor) -> Tensor:
    state = None
    for now in x.unbind(1):
        state = net.cell(now, state)
    assert state is not None
    return net.head(state[0])


add(
    "LSTM cell in a loop",
    lambda: Calls(steps, cell=nn.LSTMCell(32, 48), head=nn.Linear(48, 10)),
    positional((1, 20, 32)),
    20 * 4 * 48 * (32 + 48) + 48 * 10,
    "the module is called 20 times",
)
