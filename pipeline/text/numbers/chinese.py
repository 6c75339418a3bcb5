"""Mandarin numbers, times, temperatures, percentages and money, in characters or in pinyin.

espeak-ng reads digits without 万 (12345 has twelve thousand), drops minus and degree signs, and
reads 0.5 as two digits. num2words knows no Chinese, so numbers are built here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from ns2.pipeline.text.english_words import cardinal
from ns2.pipeline.text.numbers.roman import clear_roman
from ns2.pipeline.text.tables import PINYIN, word_set
from ns2.pipeline.text.written import Placed, Word

_DIGITS = "零一二三四五六七八九"
_TENS = ("", "十", "百", "千")
_MYRIADS = ("", "万", "亿", "万亿")
_SYLLABLES = word_set(
    "零ling2 一yi1 二er4 三san1 四si4 五wu3 六liu4 七qi1 八ba1 九jiu3 十shi2 百bai3 千qian1 "
    "万wan4 亿yi4 两liang3 点dian3 分fen1 度du4 摄she4 氏shi4 华hua2 负fu4 下xia4 之zhi1 比bi3 "
    "到dao4 元yuan2 美mei3 欧ou1 英ying1 镑bang4 年nian2 月yue4 日ri4 秒miao3 正zheng4 "
    "公gong1 里li3 米mi3 厘li2 毫hao2 克ke4 斤jin1 吨dun1 升sheng1 平ping2 方fang1 立li4 每mei3 "
    "小xiao3 时shi2 钟zhong1 赫he4 兹zi1 瓦wa3 伏fu2 特te4 纳na4 微wei1 顷qing3 加jia1 等deng3 "
    "于yu2 乘cheng2 以yi3 除chu2 第di4 后hou4 幺yao1"
)
_PINYIN = {syllable[0]: syllable[1:] for syllable in _SYLLABLES}
_MEASURES = frozenset(
    "个只本天位名次种条张件家岁周年块倍杯瓶辆座点小台部支把双头匹棵朵间套份篇首句页"
)
"""Characters before which 2 is 两: 2个, 2小时."""
_COINS = {"¥": "元", "$": "美元", "€": "欧元", "£": "英镑"}
_UNITS = {
    "km": "公里", "m": "米", "cm": "厘米", "mm": "毫米", "nm": "纳米", "μm": "微米", "kg": "公斤",
    "g": "克", "mg": "毫克", "t": "吨", "l": "升", "L": "升", "ml": "毫升", "mL": "毫升",
    "m²": "平方米", "km²": "平方公里", "m³": "立方米", "km/h": "公里每小时", "m/s": "米每秒",
    "h": "小时", "min": "分钟", "s": "秒", "Hz": "赫兹", "kHz": "千赫兹", "MHz": "兆赫兹",
    "GHz": "吉赫兹", "W": "瓦", "kW": "千瓦", "kWh": "千瓦时", "V": "伏", "ha": "公顷",
    "°C": "摄氏度", "°F": "华氏度", "°": "度",
}  # fmt: skip
"""Units in Latin letters; of bytes (GB) the letters are said."""
_SIGNS = {"=": "等于", "+": "加", "×": "乘以", "÷": "除以", "x": "乘以"}
_PHONES = frozenset("打拨话机线")
"""Characters before which digits are a telephone number: 拨打, 电话, 手机, 热线."""
_SCALES = ("百", "千", "万", "亿")
_UNIT_NAMES = "|".join(sorted(map(re.escape, _UNITS), key=len, reverse=True))
_N = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?"


def speak_chinese(words: Sequence[Word], language: str) -> list[str]:
    """The text to speak for each word of a Mandarin clause, with numbers written out.

    Args:
        words: the words of the clause; characters are words of their own.
        language: the name of the espeak-ng voice; that of pinyin gets pinyin.
    """
    said = [_speak(Placed(words=words, index=i)) for i in range(len(words))]
    if language != PINYIN:
        return said
    return [
        text if text == word.surface else " ".join(_PINYIN.get(char, char) for char in text)
        for text, word in zip(said, words, strict=True)
    ]


def chinese_number(number: int) -> str:
    """A whole number below 10**16 in characters: 10005 is 一万零五, 2000 is 两千."""
    if number < 10:
        return _DIGITS[number]
    groups = [number // 10**power % 10_000 for power in (0, 4, 8, 12)]
    said = ""
    for place in (3, 2, 1, 0):
        group = groups[place]
        if not group:
            continue
        skipped = said and (group < 1000 or not groups[place + 1])
        said += ("零" if skipped else "") + _group(group, leads=not said) + _MYRIADS[place]
    return re.sub("^二(?=[千万亿])", "两", said)


def _group(number: int, *, leads: bool) -> str:
    """A number below 10,000; one that leads has 十 for 一十."""
    said, gap = "", False
    for power in (3, 2, 1, 0):
        digit = number // 10**power % 10
        if digit:
            said += ("零" if gap and said else "") + _DIGITS[digit] + _TENS[power]
        gap = not digit
    return said.removeprefix("一") if leads and 10 <= number < 20 else said


def _number(text: str) -> str:
    """A number with or without decimals; long ones and those with 0 in front digit by digit."""
    whole, _, places = text.replace(",", "").partition(".")
    by_digit = len(whole) > 16 or (len(whole) > 1 and whole[0] == "0") or re.fullmatch(
        r"1\d{10}", whole
    )  # fmt: skip
    said = _by_digit(whole) if by_digit else chinese_number(int(whole))
    return f"{said}点{_by_digit(places)}" if places else said


def _by_digit(digits: str) -> str:
    return "".join(_DIGITS[int(digit)] for digit in digits)


def _speak(place: Placed) -> str:
    text = place.words[place.index].surface.replace("−", "-")
    if text in _SCALES and (money := re.fullmatch(rf"([¥$€£])(?:{_N})", place.before)):
        return text + _COINS[money[1]]
    counted = re.fullmatch(rf"-?(?:{_N})", place.before)
    if text in _UNITS and counted:
        return _UNITS[text]
    if text in _SIGNS and place.before[-1:].isdigit() and place.after[:1].isdigit():
        return _SIGNS[text]
    if numeral := clear_roman(text):
        ranked = place.before == "第" or place.after in ("章", "世", "卷", "册", "届")
        return chinese_number(numeral) if ranked else text
    if re.search("[0-9]", text):
        for pattern, rule in _RULES:
            match = pattern.fullmatch(text)
            if match and (said := rule(match, place)):
                return said
    return place.words[place.index].surface


def _plain(match: re.Match[str], place: Placed) -> str:
    """A number: a year before 年, 两 before what is counted."""
    text, after = match[0], place.after
    if re.fullmatch(r"\d{4}", text) and after in ("年", "nian2", "nián"):
        return _by_digit(text)
    if re.fullmatch(r"\d0", text) and after == "后":
        return _by_digit(text)  # 90后
    if re.fullmatch(r"1\d{10}", text) or (_calls(place) and re.fullmatch(r"\d{3,8}", text)):
        return _telephone(text)
    return "两" if text == "2" and (after[:1] in _MEASURES or after in _UNITS) else _number(text)


def _calls(place: Placed) -> bool:
    """Whether a telephone number follows a character of telephoning, or one of 是为: 电话是."""
    before = place.near(-2) if place.before in ("是", "为", "号") else place.before
    return before in _PHONES


def _telephone(text: str) -> str:
    """A telephone number digit by digit, with 幺 for 一."""
    return "".join(
        "幺" if digit == "1" else _DIGITS[int(digit)] for digit in re.sub(r"\D", "", text)
    )


def _range(match: re.Match[str], place: Placed) -> str:
    low, high = match[1], match[2]
    if place.after == "年" and re.fullmatch(r"\d{4}-\d{4}", match[0]):
        return f"{_by_digit(low)}到{_by_digit(high)}"
    return f"{_number(low)}到{_number(high)}"


def _times(match: re.Match[str], place: Placed) -> str:
    """Two times of day: 8:00-10:00."""
    said = []
    for end in match[0].split("-"):
        time = re.fullmatch(r"(\d{1,2}):([0-5]\d)(:)?", end)
        said.append(_clock(time, place) if time else "")
    return "到".join(said) if all(said) else ""


def _with_unit(match: re.Match[str], place: Placed) -> str:
    number = match[1]
    return f"{'两' if number == '2' else _number(number)}{_UNITS[match[2]]}"


def _clock(match: re.Match[str], place: Placed) -> str:
    hour, minute = int(match[1]), int(match[2])
    if hour > 24:
        return ""
    said = ("两" if hour == 2 else chinese_number(hour)) + "点"
    if not minute and not match[3]:
        return said
    said += f"{'零' if minute < 10 else ''}{chinese_number(minute)}"
    if match[3]:
        return f"{said}分{chinese_number(int(match[3]))}秒"
    return said if place.after == "分" else f"{said}分"


def _degrees(match: re.Match[str], place: Placed) -> str:
    scale = {"C": "摄氏度", "F": "华氏度", "": "度"}[match[3].upper()]
    return ("零下" if match[1] else "") + _number(match[2]) + scale


def _date(match: re.Match[str], place: Placed) -> str:
    year, month, day = match.group(1, 3, 4)
    if not 1 <= int(month) <= 12 or not 1 <= int(day) <= 31:
        return ""
    return f"{_by_digit(year)}年{chinese_number(int(month))}月{chinese_number(int(day))}日"


def _money(match: re.Match[str], place: Placed) -> str:
    whole, _, places = match[2].partition(".")
    said = _number(f"{whole}.{places.rstrip('0')}")
    return said if place.after in _SCALES else said + _COINS[match[1]]  # ¥100万


def _minus(match: re.Match[str], place: Placed) -> str:
    return f"负{_number(match[1])}"


def _percent(match: re.Match[str], place: Placed) -> str:
    return ("负" if match[1] else "") + f"百分之{_number(match[2])}"


_Rule = Callable[[re.Match[str], Placed], str]
_RULES: tuple[tuple[re.Pattern[str], _Rule], ...] = tuple(
    (re.compile(pattern), rule)
    for pattern, rule in (
        (r"(\d{1,2}):([0-5]\d)(?::([0-5]\d))?", _clock),
        (r"\d{1,2}:[0-5]\d-\d{1,2}:[0-5]\d", _times),
        (r"0\d{2,3}-\d{7,8}|\d{3,4}-\d{3,4}-\d{3,4}", lambda m, p: _telephone(m[0])),
        (r"(\d{1,3}):(\d{1,3})", lambda m, p: f"{_number(m[1])}比{_number(m[2])}"),
        (rf"(-)?({_N})(?:°([CFcf]?))", _degrees),
        (r"(\d{4})([-/.])(\d{1,2})\2(\d{1,2})", _date),
        (rf"(-)?({_N})%", _percent),
        (rf"([¥$€£])({_N})", _money),
        (rf"({_N})-({_N})", _range),
        (rf"({_N})({_UNIT_NAMES})", _with_unit),
        (r"(\d{1,3})/(\d{1,3})", lambda m, p: f"{_number(m[2])}分之{_number(m[1])}"),
        (rf"-({_N})", _minus),
        (rf"\+({_N})", lambda m, p: f"正{_number(m[1])}"),
        (r"[Nn][Oo]\.?(\d{1,4})", lambda m, p: f"number {cardinal(m[1])}"),  # as in English
        (_N, _plain),
    )
)
