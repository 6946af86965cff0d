"""The optimizer and the model do not speak of the same parameters."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._course import course, unlearned
from netwright.doctor.conditions._graph import listed
from netwright.doctor.conditions._harm import any_of, stuck, unfit
from netwright.doctor.conditions._still import Stillness, stillness
from netwright.records.facts.layers import Layers
from netwright.records.facts.loop import Loop
from netwright.records.facts.setup import GroupFact, Setup
from netwright.records.findings import Evidence, Finding, Treatment
from netwright.records.record import Record

# Looks: somebody else who moves these parameters would have been seen by then.
_LOOKS = 3
# Rates of two groups: discriminative fine-tuning spreads them over two or three orders.
_APART = 1e4


@CONDITIONS.register(
    "stale-optimizer",
    reads=Record,
    when="in the first steps",
    group="wiring",
    severity="stop",
)
def stale_optimizer(record: Record) -> Iterator[Finding]:
    """The optimizer holds other parameters than the model has, or leaves some of them out.

    Why it hurts: what no optimizer holds gets gradients and is never moved. It happens when a
    layer is exchanged, or a model built anew, after the optimizer was made.

    Evidence: by identity: tensors an optimizer holds that are not in the model and get no gradient;
    parameters of the model with a gradient that no optimizer holds and that nobody moved while it
    was watched, some of layers of which one holds the rest; groups whose rates are 0 beside others,
    or 10,000 times apart. Where most weights stand still so, as an initialiser draws them, one
    batch tells the harm: it is fitted on a copy with all weights trained, and not with these still.

    Would be wrong if: the rest is left out on purpose, or somebody else trains it later.

    Not to be confused with: a head that is trained on a network left as it is; parameters of the
    loss, which are not in the model and do get gradients; a second optimizer.

    Treatment: make the optimizer after the model is complete; safe.

    Source: Humbatova et al. 2020, Taxonomy of real faults; PyTorch documentation, torch.optim.
    """
    loop = record.get(Loop)
    if loop is not None and loop.looked >= _LOOKS:
        found = list(_strangers(record, loop))
        yield from found
        if found:
            return
    left = stillness(record, "left")
    if left is not None:
        yield _left(left)
        return
    setup = record.get(Setup)
    if setup is not None:
        yield from _apart(setup, stillness(record, "rate"))


def _strangers(record: Record, loop: Loop) -> Iterator[Finding]:
    both = bool(loop.not_in_model)
    missing = loop.not_held
    torn = () if both else _torn(record, missing)
    if not missing or (not both and not torn and not _odd(record, missing)):
        return
    layers = tuple(dict.fromkeys(each.rpartition(".")[0] for each in missing))
    cause = [
        Evidence(
            signal=Phrase("parameters with a gradient that no optimizer holds"),
            value=len(missing),
            baseline=0,
        )
    ]
    if both:
        cause.insert(
            0,
            Evidence(
                signal=Phrase("tensors of the optimizer that are not in the model, of {all}",
                              all=loop.held),
                value=loop.not_in_model,
                baseline=0,
            ),
        )  # fmt: skip
    harm = [
        Evidence(
            signal=Phrase("of these, parameters that anybody moved while it was watched"),
            value=0,
            baseline=len(missing),
            witness="harm",
        )
    ] if both else list(any_of(stuck(record), _unlearned(record) if torn else None))  # fmt: skip
    if torn and not harm:
        return
    yield Finding(
        name="stale-optimizer",
        severity="stop" if both else "warn" if harm else "note",
        layers=layers,
        what=Phrase("No optimizer holds the parameters of {layers}",
                    layers=listed([each or "(model)" for each in layers])),
        evidence=(*cause, *harm),
        cause=Phrase("The optimizer was made before the model was changed: it holds the old ones.")
        if both
        else Phrase("The optimizer was given a part of the parameters."),
        confidence=1.0 if both else 0.6,
        wrong_if=Phrase("these are left as they are on purpose"),
        not_to_be_confused_with=Phrase("a head trained on a network that is left as it is"),
        treatments=(
            Treatment(
                name="rebuild-optimizer",
                grade="safe" if both else "ask",
                why=Phrase("Make the optimizer after the last change of the model."),
                code="optimizer = type(optimizer)(model.parameters(), **optimizer.defaults)",
            ),
        ),
    )  # fmt: skip


def _torn(record: Record, missing: tuple[str, ...]) -> tuple[str, ...]:
    """Layers of which an optimizer holds one parameter (a bias) and nobody another (its weight): in
    a network that is trained from its start nobody means that."""
    setup = record.get(Setup)
    if setup is None or setup.pretrained:
        return ()
    held = {
        name.rpartition(".")[0]
        for optimizer in setup.optimizers
        for group in optimizer.groups
        for name in group.names
        if name
    }
    left = dict.fromkeys(each.rpartition(".")[0] for each in missing)
    torn = tuple(each for each in left if each in held)
    return torn if 2 * len(torn) >= len(left) else ()


def _unlearned(record: Record) -> Evidence | None:
    found = course(record)
    return None if found is None else unlearned(record, found) or unfit(record)


def _odd(record: Record, missing: tuple[str, ...]) -> bool:
    """Whether something behind a trained layer is left out: not a network under a new head."""
    setup, layers = record.get(Setup), record.get(Layers)
    if setup is None or setup.pretrained or layers is None:
        return False
    held = {
        name.rpartition(".")[0]
        for optimizer in setup.optimizers
        for group in optimizer.groups
        for name in group.names
    }
    order = [each for each in layers.names if ":" not in each and "#" not in each]
    left = {each.rpartition(".")[0] for each in missing}
    trained = [place for place, name in enumerate(order) if name in held]
    without = [place for place, name in enumerate(order) if name in left and name not in held]
    return bool(trained and without) and max(without) > min(trained)


def _left(still: Stillness) -> Finding:
    layers = still.fact.layers
    return Finding(
        name="stale-optimizer",
        severity="warn",
        layers=layers,
        what=Phrase("No optimizer holds the parameters of {layers}", layers=listed(list(layers))),
        evidence=(*still.cause, still.harm),
        cause=Phrase("The optimizer was given a part of the parameters."),
        confidence=0.85,
        wrong_if=Phrase("these are left as they are on purpose"),
        not_to_be_confused_with=Phrase("a head trained on a network that is left as it is"),
        treatments=(
            Treatment(
                name="rebuild-optimizer",
                grade="ask",
                why=Phrase("Give the optimizer all parameters of the model."),
                code="optimizer = type(optimizer)(model.parameters(), **optimizer.defaults)",
            ),
        ),
    )


def _apart(setup: Setup, still: Stillness | None) -> Iterator[Finding]:
    groups = [group for each in setup.optimizers for group in each.groups if group.params]
    rates = [each.lr for each in groups]
    if len(groups) < 2 or max(rates) <= 0 or min(rates) * _APART >= max(rates):
        return
    slow = min(groups, key=lambda each: each.lr)
    yield Finding(
        name="stale-optimizer",
        severity="warn" if still else "note",
        layers=_layers(slow),
        what=Phrase("One group of parameters has the rate {low:.3g}, another {high:.3g}",
                    low=min(rates), high=max(rates)),
        evidence=(
            Evidence(
                signal=Phrase("rate of the slowest group"),
                value=min(rates),
                baseline=max(rates),
                threshold=max(rates) / _APART,
            ),
            *((*still.cause, still.harm) if still else ()),
        ),
        cause=Phrase("The groups were given rates that are more than 10,000 times apart."),
        wrong_if=Phrase("the group is kept still on purpose"),
        treatments=(
            Treatment(
                name="same-rates",
                grade="ask",
                why=Phrase("Bring the rates of the groups closer, or freeze the slow one openly."),
            ),
        ),
    )  # fmt: skip


def _layers(group: GroupFact) -> tuple[str, ...]:
    return tuple(dict.fromkeys(each.rpartition(".")[0] for each in group.names if each))
