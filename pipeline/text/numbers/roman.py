"""Roman numerals: their values, and which words in capitals are some."""

from __future__ import annotations

import re
from itertools import pairwise

from ns2.pipeline.text.tables import word_set

_VALUES = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1000}
_FORM = re.compile(r"(?=.)M{0,3}(?:CM|CD|D?C{0,3})(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})")
_CLEAR = re.compile(r"(?=..)X{0,3}(?:IX|IV|V?I{0,3})")
_WORDS = word_set("IV XX XXX MI DI LI MIX DIM CD DVD MD CC DC MM CV ID XL MC CM DL LCD CIVIC MIL")

REIGNING = word_set(
    "Albert Alexander Alfonso Benedict Catherine Charles Christian Clement Edward Elizabeth "
    "Ferdinand Francis Frederick George Gregory Gustav Haakon Henry Innocent Ivan James John Leo "
    "Adrian Amadeus Amenhotep Andrew Anne Antiochus Artaxerxes Baldwin Basil Boniface Callixtus "
    "Carol Casimir Celestine Cleopatra Constantine Cyrus Darius Edmund Emmanuel Eugene Harald "
    "Hassan Honorius Humbert Joseph Julius Justinian Margaret Mehmed Michael Murad Olaf Otto "
    "Rameses Ramesses Robert Selim Sigismund Stephen Theodore Theodosius Thutmose Umberto Xerxes "
    "Leopold Louis Mary Napoleon Nicholas Paul Peter Philip Pius Ptolemy Ramses Richard Urban "
    "Victor Wilhelm William "
    "Albrecht Alexandre Alfons Alejandro Benedikt Benedicto Benoît Carlos Catalina Catherine Karl "
    "Karls Katharina Charles Christina Clemens Clemente Clément Élisabeth Elisabeth Enrique "
    "Felipe Fernando Ferdinand Franz François Francisco Friedrich Friedrichs Georg Gregor "
    "Gregorio Grégoire Guillaume Guillermo Gustavo Gustave Heinrich Heinrichs Henri Innozenz "
    "Inocencio Isabel Isabella Isabelle Iwan Jacques Jaime Jakob Jean Johann Johannes Jorge Juan "
    "Juana Karl León Léon Leopoldo Leopold Ludwig Ludwigs Luis Margarethe Margrethe Maria María "
    "Marie Maximilian Napoleón Napoléon Nikolaus Nicolás Nicolas Otto Pablo Pedro Philipp Philippe "
    "Pie Pierre Pío Ricardo Richard Rudolf Sixtus Viktoria Victoria Victor Wilhelms "
    "João José Luís Afonso Dinis Duarte Filipe Manuel Miguel Sancho Sebastião Henrique Bento "
    "Paulo Pio Leão Carlota "
    "Eduard Eduards Hammurapi Adolf Oskar Olav Konstantin Theodosius Viktor August Ernst Konrad "
    "Lothar Ottokar Wenzel Matthias Kasimir Thutmosis Amenophis Ptolemaios Dareios Kyros Hussein "
    "Abdullah Mohammed Rama Baudouin Willem Frederik Carl Oscar Umberto Lodewijk Filips Hendrik "
    "Édouard Georges Frédéric Alphonse Clovis Dagobert Clotaire Lothaire Hugues Amédée Emmanuel "
    "Rainier Sixte Urbain Célestin Adrien Hadrien Léopold Joseph Constantin Alexis "
    "Carlo Luigi Emanuele Giovanni Leone Gregorio Innocenzo Enrico Filippo Federico Francesco "
    "Ferdinando Alessandro Nicola Paolo Giorgio Giacomo Guglielmo Benedetto Bonifacio Urbano Sisto "
    "Ottone Napoleone Elisabetta Caterina Amedeo Cosimo Vittorio Ramiro Sancho Alfonsos Bonifacio "
    "Karel Karels Albrechts Georgs Karls Wilhelms Pauls Leos Eduards"
)
"""First names of rulers and popes, after which a Roman numeral is an ordinal number."""

NUMBERING = word_set(
    "War Wars Saturn Chapter Chapters Part Parts Act Scene Book Volume Section Title Article Type "
    "Phase Stage Class Level Grade Appendix Table Figure Mark Mk Schedule Category Tier Bowl "
    "Apollo Episode Version Rocky Fantasy Division Group Unit Lesson Canto Psalm Olympiad "
    "Kapitel Teil Band Akt Artikel Buch Klasse Typ Stufe Abschnitt Szene Weltkrieg "
    "chapitre tome volume acte scène livre partie article type classe groupe titre annexe "
    "Chapitre Tome Volume Acte Scène Livre Partie Article Type Classe Groupe Titre Annexe "
    "capítulo tomo volumen acto escena libro parte artículo tipo clase grupo título anexo siglo "
    "Capítulo Tomo Volumen Acto Escena Libro Parte Artículo Tipo Clase Grupo Título Anexo Siglo "
    "capitolo Capitolo secolo atto libro parte hoofdstuk Hoofdstuk deel Deel eeuw kapitel del "
    "Vol Bk Pt Ch Sec vol siglos Siglos siècles Siècles séc século Século séculos secoli sec "
    "Kap Bd Abs Art art chap Chap vol Vol cap Cap núm rozdział tom wiek kapitola luku fejezet"
)
"""Nouns after which a Roman numeral is a number, whatever word its letters may be."""


def roman_value(text: str) -> int:
    """The value of a Roman numeral in capitals: 14 of "XIV"; 0 where it is none."""
    if not _FORM.fullmatch(text):
        return 0
    number = 0
    for digit, following in pairwise([*map(_VALUES.__getitem__, text), 0]):
        number += -digit if digit < following else digit
    return number


def numbered_roman(text: str, before: str) -> int:
    """The value of a Roman numeral after a word that announces one ("Chapter", "Henry"); else 0.

    One letter is I, V or X: there are parts C and D.
    """
    if before not in REIGNING and before not in NUMBERING:
        return 0
    return 0 if text in ("L", "C", "D", "M") else roman_value(text)


def clear_roman(text: str) -> int:
    """The value of a Roman numeral that is one by its form alone: "XIV", "II"; else 0.

    One letter may be a word or an initial, and some numerals are words or abbreviations (IV, CD).
    """
    return roman_value(text) if _CLEAR.fullmatch(text) and text not in _WORDS else 0
