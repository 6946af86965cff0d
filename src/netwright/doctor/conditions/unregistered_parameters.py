"""Layers that run and that the network does not know of."""

from __future__ import annotations

from collections.abc import Iterator

from netwright.core.languages import Phrase
from netwright.doctor.conditions import CONDITIONS
from netwright.doctor.conditions._graph import listed
from netwright.records.facts.wiring import Wiring
from netwright.records.findings import Evidence, Finding, Treatment, amount
from netwright.records.record import Record


@CONDITIONS.register(
    "unregistered-parameters",
    reads=Record,
    when="before the first step",
    group="wiring",
    severity="stop",
)
def unregistered_parameters(record: Record) -> Iterator[Finding]:
    """Layers stand in a plain list or dict, or are made in the forward pass.

    Why it hurts: `model.parameters()` does not give them, so no optimizer trains them; they are
    not moved to the device, not saved with the model, and not put into evaluation mode.

    Evidence: leaves of the graph of the first loss that are no parameter of the model, and the
    place in the model that holds them; parameters that belong to nobody and are others at the
    next loss.

    Would be wrong if: the list is there to keep a second network out of this one on purpose, such
    as a teacher; that one gets no gradient and is not counted.

    Not to be confused with: parameters of the loss, tensors that are the input itself (attacks,
    style transfer), other models of the same script.

    Treatment: ModuleList, ModuleDict or ParameterList for the plain one; code.

    Source: PyTorch documentation, torch.nn.ModuleList.
    """
    wiring = record.get(Wiring)
    if wiring is None or not (wiring.hidden or wiring.made_anew):
        return
    whole = wiring.registered_numel + wiring.hidden_numel
    share = wiring.hidden_numel / whole if whole else 0.0
    lost = wiring.made_anew or not wiring.hidden_held
    yield Finding(
        name="unregistered-parameters",
        severity="note" if not lost else "stop" if share > 0.5 else "warn",
        layers=wiring.hidden,
        what=Phrase("{places} holds {count} weights that the network does not register",
                    places=listed(list(wiring.hidden)), count=amount(wiring.hidden_numel))
        if wiring.hidden
        else Phrase("{count} parameters are made anew in each forward pass",
                    count=wiring.made_anew),
        evidence=(
            Evidence(
                signal=Phrase("tensors in the graph of the loss that are in no module"),
                value=len(wiring.hidden) or wiring.made_anew,
                baseline=0,
            ),
            *(
                [
                    Evidence(
                        signal=Phrase("weights that get a gradient and no optimizer holds")
                        if wiring.hidden
                        else Phrase("of these, parameters that outlive their step"),
                        value=wiring.hidden_numel if wiring.hidden else 0,
                        baseline=0 if wiring.hidden else wiring.made_anew,
                        witness="harm",
                    )
                ]
                if lost
                else []
            ),
        ),
        cause=Phrase("Plain lists, dicts and tensors are not searched for parameters.")
        if wiring.hidden
        else Phrase("forward makes a new nn.Parameter each time, so that none is ever trained."),
        wrong_if=Phrase("they are kept out of the network on purpose"),
        treatments=(
            Treatment(
                name="module-list",
                grade="advice",
                why=Phrase("Hold layers in ModuleList or ModuleDict, parameters in ParameterList.")
                if wiring.hidden
                else Phrase("Make the parameter once, in __init__."),
                code="self.layers = nn.ModuleList(layers)" if wiring.hidden else "",
            ),
        ),
    )  # fmt: skip
