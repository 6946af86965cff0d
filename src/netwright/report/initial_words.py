"""The verdict on a start in sentences, each with its numbers."""

from __future__ import annotations

from collections.abc import Sequence

from netwright.core.languages import say
from netwright.records.initial_state import InitialState, Judgement
from netwright.report.text_table import Column, aligned
from netwright.report.words import digits, percent, short


def told(state: InitialState) -> list[str]:
    """What is wrong, the gravest first; or that nothing is, and by which numbers."""
    if state.judgements:
        return [_judgement(each, state) for each in state.judgements]
    if state.forward_gain is None and state.backward_gain is None:
        return [
            say("Steady: nothing is flat or dead; too few layers for a gain from one to the next.")
        ]
    if state.forward_gain is None or state.backward_gain is None:
        way = say("forward") if state.forward_gain is not None else say("backward")
        gain = state.forward_gain if state.forward_gain is not None else state.backward_gain
        return [say("Steady: {way} {gain} times a layer.", way=way, gain=digits(gain, 2))]
    return [
        say(
            "Steady: forward the signal ends at {forward} of what it began with ({gain} times a "
            "layer), backward the gradient at {backward} ({back_gain} times a layer).",
            forward=digits(state.forward_product, 2),
            gain=digits(state.forward_gain, 3),
            backward=digits(state.backward_product, 2),
            back_gain=digits(state.backward_gain, 3),
        )
    ]


def compared(states: Sequence[InitialState], *, cells: int) -> list[str]:
    """A table of several starts: the verdict, and what forward and backward come to in all."""
    return aligned(
        [
            Column(head=say("initialiser"), cells=[each.initialiser for each in states]),
            Column(head=say("activation"), cells=[each.activation for each in states], right=False),
            Column(head=say("verdict"), cells=[each.verdict for each in states], right=False),
            Column(head=say("forward"), cells=[digits(each.forward_product, 2) for each in states]),
            Column(
                head=say("backward"), cells=[digits(each.backward_product, 2) for each in states]
            ),
        ],
        cells=cells,
    )


def _judgement(found: Judgement, state: InitialState) -> str:
    layers = _listed(found.layers)
    if found.direction:
        return _drift(found, state)
    if found.verdict == "nonfinite":
        return say("Not finite: {layers} put out NaN or infinity.", layers=layers)
    if found.verdict == "saturated":
        return say(
            "Saturated: up to {share} of the values of {layers} lie where the activation is flat "
            "(slope below 5 % of its steepest).",
            share=percent(found.value, 0),
            layers=layers,
        )
    if found.verdict == "alike":
        return say(
            "Alike: all units of {layers} are equal and get equal gradients; the layer works as "
            "one unit, for ever.",
            layers=layers,
        )
    if found.value:
        return say(
            "Dead: up to {share} of the units of {layers} have no slope for any of {count} "
            "samples.",
            share=percent(found.value, 0),
            layers=layers,
            count=state.samples,
        )
    return say("Dead: no gradient reaches the weights of {layers}.", layers=layers)


def _drift(found: Judgement, state: InitialState) -> str:
    forward = found.direction == "forward"
    gain = state.forward_gain if forward else state.backward_gain
    product = digits(found.value, 2)
    if found.reach == 1:  # what it comes to is the gain of that layer
        return _drift_of_one(found, product)
    values = {"product": product, "gain": digits(gain, 2), "reach": found.reach}
    if found.verdict == "shrinking":
        if forward:
            return say(
                "Shrinking: forward the signal ends at {product} of what it began with, {gain} "
                "times a layer over {reach} layers.",
                **values,
            )
        return say(
            "Shrinking: backward the gradient ends at {product} of what it began with, {gain} "
            "times a layer over {reach} layers; the first layers hardly learn.",
            **values,
        )
    if forward:
        return say(
            "Growing: forward the signal ends at {product} times what it began with, {gain} times "
            "a layer over {reach} layers.",
            **values,
        )
    return say(
        "Growing: backward the gradient ends at {product} times what it began with, {gain} times "
        "a layer over {reach} layers.",
        **values,
    )


def _drift_of_one(found: Judgement, product: str) -> str:
    if found.verdict == "shrinking":
        if found.direction == "forward":
            return say(
                "Shrinking: forward the signal ends at {product} of what it began with, over one "
                "layer.",
                product=product,
            )
        return say(
            "Shrinking: backward the gradient ends at {product} of what it began with, over one "
            "layer; the first layer hardly learns.",
            product=product,
        )
    if found.direction == "forward":
        return say(
            "Growing: forward the signal ends at {product} times what it began with, over one "
            "layer.",
            product=product,
        )
    return say(
        "Growing: backward the gradient ends at {product} times what it began with, over one "
        "layer.",
        product=product,
    )


def _listed(names: Sequence[str], most: int = 3) -> str:
    """The first few names, and how many more there are."""
    shown = [short(each or "-") for each in names[:most]]
    if len(names) > most:
        return say("{names} and {count} more", names=", ".join(shown), count=len(names) - most)
    return ", ".join(shown)
