"""The loop of a script: one step after the other, judged after each epoch."""

from __future__ import annotations

from netwright.tasks.scripts.losses import divisor, loss_lines
from netwright.tasks.scripts.material import Material
from netwright.tasks.scripts.optimizers import clipping, shrinking
from netwright.tasks.scripts.schedules import rate_lines, watching_lines
from netwright.tasks.scripts.speeds import logits_lines, preparation
from netwright.tasks.scripts.text import Call, Code, statement
from netwright.tasks.scripts.weights import update_of_average

_SEEDED = [
    "# What draws at random (dropout) draws by the number of the step.",
    'torch.manual_seed(key(SEED, "noise", step))',
]
_RIGHT = "(logits.argmax(1) == batch.target).sum().item()"


def loop(material: Material) -> list[str]:
    """From the first step to the last."""
    best = material.value("run.select") == "best"
    patience = material.value("run.early_stop")
    lines = [*preparation(material), "model.train()"]
    if best:
        material.imports.add("import copy")
        lines.append("best, weights = -1.0, None")
    if patience is not None:
        lines.append("waited = 0  # evaluations since the best one")
    lines += ["total, right, seen = 0.0, 0, 0"]
    lines.append("for step, batch in enumerate(train.iterate(0, steps)):")
    step = _closed(material) if material.closure else _open(material)
    step = [*rate_lines(material), *step, *shrinking(material), *update_of_average(material)]
    step += [
        "total, right, seen = total + value, right + hits, seen + len(batch.target)",
        "if (step + 1) % per_epoch and step + 1 < steps:",
        "    continue",
        "",
        *_judging(material),
    ]
    if patience is not None:
        step.append("waited += 1")
    if best:
        kept = f"copy.deepcopy({material.network}.state_dict())"
        step += ['if judged["acc1"] > best:', f'    best, weights = judged["acc1"], {kept}']
    if patience is not None:
        step += ["    waited = 0", f"if waited >= {patience}:", "    break"]
    return [*lines, *(f"    {line}" if line else "" for line in step)]


def _open(material: Material) -> list[str]:
    """A step of an optimizer that takes the gradients as they are."""
    return [
        *_SEEDED,
        *(_passes(material) if material.passes > 1 else _one_pass(material, indent=4)),
        "if not math.isfinite(value):",
        '    raise SystemExit(f"Training diverged: the loss is {value} in step {step}.")',
        *clipping(material),
        "optimizer.step()",
    ]


def _one_pass(material: Material, *, indent: int) -> list[str]:
    return [
        *logits_lines(material, "batch.images"),
        *(line[indent:] for line in loss_lines(material, indent=indent)),
        "optimizer.zero_grad()",
        "loss.backward()",
        f"value, hits = loss.item(), {_RIGHT}",
    ]


def _passes(material: Material) -> list[str]:
    """One step as several passes, each over its part of the batch."""
    material.take("netwright.optim.accumulation", "accumulate")
    keywords = {"divisor": Code(divisor(material))} if divisor(material) else {}
    values = [Code("loss_of"), Code("len(batch.target)"), Code("ACCUMULATE")]
    made = statement("value = ", Call("accumulate", values, keywords), ".item()", indent=4)
    return [
        "optimizer.zero_grad()",
        "hits = 0",
        "",
        "def loss_of(part):",
        "    global hits",
        *(f"    {line}" for line in logits_lines(material, "batch.images[part]")),
        *(line[4:] for line in loss_lines(material, indent=8, target="batch.target[part]")),
        "    hits += (logits.argmax(1) == batch.target[part]).sum().item()",
        "    return loss",
        "",
        *(line[4:] for line in made),
    ]


def _closed(material: Material) -> list[str]:
    """An optimizer that asks for the loss several times: the first answer is the one told."""
    clipping(material)  # which it refuses
    if material.passes > 1:
        material.faults.append(f"optim.accumulate={material.passes}")
    return [
        "begun = []",
        "",
        "def closure():",
        *(f"    {line}" for line in [*_SEEDED, *_one_pass(material, indent=8)]),
        "    begun.append((value, hits))",
        "    return loss",
        "",
        "optimizer.step(closure)",
        "value, hits = begun[0]",
    ]


def _judging(material: Material) -> list[str]:
    lines = [f"judged = evaluate({material.network}, val)"]
    if material.network == "model":
        lines.append("model.train()")
    return [
        *lines,
        'measured = {"step": step + 1, "epoch": math.ceil((step + 1) / per_epoch)}',
        'measured["train/loss"] = total / (step % per_epoch + 1)',
        'measured["train/acc1"] = right / seen',
        'measured["lr/g0"] = optimizer.param_groups[0]["lr"]',
        'measured |= {f"val/{name}": number for name, number in judged.items()}',
        "print(json.dumps(measured), flush=True)",
        "total, right, seen = 0.0, 0, 0",
        *watching_lines(material),
    ]
