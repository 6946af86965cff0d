import json

from netwright.core.languages import speaking
from netwright.records.memory import (
    InferenceMemory,
    MemoryParts,
    MemoryPoint,
    Moment,
    thinned,
)


def test_a_moment_is_said_in_words() -> None:
    assert str(Moment(phase="backward", layer="layer3.0.conv1")) == "backward of layer3.0.conv1"
    assert str(Moment(phase="step")) == "optimizer step"
    assert str(Moment(phase="forward")) == "forward of the network itself"


def test_a_moment_is_said_in_the_language_of_the_user() -> None:
    moment = Moment(phase="backward", layer="conv1")
    with speaking("zh"):
        assert moment.phrase.localized() == "conv1 的反向传播"
        assert str(moment) == "backward of conv1"  # in files and in Python: English


def test_the_total_of_the_parts_is_their_sum() -> None:
    assert MemoryParts(weights=1, activations=20, scratch=300).total == 321


def test_a_thinned_timeline_keeps_its_peak_and_order() -> None:
    points = [
        MemoryPoint(operation=n, phase="forward", bytes=9000 if n == 777 else n)
        for n in range(5000)
    ]
    few = thinned(points)
    assert len(few) == 300
    assert max(each.bytes for each in few) == 9000
    assert [each.operation for each in few] == sorted(each.operation for each in few)
    assert thinned(points[:10]) == tuple(points[:10])


def test_the_facts_go_into_json() -> None:
    found = InferenceMemory(
        peak_bytes=10,
        moment=Moment(phase="forward", layer="0"),
        parts=MemoryParts(weights=10),
        timeline=(MemoryPoint(operation=0, phase="forward", bytes=10),),
        output_bytes=4,
    )
    facts = json.loads(json.dumps(found.to_json()))
    assert facts["moment"]["words"] == "forward of 0"
    assert facts["parts"]["weights"] == 10
    assert "resident size" in facts["figure"]
