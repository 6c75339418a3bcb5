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
        "approx": "approximately", "dept": "department", "sq": "square", "cu": "cubic",
        "viz": "namely", "cf": "compare",
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
        "Hrsg": "Herausgeber", "med": None, "jur": None, "phil": None, "rer": None, "nat": None,
        "h.c": "honoris causa", "ff": "fortfolgende", "Frl": "Fräulein",
        "Jhd": "Jahrhundert", "Jhdt": "Jahrhundert", "jun": "junior", "sen": "senior",
        "Dipl.-Ing": "Diplomingenieur", "Mag": "Magister", "Ing": "Ingenieur",
        "jr": "junior", "Aufl": "Auflage",
    },
    "fr": {
        "M": "monsieur", "MM": "messieurs", "Mme": None, "Mlle": None, "Dr": "docteur",
        "St": "saint", "Ste": "sainte", "J.-C": "Jésus-Christ",
        "c.-à-d": "c'est-à-dire", "apr": "après", "p.ex": "par exemple", "etc": None,
        "Tél": "téléphone",
        "env": "environ", "Mgr": "monseigneur", "bd": "boulevard", "av": "avenue", "ap": "après",
        "Cie": "compagnie", "MMmes": "mesdames",
    },
    "es": {
        "Sr": None, "Sra": None, "Srta": None, "Dr": None, "Dra": None, "D": "don",
        "Ud": None, "Uds": None, "Vd": "usted", "Vds": "ustedes", "Srtas": "señoritas",
        "EE.UU": "Estados Unidos", "p.ej": "por ejemplo",
        "etc": None, "pág": "página", "Tel": "teléfono", "Dña": "doña",
        "aprox": "aproximadamente", "Gral": "general",
        "Av": "avenida", "Avda": "avenida", "Avd": "avenida", "Sres": "señores", "Sras": "señoras",
        "Mons": "monseñor", "Fr": "fray", "Sto": "santo", "Sta": "santa", "Ing": "ingeniero",
        "Lic": "licenciado", "Tte": "teniente", "Cnel": "coronel", "Excmo": "excelentísimo",
        "JJ.OO": "Juegos Olímpicos", "FF.AA": "Fuerzas Armadas", "Pza": "plaza", "Plza": "plaza",
        "Cía": "compañía", "a.C": "antes de Cristo", "d.C": "después de Cristo",
        "Prof": "profesor",
        "Profa": "profesora", "a.m": "a eme", "p.m": "pe eme",
    },
    "it": {
        "Sig": "signor", "sig": "signor", "Dott": "dottor", "dott": "dottor", "Prof": "professor",
        "prof": "professor", "Dr": "dottor", "ecc": "eccetera", "es": "esempio", "ing": "ingegner",
        "avv": "avvocato", "a.C": "avanti Cristo", "d.C": "dopo Cristo",
        "p.es": "per esempio", "Tel": "telefono", "tel": "telefono", "cell": "cellulare",
    },
    "pt": {
        "Sr": "senhor", "Sra": "senhora", "Srta": "senhorita", "Dr": "doutor", "Dra": "doutora",
        "Prof": "professor", "Profa": "professora", "Eng": "engenheiro", "etc": None,
        "a.C": "antes de Cristo", "d.C": "depois de Cristo", "p.ex": "por exemplo", "Av": "avenida",
        "Sto": "santo", "Sta": "santa", "Tel": "telefone", "tel": "telefone",
        "cel": "celular", "apto": "apartamento",
    },
    "nl": {
        "dhr": "de heer", "mevr": "mevrouw", "mw": "mevrouw", "dr": "dokter", "prof": "professor",
        "bijv": "bijvoorbeeld", "enz": "enzovoort", "nr": "nummer", "blz": "bladzijde",
        "v.Chr": "voor Christus", "n.Chr": "na Christus", "o.a": "onder andere", "ca": "circa",
        "d.w.z": "dat wil zeggen", "hfst": "hoofdstuk", "St": "sint",
        "mr": "meester", "drs": "doctorandus", "ir": "ingenieur", "tel": "telefoon",
    },
    "pl": {
        "np": "na przykład", "itd": "i tak dalej", "itp": "i tym podobne", "tzn": "to znaczy",
        "tj": "to jest", "m.in": "między innymi", "dr": "doktor", "prof": "profesor",
        "mgr": "magister", "inż": "inżynier", "ul": None, "św": None, "godz": None, "tzw": None,
        "ok": "około", "r": "roku", "al": None, "ks": None, "os": None, "tel": None,
        "zob": "zobacz", "wg": "według",
    },
    "ru": {
        "т.е": "то есть", "т.д": "так далее", "т.п": "тому подобное", "и.о": None,
        "ул": "улица", "им": "имени", "др": "другие", "г": None, "см": "смотри", "руб": "рублей",
        "гг": "годов", "тыс": "тысяч", "напр": "например", "н.э": "нашей эры", "коп": "копеек",
    },
}  # fmt: skip
NAMES_TOO = word_set("Max Al Gem Mag Sen Bes Es Gest Mind Fig Mar Set Mai")
"""Abbreviations that are names or other words where they begin a sentence."""
CLOSING = frozenset(
    {"etc", "Inc", "Ltd", "Co", "Corp", "Bros", "Jr", "Sr", "Esq", "Ave", "Blvd", "Rd", "al",
     "a.m", "p.m", "A.M", "P.M", "B.C", "A.D", "Ph.D", "M.D", "usw", "ecc", "т.д", "т.п", "др",
     "itd", "itp", "enz", "a.C", "d.C",
     "v.Chr", "n.Chr", "J.-C", "н.э", "гг", "руб", "r", "ff", "Cie"}
)  # fmt: skip
"""Abbreviations that may end a sentence; they do if a word with a capital letter follows."""
GERMAN_CLOSING = word_set(
    "n.Chr v.Chr n.V n.E o.ä o.Ä u.ä u.Ä u.v.m a.D s.o s.u etc Hbf Bhf Str geb gest"
)
"""German abbreviations that end a sentence before a word that begins one."""

BEFORE_NUMBER = {  # abbreviations only if a number follows, by language
    "en": word_set(
        "No Nos no nos Apt Rm c ca p pp pg Pg para vol Vol ch Ch chap Chap Bk Pt Sec fig Fig "
        "Jan Feb Mar Apr Jun Jul Aug Sep Sept Oct Nov Dec"
    ),
    "de": word_set("S Abb Kap Bd Abs Art Jan Feb Mrz Apr Jun Jul Aug Sept Sep Okt Nov Dez"),
    "fr": word_set("n p pp t fig art vol chap ch janv févr fév avr juil sept oct nov déc"),
    "es": word_set("s ss Nº núm art cap vol t fig pág págs pp p ene feb abr ago sept oct nov dic"),
    "it": word_set(
        "n p pp t fig art cap vol pag pagg sec gen feb mar apr mag giu lug ago set sett ott nov dic"
    ),
    "pt": word_set(
        "n p pp t fig art cap vol pág págs núm séc jan fev mar abr mai jun jul ago set out nov dez"
    ),
    "nl": word_set("nr p art hfst jan feb mrt apr jun jul aug sept okt nov dec"),
    "pl": word_set("nr s rozdz tom"),
    "ru": frozenset({"стр", "рис", "гл", "кв", "д"}),
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
        "n": "numéro", "p": "page", "pp": "pages", "t": "tome", "fig": "figure",
        "ch": "chapitre", "art": "article", "vol": "volume", "chap": "chapitre",
        "janv": "janvier", "févr": "février", "fév": "février", "avr": "avril", "juil": "juillet",
        "sept": "septembre", "oct": "octobre", "nov": "novembre", "déc": "décembre",
    },
    "es": {
        "s": "siglo", "ss": "siglos", "t": "tomo", "fig": "figura", "pág": "página",
        "págs": "páginas", "pp": "páginas", "p": "página", "Nº": "número", "núm": "número",
        "art": "artículo", "cap": "capítulo", "vol": "volumen",
        "ene": "enero", "feb": "febrero", "abr": "abril", "ago": "agosto", "sept": "septiembre",
        "oct": "octubre", "nov": "noviembre", "dic": "diciembre",
    },
    "it": {
        "n": "numero", "p": "pagina", "pp": "pagine", "t": "tomo", "fig": "figura",
        "art": "articolo", "cap": "capitolo", "vol": "volume", "pag": "pagina", "pagg": "pagine",
        "sec": "secolo",
        "gen": "gennaio", "feb": "febbraio", "mar": "marzo", "apr": "aprile", "mag": "maggio",
        "giu": "giugno", "lug": "luglio", "ago": "agosto", "set": "settembre",
        "sett": "settembre", "ott": "ottobre", "nov": "novembre", "dic": "dicembre",
    },
    "pt": {
        "n": "número", "p": "página", "pp": "páginas", "t": "tomo", "fig": "figura",
        "art": "artigo", "cap": "capítulo", "vol": "volume", "pág": "página", "págs": "páginas",
        "núm": "número", "séc": "século", "jan": "janeiro", "fev": "fevereiro", "mar": "março",
        "abr": "abril",
        "mai": "maio", "jun": "junho", "jul": "julho", "ago": "agosto", "set": "setembro",
        "out": "outubro", "nov": "novembro", "dez": "dezembro",
    },
    "nl": {
        "nr": "nummer", "p": "pagina", "art": "artikel", "hfst": "hoofdstuk", "jan": "januari",
        "feb": "februari", "mrt": "maart", "apr": "april", "jun": "juni", "jul": "juli",
        "aug": "augustus", "sept": "september", "okt": "oktober", "nov": "november",
        "dec": "december",
    },
    "pl": {"nr": "numer", "s": "strona", "rozdz": "rozdział"},
    "ru": {
        "стр": "страница", "рис": "рисунок", "гл": "глава", "кв": "квартира", "д": "дом",
    },
}  # fmt: skip
COUNTED_IN_ROMAN = word_set("vol chap ch bk pt t s ss sec séc")
"""Abbreviations before which "I", "V" and "X" are numbers."""
MONTHS = word_set("Jan Feb Mar Mrz Apr Jun Jul Aug Sep Sept Oct Okt Nov Dec Dez")
UNITS = {  # abbreviations only if a number stands before them, by language
    "en": word_set("ft in lb lbs oz hr hrs min mins sec secs mi yd yds cm mm km kg gal tbsp tsp"),
    "de": word_set("Std Min Sek"),
    **dict.fromkeys(("fr", "es", "it", "pt"), word_set("h min km kg cm mm m g l")),
    "nl": word_set("min sec"),
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
    "Jahrhundert Jahrhunderts Jh Jhd Jhdt"
)
"""German nouns that stand behind an ordinal number, as in "3. Mai"."""
