"""The optimizer of a script, and how its gradients are clipped and its weights shrunk."""

from __future__ import annotations

import string

from netwright.core.config import settings_of
from netwright.optim.groups import OptimCommon
from netwright.tasks.scripts.material import Material
from netwright.tasks.scripts.text import Call, Code, statement, written

_TORCH = {
    "sgd": ("SGD", "momentum={momentum}", "nesterov={nesterov}", "fused=True"),
    "gd": ("SGD", "fused=True"),
    "adam": ("Adam", "betas=({beta1}, {beta2})", "eps={eps}", "fused=True"),
    "adamw": ("AdamW", "betas=({beta1}, {beta2})", "eps={eps}", "fused=True"),
    "adagrad": ("Adagrad", "initial_accumulator_value={start}", "eps={eps}", "fused=True"),
    "adadelta": ("Adadelta", "rho={rho}", "eps={eps}", "foreach=True"),
    "nadam": (
        "NAdam",
        "betas=({beta1}, {beta2})",
        "eps={eps}",
        "momentum_decay={rise}",
        "decoupled_weight_decay={decoupled}",
        "foreach=True",
    ),
    "rmsprop": (
        "RMSprop",
        "alpha={rho}",
        "eps={eps}",
        "momentum={momentum}",
        "centered={centered}",
        "foreach=True",
    ),
}
"""Optimizers as torch has them: the class, and its arguments in terms of our settings. One that
is not here is made by its leaf."""

_SHARED = {each.name for each in settings_of(OptimCommon)}


def optimizer(material: Material) -> list[str]:
    """The groups of weights, and the optimizer made of them."""
    entry = material.optimizer
    material.value("optim.name")
    if entry.name in _TORCH:
        kind, *arguments = _TORCH[entry.name]
        names = {part[1] for each in arguments for part in string.Formatter().parse(each)}
        values = {name: written(material.value(f"optim.{name}")) for name in names if name}
        filled = [Code(each.format(**values)) for each in arguments]
        made = Call(f"torch.optim.{kind}", [Code("groups"), Code("lr=LR"), *filled])
    else:
        # What the leaf itself reads. Settings of all optimizers are carried out here or refused.
        own = material.options("optim", without=_SHARED)
        function, options = material.take_leaf(entry, {"lr": Code("LR"), **own})
        made = Call(function, [Code("groups"), options])
    return [*_groups(material), *statement("optimizer = ", made)]


def clipping(material: Material) -> list[str]:
    """The lines between `backward` and `step`."""
    limit = material.value("optim.clip")
    if limit is None:
        return []
    if material.closure:
        material.faults.append(f"optim.clip={limit}")
    return [
        "# The norm of all gradients together is kept below a limit.",
        'gradients = [w.grad for group in optimizer.param_groups for w in group["params"]]',
        # A network of the user's may have weights that it does not use.
        *(["gradients = [g for g in gradients if g is not None]"] if material.own_model else []),
        "norms = [torch.linalg.vector_norm(each).item() for each in gradients]",
        "norm = math.sqrt(sum(each * each for each in norms))",
        f"if norm > {limit}:",
        "    for each in gradients:",
        f"        each.mul_({limit} / (norm + 1e-6))",
    ]


def shrinking(material: Material) -> list[str]:
    """The lines after `step`: L1 as a proximal step."""
    l1, spare = material.value("optim.l1"), material.value("optim.spare")
    if not l1:
        return []
    if material.closure:
        material.faults.append(f"optim.l1={l1}")
    weights = '[w for w in group["params"] if w.ndim >= 2]' if spare else 'group["params"]'
    return [
        "# L1: each weight moves to 0 by the rate times l1, and stops there.",
        "with torch.no_grad():",
        "    for group in optimizer.param_groups:",
        f'        amount = group["lr"] * {l1}',
        f"        for w in {weights}:",
        "            w.sub_(w.clamp(-amount, amount))",
    ]


def _groups(material: Material) -> list[str]:
    decay, spare = material.value("optim.wd"), material.value("optim.spare")
    if material.own_model:  # which may have weights that are not to be trained
        material.take("netwright.optim.groups", "parameter_groups")
        how = {} if spare else {"spare": False}
        return statement("groups = ", Call("parameter_groups", [Code("model"), decay], how))
    if not spare or decay == 0:
        group = {"params": Code("list(model.parameters())"), "weight_decay": decay}
        return statement("groups = ", [group])
    return [
        "# Biases and norm layers are not decayed.",
        "decayed = [w for w in model.parameters() if w.ndim >= 2]",
        "spared = [w for w in model.parameters() if w.ndim < 2]",
        "groups = [",
        f'    {{"params": decayed, "weight_decay": {written(decay)}}},',
        '    {"params": spared, "weight_decay": 0.0},',
        "]",
    ]
