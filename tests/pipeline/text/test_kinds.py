"""What a sign, a number or a letter means is told by the words beside it."""

from __future__ import annotations

import pytest

from ns2.pipeline.core.errors import UtteranceError
from ns2.pipeline.core.schema import Reason
from ns2.pipeline.text.engine import engine_of
from ns2.pipeline.text.numbers.chinese import chinese_number
from ns2.pipeline.text.pronunciation import TextSettings, pronounce
from tests.pipeline.text.people_write import PEOPLE_WRITE
from tests.pipeline.text.test_pronunciation import check, phones, separators

# (language, text, the same in words)
SAID = (
    ("es", "entre 20° y 30° o a 40°", "entre veinte grados y treinta grados o a cuarenta grados"),
    ("es", "el 20° aniversario, el 1° de mayo", "el vigésimo aniversario, el primero de mayo"),
    ("es", "Artículo 1° Todos", "Artículo primero Todos"),
    ("es", "pasa a 2º de ESO", "pasa a segundo de ESO"),
    ("it", "ci sono 20° e il 20° secolo", "ci sono 20 gradi e il ventesimo secolo"),
    ("pt", "faz 20° e o 2° andar", "faz 20 graus e o segundo andar"),
    ("pt", "D. C. Lima e D. Beatriz", "dê cê Lima e dona Beatriz"),
    ("pt", "João Paulo II e Maria II", "João Paulo segundo e Maria segunda"),
    ("pt", "R$ 1.000 ou US$ 5,50", "1000 reais ou 5 dólares e 50 centavos"),
    ("es", "1.000.000 personas", "un millón de personas"),
    ("es", "2.000.000 viven y 3.000.000 más", "dos millones viven y tres millones más"),
    ("es", "2.500.000 €, 5.000 millones €",
     "dos millones quinientos mil euros, cinco mil millones de euros"),
    ("fr-fr", "1 000 000 vivent, 2 500 000 €",
     "un million vivent, deux millions cinq cent mille euros"),
    ("fr-fr", "5 M€ et 2 M d'euros", "5 millions d'euros et 2 millions d'euros"),
    ("es-419", "$5,50 y $1.000", "cinco dólares con cincuenta centavos y mil dólares"),
    ("de", "$5.50 und $1,000.50", "fünf Dollar fünfzig und eintausend Dollar fünfzig"),
    ("de", "$5 Mio. Gewinn", "fünf Millionen Dollar Gewinn"),
    ("es", "hay 612 345 678 cosas",
     "hay seiscientos doce millones trescientas cuarenta y cinco mil seiscientas setenta y ocho "
     "cosas"),
    ("es", "al 612-345-678", "al seiscientos doce trescientos cuarenta y cinco seiscientos setenta "
     "y ocho"),
    ("es", "es el 612 345 678, vale 612 345 678 €",
     "es el seiscientos doce trescientos cuarenta y cinco seiscientos setenta y ocho, vale "
     "seiscientos doce millones trescientos cuarenta y cinco mil seiscientos setenta y ocho euros"),
    ("fr-fr", "le 0123456789 ou 0800 123 456",
     "le zéro un vingt-trois quarante-cinq soixante-sept quatre-vingt-neuf ou zéro huit cents "
     "cent vingt-trois quatre cent cinquante-six"),
    ("de", "Handy 612 345", "Handy sechs eins zwei drei vier fünf"),
    ("de", "nach 1 Minute, für 1 Tag", "nach einer Minute, für einen Tag"),
    ("de", "1 Wohnung, 1 Mädchen, 1 Taschenbuch", "eine Wohnung, ein Mädchen, ein Taschenbuch"),
    ("de", "III. Reich, 3. Denkmal", "drittes Reich, drittes Denkmal"),
    ("de", "ein Satz 1 kleines Kind", "ein Satz eins kleines Kind"),
    ("de", "da ist 1 kleines Kind", "da ist ein kleines Kind"),
    ("de", "Kapitel 1 Anfang, Nummer 1 ist", "Kapitel eins Anfang, Nummer eins ist"),
    ("de", "um 1 Uhr, 1 oder 2", "um ein Uhr, eins oder zwei"),
    ("de", "IV. Kapitel, XIX. und XX. Jahrhundert",
     "viertes Kapitel, neunzehntes und zwanzigstes Jahrhundert"),
    ("en-us", "Jan 5 was cold, May 5, 2020", "January fifth was cold, May fifth, twenty twenty"),
    ("en-us", "April 3 books, March 3 marks it", "april three books, March third marks it"),
    ("en-us", "2-2/3rds or 5/7ths", "two and two thirds or five sevenths"),
    ("en-us", "got an A in it", "got an eigh in it"),
    ("en-us", "a man and A Woman", "a man and a Woman"),
    ("en-us", "12V, 60 W, Seat 4W", "twelve volts, sixty watts, Seat four W"),
    ("en-us", "£5 bn or 2.5 bn pounds or $.5 m",
     "five billion pounds or two point five billion pounds or point five million dollars"),
    ("en-us", "3m wide for US$ 5", "three meters wide for five dollars"),
    ("en-us", "IT IS THE US", "it is the U.S"),
    ("en-us", "US TROOPS CAME TO US", "U.S troops came to us"),
    ("cmn", "温度是25°C", "温度是二十五摄氏度"),
    ("cmn", "比分3:2，5°，¥5.50", "比分三比二，五度，五点五元"),
    ("cmn", "2个人在10-20页", "两个人在十到二十页"),
    ("cmn", "5.5年，在2008年", "五点五年，在二零零八年"),
    ("cmn", "他有3个、2台", "他有三个、两台"),
    ("cmn", "15:30:20，15:30分，¥100万", "十五点三十分二十秒，十五点三十分，一百万元"),
    ("cmn", "-5，+5，1/2，0.5%", "负五，正五，二分之一，百分之零点五"),
    ("cmn", "No1和NO.12", "number one和number twelve"),
    ("cmn-latn-pinyin", "5°C he2 50%", "wu3 she4 shi4 du4 he2 bai3 fen1 zhi1 wu3 shi2"),
)  # fmt: skip


@pytest.mark.parametrize(("language", "written", "said"), (*SAID, *PEOPLE_WRITE))
def test_the_words_beside_decide(language: str, written: str, said: str) -> None:
    assert phones(written, language) == phones(said, language)
    check(pronounce(written, language))


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("en-us", "This is Plan B. We go", "|||.|"),
        ("en-us", "Otto B. Smith", "||"),
        ("en-us", "The one is player A. He won", "||||.|"),
        ("de", "Das ist Plan B. Wir gehen", "|||.|"),
        ("de", "Otto B. Schmidt kam", "|||"),
        ("fr-fr", "Le plan B. Puis rien", "||.|"),
        ("pt", "O D. João e C. Silva", "|||||"),
    ],
)
def test_a_letter_before_a_full_stop(language: str, text: str, expected: str) -> None:
    assert separators(text, language)[: len(expected)] == expected


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (0, "零"), (2, "二"), (10, "十"), (22, "二十二"), (101, "一百零一"), (110, "一百一十"),
        (202, "二百零二"), (1010, "一千零一十"), (2000, "两千"), (10_005, "一万零五"),
        (12_345, "一万二千三百四十五"), (22_000, "两万二千"), (220_000, "二十二万"),
        (1_000_000, "一百万"), (120_000_000, "一亿二千万"), (100_010_001, "一亿零一万零一"),
    ],
)  # fmt: skip
def test_chinese_numbers(number: int, said: str) -> None:
    assert chinese_number(number) == said


def test_numbers_with_a_reading() -> None:
    pytest.importorskip("pypinyin", reason="the extra `mandarin` is not installed")
    read = pronounce("现在15:30", "cmn", TextSettings(g2p=("pypinyin",)))
    said = pronounce("十五点三十分", "cmn").tokens
    assert read.tokens[-len(said) + 1 :] == said[1:]


@pytest.mark.parametrize(
    ("language", "text", "named"),
    [
        ("cmn", "WiFi、Привет", "'Привет' can't be said in cmn"),
        ("mk", "Windows", "'Windows' can't be said in mk"),
        ("cmn", "Привет", "'Привет' can't be said in cmn"),
    ],
)
def test_a_foreign_word_that_is_a_text(language: str, text: str, named: str) -> None:
    with pytest.raises(UtteranceError) as error:
        pronounce(text, language)
    assert error.value.reason is Reason.WRONG_SCRIPT
    assert named in error.value.message and "--language" not in error.value.message


@pytest.mark.parametrize("text", ["WiFi", "KFC、GDP、NBA", "iPhone 15 Pro", "OK。", "25°C"])
def test_names_that_are_a_text_are_said(text: str) -> None:
    check(pronounce(text, "cmn"))


def test_acronyms_of_a_script_without_capitals_stay_in_capitals() -> None:
    spelled = phones("APP", "cmn") + phones("PC", "cmn")
    assert phones("我用APP、PC。", "cmn") == phones("我用", "cmn") + spelled
    assert len(spelled) == 9


@pytest.mark.parametrize("text", ["This is iphone.", "THIS IS A TEST.", "good morning"])
def test_a_text_of_another_language_is_refused(text: str) -> None:
    with pytest.raises(UtteranceError, match=f"'{text.split()[0]}': .*is --language right"):
        pronounce(text, "cmn")


def test_the_name_of_a_letter_is_no_article() -> None:
    assert engine_of("en-us").speak("eigh") == engine_of("en-us").speak("A.")
