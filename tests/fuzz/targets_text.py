"""Targets that are texts: tables of corpora, TextGrids, conditions, settings, words to speak."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

from ns2.pipeline.align.textgrid.frames import align_textgrid
from ns2.pipeline.align.textgrid.read import parse_textgrid
from ns2.pipeline.core.errors import UtteranceError
from ns2.pipeline.core.names import path_in, shown
from ns2.pipeline.core.schema import FrameGrid
from ns2.pipeline.corpora.corpus import audio_path
from ns2.pipeline.corpora.reading import read_corpus
from ns2.pipeline.dataset.index import index_schema
from ns2.pipeline.dataset.phoneme_table import PhonemeTable
from ns2.pipeline.dataset.where import parse_where
from ns2.pipeline.text.clauses import clauses
from ns2.pipeline.text.lexicon import Lexicon, held_together, take_phones
from ns2.pipeline.text.numbers.notes import left_alone
from ns2.pipeline.text.spoken import speak_words
from ns2.pipeline.tools.align_eval.truth import read_truth
from ns2.train.run.overrides import choose
from tests.fuzz.target import OURS, TARGETS, Call, Make, Target, put
from tests.support.textgrid_factories import praat_save, praat_textgrid, spans

_LINES = (
    "LJ001-0001|Printing, in the only sense|Printing, in the only sense\n"
    "LJ001-0002|in being comparatively modern.|in being comparatively modern.\n"
)
_ROWS = [
    {"audio": "a.wav", "text": "Hello there.", "id": "a", "speaker": "s", "language": "en-us"},
    {"audio_filepath": "sub/b.flac", "transcript": "Two.", "split": "val", "speaker_id": 3},
    {"path": "/somewhere/c.mp3", "sentence": "„Drei“", "lang": "de"},
]


def _read_table(layout: str, name: str, *others: str) -> Call:
    """Reads a table as a corpus of a layout; `others` are empty files beside it."""

    def call(data: bytes, folder: Path) -> None:
        for other in (name, *others):
            (folder / other).parent.mkdir(parents=True, exist_ok=True)
            (folder / other).touch()
        path = put(folder, name, data)
        corpus = read_corpus(path if layout == "manifest" else folder, layout)
        for utterance in corpus.utterances:
            audio_path(corpus.root, utterance)

    return call


def _tables(text: str) -> Make:
    return lambda folder: [
        text.encode(),
        text.replace("\n", "\r\n").encode(),
        text.encode("utf-16"),
    ]


def _manifests(folder: Path) -> list[bytes]:
    return ["".join(json.dumps(row) + "\n" for row in _ROWS).encode()]


_CSV = 'audio,text,speaker\na.wav,"One, ""two""",s\nb.wav,Three,t\n'
_COMMON = (
    "client_id\tpath\tsentence\tup_votes\tdown_votes\tage\tgender\taccents\tlocale\n"
    "c1\tcommon_voice_en_1.mp3\tHello there.\t2\t0\t\t\t\ten\n"
)

TARGETS["manifest.jsonl"] = Target(
    make=_manifests, call=_read_table("manifest", "manifest.jsonl"), share=2,
    tokens=[b'"audio": ', b'"text": ', b'"id": ', b"}\n{", b"\\u0000", b"\\ud800", b"\\u202e"],
)  # fmt: skip
TARGETS["manifest.csv"] = Target(
    make=_tables(_CSV), call=_read_table("manifest", "manifest.csv"), tokens=[b'""', b",,", b"\r"]
)
TARGETS["metadata.csv"] = Target(
    make=_tables(_LINES),
    call=_read_table("ljspeech", "metadata.csv", "wavs/LJ001-0001.wav", "wavs/LJ001-0002.wav"),
    tokens=[b"||", b"|\n"],
)
TARGETS["common voice"] = Target(
    make=_tables(_COMMON),
    call=_read_table("commonvoice", "en/validated.tsv", "en/clips/common_voice_en_1.mp3"),
    tokens=[b"\t\t"],
)
TARGETS["librispeech"] = Target(
    make=_tables("19-198-0001 PRINTING IN THE\n19-198-0002 ONLY\n"),
    call=_read_table("librispeech", "19/198/19-198.trans.txt"),
)
TARGETS["mls"] = Target(
    make=_tables("19_198_000001\tprinting in the\n19_198_000002\tonly\n"),
    call=_read_table("mls", "train/transcripts.txt", "train/audio/19/198/19_198_000001.flac"),
)


def _textgrids(folder: Path) -> list[bytes]:
    made = praat_textgrid(
        1.0,
        {
            "words": spans((0.2, ""), (0.3, 'he"y'), (0.3, "you"), (0.2, "")),
            "phones": spans((0.2, ""), (0.1, "h"), (0.2, "eɪ"), (0.1, "j"), (0.2, "uː"), (0.2, "")),
        },
    )
    return [
        praat_save(made, folder / f"{form}.TextGrid", form).read_bytes()
        for form in ("long", "short")
    ]


def _textgrid(data: bytes, folder: Path) -> None:
    align_textgrid(parse_textgrid(data, "a.TextGrid"), 24_000, FrameGrid())


TARGETS["textgrid"] = Target(
    make=_textgrids, call=_textgrid, share=2,
    tokens=[
        b"xmin = ", b"xmax = ", b"size = ", b'class = "IntervalTier"', b'class = "TextTier"',
        b"<exists>", b"<absent>", b'""', b"! comment\n", b"1e-300", b"4294967296",
    ],
)  # fmt: skip

_SCHEMA = index_schema(["codes", "f0", "phonemes"])
_WHERE = (
    "frames > 3 and not speaker == 'a'", "split in ('train', 'val')", "0.5 < seconds <= 3 or frames"
    " != 2", "key == \"it's\"", "not (frames < 1)", "language not in ['en-us']",
)  # fmt: skip


def _where(data: bytes, folder: Path) -> None:
    text = data.decode("utf-8", "replace")
    found = parse_where(text, _SCHEMA)
    _SCHEMA.empty_table().filter(found.expression)


TARGETS["where"] = Target(
    make=lambda folder: [text.encode() for text in _WHERE], call=_where,
    tokens=[
        b" and ", b" or ", b" not ", b" in ", b"==", b"<", b">=", b"~", b"**", b"//", b"lambda: ",
        b"frames", b"speaker", b"seconds", b"True", b"None", b"f'{", b".__class__", b" if ", b"1j",
        b"b''", b"-", b"0x", b":=", b"*", b"1_000", b"~frames",
    ],
)  # fmt: skip

_SETTINGS = (
    "learning_rate: 1e-3\nmodel:\n  denoiser.wavenet.layers: 12\n", '{"steps": 10, "ema": 0.5}',
    "decay: cosine\nprecision: [bf16]\n", "sampler:\n  steps: 20\n  method: ddim\n",
    "a: &a [1, 2]\nb: *a\n", "steps: 0x10\nseed: !!int '3'\nclip: .inf\n",
)  # fmt: skip


def _settings_file(data: bytes, folder: Path) -> None:
    choose("tiny", put(folder, "settings.yaml", data), [])


def _set(data: bytes, folder: Path) -> None:
    choose("tiny", None, data.decode("utf-8", "replace").split("\n"))


_YAML = [
    b": ", b"- ", b"? ", b"<<: ", b"!!binary ", b"!!timestamp ", b"!!set ", b"&x ", b"*x", b"| \n",
    b"---\n", b"2001-01-01", b"1:30", b".nan", b"-.inf", b"0o7", b"1_0", b"model.", b"steps",
    b"sampler.", b"!!float ", b"!!omap ", b"%YAML 1.1\n", b"~",
]  # fmt: skip
TARGETS["config"] = Target(
    make=lambda folder: [text.encode() for text in _SETTINGS], call=_settings_file, tokens=_YAML
)
TARGETS["set"] = Target(
    make=lambda folder: [b"steps=10\nmodel.prompt.longest=90", b"decay=cosine", b"ema=0.9\nclip=0"],
    call=_set, tokens=[b"=", b"model.", b"model.denoiser.", b"steps", b"[1,2]", b'"x"', b"\n"],
)  # fmt: skip


def _names(data: bytes, folder: Path) -> None:
    text = data.decode("utf-8", "surrogateescape")
    assert all(32 <= ord(c) < 127 for c in shown(text))
    try:
        path = path_in(folder, text)
    except ValueError:
        return
    assert path.is_relative_to(folder) and ".." not in path.parts


TARGETS["names"] = Target(
    make=lambda folder: [b"codes/00000-0123456789abcdef.tar", b"assets/phonemes.json"], call=_names
)

_TRUTH = {
    "key": "a", "sample_rate": 24_000, "samples": 24_000, "voice": "x",
    "phones": [[0, ""], [4800, "<w>"], [4800, "h"], [12_000, "eɪ"]],
}  # fmt: skip


def _truth(data: bytes, folder: Path) -> None:
    read_truth(put(folder, "truth.jsonl", data))


TARGETS["truth"] = Target(
    make=lambda folder: [(json.dumps(_TRUTH) + "\n").encode()], call=_truth,
    tokens=[b'"phones": ', b'"key": ', b"[]", b"[[[", b"null"],
)  # fmt: skip


def _words(data: bytes, folder: Path) -> None:
    text = data.decode("utf-8", "replace")
    for language in ("en-us", "en-gb", "de", "fr-fr", "es", "es-419", "nl", "hu", "el"):
        with contextlib.suppress(UtteranceError):  # of another script
            for clause in clauses(text, language):
                assert len(speak_words(clause.words, language)) == len(clause.words)
    left_alone([(text, "it"), (text, "el")])


TARGETS["words"] = Target(
    make=lambda folder: [
        b"In 1984, Dr. Smith paid $1,234.56 (or 3/4 of it) at 10:30 a.m. on the 21st; No. 5!",
        "„Zwölf“ – sagte er: 3,5 % von 1.000 €, d. h. 35 €…".encode(),
        "Μηδὲν ἄγαν; e\u0301te\u0301 naïve café".encode(),
        "Le 1er mai 1 000,50 € à 15 h 30, Louis XIV, XIXe, 3/4; el 3.er piso, 21 años".encode(),
        "Am 3. und 4. Mai, 14:30 Uhr, 2½ m, -5°C, Friedrich II. 3,50 €. IN 1984 IT WAS I.".encode(),
    ],
    call=_words, share=2,
    tokens=[
        b"$", b"%", b"1,", b".5", b"'s", b"-", b"St. ", b"III ", b"1990s", b"1st", b":", b"/", b"&",
        b"@", b"www.a.b", b"a.b.", b"!" * 300, b"-" * 300, b"1," * 300, b"a." * 300, b" " * 2000,
        b"1" * 300, b"'" * 300, b"$" * 300, b"I" * 300,
        b"1 000", b"1 1/2", b"-5", b"3.5.2021", b"2023-01-15", b"1960s-70s", b"+1 555", b" Uhr",
        b" 5 m", b"XIV. ", b"EPA", "½".encode(), "²".encode(), "º".encode(), "−".encode(), b"0,",
    ],
)  # fmt: skip


def _extra(data: bytes, folder: Path) -> None:
    PhonemeTable.default().with_extra(put(folder, "extra.txt", data))


def _table_json(data: bytes, folder: Path) -> None:
    from ns2.pipeline.core.reading import parse_json

    PhonemeTable.from_json(parse_json(data))


def _lexicon(data: bytes, folder: Path) -> None:
    lexicon = Lexicon.read(put(folder, "words.txt", data), PhonemeTable.default())
    Lexicon.from_json(lexicon.to_json(), PhonemeTable.default())
    for language in ("en-us", "cmn", "ja"):
        lexicon.lines_for(data.decode("utf-8-sig"), language)


def _lexicon_json(data: bytes, folder: Path) -> None:
    from ns2.pipeline.core.reading import parse_json

    Lexicon.from_json(parse_json(data), PhonemeTable.default())


def _inline(data: bytes, folder: Path) -> None:
    take_phones(held_together(data.decode("utf-8", "replace")), PhonemeTable.default())


_WORDS = "Reading\tɹ ˈɛ d ɪ ŋ\n银行\tj ˈi35 n | χ ˈɑ35 ŋ\n"
TARGETS["lexicon"] = Target(make=lambda folder: [_WORDS.encode()], call=_lexicon)
TARGETS["lexicon.json"] = Target(
    make=lambda folder: [b'{"entries": {"a": "t | d", "b": "d"}}'],
    call=_lexicon_json,
    errors=(*OURS, ValueError),
)
TARGETS["phones in a text"] = Target(
    make=lambda folder: ["In [[ɹ ˈɛ d ɪ ŋ]], [[t]].".encode()], call=_inline
)
TARGETS["extra phonemes"] = Target(make=lambda folder: ["ɬ\nɮ\n".encode()], call=_extra)
TARGETS["phonemes.json"] = Target(
    make=lambda folder: [json.dumps(PhonemeTable.default().to_json()).encode()],
    call=_table_json, errors=(*OURS, ValueError),
    tokens=[b'"format"', b'"version"', b"[]", b"{}", b"null"],
)  # fmt: skip
