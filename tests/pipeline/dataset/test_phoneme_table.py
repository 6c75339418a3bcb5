"""The phoneme table: its layout never changes, and it holds what espeak-ng emits."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from ns2.pipeline.core.errors import UserError, UtteranceError
from ns2.pipeline.core.hashing import short_hash
from ns2.pipeline.core.schema import Reason
from ns2.pipeline.dataset.phoneme_table import PhonemeTable
from ns2.pipeline.text.engine import bare, languages
from ns2.train.bundled.make_phoneme_table import named, read, rendered, takes_apart

TABLE = PhonemeTable.default()

# The table of version 0.1. Phones may be appended to it; a change here renumbers every dataset.
FIRST_PHONES, FIRST_HASH = 1615, "c5a89458d4a6bf53"
TONE_PHONES, TONE_HASH = 2228, "3008fb613010391b"  # with tones in full, after version 0.1


def test_nothing_is_renumbered() -> None:
    marks = [".", ",", ";", ":", "?", "!", "…", "—"]
    assert TABLE.symbols(range(11)) == ["<pad>", "<sil>", "|", *marks]
    assert short_hash(list(TABLE.phones[:FIRST_PHONES])) == FIRST_HASH
    assert short_hash(list(TABLE.phones[:TONE_PHONES])) == TONE_HASH
    assert len(TABLE) == 11 + 3 * len(TABLE.phones)


def test_three_stresses_of_every_phone() -> None:
    for i, phone in enumerate(TABLE.phones):
        ids = TABLE.ids([phone, f"ˈ{phone}", f"ˌ{phone}"])
        assert ids.tolist() == [11 + 3 * i, 12 + 3 * i, 13 + 3 * i]


def test_ids_and_symbols_are_inverse() -> None:
    everything = TABLE.symbols(range(len(TABLE)))
    ids = TABLE.ids(everything)
    assert ids.dtype == np.uint16
    assert np.array_equal(ids, np.arange(len(TABLE)))
    assert TABLE.ids([]).shape == (0,)
    for wrong in (-1, len(TABLE)):
        with pytest.raises(ValueError, match=str(wrong)):
            TABLE.symbols([wrong])


def test_phone_and_stress() -> None:
    ids = TABLE.ids(["<sil>", "ˈæ", "æ", "ˌæ", "|", "t"]).reshape(2, 3)
    phone, stress = TABLE.phone_and_stress(ids)
    assert phone.shape == stress.shape == (2, 3)
    assert stress.tolist() == [[0, 1, 0], [2, 0, 0]]
    (sil, a, b), (c, border, t) = phone.tolist()
    assert (sil, border) == (1, 2)
    assert a == b == c != t
    # Together they tell all ids apart, and the phone indexes an embedding without gaps.
    phone, stress = TABLE.phone_and_stress(np.arange(len(TABLE), dtype=np.uint16))
    assert len(set(zip(phone.tolist(), stress.tolist(), strict=True))) == len(TABLE)
    assert set(phone.tolist()) == set(range(TABLE.phone_count))


def test_unknown_phone_is_named() -> None:
    with pytest.raises(UtteranceError, match="'AH0'") as error:
        TABLE.ids(["<sil>", "AH0", "<sil>"])
    assert error.value.reason is Reason.UNKNOWN_PHONEME
    assert "AH0" not in TABLE
    assert "ˈæ" in TABLE


def test_optional_tokens() -> None:
    assert TABLE.optional == {"<sil>", "|", ".", ",", ";", ":", "?", "!", "…", "—"}


def test_extra_phones_are_appended(tmp_path: Path) -> None:
    file = tmp_path / "extra.txt"
    file.write_text("\ufeffAH0\n\n  spn \nt\nAH0\n", "utf-8")
    table = TABLE.with_extra(file)
    assert table.phones == (*TABLE.phones, "AH0", "spn")
    assert table.symbols(range(len(TABLE))) == TABLE.symbols(range(len(TABLE)))
    assert table.ids(["AH0", "ˌspn"]).tolist() == [len(TABLE), len(TABLE) + 5]
    assert table.digest != TABLE.digest
    assert table.optional == TABLE.optional
    file.write_text("t\n", "utf-8")
    assert TABLE.with_extra(file) == TABLE


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "empty"),
        (b"\n \n", "empty"),
        (b"AH0\nAH0 AH1\n", "line 2.*a phone on each line"),
        ("ˈx1\n".encode(), "line 1.*stress mark"),
        (b"a\x00b\n", "line 1"),
        (b"\xff\xfe", "UTF-8"),
        ("\n".join(f"p{i}" for i in range(30_000)).encode(), "room"),
    ],
)
def test_bad_extra_files(tmp_path: Path, content: bytes, complaint: str) -> None:
    file = tmp_path / "extra.txt"
    file.write_bytes(content)
    with pytest.raises(UserError, match=complaint):
        TABLE.with_extra(file)


def test_missing_extra_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nothing\.txt"):
        TABLE.with_extra(tmp_path / "nothing.txt")


def test_a_dataset_can_carry_it(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("AH0", "utf-8")
    table = TABLE.with_extra(tmp_path / "x")
    again = PhonemeTable.from_json(json.loads(json.dumps(table.to_json())))
    assert again == table
    assert again.digest == table.digest
    assert pickle.loads(pickle.dumps(table)).ids(["AH0"]) == table.ids(["AH0"])
    for damaged in (
        {},
        {**table.to_json(), "stresses": ["", "'"]},
        {**table.to_json(), "phones": ["a", "a"]},
        {**table.to_json(), "phones": None},
    ):
        with pytest.raises(UserError):
            PhonemeTable.from_json(damaged)


def test_every_name_in_espeaks_phoneme_programs() -> None:
    names = {bare(name) for name in named()} - {""}
    assert len(names) > 200
    assert names - {""} <= set(TABLE.phones)


@pytest.mark.parametrize("voice", ["en-us", "de", "fr-fr", "cmn", "hi", "ko", "yue"])
def test_what_a_voice_emits(voice: str) -> None:
    # All voices: python -m ns2.train.bundled.make_phoneme_table
    phones = set(TABLE.phones)
    heard = {bare(symbol) for symbol in read(voice, 300)} - {""}
    assert len(heard) > 30
    assert [symbol for symbol in heard if not takes_apart(symbol, phones)] == []


@pytest.mark.parametrize("voice", ["en-029", "smj"])  # voices that no other test speaks with
def test_every_phoneme_of_a_voice(voice: str) -> None:
    phones, _ = rendered(voice)
    assert len(phones) > 50
    assert {bare(symbol) for symbol in phones} - {""} <= set(TABLE.phones)


def test_voices_that_can_be_asked_for() -> None:
    assert len(languages()) > 130
