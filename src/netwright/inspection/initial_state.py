"""The state a network starts in, on a real batch: signals and gradients, stage by stage."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from netwright.core.errors import NetwrightError, SettingError
from netwright.core.languages import Phrase
from netwright.inspection.initial_verdict import judged
from netwright.inspection.refusals import opened, refuse
from netwright.inspection.signals import Signal, caught, norm_of
from netwright.inspection.tracing import trace
from netwright.optim.untouched import untouched
from netwright.records.initial_state import InitialState, StageState


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
    label = _label(target, loss)
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
        begun = _loss(output, target, loss, name or type(model).__name__)
        gradients = dict(
            zip(
                weights,
                torch.autograd.grad(begun, list(weights.values()), allow_unused=True),
                strict=True,
            )
        )
        stages = _stages(model, signals, weights, gradients)
        excused = _learn_from_zero(weights, gradients)
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


def _label(target: Tensor | None, loss: Callable[..., Tensor] | None) -> str:
    if loss is not None:
        return str(getattr(loss, "__name__", type(loss).__name__))
    if target is None:
        return "random direction"
    return "mean squared error" if target.is_floating_point() else "cross-entropy"


def _loss(
    output: Any, target: Tensor | None, loss: Callable[..., Tensor] | None, name: str
) -> Tensor:
    if loss is not None:
        begun = loss(output) if target is None else loss(output, target)
    else:
        parts = [each for each in _outputs(output) if each.requires_grad]
        generator = torch.Generator().manual_seed(0)
        begun = torch.zeros(())
        for part in parts:
            if target is None:
                direction = torch.randn(part.shape, generator=generator).to(part)
                term = (part * direction).sum() / max(1, len(part) if part.ndim else 1)
            else:
                term = _distance(part, target, name)
            begun = begun.to(term.device) + term
    if not isinstance(begun, Tensor) or not begun.requires_grad:
        raise SettingError(
            "{model}: what it puts out has no gradient, so none can be measured.",
            hint="Give a loss that makes one number of it: loss=lambda output: ...",
            model=name,
        )
    return begun


def _distance(output: Tensor, target: Tensor, name: str) -> Tensor:
    """Mean squared error or cross-entropy, where the two fit."""
    try:
        if not target.is_floating_point():
            return F.cross_entropy(output, target)
        if output.shape == target.shape:
            return F.mse_loss(output, target)
        reason = ""
    except (RuntimeError, ValueError, IndexError) as error:
        reason = str(error).partition("\n")[0]
    raise SettingError(
        "{model}: the target {target} does not fit the output {output}. {reason}",
        model=name,
        target=str(tuple(target.shape)),
        output=str(tuple(output.shape)),
        reason=reason,
    )


def _outputs(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    parts = value.values() if isinstance(value, Mapping) else value
    if not isinstance(value, Mapping | list | tuple):
        return []
    return [each for part in parts for each in _outputs(part)]


def _stages(
    model: nn.Module,
    signals: list[Signal],
    weights: Mapping[str, Tensor],
    gradients: Mapping[str, Tensor | None],
) -> list[StageState]:
    groups: list[list[Signal]] = []
    for signal in signals:
        if signal.role == "weights":
            groups.append([signal])
        elif groups:  # a norm of the input itself belongs to no weights
            groups[-1].append(signal)
    calls: dict[str, int] = {}
    found = []
    for group in groups:
        head = group[0]
        call = calls.get(head.layer, 0)
        calls[head.layer] = call + 1
        found.append(_stage(group, call, weights, gradients))
    return found


def _stage(
    group: list[Signal],
    call: int,
    weights: Mapping[str, Tensor],
    gradients: Mapping[str, Tensor | None],
) -> StageState:
    head, end = group[0], group[-1]
    prefix = f"{head.layer}." if head.layer else ""
    # A weight that is computed (weight norm, ...) has its gradient in what it is computed from.
    own = head.weights or tuple(
        each for each in weights if each.startswith(prefix) and weights[each].ndim > 1
    )
    given = [g for each in own if (g := gradients.get(each)) is not None]
    norms = [each for each in group if each.role == "norm"]
    scales = [weights[n] for each in norms for n in each.weights if n in weights]
    flats = [each.flat for each in group if each.flat is not None]
    acted = [each.operation for each in group if each.role == "activation"]
    worst = max(flats, key=lambda f: (f.squashes, f.saturated), default=None)
    return StageState(
        layer=head.layer,
        operation=head.operation,
        call=call,
        norm=norms[0].operation if norms else "",
        activation=acted[-1] if acted else "",
        shape=end.shape,
        raw=head.values,
        signal=end.values,
        saturated=None if worst is None else worst.saturated,
        dead=max((f.dead for f in flats), default=None),
        seen=min((f.seen for f in flats), default=0),
        squashes=worst is not None and worst.squashes,
        gradient=end.gradient,
        weight_gradient=_norm(given),
        alike=_alike(own, weights, gradients),
        started_at_zero=_zero([weights[each] for each in own if each in weights]) or _zero(scales),
    )


def _norm(tensors: list[Tensor]) -> float | None:
    if not tensors:
        return None
    return math.hypot(*(norm_of(each) for each in tensors))


def _zero(tensors: list[Tensor]) -> bool:
    return bool(tensors) and not any(_any(each) for each in tensors)


def _any(tensor: Tensor) -> bool:
    """Whether a number is not 0: mostly the first row tells, and millions need no look."""
    values = tensor.detach()
    return bool(values.ndim and values[:1].any()) or bool(values.any())


def _alike(
    own: tuple[str, ...], weights: Mapping[str, Tensor], gradients: Mapping[str, Tensor | None]
) -> bool:
    """Whether all units have the same weights and the same gradient, so that no step parts them.

    A residual branch whose last weights start at 0 is not meant: its units get gradients of
    their own.
    """
    for name in own:
        weight, gradient = weights.get(name), gradients.get(name)
        if weight is None or gradient is None or len(weight) < 2:
            return False
        for part in (2, len(weight)):  # mostly the first two already differ
            for rows in (weight.detach()[:part], gradient[:part]):
                if not float((rows - rows[:1]).abs().max()) <= 1e-4 * float(rows.abs().max()):
                    return False
    return bool(own)


def _learn_from_zero(weights: Mapping[str, Tensor], gradients: Mapping[str, Tensor | None]) -> bool:
    """Whether a weight or scale that is all 0 gets a gradient: what lies before it waits one step.

    Biases start at 0 everywhere, and open no way back to earlier layers.
    """
    return any(
        "bias" not in name.rpartition(".")[2]
        and not _any(weight)
        and (gradient := gradients.get(name)) is not None
        and _any(gradient)
        for name, weight in weights.items()
    )
