"""The picture of an effective field: a heat map, the theoretical square, the ellipse."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np
import pytest

from netwright.core.languages import speaking
from netwright.records.effective_field import EffectiveField
from netwright.report.effective_field import effective_field_picture, heat, words

SVG = "{http://www.w3.org/2000/svg}"


def bell(rows: tuple[int, int] | None = (2, 8)) -> EffectiveField:
    away = np.arange(12) - 5
    side = np.exp(-(away**2) / 2)
    mass = np.outer(side, side)
    return EffectiveField(
        layer="layer<1>",
        kind="Conv2d",
        unit=(5, 5),
        mass=mass / mass.sum(),
        rows=rows,
        columns=rows,
        images=4,
    )


def shapes(svg: str, name: str) -> list[ET.Element]:
    return list(ET.fromstring(svg).iter(f"{SVG}{name}"))


def test_the_square_and_the_ellipse_stand_where_the_numbers_say() -> None:
    svg = effective_field_picture(bell())
    (paper, square) = shapes(svg, "rect")
    assert float(paper.attrib["width"]) == 360
    pixel = 360 / 12
    assert float(square.attrib["x"]) == pytest.approx(40 + 2 * pixel)
    assert float(square.attrib["width"]) == pytest.approx(7 * pixel)
    (disc,) = shapes(svg, "ellipse")
    assert float(disc.attrib["cx"]) == pytest.approx(40 + 5.5 * pixel, abs=0.1)
    assert float(disc.attrib["rx"]) == pytest.approx(2 * pixel, rel=0.01)
    assert len(shapes(svg, "image")) == 1


def test_a_field_far_beyond_the_image_stays_on_the_picture() -> None:
    square = shapes(effective_field_picture(bell((-500, 500))), "rect")[1]
    assert float(square.attrib["x"]) >= 0
    assert float(square.attrib["x"]) + float(square.attrib["width"]) <= 440


def test_without_a_theoretical_field_there_is_no_square_and_no_share() -> None:
    svg = effective_field_picture(bell(None))
    assert len(shapes(svg, "rect")) == 1
    assert len(words(bell(None))) == 3


def test_the_words_are_whole_and_name_the_facts() -> None:
    said = words(bell())
    assert said[0] == "layer<1>, unit (5, 5), over 4 images"
    assert said[1] == "dashed: the theoretical field, 7x7 pixels"
    assert said[2].startswith("95 % of the influence: 20 pixels, 40.8")
    assert said[3] == "ellipse: two standard deviations, 2.0x2.0 pixels"
    drawn = [each.text for each in shapes(effective_field_picture(bell()), "text")]
    assert drawn == said


def test_the_words_have_their_chinese() -> None:
    with speaking("zh"):
        assert words(bell())[1] == "虚线：理论感受野，7x7 像素"


def test_the_most_is_darkest_and_nothing_is_paper() -> None:
    pixels = heat(np.array([[1.0, 0.25], [0.01, 0.0]]))
    brightness = pixels.astype(int).sum(axis=2).reshape(-1).tolist()
    assert brightness == sorted(brightness)
    assert pixels[1, 1].tolist() == [252, 252, 250]
