"""Numbers, dates, times, money, units and capitals as they are spoken."""

from __future__ import annotations

import pytest

from ns2.pipeline.text.clauses import clauses
from ns2.pipeline.text.engine import engine_of
from ns2.pipeline.text.numbers.number_words import cardinal_words
from ns2.pipeline.text.pronunciation import pronounce
from tests.pipeline.text.number_sentences import SENTENCES
from tests.pipeline.text.pinned_texts import PINNED_NUMBERS
from tests.pipeline.text.test_pronunciation import check, phones, separators, words

ALL = [(language, *pair) for language, pairs in SENTENCES.items() for pair in pairs]


@pytest.mark.parametrize(("language", "written", "said"), ALL)
def test_sentences_with_numbers_are_said_as_in_words(
    language: str, written: str, said: str
) -> None:
    assert phones(written, language) == phones(said, language)
    check(pronounce(written, language))


@pytest.mark.parametrize(("language", "text", "written", "tokens"), PINNED_NUMBERS)
def test_pinned(language: str, text: str, written: str, tokens: str) -> None:
    spoken = pronounce(text, language)
    assert " ".join(spoken.tokens) == f"<sil> {tokens} <sil>"
    assert "/".join(word for word, _, _ in spoken.words) == written


def test_there_are_forty_sentences_of_each_language() -> None:
    assert {language: len(dict(pairs)) for language, pairs in SENTENCES.items()} == dict.fromkeys(
        ("en-us", "de", "fr-fr", "es"), 40
    )


# (language, text, separators of the spoken text): a full stop that is a pause, and one that is not.
STOPS = (
    ("de", "Fan vom 1. FC Köln", "||||"),
    ("de", "Der 2. Weltkrieg kam", "|||"),
    ("de", "Es waren 17. Dann kam er", "||.||"),
    ("de", "Heute ist der 17. Dann kam er", "|||.||"),
    ("de", "Er kam am 17. Mai", "||||"),
    ("de", "Er kam am 3. und 4. Mai", "||||||"),
    ("de", "Heute ist der 3.", "|||."),
    ("de", "Es sind die 3. Dann kam er", "|||.||"),
    ("de", "Vom 1.–3. Mai ist zu", "||||||"),
    ("de", "Hassan II. war da", "||||"),
    ("de", "Das ist Band II. Er kam", "|||.|"),
    ("de", "Ich habe 3. Du hast 4.", "||.||."),
    ("de", "Wilhelm II. war da", "||||"),
    ("de", "Da war Wilhelm II. Er ging", "||||.|"),
    ("de", "Das war Ludwig XIV.", "||||."),
    ("de", "Am 3. 5. kam er", "||||"),
    ("en-us", "King George V. He died", "|||.|"),
    ("en-us", "James V. Brown died", "|||"),
    ("en-us", "Robert I. Brown died", "|||"),
    ("en-us", "Chapter V. The end", "|.|"),
    ("de", "Kapitel V. Das Ende", "|.|"),
    ("en-us", "I counted 17. Then he left", "||.||"),
    ("en-us", "No. I came", ".|"),
    ("en-us", "It is 5 ft. 10 in. high", "||||||"),
    ("de", "Die 2. und 3. Klasse", "||||"),
    ("de", "Am 3., 4. und 5. Mai", "|,|||"),
    ("de", "Der 1000. Gast. Der 100. Er kam.", "||.|.|."),
    ("de", "Es war 1945. Gäste kamen", "||||.|"),
    ("de", "Kap. IV und 800 n. Chr. war es", "|||||||"),
    ("en-us", "He is 5ft. tall", "||||"),
    ("en-us", "It is 6 in. long.", "||||."),
    ("en-us", "He came in. Then he left", "||.||"),
    ("fr-fr", "Il en reste 17. Puis rien", "|||.|"),
    ("es", "Quedan 17. Luego nada", "|.|"),
)


@pytest.mark.parametrize(("language", "text", "expected"), STOPS)
def test_a_full_stop_after_a_number(language: str, text: str, expected: str) -> None:
    assert separators(text, language) == expected


# (language, text, the same in words): what hangs on the words around a number.
SAID = (
    ("en-us", "Charles I was king", "Charles the first was king"),
    ("en-us", "The Part I think of", "The Part eye think of"),
    ("en-us", "I saw part I of it", "I saw part eye of it"),
    ("en-us", "Rocky IV and Group C", "Rocky four and Group C"),
    ("en-us", "a MIX of the DIM light", "a M.I.X of the D.I.M light"),
    ("en-us", "He has a CD here", "He has a C.D here"),
    ("en-us", "He took an XL shirt", "He took an X.L shirt"),
    ("en-us", "the XIXth and XX century", "the nineteenth and twentieth century"),
    ("en-us", "on 25/12/2021 too", "on December twenty fifth twenty twenty one too"),
    ("en-us", "on 3 March 2021", "on the third of March twenty twenty one"),
    ("en-us", "March 3-5 only", "March third to fifth only"),
    ("en-us", "may 5 go", "may five go"),
    ("en-us", "on 3/4/05", "on March fourth oh five"),
    ("en-gb", "on 3/4/2021 too", "on the third of April twenty twenty one too"),
    ("en-gb", "on 2023-01-15 too", "on the fifteenth of January twenty twenty three too"),
    ("en-us", "−5 and +3 and ±2", "minus five and plus three and plus or minus two"),
    ("en-us", "$-5 or -£2.50", "minus five dollars or minus two pounds fifty"),
    ("en-us", "$.5 or $.05", "point five dollars or five cents"),
    ("en-us", "1-1/2 or 3 3/4 or 1/16",
     "one and a half or three and three quarters or one sixteenth"),
    ("en-us", "1 ½ miles and ½ mile", "one and a half miles and one half mile"),
    ("en-us", "5 ft 3 in. tall", "five feet three inches tall"),
    ("en-us", "12V and 60W and 5g of it", "twelve volts and sixty watts and five grams of it"),
    ("en-us", "60mph or 5/day", "sixty miles per hour or five per day"),
    ("en-us", "call +1 555 123 4567 now",
     "call plus one five five five one two three four five six seven now"),
    ("en-us", "dial 020 7946 0958", "dial zero two zero seven nine four six zero nine five eight"),
    ("en-us", "there are 911 of them", "there are nine hundred eleven of them"),
    ("en-us", "pre-1914 and post-1945", "pre nineteen fourteen and post nineteen forty five"),
    ("en-us", "from 9:30-11am", "from nine thirty to eleven a.m"),
    ("en-us", "It is 75° and 3.5M more",
     "It is seventy five degrees and three point five million more"),
    ("en-us", "stage IV and 5 1/4 in. wide", "stage four and five and a quarter inches wide"),
    ("en-us", "50-50 or 9-1-1 or 10° C", "fifty fifty or nine one one or ten degrees Celsius"),
    ("en-gb", "20p and 5 May", "twenty pence and the fifth of May"),
    ("en-us", "a $5 bill, a $2 million deal", "a five dollar bill, a two million dollar deal"),
    ("en-us", "-5% or 1,000% or 12.5%",
     "minus five percent or one thousand percent or twelve point five percent"),
    ("en-us", "a $2.5-million deal", "a two point five million dollar deal"),
    ("en-us", "in world war I he", "in world war one he"),
    ("en-us", "the Saturn V rocket", "the Saturn five rocket"),
    ("en-us", "Robert I Brown and Robert I", "Robert eye Brown and Robert the first"),
    ("en-us", "a 5 km run, a 10ft pole", "a five kilometer run, a ten foot pole"),
    ("en-us", "a 1/2-inch pipe, 2x faster", "a one half inch pipe, two times faster"),
    ("en-us", "20%-30% of No.5", "twenty to thirty percent of number five"),
    ("en-us", "Darius III was old", "Darius the third was old"),
    ("de", "König Hassan II. war alt", "König Hassan der zweite war alt"),
    ("de", "8:00-12:00 Uhr, Nr.5", "acht Uhr bis zwölf Uhr, Nummer fünf"),
    ("fr-fr", "8h-12h30, n°5", "huit heures à douze heures trente, numéro cinq"),
    ("de", "die 2. und 3. Klasse", "die zweite und dritte Klasse"),
    ("de", "1 Mio. Euro, 2 Mrd. Euro", "eine Million Euro, zwei Milliarden Euro"),
    ("de", "S. 12 in Bd. II, 11 n. Chr.", "Seite zwölf in Band zwei, elf nach Christus"),
    ("de", "Tel. +29 30 123", "Telefon plus neunundzwanzig drei null eins zwei drei"),
    ("de", "XIX. Jahrhundert", "neunzehntes Jahrhundert"),
    ("de", "Von V. Müller, I. Kant und Otto V. Mann", "Von fau Müller, ih Kant und Otto fau Mann"),
    ("de", "Karl V. regierte", "Karl der fünfte regierte"),
    ("de", "vom 1.–3. Mai im 19. Jh.", "vom ersten bis dritten Mai im neunzehnten Jahrhundert"),
    ("en-us", "built c. 1850 here", "built circa eighteen fifty here"),
    ("fr-fr", "près d'1 km", "près d'un kilomètre"),
    ("de", "mit der 2. Frau", "mit der zweiten Frau"),
    ("de", "eine 2. Chance", "eine zweite Chance"),
    ("de", "jeder 3. Deutsche", "jeder dritte Deutsche"),
    ("de", "unter Wilhelm II. gab es", "unter Wilhelm dem Zweiten gab es"),
    ("de", "unter Elisabeth II. gab es", "unter Elisabeth der Zweiten gab es"),
    ("de", "die Zeit Friedrichs II. war", "die Zeit Friedrichs des Zweiten war"),
    ("de", "im II. Weltkrieg", "im zweiten Weltkrieg"),
    ("de", "am 3.5. und am 3.5.2021",
     "am dritten Mai und am dritten Mai zweitausend einundzwanzig"),
    ("de", "1 km, 1 Stunde und 1 t", "ein Kilometer, eine Stunde und eine Tonne"),
    ("de", "um 1:05 Uhr", "um ein Uhr fünf"),
    ("de", "1500 kg im Jahr 1500", "eintausendfünfhundert Kilogramm im Jahr fünfzehnhundert"),
    ("de", "1990er und 90er", "neunzehnhundertneunziger und neunziger"),
    ("de", "$5 Millionen oder 5 Dollar", "fünf Millionen Dollar oder fünf Dollar"),
    ("de", "1 1/2 und 1¾", "ein einhalb und eindreiviertel"),
    ("fr-fr", "1 h et 1h", "une heure et une heure"),
    ("fr-fr", "15 h 30 et 1,5 l", "quinze heures trente et un virgule cinq litre"),
    ("fr-fr", "£1 et 1 €", "une livre et un euro"),
    ("fr-fr", "1,05 et 0,007", "un virgule zéro cinq et zéro virgule zéro zéro sept"),
    ("es", "1 hora y 21 horas", "una hora y veintiuna horas"),
    ("es", "21 días y 300 casas", "veintiún días y trescientas casas"),
    ("es", "el I Congreso y la III edición", "el primer Congreso y la tercera edición"),
    ("es", "a las 1:00 o a las 15:00 h", "a las una hora o a las quince horas"),
    ("es", "son 3.5 o 3,05", "son tres punto cinco o tres coma cero cinco"),
    ("es", "n.º 5, cap. IV, 11 nov. 2020",
     "número cinco, capítulo cuatro, once noviembre dos mil veinte"),
    ("es", "el III Reich y la I Guerra", "el tercer Reich y la primera Guerra"),
    ("es", "1 millón y 21.000 mujeres", "un millón y veintiún mil mujeres"),
    ("fr-fr", "n° 5, chap. IV, 11 nov. 2020",
     "numéro cinq, chapitre quatre, onze novembre deux mille vingt"),
    ("fr-fr", "le 1 h 05 et 3 Md€", "le une heure cinq et trois milliards d'euros"),
    ("es-419", "vale 1,000.50", "vale mil punto cincuenta"),
    ("it", "Luigi XIV nel XIX secolo", "Luigi quattordicesimo nel diciannovesimo secolo"),
    ("de", "Hartz IV in XL", "Hartz vier in iks ell"),
    ("it", "costa $5 e -3", "costa cinque dollari e meno tre"),
    ("it", "il 3º e la 3ª", "il terzo e la terza"),
    ("nl", "het kost € 5 of 3 €", "het kost vijf euro of drie euro"),
    ("en-us", "$ 5 million or £ 2.50", "five million dollars or two pounds fifty"),
    ("de", "kostet € 5,50 oder 5 € 3 mal", "kostet fünf Euro fünfzig oder fünf Euro drei mal"),
    ("en-us", "I told Mary I loved her", "I told Mary, I loved her"),
    ("en-us", "for Elizabeth I would do it", "for Elizabeth, I would do it"),
    ("en-us", "Elizabeth I was queen", "Elizabeth the first was queen"),
    ("en-us", "221B Baker Street", "two hundred twenty one B Baker Street"),
    ("en-us", "over 5M people", "over five million people"),
    ("es", "los siglos XIX y XX", "los siglos diecinueve y veinte"),
    ("es", "entre los siglos XV y XVI", "entre los siglos quince y dieciséis"),
    ("fr-fr", "aux siècles XIX et XX", "aux siècles dix-neuf et vingt"),
    ("nl", "de 19e eeuw", "de negentiende eeuw"),
    ("hu", "a II. kerület", "a második kerület"),
    ("hu", "ez a 3. ház", "ez a harmadik ház"),
)  # fmt: skip


@pytest.mark.parametrize(("language", "written", "said"), SAID)
def test_what_the_words_around_decide(language: str, written: str, said: str) -> None:
    assert phones(written, language) == phones(said, language)
    check(pronounce(written, language))


def test_numbers_of_several_words_are_one_word() -> None:
    assert words("Il a 1 200 000 amis", "fr-fr") == ["Il", "a", "1 200 000", "amis"]
    assert words("Um 14:30 Uhr kostet es 3,50 €.", "de") == [
        "Um", "14:30 Uhr", "kostet", "es", "3,50 €",
    ]  # fmt: skip
    assert words("We met on 3/4/2021 or Feb 24") == [
        "We",
        "met",
        "on",
        "3/4/2021",
        "or",
        "Feb",
        "24",
    ]
    # Two numbers, a number of four digits first, and one that begins with 0 are none of these.
    assert words("nos 1234 567 et 030 123", "fr-fr") == ["nos", "1234", "567", "et", "030", "123"]


@pytest.mark.parametrize(
    ("language", "numbers"),
    [
        ("de", [*range(100), *range(101, 1000, 13), 2021, 45_000, 123_405]),
        ("fr-fr", [*range(130), *range(180, 540, 13), 2021, 123_456]),
    ],
)
def test_numbers_are_the_same_in_digits_and_in_words(language: str, numbers: list[int]) -> None:
    base = language.split("-")[0]
    words_of = {number: cardinal_words(number, base) for number in numbers}
    assert [n for n in numbers if phones(str(n), language) != phones(words_of[n], language)] == []
    for said in words_of.values():
        check(pronounce(said, language))


def test_german_number_words_are_not_spoken_as_written() -> None:
    assert phones("neunzehnhundertfünfundvierzig", "de") == phones("neunzehnhundert 45", "de")
    assert "v" not in phones("hundertvierzig", "de")
    assert words("Vierzig und zweitausendeinundzwanzig", "de") == [
        "Vierzig", "und", "zweitausendeinundzwanzig",
    ]  # fmt: skip
    assert phones("Leipzig ist einzig", "de") == phones("leipzig ist einzig", "de")
    assert separators("tausendundeins", "de") == "||"


@pytest.mark.parametrize(
    "text",
    [
        "The agency, EPA, said so.",
        "EPA",
        "EPA!",
        "So: EPA said.",
        "So: EPA's",
        "We met EPA, FBI, and CIA.",
    ],
)
def test_an_acronym_is_read_in_one_way(text: str) -> None:
    spelled = "".join(phones("E.P.A"))
    assert spelled in "".join(phones(text))
    assert spelled in "".join(phones("We all know that the EPA said so."))


def test_acronyms_of_other_languages() -> None:
    for text, language in (("Die Partei, FDP, ging.", "de"), ("Le parti, UMP, vota.", "fr-fr")):
        word = text.split()[2].strip(",")
        assert "".join(phones(f"nana nana {word}", language)[8:]) in "".join(phones(text, language))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("IT IS WHAT IT IS FOR US", "it is what it is for us"),
        ("MR. SMITH PAID $5 ON FEB 24", "mister smith paid five dollars on february twenty fourth"),
        ("WORLD WAR I CAME, WHEN I SLEPT", "world war one came when I slept"),
        ("HENRY VIII'S WIVES", "henry the eighth's wives"),
        ("THE U.S. TEAM WON", "the U.S. team won"),
        ("I SAW THE FBI IN THE USA", "i saw the F.B.I in the U.S.A"),
        ("NASA", "NASA"),
        ("US", "U.S"),
    ],
)
def test_a_line_in_capitals_is_read_as_in_small_letters(text: str, said: str) -> None:
    assert phones(text) == phones(said)
    assert "".join(filter(str.isalnum, "".join(words(text)))) == "".join(filter(str.isalnum, text))


def test_capitals_of_other_languages() -> None:
    assert phones("DAS IST ES FÜR UNS", "de") == phones("das ist es für uns", "de")
    assert words("DAS IST ES FÜR UNS", "de")[-1] == "UNS"
    assert phones("YO VI LA CASA", "es") == phones("yo vi la casa", "es")
    assert phones("ЭТО ВСЁ ДЛЯ НАС", "ru") == phones("это всё для нас", "ru")


def test_a_capital_line_keeps_what_is_spelled() -> None:
    assert [word.written for word in clauses("DR. WHO IS IN", "en-us")[0].words] == [
        "DR.", "WHO", "IS", "IN",
    ]  # fmt: skip
    assert engine_of("en-us").speak("x")


def test_titles_before_names_are_no_end_of_a_sentence() -> None:
    assert "." not in pronounce("El Sr. López", "es").tokens
    assert "." in pronounce("John Smith Sr. He came", "en-us").tokens
