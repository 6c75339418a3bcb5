"""The German "1" before a noun: "ein Kind", "eine Stunde", "in einem Jahr".

The gender comes from a table of nouns that are often counted and from endings that show it, the
case from the word before. A noun of which neither is known has "ein", which is right for two
genders of three; without a preposition the case is the nominative ("1 Mann" is "ein Mann").
"""

from __future__ import annotations

import re

from ns2.pipeline.text.numbers.place import Place
from ns2.pipeline.text.tables import word_set

_FEMININE = word_set(
    "frau nacht stadt hand uhr wahl tür bank mark zahl mutter tochter schwester nummer person wand "
    "stimme wurst maus kuh gans braut burg kraft macht form art bahn fahrt antwort arbeit gefahr "
    "insel regel tafel schüssel kugel gabel nadel mauer steuer feder leiter ecke kartoffel zwiebel "
    "million milliarde tonne meile schicht schrift nuss axt bar bucht faust frucht haut last luft "
    "lust naht not schlacht schuld schnur tat welt zeit couch pizza kamera firma oma email e-mail "
    "mail app party box crew story cd dvd sms mama kiwi geschichte gemeinde erlaubnis kenntnis "
    "wildnis liga"
)
_NEUTER = word_set(
    "kind jahr haus buch mal bier brot stück pfund kilo gramm tor spiel ei auto zimmer fenster "
    "blatt bild glas paar wort land dorf schiff pferd tier schaf huhn bett hotel problem prozent "
    "kapitel semester quartal mitglied opfer boot flugzeug fahrrad rad bein ohr auge ende herz "
    "hemd kleid dach feld fest foto gerät geschenk gesicht getränk gebiet geschäft gespräch "
    "gewicht interesse konto labor leben lied loch mittel netz papier radio recht reh restaurant "
    "schloss schwein signal sofa stadion system taxi team telefon theater ticket tuch video volk "
    "werk wunder zelt ziel reich bad weib fahrzeug werkzeug drittel viertel zehntel baby handy "
    "osterei jahrhundert jh jhd jhdt"
)
_MASCULINE = word_set(
    "junge kunde käse buchstabe gedanke affe löwe hase name kollege zeuge erbe experte soldat bote "
    "riese franzose russe chinese pole türke grieche psychologe biologe pate neffe friede wille "
    "glaube funke haufe same see deutsche tourist hunger finger jäger sprung champion spion "
    "skorpion papagei raum baum traum"
)
_ENDS_FEMININE = re.compile(r".{2,}(?:e|ung|heit|keit|schaft|ion|tät|ik|ur|enz|anz|ei|in)")
_ENDS_NEUTER = re.compile(r".{2,}(?:chen|lein|ment|um|tum|nis|ma|mal)|ge.{2,}e")
_NOT_FEMININE = re.compile(r".*(?:termin|benzin|magazin|wein|stein|verein|schein|kamin)")
_DATIVE = word_set("aus bei mit nach seit von zu vor in an ab binnen innerhalb außer gegenüber")
_ACCUSATIVE = word_set(
    "für durch gegen ohne um pro hat habe haben hast hatte hatten gibt gab nimm nimmt nehme nehmen "
    "nahm kauft kaufe kaufte kaufen braucht brauche brauchen dauert dauerte bekommt bekam bekommen "
    "sieht sehe sah findet fand verlor bestellt bestellte isst trinkt schreibt schrieb"
)
"""Prepositions and verbs that ask for the accusative."""
_SUBJECTS = word_set("ich du er sie es wir ihr man")
_NAMED = word_set(
    "Kapitel Teil Band Nummer Nr Platz Klasse Seite Gleis Zimmer Liga Formel Stufe Typ Level Phase "
    "Artikel Absatz Paragraph Version Gruppe Runde Tag Woche Zone Tarif Tabelle Abbildung Kanal "
    "Raum Tor Linie Bahn Abschnitt Akt Szene Block Halle Haus Ausgabe Folge Staffel Punkt Frage "
    "Aufgabe Lektion Übung Bild Stimme Spieler Programm Bundesliga Variante Version Satz"
)
"""Nouns that a 1 behind them numbers."""
_SMALL = word_set(
    "oder aber unter über alle ohne sehr eine keine beide jede diese welche viele wie je die wurde "
    "hatte sowie bitte heute gerade später vorne eher immer weder außer hinter wieder"
)
"""Words in small letters that end like an adjective."""


def german_one(place: Place) -> str:
    """The number 1 in the form that it has before a German noun; "" where it is "eins"."""
    if place.text != "1" or place.locale.base != "de" or _numbers_what_is_before(place):
        return ""
    after, noun = place.after, place.near(2)
    before = place.before.lower()
    if before in _SUBJECTS:
        before = place.near(-2).lower()  # hat er 1 Hund
    if after == "Uhr":
        return "ein"
    if _is_noun(after):
        return _form(german_gender(after), before)
    ends = re.fullmatch(r"[a-zäöüß]{2,}(e|er|es|em|en)", after)
    if not ends or after in _SMALL or not _is_noun(noun):
        return ""
    if ends[1] in ("er", "es", "e"):  # the adjective shows it: ein kleines Kind
        return _form({"er": "m", "es": "n", "e": "f"}[ends[1]], before)
    return _form(german_gender(noun), before)


def _is_noun(word: str) -> bool:
    return len(word) > 1 and word[0].isupper() and not word.isupper() and word[1:].islower()


def _numbers_what_is_before(place: Place) -> bool:
    """Whether the number names the noun before it: "Kapitel 1 Anfang"."""
    before = place.before
    if before in _NAMED:
        return True
    return before[:1].isupper() and place.index > 1


def german_gender(noun: str) -> str:
    """The gender of a noun: "f", "n", or "m", which stands for what is not known, too."""
    small = noun.lower()
    for gender, known in (("m", _MASCULINE), ("n", _NEUTER), ("f", _FEMININE)):
        if small in known:
            return gender
    if _ENDS_NEUTER.fullmatch(small):
        return "n"
    if _ENDS_FEMININE.fullmatch(small) and not _NOT_FEMININE.fullmatch(small):
        return "f"
    last = max((word for word in _NEUTER | _FEMININE if _ends(small, word)), key=len, default="")
    return "m" if not last else "n" if last in _NEUTER else "f"


def _ends(compound: str, word: str) -> bool:
    """Whether a noun is a compound of another one: "Taschenbuch"."""
    return len(word) > 3 and len(compound) > len(word) + 2 and compound.endswith(word)


def _form(gender: str, before: str) -> str:
    if before in _DATIVE:
        return "einer" if gender == "f" else "einem"
    if before in _ACCUSATIVE and gender == "m":
        return "einen"
    return "eine" if gender == "f" else "ein"
