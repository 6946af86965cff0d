"""What arrives at the first layer with weights, against what it was made for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from torch import Tensor, nn

from netwright.doctor.data.scale_trial import scale_trial
from netwright.doctor.data.shrinking import WIDEST, Matrix
from netwright.doctor.patient import Patient, first_tensor
from netwright.doctor.probes import PROBES
from netwright.doctor.probes.inputs import counts_of
from netwright.doctor.tape import Call
from netwright.doctor.unfolding import unfolded
from netwright.doctor.watching.ear import ACTIVATIONS, CONTRACTIONS
from netwright.records.facts.first_layer import FirstLayer

NORMALISERS = {"batch_norm", "layer_norm", "group_norm", "instance_norm", "rms_norm", "normalize"}
PLACES = 20_000
"""Rows of features (pixels of images) that are looked at."""

RECURRENT = ("gru", "lstm", "rnn_tanh", "rnn_relu")

SUSPECT_RATIO = (0.05, 20.0)
SUSPECT_STD_RATIO = 1e3
"""What `unscaled-input` calls off; only then is the trial worth its time."""


@PROBES.register("first-layer", order=6, needs=("sample",), cost="1F, 60S where it is off")
def first_layer(patient: Patient) -> Iterator[FirstLayer]:
    """The way to the loss, read until the first layer and the activation after it."""
    sample = patient.sample
    assert sample is not None
    way = unfolded(patient, sample)
    if way is None or not sample.inputs:
        return
    listener = _Front(patient.paths)
    for call in way.calls:
        listener.hear(call)
    found = listener.fact()
    if found is None:
        return
    ratio, spread = found.ratio, found.std_ratio
    low, high = SUSPECT_RATIO
    off = ratio is not None and not low <= ratio <= high
    if off or (spread is not None and spread > SUSPECT_STD_RATIO):
        found = FirstLayer(**{**vars(found), "trial": scale_trial(patient)})
    patient.workings["first-layer"] = found
    yield found


class _Front:
    """Hears the first operation with weights of a layer, and the norms round it."""

    def __init__(self, paths: dict[int, str]) -> None:
        self._paths = paths
        self._given: tuple[Any, ...] | None = None
        self._over = False
        self._before = self._after = ""

    def hear(self, call: Call) -> None:
        if self._over or call.of_module:
            return
        name = call.name.removesuffix("_")
        if name in NORMALISERS and self._given is None:
            self._before = name
        elif name in NORMALISERS:
            self._after = name
        elif name in ACTIVATIONS and self._given is not None:
            self._over = True
        elif name in RECURRENT and self._given is None:
            self._hear_recurrent(call.args)
        elif name in CONTRACTIONS:
            self._hear(name, call.args, call.kwargs, call.result)

    def _hear(self, name: str, args: Any, kwargs: dict[str, Any], result: Any) -> None:
        if self._given is not None:
            self._over = True
            return
        values = [each for each in (*args, *kwargs.values()) if isinstance(each, Tensor)]
        weights: list[Tensor] = [each for each in values if isinstance(each, nn.Parameter)]
        if weights and weights[0].ndim < 2 and len(values) > 1 and values[1].ndim > 1:
            # A weight that is computed (weight norm, spectral norm) is no parameter, its bias is.
            weights.insert(0, values[1])
        inputs = [each for each in values if all(each is not one for one in weights)]
        output = first_tensor(result)
        if not weights or not inputs or output is None or not inputs[0].is_floating_point():
            # An embedding, a lookup, a product of two inputs: nothing is to be said of scale.
            self._over = bool(weights)
            return
        if inputs[0].requires_grad and not self._before:
            self._over = (
                True  # what weights made that are no layer of these, such as a recurrent one
            )
            return
        self._given = (name, inputs[0].detach(), weights, output.detach())

    def _hear_recurrent(self, args: Any) -> None:
        """What the gates of the first layer get of the input: that product is made inside of it."""
        self._over = True
        given = args[0] if args else None
        held = next((each for each in args[1:] if isinstance(each, list | tuple) and each), ())
        weight = next((each for each in held if isinstance(each, nn.Parameter)), None)
        if isinstance(given, Tensor) and weight is not None and not given.requires_grad:
            rows = given.detach()
            self._given = ("linear", rows, [weight], rows @ weight.detach().T)

    def fact(self) -> FirstLayer | None:
        if self._given is None:
            return None
        name, values, weights, output = self._given
        if name == "embedding" or not (name.startswith("conv") or name == "linear"):
            return None
        names = (self._paths.get(id(each), "").rpartition(".")[0] for each in weights)
        path = next(filter(None, names), "")
        bare = values.float()
        if not bool(bare.isfinite().all()):
            return None
        return FirstLayer(
            layer=path,
            operation=name,
            normaliser=self._before,
            normalised_after=self._after,
            low=float(bare.min()),
            high=float(bare.max()),
            input_rms=float(bare.square().mean().sqrt()),
            value_rms=float(bare[bare != 0].square().mean().sqrt()) if bool(bare.any()) else 0.0,
            output_rms=_without_bias(name, weights, output),
            design=_design(name, weights),
            **_features(name, bare),
        )


def _design(name: str, weights: list[Tensor]) -> float:
    """Root mean square of the output, without the bias, on inputs of mean 0 and variance 1 that do
    not hang together: that of each unit is |w|."""
    weight = weights[0].detach().float()
    # The units of a transposed convolution are along its second axis.
    dim = 1 if "transpose" in name else 0
    return float(weight.movedim(dim, 0).flatten(1).square().sum(1).mean().sqrt())


def _without_bias(name: str, weights: list[Tensor], output: Tensor) -> float:
    values = output.float()
    axis = 1 if name.startswith("conv") and values.ndim > 2 else values.ndim - 1
    if len(weights) > 1 and weights[1].ndim == 1 and len(weights[1]) == values.shape[axis]:
        shape = [-1 if each == axis else 1 for each in range(values.ndim)]
        values = values - weights[1].detach().float().reshape(shape)
    return float(values.square().mean().sqrt())


def _features(name: str, values: Tensor) -> dict[str, Any]:
    """How the spreads of the features compare, of those that are not mostly one value."""
    axis = 1 if name.startswith("conv") and values.ndim > 2 else values.ndim - 1
    rows = values.movedim(axis, -1).reshape(-1, values.shape[axis])
    rows = rows[:: -(-len(rows) // PLACES)].double().cpu()
    width = rows.shape[1]
    if not len(rows) or not bool(rows.isfinite().all()):
        return {"features": width}
    table = rows[: PLACES // 8].numpy() if width > WIDEST else rows.numpy()
    shares = np.array([each.max() / len(table) for each in counts_of(table)])
    dense = np.flatnonzero(shares <= 0.5)
    found: dict[str, Any] = {"features": width, "sparse": float(np.median(shares))}
    if len(dense):
        stds = table[:, dense].std(0)
        found |= {
            "std_least": float(stds.min()),
            "std_most": float(stds.max()),
            "least": int(dense[stds.argmin()]),
            "most": int(dense[stds.argmax()]),
        }
        if len(dense) <= WIDEST and len(table) >= 2 * len(dense):
            kept = table[:, dense]
            found["condition"] = condition(kept)
            found["condition_scaled"] = condition(
                (kept - kept.mean(0)) / np.where(stds > 0, stds, 1)
            )
    return found


def condition(rows: Matrix) -> float:
    """Of E[x x^T]: the largest eigenvalue over the smallest, at most 1e16.

    >>> condition(np.array([[1.0, 0.0], [0.0, 10.0]]))
    100.0
    """
    values = np.linalg.eigvalsh(rows.T @ rows / len(rows))
    return float(values[-1] / max(values[0], values[-1] * 1e-16)) if values[-1] > 0 else 1.0
