"""Texts as people write them in transcripts, and the same in words."""

from __future__ import annotations

ENGLISH = (
    ("Tom &amp; Jerry said &quot;no&quot;&nbsp;there", "Tom and Jerry said no there"),
    ("It was<br>so <i>very</i> nice", "It was so very nice"),
    ("In 1987[12], he said.[3] So it was¹.", "In nineteen eighty seven, he said. So it was."),
    ("https://www.example.com/a?b=5, now", "www.example.com/a/b/5, now"),
    ("He said [laughter] no {cough} <noise> sir.", "He said no sir."),
    ("[Background Music] Hello (applause) there", "Hello there"),
    ("WELL <COMMA> I SAID SO <PERIOD>", "well, I said so."),
    ("the (click) of [his] <i>music</i> (sounds good)", "the of his music (sounds good)"),
    ("Louis XIV., King of France", "Louis the fourteenth, King of France"),
    ("Charles II. fled, James I. was king", "Charles the second fled, James the first was king"),
    (
        "Mon.–Fri. 9 a.m.–5 p.m., on Sat. and Sun. too",
        "Monday to Friday nine a.m to five p.m, on Saturday and Sunday too",
    ),
    (
        "Tues. the 3rd, Mon 5 May, January–March",
        "Tuesday the third, Monday the fifth of May, January to March",
    ),
    ("We sat. The sun. It set.", "We sat. The sun. It set."),
    (
        'a 10" x 8" board and "I have 10" here',
        "a ten inch by eight inches board and I have ten here",
    ),
    (
        "I have 1 in. of it, 1800 sq. ft. here",
        "I have one inch of it, eighteen hundred square feet here",
    ),
    ("Scene ii, page xiv, Acts ii. 4", "Scene two, page fourteen, Acts two four"),
    ("Vol. I, Chap. IV, Pg. 5, Apt. 4B", "volume one, chapter four, page five, apartment 4B"),
    (
        "Psalm 23:4, Matthew 5:3-12, won 3:2",
        "Psalm twenty three four, Matthew five three to twelve, won three to two",
    ),
    ("ran 3:11.2 and 2:10:05", "ran three eleven point two and two ten oh five"),
    (
        "the $64,000 question, the $5 I owe",
        "the sixty four thousand dollar question, the five dollars I owe",
    ),
    ("12 x 3 minutes, a 12 x 8 room", "twelve times three minutes, a twelve by eight room"),
    ("6's and 7s, 1,000s, Boeing 747s", "sixes and sevens, thousands, Boeing seven forty sevens"),
    (
        "NY 10027, Washington, D.C. 20500",
        "NY one zero zero two seven, Washington, D.C two zero five zero zero",
    ),
    (
        "£5 10s. 6d. and 5s. 6d.",
        "five pounds ten shillings and six pence and five shillings and six pence.",
    ),
    (
        "24 hrs/day, 7 days/week, 100 mg/dL",
        "twenty four hours per day, seven days per week, one hundred milligrams per deciliter",
    ),
    (
        "A.D. 1066, in 1066 he, 1066 men",
        "A.D ten sixty six, in ten sixty six he, one thousand sixty six men",
    ),
    ("120/80 and 9/11, §4.2", "one twenty over eighty and nine eleven, section four point two"),
    ("Approx. 5 in WWII", "approximately five in World War Two"),
    ("π, α-rays and 5 Ω", "pi, alpha-rays and five ohms"),
    ("MR SMITH AND DR JONES CAME", "mister Smith and doctor Jones came"),
    ("2019/20, 2 tbsp. of it, Rm. 5", "twenty nineteen twenty, two tablespoons of it, room five"),
    ("at 10 a.m. Monday and 6 p.m. EST", "at ten a.m Monday and six p.m EST"),
    ("３５％ of ＡＢＣ", "thirty five percent of ABC"),
)
GERMAN = (
    ("die Krone Friedrichs II. liegt", "die Krone Friedrichs des zweiten liegt"),
    ("am 3. Mai, der 3. Mai, 3. Mai", "am dritten Mai, der dritte Mai, dritter Mai"),
    ("Heinrichs VIII. und Eduard VI. von", "Heinrichs des achten und Eduard der sechste von"),
    ("5. Band, 3. Strophe, 2. Auto", "fünfter Band, dritte Strophe, zweites Auto"),
    ("Sie wurde 3. bei ihr", "Sie wurde dritte bei ihr"),
    ("Ca. 5, vgl. 6 und Z. B. so", "Circa fünf, vergleiche sechs und zum Beispiel so"),
    (
        "Hr. v. Goethe, Frl. Schmidt, Dr. med. Maier",
        "Herr von Goethe, Fräulein Schmidt, Doktor med Maier",
    ),
    ("5,– € und 5,- Euro", "fünf Euro und fünf Euro"),
    ("5x so groß, 3 x 4 m, 4x4", "fünf mal so groß, drei mal vier Meter, vier mal vier"),
    ("1:25.000 und 0,5‰", "eins zu fünfundzwanzigtausend und null Komma fünf Promille"),
    ("2½ kg, 3 dl, 30 Sek. lang", "zweieinhalb Kilogramm, drei Deziliter, dreißig Sekunden lang"),
    ("Sa. 9–13 Uhr, im 19. Jhd.", "Samstag neun bis dreizehn Uhr, im neunzehnten Jahrhundert."),
    (
        "Seite 123 ff. und 1999/2000",
        "Seite 123 fortfolgende und neunzehnhundertneunundneunzig zweitausend",
    ),
    ("I. Der Anfang", "Eins. Der Anfang"),
)
FRENCH = (
    ("52 av. J.-C. et c.-à-d. rien", "cinquante-deux avant Jésus-Christ et c'est-à-dire rien"),
    (
        "av. Foch, Art. 5, pp. 2-3, t. III",
        "avenue Foch, article cinq, pages deux à trois, tome trois",
    ),
    ("au XVIIe s. et 8 h. du matin", "au dix-septième siècle et huit heures du matin"),
    ("Me Leroy, Mmes Martin, no 3", "maître Leroy, mesdames Martin, numéro trois"),
    (
        "18/20, 5€50, le 15/08, 3/4",
        "dix-huit sur vingt, cinq euros cinquante, le quinze août, trois quarts",
    ),
    ("le 1 janvier, 2x, 3 x 4", "le premier janvier, deux fois, trois fois quatre"),
    ("280, 500 000, 1 000 000", "deux cent quatre-vingts, cinq cent mille, un million"),
    ("118 218 habitants", "cent dix-huit mille deux cent dix-huit habitants"),
    ("le 118 218", "le cent dix-huit, deux cent dix-huit"),
)
SPANISH = (
    (
        "en C/ Mayor, Avda. de América, Pº del Prado",
        "en calle Mayor, avenida de América, paseo del Prado",
    ),
    (
        "52 a. C. y 100 d.C., siglo IV a. de C.",
        "cincuenta y dos antes de Cristo y cien después de Cristo, siglo cuarto antes de Cristo.",
    ),
    ("el s. XVII y el s. V", "el siglo diecisiete y el siglo quinto"),
    ("Art. 5, págs. 2-3, t. III", "artículo cinco, páginas dos a tres, tomo tres"),
    (
        "1/2 litro, 1/2 hora, 18/20, el 15/08",
        "medio litro, media hora, dieciocho sobre veinte, el quince de agosto",
    ),
    (
        "los Sres. Paz, Sto. Tomás, JJ. OO. hoy",
        "los señores Paz, santo Tomás, Juegos Olímpicos hoy",
    ),
    ("3 × 4, 3x, 10 ÷ 2, #1", "tres por cuatro, tres veces, 10 dividido por dos, número uno"),
)
ITALIAN = (
    ("il 1 maggio, nato il 31/12/1999", "il primo maggio, nato il 31 dicembre 1999"),
    ("alle 9:30 e alle 14.30", "alle nove e trenta e alle quattordici e trenta"),
    (
        "costa 3,50 € e 1.299 €",
        "costa tre euro e cinquanta centesimi e milleduecentonovantanove euro",
    ),
    (
        "5 km, 3kg, 1 km, 25°C, 120 km/h",
        "cinque chilometri, tre chilogrammi, un chilometro, venticinque gradi Celsius, centoventi "
        "chilometri orari",
    ),
    (
        "Luigi XIV, Carlo V, capitolo V, il V secolo",
        "Luigi quattordicesimo, Carlo quinto, capitolo quinto, il quinto secolo",
    ),
    ("il sig. Rossi, la sig.ra Verdi, pag. 12", "il signor Rossi, la signora Verdi, pagina dodici"),
    ("1914-1918, 3-2, 1/2 litro, 3/4", "1914 a 1918, tre a due, mezzo litro, tre quarti"),
    ("44 a.C. e 100 d.C. qui", "quarantaquattro avanti Cristo e cento dopo Cristo qui"),
    ("chiama il 06 1234567", "chiama il zero sei uno due tre quattro cinque sei sette"),
    ("1 libro, 1 casa, 1 ora, 3 x 4", "un libro, una casa, un' ora, tre per quattro"),
)
PORTUGUESE = (
    ("em 31/12/1999, 1 de maio", "em 31 de dezembro de 1999, primeiro de maio"),
    ("às 14h30, às 9:00, às 2h", "às catorze e trinta, às nove horas, às duas horas"),
    (
        "5 km, 3kg, 1 km, 25°C, 2,5 l",
        "cinco quilómetros, três quilogramas, um quilómetro, vinte e cinco graus Celsius, dois "
        "vírgula cinco litros",
    ),
    (
        "21 mulheres, 2 mulheres, 200 páginas, 2 dias",
        "vinte e uma mulheres, duas mulheres, duzentas páginas, dois dias",
    ),
    ("o Sr. Silva, a Sra. Costa, pág. 12", "o senhor Silva, a senhora Costa, página doze"),
    ("século V, séc. XIX, capítulo V", "século quinto, século dezanove, capítulo cinco"),
    ("1914-1918, 3-2, 1/2 litro", "1914 a 1918, três a dois, meio litro"),
    (
        "ligue +351 912 345 678, 91234-5678",
        "ligue mais 351 nove um dois três quatro cinco seis sete oito, nove um dois três quatro "
        "cinco seis sete oito",
    ),
    ("44 a.C. e 3 x 4 = 12", "quarenta e quatro antes de Cristo e três vezes quatro igual a doze"),
)
DUTCH = (
    ("op 31-12-1999 om 9.30 uur", "op 31 december 1999 om negen uur dertig"),
    ("€ 3,50 en € 5 miljoen", "drie euro vijftig en vijf miljoen euro"),
    (
        "5 km, 25°C, 3,5% en 1:2",
        "vijf kilometer, 25 graden Celsius, drie komma vijf procent en 1:2",
    ),
    ("Willem II, Karel V, de XIXe eeuw", "Willem de tweede, Karel de vijfde, de negentiende eeuw"),
    (
        "dhr. Jansen, nr. 5, 44 v.Chr. hier",
        "de heer Jansen, nummer vijf, 44 voor Christus hier",
    ),
)
MANDARIN = (
    ("他跑了5 km", "他跑了五公里"),
    ("2kg、500ml、100 m²、1.75m", "两公斤、五百毫升、一百平方米、一点七五米"),
    ("拨打110，010-12345678", "拨打幺幺零，零幺零幺二三四五六七八"),
    ("1914-1918年，8:00-10:00", "一九一四到一九一八年，八点到十点"),
    ("第XII章，90后，3 + 2 = 5", "第十二章，九零后，三加二等于五"),
)
OTHERS = (
    ("it", "2 mln di euro, p. es. sì", "due milioni di euro, per esempio sì"),
    (
        "pt",
        "Tel. 2345-6789, séc. V aqui",
        "telefone dois três quatro cinco seis sete oito nove, século quinto aqui",
    ),
    ("ru", "в 1945 г. и г. Москва, кв. 10", "в 1945 году и город Москва, квартира 10"),
    ("fr-fr", "Mme M. Durand et M. Durand", "Mme M. Durand et monsieur Durand"),
    ("en-us", "Open on Fri. The sun", "Open on Friday. The sun"),
    ("de", "Das ist Max. Er kam", "Das ist Max! Er kam"),
    ("es", "Mide 5 m. de alto y 100/100", "Mide cinco metros de alto y 100 sobre 100"),
    (
        "ru",
        "25°C, 2 км, 5 km и 3,5 кг",
        "25 градусов Цельсия, 2 километра, 5 километров и 3,5 килограмма",
    ),
    (
        "pl",
        "22 km, 21 km i 2,5 kg, np. tak",
        "22 kilometry, 21 kilometrów i 2,5 kilograma, na przykład tak",
    ),
    ("ko", "기온은 25°C, 5 km", "기온은 25 도, 5 킬로미터"),
    ("ja", "きおんは 25°C です", "きおんは 25 ど です"),
    ("sv", "25°C och 5 km", "25 grader Celsius och 5 kilometer"),
    ("pt-br", "são 5 km", "são cinco quilômetros"),
)

PEOPLE_WRITE = (
    *(("en-us", *pair) for pair in ENGLISH),
    *(("de", *pair) for pair in GERMAN),
    *(("fr-fr", *pair) for pair in FRENCH),
    *(("es", *pair) for pair in SPANISH),
    *(("it", *pair) for pair in ITALIAN),
    *(("pt", *pair) for pair in PORTUGUESE),
    *(("nl", *pair) for pair in DUTCH),
    *(("cmn", *pair) for pair in MANDARIN),
    *OTHERS,
)
