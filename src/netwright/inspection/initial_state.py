"""The state a network starts in, on a real batch: signals and gradients, stage by stage."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from netwright.core.errors import NetwrightError, SettingError
from netwright.core.languages import Phrase
from netwright.inspection.initial_loss import loss_begun, loss_name
from netwright.inspection.initial_stages import stages_of
from netwright.inspection.initial_verdict import judged
from netwright.inspection.initial_weights import learn_from_zero
from netwright.inspection.refusals import opened, refuse
from netwright.inspection.signals import caught
from netwright.inspection.tracing import trace
from netwright.optim.untouched import untouched
from netwright.records.initial_state import InitialState


def initial_state(
    model: nn.Module,
    batch: Any,
    target: Tensor | None = None,
    loss: Callable[..., Tensor] | None = None,
    *,
    name: str = "",
) -> InitialState:
    """One forward and one backward pass of `model` on `batch`, and what its signal does on the way.

    `batch` is what the network reads: a tensor (N, ...), a tuple of arguments, or a mapping of
    arguments by name; as in training, normalised, on the model's device. The loss is `loss(output,
    target)`, or `loss(output)` without a target; without `loss` it is cross-entropy for whole
    numbers as `target`, else the mean squared error. Without either the gradient begins as a
    random direction of unit variance on the outputs, which no label can colour.

    The network runs in training mode, so that batch norms use the statistics of the batch; dropout
    rests, for its zeros tell nothing of the weights. Frozen weights are looked at as all others.
    Everything is left as it was, also after an exception: weights, gradients, statistics of norms,
    mode, hooks, random states.

    Raises `SettingError` for weights without values (meta, lazy), for a network in which nothing
    with weights runs, and for one that puts out nothing with a gradient.

    >>> layers = [nn.Linear(100, 100) for _ in range(10)]
    >>> for layer in layers:
    ...     _ = nn.init.normal_(layer.weight, 0.0, 0.01), nn.init.zeros_(layer.bias)
    >>> model = nn.Sequential(*(each for layer in layers for each in (layer, nn.Tanh())))
    >>> found = initial_state(model, torch.randn(64, 100))
    >>> found.verdict, round(found.forward_gain, 1)
    ('shrinking', 0.1)
    """
    model = opened(model, [])  # names are those of the network inside of DataParallel
    _refuse_empty(model, name)
    args, kwargs = _arguments(batch)
    try:
        return _measured(model, args, kwargs, target, loss, name)
    except _RefusedError as refused:
        error = refused.__cause__
        assert error is not None
        trace(model, args, kwargs, training=True)  # names the layer, where it is a shape
        raise refuse(model, None, error) from error


class _RefusedError(Exception):
    """The network did not run on the batch; the cause is what it raised."""


def _measured(
    model: nn.Module,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    target: Tensor | None,
    loss: Callable[..., Tensor] | None,
    name: str,
) -> InitialState:
    samples = next((len(each) for each in (*args, *kwargs.values()) if _has_rows(each)), 1)
    label = loss_name(target, loss)
    with untouched(model), torch.inference_mode(False), torch.enable_grad():
        weights = _learning(model)
        with caught(model) as signals:
            try:
                output = model(*args, **kwargs)
            except NetwrightError:
                raise
            except Exception as error:
                raise _RefusedError from error
        if not any(each.role == "weights" for each in signals):
            raise SettingError(
                "{model}: no layer with weights was seen at work, so there is no signal to judge.",
                hint="Expected convolutions, linear layers and the like; scripted modules hide "
                "theirs.",
                model=name or type(model).__name__,
            )
        begun = loss_begun(output, target, loss, name or type(model).__name__)
        found = torch.autograd.grad(begun, list(weights.values()), allow_unused=True)
        gradients = {
            name: each.to_dense() if each is not None and each.is_sparse else each
            for name, each in zip(weights, found, strict=True)
        }
        stages = stages_of(signals, weights, gradients)
        excused = learn_from_zero(weights, gradients)
    return judged(
        stages,
        excused=excused,
        model=name,
        kind=type(model).__name__,
        samples=samples,
        loss=label,
    )


_RESTING = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout)


def _learning(model: nn.Module) -> dict[str, nn.Parameter]:
    """Training mode, dropout at rest, and every parameter set to learn; the parameters."""
    for module in model.modules():
        module.training = not isinstance(module, _RESTING)
    found = {n: each for n, each in model.named_parameters() if each.is_floating_point()}
    for each in found.values():
        each.requires_grad_()
    return found


def _refuse_empty(model: nn.Module, name: str) -> None:
    for path, each in model.named_parameters():
        if isinstance(each, nn.UninitializedParameter):
            reason = Phrase("its shape is not known before the first forward pass")
        elif each.is_meta:
            reason = Phrase("it is on the meta device and has no values")
        elif each.is_inference():
            reason = Phrase("it was made in inference mode, and no gradient can flow through it")
        else:
            continue
        raise SettingError(
            "{model}: the initial state cannot be measured with {layer}: {reason}.",
            model=name or type(model).__name__,
            layer=path,
            reason=reason,
        )


def _arguments(batch: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Copies, for a network may work in place on what it reads."""
    if isinstance(batch, Mapping):
        return (), {key: _copied(each) for key, each in batch.items()}
    return tuple(_copied(each) for each in (batch if isinstance(batch, tuple) else (batch,))), {}


def _copied(value: Any) -> Any:
    with torch.inference_mode(False):
        return value.detach().clone() if isinstance(value, Tensor) else value


def _has_rows(value: Any) -> bool:
    return isinstance(value, Tensor) and value.ndim > 0
