"""Findings as facts: what they must carry, how they are ranked and spoken."""

import dataclasses
import json

import pytest

from netwright.core.languages import Phrase, speaking
from netwright.records.findings import Evidence, Finding, Treatment, ranked


def finding(name="dead-branch", severity="note", witnesses=("cause",), **more) -> Finding:
    return Finding(
        name=name,
        severity=severity,
        what=Phrase("Nothing reads what {layers} computes", layers="fc"),
        evidence=tuple(
            Evidence(signal=Phrase("taps"), value=2.0, baseline=1.0, witness=each)
            for each in witnesses
        ),
        cause=Phrase("larger images are used later"),
        wrong_if=Phrase("they were frozen on purpose"),
        treatments=(Treatment(name="look", grade="advice", why=Phrase("taps")),),
        **more,
    )


def test_a_finding_without_evidence_is_refused():
    with pytest.raises(ValueError, match="dead-branch was found without evidence"):
        finding(witnesses=())


@pytest.mark.parametrize("severity", ["warn", "stop"])
@pytest.mark.parametrize("witness", ["cause", "harm"])
def test_an_alarm_needs_both_witnesses(severity, witness):
    with pytest.raises(ValueError, match=f"needs a witness of the cause .* it has {witness}"):
        finding(severity=severity, witnesses=(witness,))
    assert finding(severity=severity, witnesses=("cause", "harm")).severity == severity


def test_the_worst_comes_first_and_then_the_order_of_treatment():
    both = ("cause", "harm")
    found = [
        finding("a", group="structure"),
        finding("b", group="data"),
        finding("c", "warn", both, group="generalisation"),
        finding("d", "stop", both, group="generalisation"),
        finding("e", "warn", both, group="structure", confidence=0.5),
        finding("f", "warn", both, group="structure"),
    ]
    assert [each.name for each in ranked(found)] == ["d", "f", "e", "c", "b", "a"]


def pointing(name, **more):
    look = Treatment(name="see-causes", grade="advice", why=Phrase("taps"))
    return dataclasses.replace(finding(name, **more), treatments=(look,))


def test_what_only_points_to_causes_comes_after_what_names_one():
    first = pointing("points", group="data")
    assert [e.name for e in ranked([first, finding("names")])] == ["names", "points"]


def test_what_points_comes_first_where_it_explains_the_other():
    named = finding("names", group="data", yields_to=("points",))
    assert [e.name for e in ranked([named, pointing("points")])] == ["points", "names"]


def test_a_symptom_comes_after_the_cause_it_yields_to():
    symptom = finding("symptom", group="data", yields_to=("root",))
    root = finding("root", group="structure")
    assert [each.name for each in ranked([symptom, root])] == ["root", "symptom"]
    assert [each.name for each in ranked([symptom])] == ["symptom"]


def test_it_is_spoken_in_the_language_of_the_user():
    with speaking("en"):
        assert finding().paragraphs() == [
            "Nothing reads what fc computes",
            "taps: 2, against 1",
            "larger images are used later",
            "advice: taps",
            "would be wrong if they were frozen on purpose",
        ]
    with speaking("zh"):
        spoken = finding().paragraphs()
    assert spoken[0] == "没有任何操作读取 fc 的结果"
    assert spoken[-1] == "若它们是有意冻结的，则此判断不成立"


def test_json_has_every_field_in_english_and_the_message_as_a_template():
    with speaking("zh"):
        document = json.loads(json.dumps(finding(layers=("fc",)).to_json(), allow_nan=False))
    assert {field.name for field in dataclasses.fields(Finding)} <= set(document)
    assert document["format"] == 1
    assert document["what"] == "Nothing reads what fc computes"
    assert (
        document["message"]["template"].format(**document["message"]["values"])
        == (document["what"])
    )
    assert document["evidence"][0] == {
        "signal": "taps", "value": 2.0, "baseline": 1.0, "threshold": None, "unit": "",
        "witness": "cause", "layer": "", "step": None,
        "message": {
            "template": "{signal}: {value}, against {baseline}",
            "values": {
                "signal": {"template": "taps", "values": {}}, "value": "2", "baseline": "1",
            },
        },
    }  # fmt: skip
    taps = {"template": "taps", "values": {}}
    assert document["treatments"] == [
        {"name": "look", "grade": "advice", "why": "taps", "code": "", "message": taps}
    ]
