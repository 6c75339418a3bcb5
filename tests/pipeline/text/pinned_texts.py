"""Sentences in five languages, with their tokens."""

from __future__ import annotations

# (language, text, words as written between slashes, tokens without the outer <sil>), each read
# by eye: the words are the sentence's and the phones are those of its words.
PINNED = (
    (
        "en-us",
        "Mr. Smith paid $2.50 at 3.14 p.m. on the 1st, i.e. 1,000 times, 10-20 a day.",
        "Mr./Smith/paid/$2.50/at/3.14/p.m./on the/1st/i.e./1,000/times/10-20/a/day",
        "m ˈɪ s t ɚ | s m ˈɪ θ | p ˈeɪ d | t ˈuː | d ˈɑː l ɚ z | f ˈɪ f t i | æ t | θ ɹ ˈiː |"
        " f ˈɔːɹ t iː n | p ˌiː ˈɛ m | ɔ n ð ə | f ˈɜː s t , ˈaɪ iː | w ˈʌ n | θ ˈaʊ z ə n d "
        "| t ˈaɪ m z , t ˈɛ n | t ə | t w ˈɛ n t i | ɐ | d ˈeɪ .",
    ),
    (
        "en-us",
        "The invention of movable metal letters, in 1455, changed everything.",
        "The/invention/of/movable/metal/letters/in/1455/changed/everything",
        "ð ɪ | ɪ n v ˈɛ n ʃ ə n | ʌ v | m ˈuː v ə b əl | m ˈɛ ɾ əl | l ˈɛ ɾ ɚ z , ɪ n | f "
        "ˈɔːɹ t iː n | f ˈɪ f t i | f ˈaɪ v , tʃ ˈeɪ n dʒ d | ˈɛ v ɹ ɪ θ ˌɪ ŋ .",
    ),
    (
        "en-us",
        "Dr. J. R. Smith lives at 12 Main St. – near St. Paul's.",
        "Dr./J./R./Smith/lives/at/12/Main/St./near/St./Paul's",
        "d ˈɑː k t ɚ | dʒ ˈeɪ | ˈɑːɹ | s m ˈɪ θ | l ˈaɪ v z | æ t | t w ˈɛ l v | m ˈeɪ n | s "
        "t ɹ ˈiː t — n ˌɪɹ | s ˈeɪ n t | p ˈɔː l z .",
    ),
    (
        "en-us",
        "“Well,” she said, “isn’t it half past ten?”",
        "Well/she/said/isn't/it/half/past/ten",
        "w ˈɛ l , ʃ iː | s ˈɛ d , ˌɪ z ə n t | ɪ t | h ˈæ f | p ˈæ s t | t ˈɛ n ?",
    ),
    (
        "en-us",
        "It's 20°C outside; the U.S. team won 3-2 on the 22nd!",
        "It's/20°C/outside/the/U.S./team/won/3-2/on the/22nd",
        "ɪ t s | t w ˈɛ n t i | d ᵻ ɡ ɹ ˈiː z | s ˈɛ l s ɪ ə s | aʊ t s ˈaɪ d ; ð ə | j ˌuː "
        "ˈɛ s | t ˈiː m | w ˈʌ n | θ ɹ ˈiː | t ə | t ˈuː | ɔ n ð ə | t w ˈɛ n t i | s ˈɛ k ə "
        "n d !",
    ),
    (
        "de",
        "Der kleine Hund läuft schnell über die Straße.",
        "Der/kleine/Hund/läuft/schnell/über/die/Straße",
        "d ɛ ɾ | k l ˈaɪ n ə | h ˈʊ n t | l ˈɔø f t | ʃ n ˈɛ l | ˌyː b ɜ | d iː | ʃ t ɾ ˈɑː s ə .",
    ),
    (
        "de",
        "Herr Dr. Müller zahlt am 3. Mai 25 % mehr, z. B. für Bücher.",
        "Herr/Dr./Müller/zahlt/am/3./Mai/25/%/mehr/z.B./für/Bücher",
        "h ˈɛ ɾ | d ˈɔ k t oː ɾ | m ˈʏ l ɜ | ts ˈɑː l t | a m | d ɾ ˈɪ t ə n | m ˈaɪ | f ˈʏ n"
        " f | ʊ n t ts v ˈa n ts ɪ ç | p ɾ oː ts ˈɛ n t | m ˈeː ɾ , ts ʊ m | b ˈaɪ ʃ p iː l |"
        " f yː ɾ | b ˈyː ç ɜ .",
    ),
    (
        "de",
        "Wie spät ist es? Es ist zehn Uhr!",
        "Wie/spät/ist/es/Es ist/zehn/Uhr",
        "v iː | ʃ p ˈɛː t | ɪ s t | ɛ s ? ɛ s ɪ s t | ts ˈeː n | ˈuː ɾ !",
    ),
    (
        "de",
        "„Guten Morgen“, sagte sie – und ging.",
        "Guten/Morgen/sagte/sie/und/ging",
        "ɡ ˈuː t ə n | m ˈɔ ɾ ɡ ə n , z ˈɑː ɡ t ə | z iː — ʊ n t | ɡ ˈɪ ŋ .",
    ),
    (
        "fr-fr",
        "Aujourd'hui, j'aime le football et le week-end.",
        "Aujourd'hui/j'aime/le/football/et/le/week-end",
        "o ʒ u ʁ d y ˈi , ʒ ˈɛ m | l ə- | f ˈʊ t b ɔː l | e | l ə- | w ˈiː k ˈɛ n d .",
    ),
    (
        "fr-fr",
        "Où est la gare, s'il vous plaît ?",
        "Où/est/la/gare/s'il/vous/plaît",
        "u | ɛ | l a- | ɡ ˈa ʁ , s i l | v u | p l ˈɛ ?",
    ),
    (
        "fr-fr",
        "M. Martin a 25 ans ; il habite à Paris.",
        "M./Martin/a/25/ans/il/habite/à/Paris",
        "m ə s j ˈø | m a ʁ t ˈɛ̃ | a | v ɛ̃ t s ˈɛ̃ k | ˈɑ̃ ; i l | a b ˈi t | a | p a ʁ ˈi .",
    ),
    (
        "fr-fr",
        "« C'est l'été », dit-elle.",
        "C'est/l'été/dit-elle",
        "s ɛ | l e t ˈe , d ˈi t ˈɛ l .",
    ),
    (
        "es",
        "¿Dónde está la biblioteca?",
        "Dónde/está/la/biblioteca",
        "d ˈo n d e | e s t ˈa | l a | β ˌi β l i o t ˈe k a ?",
    ),
    (
        "es",
        "El niño come manzanas rojas, ¿verdad?",
        "El/niño/come/manzanas/rojas/verdad",
        "e l | n ˈi ɲ o | k ˈo m e | m a n θ ˈa n a s | r ˈo x a s , b e ɾ ð ˈa d ?",
    ),
    (
        "es",
        "La Sra. García vive en EE.UU. desde 1999.",
        "La/Sra./García/vive/en/EE.UU./desde/1999",
        "l a | s e ɲ ˈo ɾ a | ɣ a ɾ θ ˈi a | β ˈi β e | e n | e s t ˈa ð o s | u n ˈi ð o s |"
        " ð ˌe s ð e | m ˈi l | n ˌo β e θ j ˈɛ n t o s | n o β ˌɛ n t a i n w ˈe β e .",
    ),
    (
        "es",
        "¡Qué día tan bonito!",
        "Qué/día/tan/bonito",
        "k ˈe | ð ˈi a | t ˈa m | b o n ˈi t o !",
    ),
    (
        "ru",
        "Привет, как тебя зовут?",
        "Привет/как/тебя/зовут",
        "p rʲ i vʲ ˈe t , k ˈɑ k | tʲ i bʲ ˈɑ | z ʌ v ˈu t ?",
    ),
    (
        "ru",
        "Москва — столица России.",
        "Москва/столица/России",
        "m ʌ s k v ˈɑ — s t ʌ ɭʲ ˈi ts a | r ʌ sʲ sʲ ˈi ɪ .",
    ),
    (
        "ru",
        "А. С. Пушкин родился в Москве.",
        "А./С./Пушкин/родился/в/Москве",
        "ˈɑ | ˈɛ s | p ˈu ʃ kʲ i n | r ʌ dʲ ˈi ɭ sʲ ʌ | v | m ʌ s k vʲ ˈe .",
    ),
    (
        "ru",
        "У меня есть 25 книг, т. е. много!",
        "У/меня/есть/25/книг/т.е./много",
        "u | mʲ i nʲ ˈɑ | j e s tʲ | d v ˈɑ t ts a tʲ pʲ ˈɑ tʲ | k nʲ ˈi k , t ˈo | j e s tʲ "
        "| m n ˈo ɡ ʌ !",
    ),
)

# The same for numbers, capitals and acronyms.
PINNED_NUMBERS = (
    (
        "en-us",
        "World War I began in 1914.",
        "World/War/I/began/in/1914",
        "w ˈɜː l d | w ˈɔːɹ | w ˈʌ n | b ɪ ɡ ˈæ n | ɪ n | n ˈaɪ n t iː n | f ˈɔːɹ t iː n .",
    ),
    (
        "en-us",
        "We met on 3/4/2021.",
        "We/met/on/3/4/2021",
        "w iː | m ˈɛ t | ˌɔ n | m ˈɑːɹ tʃ | f ˈɔːɹ θ | t w ˈɛ n t i | t w ˈɛ n t i | w ˌʌ n .",
    ),
    (
        "en-us",
        "The file is from 2023-01-15.",
        "The/file/is/from/2023-01-15",
        "ð ə | f ˈaɪ l | ɪ z | f ɹ ʌ m | dʒ ˈæ n j uː ˌɛ ɹ i | f ˈɪ f t iː n θ | t w ˈɛ n t i"
        " | t w ˈɛ n t i | θ ɹ ˈiː .",
    ),
    (
        "en-us",
        "He paid -$5 and $.50.",
        "He/paid/-$5/and/$.50",
        "h iː | p ˈeɪ d | m ˈaɪ n ə s | f ˈaɪ v | d ˈɑː l ɚ z | æ n d | f ˈɪ f t i | s ˈɛ n t s .",
    ),
    (
        "en-us",
        "It is -5°C outside.",
        "It/is/-5°C/outside",
        "ɪ ɾ | ɪ z | m ˈaɪ n ə s | f ˈaɪ v | d ᵻ ɡ ɹ ˈiː z | s ˈɛ l s ɪ ə s | aʊ t s ˈaɪ d .",
    ),
    (
        "en-us",
        "Add 1 1/2 cups.",
        "Add/1/1/2/cups",
        "ˈæ d | w ˈʌ n | æ n d | ɐ | h ˈæ f | k ˈʌ p s .",
    ),
    (
        "en-us",
        "It is 5 m wide.",
        "It/is/5/m/wide",
        "ɪ ɾ | ɪ z | f ˈaɪ v | m ˈiː ɾ ɚ z | w ˈaɪ d .",
    ),
    (
        "en-us",
        "The patient needs an IV drip.",
        "The/patient/needs/an/IV/drip",
        "ð ə | p ˈeɪ ʃ ə n t | n ˈiː d z | ɐ n | ˌaɪ v ˈiː | d ɹ ˈɪ p .",
    ),
    (
        "en-us",
        "IT IS WHAT IT IS FOR US",
        "IT/IS/WHAT/IT/IS/FOR/US",
        "ɪ ɾ | ɪ z | w ˈʌ t | ɪ ɾ | ɪ z | f ɔː ɹ | ˌʌ s",
    ),
    (
        "en-us",
        "The agency, EPA, said so.",
        "The/agency/EPA/said/so",
        "ð ɪ | ˈeɪ dʒ ə n s i , ˌiː p ˌiː ˈeɪ , s ˈɛ d | s ˈoʊ .",
    ),
    (
        "de",
        "Jonas ist Fan vom 1. FC Köln, und du?",
        "Jonas/ist/Fan/vom/1./FC/Köln/und/du",
        "j ˈoː n ɑː s | ɪ s t | f ˈɑː n | f ɔ m | ˈeː ɾ s t ə n | ˌɛ f ts ˈeː | k ˈœ l n , ʊ "
        "n t | d uː ?",
    ),
    (
        "de",
        "Dies ist nun der 17. Versuch.",
        "Dies/ist/nun/der/17./Versuch",
        "d iː s | ɪ s t | n ˈuː n | d ɛ ɾ | z ˈiː p ts eː n t ə | f ɛ ɾ z ˈuː x .",
    ),
    (
        "de",
        "Der 2. Weltkrieg endete 1945.",
        "Der/2./Weltkrieg/endete/1945",
        "d ɛ ɾ | ts v ˈaɪ t ə | v ˈɛ l t k ɾ iː k | ˈɛ n d ə t ə | n ˈɔø n ts eː n h ˌʊ n d ɜ"
        " t | f ˈʏ n f | ʊ n t f ˈɪ ɾ ts ɪ ç .",
    ),
    (
        "fr-fr",
        "Louis XIV est roi au XIXe siècle.",
        "Louis/XIV/est/roi/au/XIXe/siècle",
        "l w ˈi | k a t ˈɔ ʁ z | ɛ | ʁ w ˈa | o | d ˈi n ø v j ˈɛ m | s j ˈɛ k l .",
    ),
    (
        "es",
        "Felipe VI reina.",
        "Felipe/VI/reina",
        "f e l ˈi p e | s ˈe k s t o | r ˈeɪ n a .",
    ),
    (
        "en-us",
        "Feb 24, 5ft. and 1960s-70s, Henry VIII's.",
        "Feb/24/5ft./and/1960s-70s/Henry/VIII's",
        "f ˈɛ b ɹ uː ˌɛ ɹ i | t w ˈɛ n t i | f ˈɔːɹ θ , f ˈaɪ v | f ˈiː t | æ n d | n ˈaɪ n t"
        " iː n | s ˈɪ k s t i z | t ə | s ˈɛ v ə n t i z , h ˈɛ n ɹ i | ð ɪ | ˈeɪ t θ z .",
    ),
    (
        "de",
        "Es waren 17. Dann zahlte Friedrich II. um 14:30 Uhr 3,50 €.",
        "Es/waren/17/Dann/zahlte/Friedrich/II./um/14:30 Uhr/3,50 €",
        "ɛ s | v ɑː r ə n | z ˈiː p ts eː n . d a n | ts ˈɑː l t ə | f r ˈiː d ɾ ɪ ç | d ɛ ɾ "
        "| ts v ˈaɪ t ə | ʊ m | f ˈɪ ɾ ts eː n | ˈuː ɾ | d ɾ ˈaɪ s ɪ ç | d ɾ ˈaɪ | ˈɔø r oː |"
        " f ˈʏ n f ts ɪ ç .",
    ),
    (
        "fr-fr",
        "Le 1er mai 1 000,50 € à 15h30, 21 heures.",
        "Le/1er/mai/1 000,50 €/à/15h30/21/heures",
        "l ə- | p ʁ ə m j ˈe | m ˈɛ | m ˈi l | ø ʁ ˈo | s ɛ̃ k ˈɑ̃ t | a | k ˈɛ̃ z | ˈœ ʁ | t"
        " ʁ ˈɑ̃ t , v ˈɛ̃ t | e | y n | ˈœ ʁ .",
    ),
    (
        "es",
        "El 3.er piso del siglo XIX tiene 21 años y -5 °C.",
        "El/3.er/piso/del/siglo/XIX/tiene/21/años/y/-5/°C",
        "e l | t e ɾ θ ˈe ɾ | p ˈi s o | ð e l | s ˈi ɣ l o | ð j ˌe θ i n w ˈe β e | t j ˈe "
        "n e | β eɪ n t j ˈu n | ˈa ɲ o s | i | m ˈe n o s | θ ˈi n k o | ɣ ɾ ˈa ð o s | θ ˈe"
        " l s j u s .",
    ),
)
