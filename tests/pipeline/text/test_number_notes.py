"""What no rule writes out is said once for a corpus, with counts and an example."""

from __future__ import annotations

from ns2.pipeline.text.numbers.notes import left_alone


def test_kinds_are_counted_by_language() -> None:
    texts = [
        ("Jest 10-20 i 3-4.", "pl"),
        ("Dnia 3-4-2021, 3-5 o 9:15.", "pl"),
        ("To je 5 km.", "sk"),
        ("At 14:30 on 3/4/2021.", "en-us"),
        ("Um 14:30 am 3.4.2021.", "de"),
        ("Nic.", "pl"),
    ]
    notes = left_alone(texts)
    assert len(notes) == 2
    assert "3 ranges (such as '10-20')" in notes[0] and "1 dates (such as '3-4-2021')" in notes[0]
    assert notes[0].startswith("in pl ") and notes[1].startswith("in sk ")
    assert "1 units (such as '5 km')" in notes[1]


def test_nothing_is_said_where_all_is_written_out() -> None:
    assert left_alone([("It was 5 km at 14:30.", "en-us"), ("Rien.", "fr-fr")]) == []
    assert left_alone([]) == []


def test_what_num2words_knows_counts_as_done() -> None:
    assert left_alone([("Costa 5 € e -3.", "it"), ("Papa Pio XII.", "it")]) == []
    assert "money" in left_alone([("5 € kostas", "eo-unknown"), ("5 $", "gd")])[0]


def test_what_has_rules_is_not_named() -> None:
    assert left_alone([("现在15:30，-5°C，¥5，10-20，50%，5 km。", "cmn")]) == []
    assert (
        left_alone([("Het is 5°C op 3-4-2021.", "nl"), ("5 km, 3/4", "it"), ("5 км, 25°C", "ru")])
        == []
    )
    assert "temperatures" in left_alone([("Je 5°C.", "sk")])[0]
