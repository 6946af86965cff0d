"""What an inspection has to say beside its table: what was checked, what is not counted, which
parameters are tied, unused or frozen. Each is a word, a template and its values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from netwright.core.languages import Phrase
from netwright.records.inspection import InspectionRecord, ParameterFact
from netwright.report.field_reasons import matching, reason

_NAMED = 4


def notes(record: InspectionRecord, *, counted: int | None = None) -> Iterator[tuple[str, Phrase]]:
    """(word, message) pairs, `OK` first. `counted` is `sum(p.numel())` of the module itself."""
    if counted is not None and counted == record.params:
        yield (
            "OK",
            Phrase("parameter total equals sum(p.numel()): {params}", params=f"{record.params:,}"),
        )
    elif counted is not None:
        yield (
            "WARN",
            Phrase(
                "the parameter total {params} differs from sum(p.numel()), which is {counted}",
                params=f"{record.params:,}",
                counted=f"{counted:,}",
            ),
        )
    yield from uncounted(record)
    for fact in record.tied[:_NAMED]:
        yield (
            "NOTE",
            Phrase(
                "one tensor, counted once: {paths} ({numel} values)",
                paths=" = ".join(fact.paths),
                numel=f"{fact.numel:,}",
            ),
        )
    if record.unused:
        yield (
            "NOTE",
            Phrase(
                "no operation of this pass reads {names} ({numel} parameters): unused, or for "
                "another mode",
                names=_names(record.unused),
                numel=f"{sum(each.numel for each in record.unused):,}",
            ),
        )
    frozen = [each for each in record.parameters if not each.trainable]
    if frozen:
        yield (
            "NOTE",
            Phrase(
                "{numel} of {params} parameters are frozen: {names}",
                numel=f"{sum(each.numel for each in frozen):,}",
                params=f"{record.params:,}",
                names=_names(frozen),
            ),
        )
    for field in varying(record):
        yield "NOTE", field
    for text in record.notes:
        yield "NOTE", _spoken(text)


def uncounted(record: InspectionRecord) -> Iterator[tuple[str, Phrase]]:
    """Which operations have no rule, where there are any."""
    if record.unruled:
        yield (
            "WARN",
            Phrase(
                "there is no rule for {operations}: what they cost is not known, and not in the "
                "totals",
                operations=", ".join(f"{name} ({times}x)" for name, times in record.unruled),
            ),
        )


_SAID = (
    "The network inside of {kind} was inspected.",
    "The network asks for values ({why}): it was computed.",
    "Lazy layers were given their shapes on a copy.",
    "{count} weights of quantised layers are packed: they are not among the parameters.",
    "Batch norms in training mode see the whole batch; the fields are those of evaluation.",
    "Unpooling by index: the fields are an upper bound, as of nearest resizing.",
    "A tensor was written in place through a view that is not followed: the fields behind it are "
    "an upper bound.",
)
"""What the pass says of itself in a record, as templates that have translations."""


def _spoken(text: str) -> Phrase:
    """A remark of the record, in English there, as one that can be said in another language."""
    return matching(text, _SAID)


def varying(record: InspectionRecord) -> Iterator[Phrase]:
    """Where the receptive field first begins to vary with the position, and where it is lost."""
    told: set[str] = set()
    for layer in record.layers:
        for field in layer.fields if layer.leaf else ():
            if field.sight in ("varies", "unknown") and field.sight not in told:
                told.add(field.sight)
                if field.sight == "varies":
                    yield Phrase(
                        "from {layer} on the receptive field varies with the position: {why}",
                        layer=layer.name or record.model or record.kind,
                        why=reason(field.why or "-"),
                    )
                else:
                    yield Phrase(
                        "from {layer} on the receptive field is not known: {why}",
                        layer=layer.name or record.model or record.kind,
                        why=reason(field.why or "-"),
                    )


def _names(facts: Sequence[ParameterFact]) -> str:
    """The first names of many; parameters of one module are told once."""
    owners = list(
        dict.fromkeys(each.paths[0].rpartition(".")[0] or each.paths[0] for each in facts)
    )
    more = f", ... ({len(owners)})" if len(owners) > _NAMED else ""
    return ", ".join(owners[:_NAMED]) + more
