"""What the rules need to know of Italian, Portuguese and Dutch."""

from __future__ import annotations

from ns2.pipeline.text.numbers.locale import Locale, coins_of, nouns_of

ITALIAN = Locale(
    base="it", point="virgola", minus="meno", plus="più", percent="per cento", to="a", ratio="a",
    clock="{h} e {m}", date="{day} {month} {year}", first="primo",
    months=("gennaio", "febbraio", "marzo", "aprile", "maggio", "giugno", "luglio", "agosto",
            "settembre", "ottobre", "novembre", "dicembre"),
    units=nouns_of("""
        km un chilometro|chilometri
        m un metro|metri
        cm un centimetro|centimetri
        mm un millimetro|millimetri
        km/h un chilometro orario|chilometri orari
        m/s un metro al secondo|metri al secondo
        m² un metro quadrato|metri quadrati
        mq un metro quadrato|metri quadrati
        km² un chilometro quadrato|chilometri quadrati
        kmq un chilometro quadrato|chilometri quadrati
        m³ un metro cubo|metri cubi
        ha un ettaro|ettari
        kg un chilogrammo|chilogrammi
        g un grammo|grammi
        mg un milligrammo|milligrammi
        t una tonnellata|tonnellate
        l un litro|litri
        L un litro|litri
        ml un millilitro|millilitri
        cl un centilitro|centilitri
        °C un grado Celsius|gradi Celsius
        °F un grado Fahrenheit|gradi Fahrenheit
        ° un grado|gradi
        h un' ora|ore
        min un minuto|minuti
        s un secondo|secondi
        W un watt
        kW un chilowatt
        kWh un chilowattora
        MW un megawatt
        V un volt
        Hz un hertz
        kHz un chilohertz
        MHz un megahertz
        GHz un gigahertz
        MB un megabyte
        GB un gigabyte
        TB un terabyte
    """),
    coins=coins_of("""
        €/EUR/euro un euro; un centesimo|centesimi
        $/USD/US$/dollaro/dollari un dollaro|dollari; un centesimo|centesimi
        £/GBP una sterlina|sterline; un penny|pence
        ¥/JPY uno yen|yen; un sen
    """),
    between_coins="e",
    of="di",
    scales={"mln": ("milione", "milioni"), "mld": ("miliardo", "miliardi"),
            "milione": ("milione",) * 2, "milioni": ("milioni",) * 2,
            "miliardo": ("miliardo",) * 2, "miliardi": ("miliardi",) * 2},
    parts={2: ("mezzo", "mezzi"), 3: ("terzo", "terzi"), 4: ("quarto", "quarti"),
           5: ("quinto", "quinti"), 6: ("sesto", "sesti"), 8: ("ottavo", "ottavi"),
           10: ("decimo", "decimi")},
    halves={"½": "un mezzo", "¼": "un quarto", "¾": "tre quarti", "⅓": "un terzo",
            "⅔": "due terzi", "⅛": "un ottavo"},
    mixed="e",
)  # fmt: skip
PORTUGUESE = Locale(
    base="pt", point="vírgula", minus="menos", plus="mais", percent="por cento", to="a",
    ratio="a", clock="{h} e {m}", date="{day} de {month} de {year}", first="primeiro",
    months=("janeiro", "fevereiro", "março", "abril", "maio", "junho", "julho", "agosto",
            "setembro", "outubro", "novembro", "dezembro"),
    units=nouns_of("""
        km um quilômetro|quilômetros
        m um metro|metros
        cm um centímetro|centímetros
        mm um milímetro|milímetros
        km/h um quilômetro por hora|quilômetros por hora
        m/s um metro por segundo|metros por segundo
        m² um metro quadrado|metros quadrados
        km² um quilômetro quadrado|quilômetros quadrados
        m³ um metro cúbico|metros cúbicos
        ha um hectare|hectares
        kg um quilograma|quilogramas
        g um grama|gramas
        mg um miligrama|miligramas
        t uma tonelada|toneladas
        l um litro|litros
        L um litro|litros
        ml um mililitro|mililitros
        °C um grau Celsius|graus Celsius
        °F um grau Fahrenheit|graus Fahrenheit
        ° um grau|graus
        h uma hora|horas
        min um minuto|minutos
        s um segundo|segundos
        W um watt|watts
        kW um quilowatt|quilowatts
        kWh um quilowatt hora|quilowatts hora
        MW um megawatt|megawatts
        V um volt|volts
        Hz um hertz
        kHz um quilo-hertz
        MHz um mega-hertz
        GHz um giga-hertz
        MB um megabyte|megabytes
        GB um gigabyte|gigabytes
        TB um terabyte|terabytes
    """),
    coins=coins_of("""
        R$/BRL/real/reais um real|reais; um centavo|centavos
        €/EUR/euro/euros um euro|euros; um cêntimo|cêntimos
        $/USD/US$/dólar/dólares um dólar|dólares; um centavo|centavos
        £/GBP uma libra|libras; um pêni|pence
    """),
    between_coins="e",
    of="de",
    scales={"milhão": ("milhão",) * 2, "milhões": ("milhões",) * 2, "bilhão": ("bilhão",) * 2,
            "bilhões": ("bilhões",) * 2, "mi": ("milhão", "milhões"), "bi": ("bilhão", "bilhões")},
    parts={2: ("meio", "meios"), 3: ("terço", "terços"), 4: ("quarto", "quartos"),
           5: ("quinto", "quintos"), 6: ("sexto", "sextos"), 8: ("oitavo", "oitavos"),
           10: ("décimo", "décimos")},
    halves={"½": "um meio", "¼": "um quarto", "¾": "três quartos", "⅓": "um terço",
            "⅔": "dois terços", "⅛": "um oitavo"},
    mixed="e",
)  # fmt: skip
DUTCH = Locale(
    base="nl", point="komma", minus="min", plus="plus", percent="procent", to="tot", ratio="",
    clock="{h} uur {m}", full_clock="{h} uur", date="{day} {month} {year}",
    months=("januari", "februari", "maart", "april", "mei", "juni", "juli", "augustus",
            "september", "oktober", "november", "december"),
    units=nouns_of("""
        km een kilometer
        m een meter
        cm een centimeter
        mm een millimeter
        km/u een kilometer per uur
        km/h een kilometer per uur
        m/s een meter per seconde
        m² een vierkante meter
        km² een vierkante kilometer
        m³ een kubieke meter
        ha een hectare
        kg een kilogram
        g een gram
        mg een milligram
        l een liter
        ml een milliliter
        °C een graad Celsius|graden Celsius
        °F een graad Fahrenheit|graden Fahrenheit
        ° een graad|graden
        u een uur
        min een minuut|minuten
        W een watt
        kW een kilowatt
        kWh een kilowattuur
        V een volt
        Hz een hertz
        MB een megabyte
        GB een gigabyte
        TB een terabyte
    """),
    coins=coins_of("""
        €/EUR/euro een euro; een cent
        $/USD/US$/dollar een dollar; een cent
        £/GBP/pond een pond; een penny|pence
    """),
    scales={"mln": ("miljoen",) * 2, "mld": ("miljard",) * 2, "miljoen": ("miljoen",) * 2,
            "miljard": ("miljard",) * 2},
    parts={2: ("half", "halve"), 3: ("derde", "derde"), 4: ("kwart", "kwart"),
           5: ("vijfde", "vijfde"), 8: ("achtste", "achtste"), 10: ("tiende", "tiende")},
    halves={"½": "een half", "¼": "een kwart", "¾": "drie kwart", "⅓": "een derde",
            "⅔": "twee derde", "⅛": "een achtste"},
    mixed="en",
)  # fmt: skip
