"""Columns, where a Chinese character takes two cells."""

from netwright.cli.columns import pad, table, width, wrap


def test_a_chinese_character_is_two_cells_wide_and_an_accent_none():
    assert (width("abc"), width("模型"), width("e\u0301")) == (3, 4, 1)


def test_padding_counts_cells():
    assert pad("模型", 6) == "模型  "
    assert pad("ab", 4, right=True) == "  ab"


def test_numbers_stand_to_the_right_and_names_to_the_left():
    assert table([("lenet5", "61,706", "LeNet"), ("mlp", "7", "plain")]) == [
        "lenet5  61,706  LeNet",
        "mlp          7  plain",
    ]


def test_a_date_is_no_number():
    assert table([("2026-11-21", "x"), ("2026", "x")])[1] == "2026        x"


def test_a_cell_is_escaped():
    assert table([("a\x1b[2J", "b")]) == ["a\\x1b[2J  b"]


def test_the_last_column_is_wrapped_under_itself(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    assert table([("name", "one two three four five six seven eight nine")]) == [
        "name  one two three four five six seven",
        "      eight nine",
    ]


def test_chinese_breaks_between_characters_but_no_line_begins_with_a_stop():
    assert wrap("训练网络，并使用它。", 8) == ["训练网络，", "并使用它。"]


def test_no_rows_are_no_lines():
    assert table([], head=("run", "status")) == []
