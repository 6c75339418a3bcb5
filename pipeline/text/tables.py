"""Tables of languages for `clauses` and `english`: marks, scripts, abbreviations."""

from __future__ import annotations


def word_set(words: str) -> frozenset[str]:
    """The set of the words in a line."""
    return frozenset(words.split())


MARKS = (".", ",", ";", ":", "?", "!", "…", "—")
"""The punctuation marks that stand for a pause; all others become one of these or are removed."""

STRENGTH = "?!.…—;:,"
"""Marks from the strongest to the weakest; of a run of marks the strongest is kept."""

SPOKEN_SYMBOLS = frozenset("%‰&+=@#№/°§±×÷−½¼¾⅓⅔⅛⅜⅝⅞²³ªºµ")
APOSTROPHES = "'’‘‛ʼ＇`´ʹ′"
ELISIONS = {
    "en": {"tis", "twas", "twere", "em", "cause", "til", "n", "bout", "round", "cos", "tween"},
    "af": {"n"},
    "nl": {"s", "t", "n", "k", "m"},
}

# Marks of other scripts. The space makes them end a clause although no space follows them.
FOREIGN_MARKS = str.maketrans(
    {
        "。": ". ", "．": ". ", "｡": ". ", "，": ", ", "、": ", ", "､": ", ", "；": "; ",
        "：": ": ", "？": "? ", "！": "! ", "‼": "! ", "⁇": "? ", "⁈": "? ", "⁉": "! ",
        "‽": "? ", "؟": "? ", "،": ", ", "؛": "; ", "۔": ". ", "।": ". ", "॥": ". ", "։": ". ",
        "՝": ", ", "՞": "", "՜": "", "՛": "", "።": ". ", "፣": ", ", "፤": "; ", "፥": ": ",
        "፦": ": ", "፧": "? ", "፡": " ", "၊": ", ", "။": ". ", "׃": ". ", "‥": "… ", "⋯": "… ",
        "—": " — ", "―": " — ", "⸺": " — ", "⸻": " — ", "־": "-", "‐": "-", "‑": "-",
    }
)  # fmt: skip

# Scripts by espeak-ng voice, else by the part before the first dash, else Latin. The names are
# the first words of Unicode's character names. Japanese is kana alone: espeak-ng 1.52 reads every
# kanji as the words "Chinese letter".
SCRIPTS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(
        ("ba", "be", "bg", "cv", "kk", "ky", "mk", "nog", "ru", "tt", "uk"), ("CYRILLIC",)
    ),
    **dict.fromkeys(("bs", "hr", "sr", "uz"), ("LATIN", "CYRILLIC")),
    **dict.fromkeys(("ar", "fa", "sd", "ug", "ur"), ("ARABIC",)),
    **dict.fromkeys(("hi", "kok", "mr", "ne"), ("DEVANAGARI",)),
    **dict.fromkeys(("as", "bn", "bpy"), ("BENGALI",)),
    **dict.fromkeys(("el", "grc"), ("GREEK",)),
    **dict.fromkeys(("hy", "hyw"), ("ARMENIAN",)),
    **dict.fromkeys(("am", "ti"), ("ETHIOPIC",)),
    **dict.fromkeys(("my", "shn"), ("MYANMAR",)),
    **dict.fromkeys(("cmn", "yue"), ("CJK",)),
    "he": ("HEBREW",), "gu": ("GUJARATI",), "pa": ("GURMUKHI",), "or": ("ORIYA",),
    "ta": ("TAMIL",), "te": ("TELUGU",), "kn": ("KANNADA",), "ml": ("MALAYALAM",),
    "si": ("SINHALA",), "th": ("THAI",), "ka": ("GEORGIAN",), "ko": ("HANGUL",),
    "ja": ("HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA"),
    "fa-latn": ("LATIN",), "cmn-latn-pinyin": ("LATIN",), "en-shaw": ("SHAVIAN", "LATIN"),
}  # fmt: skip
_CASED = ("LATIN", "CYRILLIC", "GREEK", "ARMENIAN")
UNCASED = frozenset(base for base, scripts in SCRIPTS.items() if not {*_CASED} & {*scripts})
"""Languages whose scripts have no capitals: what is in capitals there are acronyms."""
SCRIPT_HINT = "; is --language right?"
SCRIPT_HINTS = {"ja": "; espeak-ng can't read kanji: write kana, or give --g2p pyopenjtalk-plus"}
"""What to do about a Chinese character, by language."""
PINYIN = "cmn-latn-pinyin"
"""The voice that reads pinyin; that of Chinese characters reads Latin letters as English."""
UNSPACED = word_set("ja th my shn")
"""Languages that are written without spaces between words, apart from Chinese."""
NO_SCRIPT = ("MODIFIER", "FEMININE", "MASCULINE", "MICRO")
"""First words of the names of letters that belong to no script."""

# Words whose full stop does not end a clause, with the text to speak; None: as espeak-ng does.
ABBREVIATIONS: dict[str, dict[str, str | None]] = {
    "en": {
        "Mr": "mister", "Mrs": None, "Ms": "miz", "Dr": "doctor", "Prof": "professor",
        "Rev": "reverend", "Hon": "honorable", "Gen": "general", "Col": "colonel",
        "Maj": "major", "Capt": "captain", "Lt": "lieutenant", "Sgt": "sergeant",
        "Gov": "governor", "Sen": "senator", "Rep": "representative", "Messrs": "messers",
        "Mme": "madame", "Mlle": "mademoiselle", "Mt": "mount", "Ft": "fort", "St": None,
        "vs": "versus", "Jr": "junior", "Sr": "senior", "Esq": "esquire", "etc": None,
        "Inc": "incorporated", "Ltd": "limited", "Co": "company", "Corp": "corporation",
        "Bros": "brothers", "Ave": "avenue", "Blvd": "boulevard", "Rd": "road",
        "approx": "approximately", "dept": "department", "viz": "namely", "cf": "compare",
        "al": None,
    },
    "de": {
        "Dr": "Doktor", "Prof": "Professor", "Hr": "Herr", "Fr": "Frau", "St": "Sankt",
        "Nr": "Nummer", "z.B": "zum Beispiel", "d.h": "das heißt", "u.a": "unter anderem",
        "usw": "und so weiter", "bzw": "beziehungsweise", "ca": "circa", "Str": "Straße",
        "Mio": "Millionen", "Mrd": "Milliarden", "vgl": "vergleiche", "Tel": "Telefon",
        "ggf": "gegebenenfalls", "evtl": "eventuell", "inkl": "inklusive", "z.T": "zum Teil",
        "Jh": "Jahrhundert", "n.Chr": "nach Christus", "v.Chr": "vor Christus",
        "n.V": "nach Verlängerung", "n.E": "nach Elfmeterschießen", "v.a": "vor allem",
        "i.d.R": "in der Regel", "u.U": "unter Umständen", "m.E": "meines Erachtens",
        "o.ä": "oder ähnliches", "o.Ä": "oder Ähnliches", "u.Ä": "und Ähnliches",
        "u.ä": "und ähnliches", "u.v.m": "und vieles mehr", "s.o": "siehe oben",
        "s.u": "siehe unten", "a.D": "außer Dienst", "z.Zt": "zurzeit", "z.Z": "zurzeit",
        "bspw": "beispielsweise", "etc": "et cetera", "mind": "mindestens", "max": "maximal",
        "geb": "geboren", "gest": "gestorben", "gem": "gemäß", "zzgl": "zuzüglich",
        "abzgl": "abzüglich", "bes": "besonders", "insb": "insbesondere",
        "insbes": "insbesondere", "Hbf": "Hauptbahnhof", "Bhf": "Bahnhof", "Tsd": "Tausend",
        "Hrsg": "Herausgeber",
    },
    "fr": {
        "M": "monsieur", "MM": "messieurs", "Mme": None, "Mlle": None, "Dr": "docteur",
        "St": "saint", "Ste": "sainte", "p.ex": "par exemple", "etc": None, "Tél": "téléphone",
        "env": "environ", "Mgr": "monseigneur", "bd": "boulevard",
    },
    "es": {
        "Sr": None, "Sra": None, "Srta": None, "Dr": None, "Dra": None, "D": "don",
        "Ud": None, "Uds": None, "EE.UU": "Estados Unidos", "p.ej": "por ejemplo",
        "etc": None, "pág": "página", "Tel": "teléfono", "Dña": "doña",
        "aprox": "aproximadamente", "Gral": "general",
        "Av": "avenida", "a.m": "a eme", "p.m": "pe eme",
    },
    "it": {"Sig": "signor", "Dott": "dottor", "Prof": "professor", "ecc": "eccetera", "es": None},
    "pt": {"Sr": None, "Sra": None, "Dr": None, "Dra": None, "etc": None},
    "nl": {"dhr": None, "mevr": None, "dr": None, "prof": None, "bijv": None, "enz": None},
    "ru": {
        "т.е": "то есть", "т.д": "так далее", "т.п": "тому подобное", "и.о": None,
        "ул": "улица", "им": "имени", "др": "другие", "г": None, "см": "смотри", "руб": None,
    },
}  # fmt: skip
CLOSING = frozenset(
    {"etc", "Inc", "Ltd", "Co", "Corp", "Bros", "Jr", "Sr", "Esq", "Ave", "Blvd", "Rd", "al",
     "a.m", "p.m", "A.M", "P.M", "B.C", "A.D", "Ph.D", "M.D", "usw", "ecc", "т.д", "т.п", "др"}
)  # fmt: skip
"""Abbreviations that may end a sentence; they do if a word with a capital letter follows."""
GERMAN_CLOSING = word_set(
    "n.Chr v.Chr n.V n.E o.ä o.Ä u.ä u.Ä u.v.m a.D s.o s.u etc Hbf Bhf Str geb gest"
)
"""German abbreviations that end a sentence before a word that begins one."""

BEFORE_NUMBER = {  # abbreviations only if a number follows, by language
    "en": word_set(
        "No Nos no nos c ca p pp vol Vol ch Ch fig Fig "
        "Jan Feb Mar Apr Jun Jul Aug Sep Sept Oct Nov Dec"
    ),
    "de": word_set("S Abb Kap Bd Abs Art Jan Feb Mrz Apr Jun Jul Aug Sept Sep Okt Nov Dez"),
    "fr": word_set("n p art vol chap janv févr fév avr juil sept oct nov déc"),
    "es": word_set("Nº núm art cap vol ene feb abr ago sept oct nov dic"),
    "ru": frozenset({"стр", "рис", "гл"}),
}
BEFORE_NUMBER_SAID = {  # the text to speak for some of them
    "de": {
        "S": "Seite", "Abb": "Abbildung", "Kap": "Kapitel", "Bd": "Band", "Abs": "Absatz",
        "Art": "Artikel", "Jan": "Januar", "Feb": "Februar", "Mrz": "März", "Apr": "April",
        "Jun": "Juni", "Jul": "Juli",
        "Aug": "August", "Sept": "September", "Sep": "September", "Okt": "Oktober",
        "Nov": "November", "Dez": "Dezember",
    },
    "fr": {
        "n": "numéro", "p": "page", "art": "article", "vol": "volume", "chap": "chapitre",
        "janv": "janvier", "févr": "février", "fév": "février", "avr": "avril", "juil": "juillet",
        "sept": "septembre", "oct": "octobre", "nov": "novembre", "déc": "décembre",
    },
    "es": {
        "Nº": "número", "núm": "número", "art": "artículo", "cap": "capítulo", "vol": "volumen",
        "ene": "enero", "feb": "febrero", "abr": "abril", "ago": "agosto", "sept": "septiembre",
        "oct": "octubre", "nov": "noviembre", "dic": "diciembre",
    },
}  # fmt: skip
MONTHS = word_set("Jan Feb Mar Mrz Apr Jun Jul Aug Sep Sept Oct Okt Nov Dec Dez")
UNITS = {  # abbreviations only if a number stands before them, by language
    "en": word_set("ft in lb lbs oz hr hrs min mins sec secs mi yd yds cm mm km kg gal"),
    "de": word_set("Std Min Sek"),
}
PRONOUNS = word_set(
    "He She It They We You I The This That His Her Their In On At When After But And"
)
"""English words that begin a sentence, before which a letter is the number of a ruler."""
LETTERED = word_set(
    "plan vitamin hepatitis group class grade type section exhibit option part team point appendix "
    "side block gate room column row version model question item unit building wing terminal zone "
    "level division series figure schedule category step letter pattern phase site route string "
    "gruppe klasse typ abschnitt punkt variante teil anlage haus spalte zeile serie stufe "
    "buchstabe gleis halle linie "
    "vitamine hépatite groupe classe point partie annexe bloc porte salle colonne ligne lettre "
    "vitamina grupo clase tipo sección opción parte equipo punto anexo bloque puerta sala columna "
    "letra plano classe seção opção equipa equipe ponto bloco porta coluna série "
    "gruppo classe sezione opzione squadra"
)
"""Nouns that a letter names ("Plan A"), in small letters: it is no initial, and no article."""
SPELLED = word_set(
    "USA EU UK FBI CIA DVD CEO TV NBC CBS BBC CNN NYC NFL NBA DNA HIV IRS FDA GPS EPA KGB USSR GDP "
    "UCLA PC CD FC SPD CDU FDP ARD ZDF SNCF TGV"
)
"""Acronyms that stay in capitals in a text that is all in capitals."""

WORDS_TOO = {
    "US": word_set(
        "ARMY NAVY MARINES AIR FORCES TROOPS SOLDIERS MILITARY GOVERNMENT PRESIDENT CONGRESS "
        "SENATE SENATOR DOLLAR DOLLARS TREASURY CONSTITUTION SUPREME EMBASSY AMBASSADOR CITIZEN "
        "CITIZENS ECONOMY OPEN HISTORY LAW ELECTION OFFICIALS STATES STATE BORDER MARKET MARKETS"
    ),
    "IT": word_set(
        "DEPARTMENT SUPPORT SECTOR INDUSTRY SECURITY STAFF SPECIALIST MANAGER SERVICES SYSTEMS "
        "INFRASTRUCTURE COMPANY COMPANIES"
    ),
}
"""Acronyms that are English words, too, with nouns before which they are acronyms in a text that
is all in capitals; behind "THE" they always are."""

ORDINAL_DOT = word_set("bs cs da de et eu fi hr hu is lb lv nb pl sk sl sr tr")
GERMAN_RANKED = word_set(
    "Januar Februar März April Mai Juni Juli August September Oktober November Dezember "
    "Jahrhundert Jahrhunderts Jh"
)
"""German nouns that stand behind an ordinal number, as in "3. Mai"."""
