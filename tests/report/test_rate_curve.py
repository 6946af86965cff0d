"""The picture of a range test: readable, inside its frame, whatever the curve."""

import math
import xml.etree.ElementTree as ET

import pytest

from netwright.core.languages import speaking
from netwright.report.rate_curve import HEIGHT, WIDTH, rate_curve
from netwright.report.svg import text_width

SVG = "{http://www.w3.org/2000/svg}"
RATES = [10 ** (-6 + 7 * k / 99) for k in range(100)]
VALLEY = [2.3 - 1.5 / (1 + (0.01 / rate) ** 2) + (rate / 0.5) ** 2 for rate in RATES]
READINGS = {"steepest": 0.009, "middle": 0.01, "blow-up": 0.02}


def drawn(losses: list[float], **more: object) -> ET.Element:
    return ET.fromstring(str(rate_curve(RATES[: len(losses)], losses, **more)))


def labels(picture: ET.Element) -> list[str]:
    return [each.text or "" for each in picture.iter(f"{SVG}text")]


def test_it_marks_the_suggestion_and_what_each_rule_read() -> None:
    shown = labels(drawn(VALLEY, readings=READINGS, suggestion=0.01, optimizer="SGD"))
    for words in (
        "suggested 0.010",
        "steepest 0.0090",
        "half-way 0.010",
        "a tenth of the blow-up 0.020",
    ):
        assert words in shown
    assert "0.001" in shown  # the axis counts in powers of ten


def test_a_lower_loss_is_drawn_lower() -> None:
    heights = [float(each.get("cy", 0)) for each in drawn(VALLEY).iter(f"{SVG}circle")]
    lowest = min(range(100), key=lambda k: VALLEY[k])
    assert max(heights) == heights[lowest]  # y grows downwards


@pytest.mark.parametrize(
    "losses",
    [
        VALLEY,
        [*VALLEY[:80], 1e30],
        [*VALLEY[:80], math.nan],
        [math.nan],
        [2.3],
        [0.0] * 100,
        [-1.0 - 0.01 * k for k in range(100)],
        [1e-12 * k for k in range(100)],
    ],
)
@pytest.mark.parametrize("language", ["en", "zh"])
def test_nothing_leaves_the_picture(losses: list[float], language: str) -> None:
    with speaking(language):
        picture = drawn(losses, readings={"steepest": 1e-6, "blow-up": 10.0}, suggestion=10.0)
    for circle in picture.iter(f"{SVG}circle"):
        assert 0 <= float(circle.get("cx", -1)) <= WIDTH
        assert 0 <= float(circle.get("cy", -1)) <= HEIGHT
    for each in picture.iter(f"{SVG}text"):
        kind, x = str(each.get("class")), float(each.get("x", 0))
        wide = text_width(each.text or "")
        start = x - (wide if "end" in kind else wide / 2 if "middle" in kind else 0)
        assert start >= 0
        assert start + wide <= WIDTH + 1


def test_a_drawing_says_what_it_is_and_escapes_what_it_is_told() -> None:
    picture = rate_curve(RATES, VALLEY, optimizer="<b>", about='a & "b"')
    root = ET.fromstring(picture.svg)
    assert root.get("aria-label") == "Learning-rate range test · <b>"
    assert root.findtext(f"{SVG}desc") == 'a & "b"'
    assert picture._repr_svg_() == str(picture) == picture.svg
