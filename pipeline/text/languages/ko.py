"""Korean: numbers as hangul, native or Sino-Korean as the counter asks, signs and units as words."""

from __future__ import annotations

import re
from functools import cache

from pipeline.text.languages import addresses
from pipeline.text.languages.cleaning import clean
from pipeline.text.languages.grammar import DIGITS, LETTERS, Grammar, Match, Rule, after, before
from pipeline.text.languages.units import UNIT, unit

NUMBER = r"(?:\d{1,3}(?:,\d{3}){1,6}(?!\d)|\d{1,40})(?:\.\d{1,40})?"
_SINO = "영일이삼사오육칠팔구"
_NATIVE_ONES = ("", "한", "두", "세", "네", "다섯", "여섯", "일곱", "여덟", "아홉")
_NATIVE_TENS = ("", "열", "스물", "서른", "마흔", "쉰", "예순", "일흔", "여든", "아흔")
# Counters of native numerals; 번 and 대 count only where nothing after makes them a name.
_NATIVE_COUNTER = (
    "시간|시(?=[ ,.!?에부까의쯤경로]|$|정각|반|가|이|는|인|\\s)|번째|개(?!월|년|국|사|소)|명|살|마리|권|잔|병|장"
    "|사람|달(?!러)|가지|그루|송이|켤레|벌|채|척|곳|군데|끼"
    "|배|통|판|편|갑|쌍|줄|칸|차례|바퀴|스푼|봉지|상자|그릇|접시|조각|자루|다발|마디|아이|형제|남매|자매|팀|모금"
    "|방울|묶음"
    "|번(?!\\s?(?:출구|버스|문제|국도|타자|선수|홀|트랙|방|채널|지|호|선))|대(?!\\s?(?:로|기업|통령|학|회|의|초반"
    "|중반|후반|가 되|부분))|대씩"
)
_FREE = r"(?<![\d.])"
_RANGE = r"\s?(?:-|~|—|에서)\s?"
_MONEY = {
    "₩": "원", "KRW": "원", "$": "달러", "US$": "미국 달러", "USD": "달러", "€": "유로", "EUR": "유로", "£": "파운드",
    "GBP": "파운드", "¥": "엔", "JPY": "엔", "CNY": "위안", "RMB": "위안",
}  # fmt: skip
_MARKS = {
    ".": "닷", "@": "골뱅이", "/": "슬래시", ":": "콜론", "_": "언더바", "-": "하이픈", "?": "물음표", "=": "는",
    "&": "앤드", "%": "퍼센트", "#": "샵", "+": "플러스", "~": "물결", " ": " ",
}  # fmt: skip
_SIGNS = {
    "+": "더하기", "=": "는", "×": "곱하기", "÷": "나누기", "<": "작다", ">": "크다", "≤": "이하", "≥": "이상",
    "≠": "같지 않다", "≈": "약", "±": "플러스 마이너스", "√": "루트", "%": "퍼센트", "°": "도", "&": "앤드",
    "@": "골뱅이", "²": "제곱", "³": "세제곱", "→": "에서", "∞": "무한대", "π": "파이", "α": "알파", "β": "베타",
    "γ": "감마", "θ": "세타", "λ": "람다", "σ": "시그마", "ω": "오메가", "Ω": "오메가", "$": "달러", "₩": "원",
    "€": "유로", "£": "파운드", "‰": "퍼밀",
}  # fmt: skip
_ROMAN = {char: i % 12 + 1 for i, char in enumerate("ⅠⅡⅢⅣⅤⅥⅦⅧⅨⅩⅪⅫⅰⅱⅲⅳⅴⅵⅶⅷⅸⅹⅺⅻ")}
_FRACTIONS = {"½": ("1", "2"), "⅓": ("1", "3"), "⅔": ("2", "3"), "¼": ("1", "4"), "¾": ("3", "4")}


def digits(number: str, zero: str = "영") -> str:
    return "".join(zero if char == "0" else _SINO[int(char)] for char in number if char.isdecimal())


def cardinal(number: str) -> str:
    """Sino-Korean: 만 and 천 without 일 in front."""
    number = number.replace(",", "").lstrip("0") or "0"
    return digits(number) if len(number) > 16 else _count(int(number)) or "영"


def _count(value: int) -> str:
    for unit_value, name in ((10**12, "조"), (10**8, "억"), (10**4, "만")):
        if value >= unit_value:
            high, low = divmod(value, unit_value)
            head = "" if high == 1 and name == "만" else _count(high)
            return f"{head}{name}" + (f" {_count(low)}" if low else "")
    return _below_ten_thousand(value)


def _below_ten_thousand(value: int) -> str:
    said = ""
    for unit_value, name in ((1000, "천"), (100, "백"), (10, "십")):
        digit, value = divmod(value, unit_value)
        if digit:
            said += ("" if digit == 1 else _SINO[digit]) + name
    return said + (_SINO[value] if value else "")


def native(number: str) -> str | None:
    """1 to 99 as they stand before a counter (한, 두, 스무), None above and for decimals."""
    if not number.isdecimal() or not 1 <= int(number) <= 99:
        return None
    tens, ones = divmod(int(number), 10)
    return "스무" if (tens, ones) == (2, 0) else _NATIVE_TENS[tens] + _NATIVE_ONES[ones]


def number(text: str) -> str:
    whole, point, fraction = text.replace(",", "").lstrip("+-").partition(".")
    said = cardinal(whole) if whole else "영"
    sign = "마이너스 " if text[0] == "-" else ""
    return f"{sign}{said} 점 {digits(fraction)}" if point and fraction else sign + said


def _month(value: str) -> str:
    return {6: "유", 10: "시"}.get(int(value)) or cardinal(value)


def _date(match: Match) -> str | None:
    year, _, month, day = match.groups()
    if not (1 <= int(month) <= 12 and 1 <= int(day) <= 31):
        return None
    return f"{cardinal(year)}년 {_month(month)}월 {cardinal(day)}일"


def _month_name(match: Match) -> str | None:
    return f"{_month(match.group(1))}월" if 1 <= int(match.group(1)) <= 12 else None


def _clock(hour: str, minute: str) -> str:
    said = f"{native(hour) if 1 <= int(hour) <= 12 else cardinal(hour)} 시"
    return said if minute == "00" else f"{said} {cardinal(minute)} 분"


def _time(match: Match) -> str | None:
    hour, minute, second = match.groups()
    if int(hour) > 24:
        return None
    return _clock(hour, minute) + (f" {cardinal(second)} 초" if second else "")


def _times(match: Match) -> str:
    first, minute, last, last_minute = match.groups()
    return f"{_clock(first, minute)}에서 {_clock(last, last_minute)}"


def _phone(match: Match) -> str:
    return " ".join(digits(group, "공") for group in re.findall(r"\d+", match.group()))


def _money(match: Match) -> str:
    sign, symbol, value, multiple = match.groups()
    return f"{'마이너스 ' if sign else ''}{number(value)}{multiple or ''} {_MONEY[symbol]}"


def _money_code(match: Match) -> str:
    return f"{number(match.group(1))} {_MONEY[match.group(2)]}"


def _unit_name(symbol: str) -> str | None:
    over, slash, under = symbol.partition("/")
    found = unit(symbol)
    if found:
        return found.ko
    if slash:
        numerator, denominator = _unit_name(over), _unit_name(under.rstrip("²³"))
        return numerator and denominator and f"{numerator} 매 {denominator}"
    base = unit(over.rstrip("²³"))
    return base and f"{'제곱' if over[-1] == '²' else '세제곱'}{base.ko}"


def _measure(match: Match) -> str | None:
    sign, value, second, symbol = match.groups()
    if symbol == "km/h":
        return f"시속 {number(value)} 킬로미터"
    name = {"%": "퍼센트", "‰": "퍼밀"}.get(symbol) or _unit_name(symbol)
    if name is None:
        return None
    until = f"에서 {number(second)}" if second else ""
    cold = "영하 " if sign == "-" and symbol.startswith("°") else _sign(sign)
    return f"{cold}{number(value)}{until} {name}"


def _sign(sign: str | None) -> str:
    return {"-": "마이너스 ", "+": "플러스 ", "±": "플러스 마이너스 "}.get(sign or "", "")


def _counted(match: Match) -> str | None:
    first, second, counter = match.groups()
    said = native(first)
    if counter == "대" and first.endswith("0"):
        return None  # 30대 are people in their thirties
    if (counter == "시" and not 1 <= int(first) <= 12) or said is None:
        return None
    if second is None:
        return f"{said} {counter}"
    last = native(second)
    return last and f"{said}에서 {last} {counter}"


def _fraction(match: Match) -> str:
    whole, above, below = match.groups()
    return fraction(whole, above, below)


def fraction(whole: str | None, above: str, below: str) -> str:
    return (f"{cardinal(whole)}와 " if whole else "") + f"{cardinal(below)}분의 {cardinal(above)}"


def _vulgar(match: Match) -> str:
    return fraction(match.group(1), *_FRACTIONS[match.group(2)])


def _ratio(match: Match) -> str:
    return " 대 ".join(number(part) for part in re.split(r"\s?:\s?", match.group()))


def _score(match: Match) -> str | None:
    first, second = match.groups()
    if re.match(r"\s?=", after(match, 2)):
        return f"{number(first)} 빼기 {number(second)}"
    if re.match(r"\s?(?:으?로|승|패|무|역전|의)", after(match, 4)) or int(first) > int(second):
        return f"{number(first)} 대 {number(second)}"
    return None


def _range(match: Match) -> str:
    sign, first, multiple, second = match.groups()
    return f"{_sign(sign)}{number(first)}{multiple or ''}에서 {number(second)}"


def _dashed(match: Match) -> str:
    return " 다시 ".join(
        digits(part) if len(part) > 2 or part[0] == "0" else cardinal(part) for part in match.group().split("-")
    )


def _dotted(match: Match) -> str:
    return " 점 ".join(
        digits(part) if len(part) > 2 or part[0] == "0" else cardinal(part) for part in match.group().split(".")
    )


def _version(match: Match) -> str:
    return "버전 " + " 점 ".join(digits(part) for part in match.group(1).split("."))


def _name(match: Match) -> str:
    letters, run, rest = match.groups()
    said = digits(run) if run[0] == "0" or len(run) > 3 else cardinal(run)
    return f"{letters} {said}" + (f" 점 {digits(rest[1:])}" if rest else "")


def _number(match: Match) -> str:
    sign, value = match.groups()
    if value[0] == "0" and value.isdecimal() and len(value) > 1:
        return _sign(sign) + digits(value, "공")
    return _sign(sign) + number(value)


def _sign_word(match: Match) -> str:
    return f" {_SIGNS[match.group()]} "


def _minus(match: Match) -> str | None:
    return " 빼기 " if re.search(r"[=²³+×÷]", before(match, 8) + after(match, 8)) else None


def _roman(match: Match) -> str:
    return "".join(cardinal(str(_ROMAN[char])) for char in match.group())


_SIGN = r"(?:(?:(?<![\w)])([-+±]))|)"
RULES = (
    *addresses.rules(_MARKS, digits, joint=" "),
    Rule(
        "₩$€£¥-UJEGKCR",
        r"(-)?(?<![A-Za-z])(US\$|USD|JPY|EUR|GBP|KRW|CNY|RMB|[₩$€£¥])\s?" + rf"({NUMBER})([천백]?[만억조천])?",
        _money,
    ),
    Rule(DIGITS, rf"{_FREE}({NUMBER})\s?(USD|JPY|EUR|GBP|KRW|CNY|RMB|[€£$])(?![A-Za-z\d])", _money_code),
    Rule(DIGITS, r"(?<![\d.,/-])(\d{4})([-/.])\s?(\d{1,2})\2\s?(\d{1,2})(?![\d/-])\.?", _date),
    Rule(DIGITS, r"(?<!\d)(\d{1,2})월", _month_name),
    Rule(DIGITS, rf"(?<![\d:.])(\d{{1,2}}):([0-5]\d){_RANGE}(\d{{1,2}}):([0-5]\d)(?![\d:])", _times),
    Rule(DIGITS, r"(?<![\d:.])(\d{1,2}):([0-5]\d)(?::([0-5]\d))?(?![\d:])", _time),
    Rule(DIGITS + "+", r"(?<![\d-])(?:\+82[- ]?\d{1,2}|0\d{1,2})[- ]\d{3,4}[- ]\d{4}(?![\d-])", _phone),
    Rule(DIGITS, r"(?<![\d.])01[016789]\d{7,8}(?!\d)", _phone),
    Rule(DIGITS, r"(?<![\d-])1[5-9]\d\d-\d{4}(?![\d-])", _phone),
    Rule(DIGITS, rf"(?<![\d.,])(\d{{1,2}})(?:\s?[-~]\s?(\d{{1,2}}))?\s?({_NATIVE_COUNTER})", _counted),
    Rule(
        DIGITS + "-+±",
        rf"{_SIGN}(?<![\d.])({NUMBER})(?:{_RANGE}({NUMBER}))?\s?([%‰]|{UNIT}[²³]?(?:/{UNIT}[²³]?)?(?![A-Za-z²³]))",
        _measure,
    ),
    Rule(DIGITS, r"(?<![\d/.])(?:(\d{1,3}) )?(\d{1,4})/(\d{1,4})(?![\d/])", _fraction),
    Rule(DIGITS + "".join(_FRACTIONS), rf"(?<![\d/.])(\d{{1,3}})?([{''.join(_FRACTIONS)}])", _vulgar),
    Rule(DIGITS, r"(?<![\d:.])\d{1,6}(?:\.\d{1,3})?(?:\s?:\s?\d{1,6}(?:\.\d{1,3})?){1,3}(?![\d:])", _ratio),
    Rule(DIGITS, r"(?<![\d.])\d{1,5}(?:\.\d{1,5}){2,6}(?!\d)", _dotted),
    Rule(DIGITS, r"(?<![\d.-])\d{1,6}(?:-\d{1,7}){2,5}(?![\d-])", _dashed),
    Rule(DIGITS, r"(?<![\d.-])(\d{1,3})-(\d{1,3})(?![\d-]|\.\d)", _score),
    Rule("vV", r"(?<![A-Za-z])[vV](?:er\.?)? ?(\d{1,4}(?:\.\d{1,4}){0,4})(?![A-Za-z\d]|\.\d)", _version),
    Rule(DIGITS + "-+±", rf"{_SIGN}(?<![\d.])({NUMBER})([천백]?[만억조천])?{_RANGE}({NUMBER})(?![\d-])", _range),
    Rule(DIGITS + "-+±.", rf"{_SIGN}({NUMBER}|(?<!\d)\.\d{{1,20}})", _number),
    Rule(DIGITS, r"\d+", lambda match: digits(match.group())),
    Rule(LETTERS, r"([A-Za-z]{1,30})[- ]?(\d{1,6})(\.\d{1,3})?(?![\d,:/]|\.\d)", _name),
    Rule("-", r"(?<=[\w)])\s?-\s?(?=[\w(])", _minus),
    Rule("".join(_SIGNS), rf"[{re.escape(''.join(_SIGNS))}]", _sign_word),
    Rule("".join(_ROMAN), rf"[{''.join(_ROMAN)}]{{1,8}}", _roman),
    Rule(LETTERS, r"[A-Za-z]{1,40}", lambda match: match.group()),
)
_BLANKS = re.compile(r" {2,}")
_BLANK_BEFORE_MARK = re.compile(r" (?=[.,!?。！？…)])")


@cache
def grammar() -> Grammar:
    return Grammar(RULES)


def say(text: str) -> str:
    """Text whose numbers, units and signs are Korean words in hangul."""
    said = clean(grammar().say(text))
    return _BLANK_BEFORE_MARK.sub("", _BLANKS.sub(" ", said)).strip() if " " in said else said.strip()
