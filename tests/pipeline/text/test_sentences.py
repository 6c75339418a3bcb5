"""Where sentences end, in texts that are hard to cut."""

from __future__ import annotations

import pytest

from ns2.pipeline.text.sentences import sentences

_TEXTS = {
    "en-us": (
        "Dr. Smith met J. R. R. Tolkien at 5 p.m. on Jan. 3. | They had tea.",
        "He lives in the U.S. He likes it.",
        "The U.S. Army came. | We left.",
        "I paid $3.50. | It was cheap!",
        '"Stop!" he said. | "Why?" she asked.',
        "He went to St. Louis, Mo. last year.",
        "See fig. 3 for details. | It helps.",
        "It weighs 5 lbs. | That is a lot.",
        "Mr. and Mrs. Brown vs. Jones Inc. was heard. | No. 5 won.",
        "She works at Acme Corp. | It pays well.",
        "Visit www.example.com. | It is good.",
        "Version 2.0. is out. | Get it.",
        "e.g. apples, i.e. fruit. | Good.",
        'He said "Go." | Then he left.',
        "What?! | No way... | Really? | Yes.",
        "Prof. A. B. Lee, Ph.D., spoke. | All listened.",
        "At 10 a.m. Monday we met. | Then 6 p.m. came.",
        "(He left.) | She stayed.",
        "Wait... what? | OK.",
        "George W. Bush spoke. | We heard.",
        "Prof. Jane Q. Public, M.D., lives at 42 Elm Ave., Apt. 7, in Springfield, Ill. | Yes.",
        "Go to https://docs.python.org/3.11/library/re.html?x=1. | Read it.",
        "Smith & Co. Ltd. closed. | Jones Co. Inc. did not.",
        "Items: 1. apples, 2. pears, 3. plums. | Done.",
    ),
    "de": (
        "Am 21. Mai kamen ca. 30 Leute. | Es war schön.",
        "Dr. Müller wohnt in der Str. 5. | Er ist nett.",
        "Das ist z. B. gut. | Ja.",
        "Es waren 17. | Dann kam er.",
        "Heute ist der 17. | Dann gehen wir.",
        "Friedrich II. von Preußen lebte im 18. Jh. in Berlin. | Er spielte Flöte.",
        "Das kostet 3,50 Euro usw. | Wir zahlen.",
        "Der 1. FC Köln spielt am 3. 5. 2021. | Los!",
        "„Halt!“, rief er. | „Wer da?“",
        "Hr. v. Goethe kam. | Fr. Stein ging.",
        "Siehe S. 5 ff. und Abb. 3. | Danke.",
        "Im 2. Stock wohnt Prof. Dr. med. Huber. | Er schläft.",
        "Um 10.30 Uhr geht es los. | Komm!",
        "Das ist d. h. nichts. | Gut.",
        "J. S. Bach war groß. | Ja.",
        "Bzgl. Ihrer Anfrage: nein. | Danke.",
        "Nr. 5 lebt. | Nr. 6 auch.",
        "Er ist geb. 1950 in Bonn. | Heute lebt er dort.",
        "Bis zum 30. | Wir warten.",
        "Die 2. und 3. Klasse kommt. | Die 1. bleibt.",
        "Die Fa. Müller & Co. KG hat ca. 1.200 Mitarbeiter. | Sie wächst.",
        "Lt. Gesetz (vgl. § 5 Abs. 2 Nr. 3) ist das verboten. | Punkt.",
        "Das o. g. Haus (s. o.) wurde i. d. R. vermietet. | Jetzt steht es leer.",
        "»Kommst du?«, fragte sie. | »Nein.« | Er ging.",
    ),
    "fr-fr": (
        "M. Dupont habite au no. 5. | Il est gentil.",
        "Mme. Curie et M. Joliot sont là. | Bien.",
        "Il est arrivé à 10 h. | Elle est partie.",
        "Cf. p. 12. | Merci.",
        "Le Dr. Martin, etc. | Il viendra.",
        "J.-P. Sartre écrivait. | Oui.",
        "Il a 3,5 kg. | C'est tout.",
        "« Arrête ! » dit-il. | « Pourquoi ? »",
        "Av. J.-C. Rome régnait. | Puis rien.",
        "Le XIXe s. fut long. | Oui.",
        "Ste. Anne prie. | St. Jean aussi.",
        "env. 30 personnes vinrent. | Ensuite rien.",
        "C'est M. le maire. | Bonjour !",
        "Vol. 3, chap. 2. | Fin.",
        "Elle a dit oui. | Lui non.",
        "Quoi ?! | Non... | Si.",
        "Tél. 01 02 03 04 05. | Appelez.",
        "MM. Durand et Cie. vendent. | Bien.",
        "Boul. St. Michel est long. | Allons-y.",
        "N. B. Sarkozy parla. | Fin.",
        "Il a dit : « Non. » | Puis plus rien.",
        "« Où vas-tu ? » demanda-t-elle. | « Nulle part. » | Il sortit.",
        "Le Pr. Blanc et la Dre. Noir opèrent. | Tout va bien.",
        "Il mesure 1,80 m. | Elle mesure 1,75 m.",
    ),
    "es": (
        "El Sr. López vive en la Av. 9 de Julio. | Es alto.",
        "La Sra. Gómez, etc. | Vino ayer.",
        "¿Qué? | ¡No! | Sí.",
        "A. de C. hubo reyes. | Luego nada.",
        "EE. UU. ganó. | Bien.",
        "El Dr. Pérez y la Dra. Ruiz llegaron. | Hola.",
        "Véase pág. 5. | Gracias.",
        "Ud. es amable. | Uds. también.",
        "Costó 3.500 pesos. | Fue caro.",
        "«¡Alto!» gritó. | «¿Quién va?»",
        "Núm. 5 gana. | Núm. 6 pierde.",
        "A las 5 p. m. salimos. | Era tarde.",
        "J. L. Borges escribió. | Sí.",
        "Sto. Domingo es bello. | Sta. Ana también.",
        "Aprox. 30 personas vinieron. | Luego nada.",
        "Es un prof. bueno. | Sí.",
        "Tel. 555 123. | Llame.",
        "El siglo XX. | Fue largo.",
        "Dijo que no. | Ella sí.",
        "Fdo. Juan Ruiz. | Madrid.",
        "J. L. Borges nació en Bs. As. en 1899. | Era ciego.",
        "Tel. 91 123 45 67, ext. 8. | Llame ya.",
        "—¿Quién es? —preguntó él. | —Soy yo. | Abrió.",
        "El 3.er piso y la 2.ª puerta. | Llame fuerte.",
    ),
}
"""By language, " | " between sentences."""


@pytest.mark.parametrize(
    ("language", "told"), [(name, told) for name, texts in _TEXTS.items() for told in texts]
)
def test_sentences_end_where_they_end(language: str, told: str) -> None:
    assert " | ".join(sentences(told.replace(" | ", " "), language)) == told


@pytest.mark.parametrize(
    ("language", "text", "told"),
    [
        ("en-us", "One.\n\ntwo | three", ["One.", "two | three"]),
        ("en-us", "Chapter one\n\nIt was late", ["Chapter one", "It was late"]),
        ("en-us", "One line\nand another. Then", ["One line and another.", "Then"]),
        ("en-us", "...", ["..."]),
        ("en-us", " \n", []),
        ("ja", "「はい。」と言った。雨だ！そう？", ["「はい。」と言った。", "雨だ！", "そう？"]),
        ("cmn", "一。二！三", ["一。", "二！", "三"]),
        ("hi", "वह घर गया। वह सो गया।", ["वह घर गया।", "वह सो गया।"]),
        ("ru", "Он пришёл в 5 ч. вечера. Было темно.", ["Он пришёл в 5 ч. вечера.", "Было темно."]),
        ("en-us", f"A {'x' * 300}. Then more.", [f"A {'x' * 300}.", "Then more."]),
        ("en-us", "Is it? ! Yes - no. - He left.", ["Is it? !", "Yes - no.", "- He left."]),
    ],
)
def test_other_scripts_and_paragraphs(language: str, text: str, told: list[str]) -> None:
    assert sentences(text, language) == told
