"""Escaping: each context has its own, and none mangles what is harmless."""

import csv
import io
import json

import pytest

from netwright.core.escaping import csv_cell, html_attribute, html_text, script_json, terminal


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("rose", "rose"),
        ("玫瑰 ü", "玫瑰 ü"),
        ("a\x1b[31mb", "a\\x1b[31mb"),
        ("a\nb\tc\rd", "a\\x0ab\\x09c\\x0dd"),
        ("\x9b31m", "\\x9b31m"),
        ("a\u202eb", "a\\u202eb"),
        ("a\u2028b", "a\\u2028b"),
        ("caf\udce9", "caf\\xe9"),
        ("\U000e0041", "\\U000e0041"),
        (3, "3"),
    ],
)
def test_what_a_terminal_would_obey_is_shown(raw, shown):
    assert terminal(raw) == shown


def test_html_shows_markup_and_control_characters():
    assert html_text('<b>"&\x1b') == '&lt;b&gt;"&amp;\\x1b'
    assert html_attribute('"><script>') == "&quot;&gt;&lt;script&gt;"


def test_json_in_a_script_cannot_close_it():
    value = {"name": "</script><!--&\u2028"}
    text = script_json(value)
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text) == value


@pytest.mark.parametrize("number", [0, -1, -0.5, 1e-07, "-1e-07", "+3", ".5", "-.5", "1.", "12"])
def test_numbers_stay_numbers_in_a_csv_cell(number):
    assert csv_cell(number) == str(number)


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+1+1", "-1+1", "@SUM(A1)", "  =1", "\t=1", "\r=1", "-", "＝1+1", "-٣"],
)
def test_a_formula_is_disarmed_in_a_csv_cell(text):
    assert csv_cell(text) == "'" + text


@pytest.mark.parametrize("text", ["", "rose", "a=b", "a-b.jpg", "./-x.jpg", " rose"])
def test_other_text_stays_as_it_is_in_a_csv_cell(text):
    assert csv_cell(text) == text


def test_a_cell_with_a_line_break_stays_one_cell():
    page = io.StringIO()
    csv.writer(page).writerow([csv_cell('a\n=b","c')])
    assert list(csv.reader(io.StringIO(page.getvalue(), newline=""))) == [['a\n=b","c']]
