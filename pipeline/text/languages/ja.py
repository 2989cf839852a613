"""Japanese: numbers as kanji numerals (counters are read later, with the words), signs and units as words."""

from __future__ import annotations

import re
from functools import cache

from pipeline.text.languages import addresses
from pipeline.text.languages.cleaning import clean
from pipeline.text.languages.grammar import DIGITS, LETTERS, Grammar, Match, Rule, after, before
from pipeline.text.languages.units import UNIT, unit

NUMBER = r"(?:\d{1,3}(?:,\d{3}){1,6}(?!\d)|\d{1,40})(?:\.\d{1,40})?"
_DIGITS = "〇一二三四五六七八九"
_DIGIT_TABLE = str.maketrans("0123456789", "零一二三四五六七八九")
_FREE = r"(?<![\d.])"
_BLANKS = re.compile(r" {2,}")
_RANGE = r"\s?(?:-|~|—|から)\s?"
_MONEY = {
    "¥": "円", "JPY": "円", "$": "ドル", "US$": "米ドル", "USD": "米ドル", "€": "ユーロ", "EUR": "ユーロ",
    "£": "ポンド", "GBP": "ポンド", "₩": "ウォン", "KRW": "ウォン", "CNY": "元", "RMB": "元",
}  # fmt: skip
_SCORE_AFTER = re.compile(r"\s?(?:で(?:勝|負|敗|下|破|引)|の(?:勝|スコア|同点|引|接戦)|と|に)")
_MARKS = {
    ".": "ドット", "@": "アットマーク", "/": "スラッシュ", ":": "コロン", "_": "アンダーバー", "-": "ハイフン",
    "?": "クエスチョン", "=": "イコール", "&": "アンド", "%": "パーセント", "#": "シャープ", "+": "プラス",
    "~": "チルダ",
}  # fmt: skip
_SIGNS = {
    "+": "プラス", "=": "イコール", "×": "かける", "÷": "わる", "<": "小なり", ">": "大なり", "≤": "以下",
    "≥": "以上", "≠": "ノットイコール", "≈": "ニアリーイコール", "±": "プラスマイナス", "√": "ルート",
    "%": "パーセント", "°": "度", "&": "アンド", "@": "アット", "²": "の二乗", "³": "の三乗", "→": "から",
    "∞": "無限大", "π": "パイ", "α": "アルファ", "β": "ベータ", "γ": "ガンマ", "δ": "デルタ", "θ": "シータ",
    "λ": "ラムダ", "μ": "ミュー", "σ": "シグマ", "ω": "オメガ", "Ω": "オメガ", "φ": "ファイ", "$": "ドル", "¥": "円",
    "€": "ユーロ", "£": "ポンド", "‰": "パーミル",
}  # fmt: skip
_ROMAN = {char: i % 12 + 1 for i, char in enumerate("ⅠⅡⅢⅣⅤⅥⅦⅧⅨⅩⅪⅫⅰⅱⅲⅳⅴⅵⅶⅷⅸⅹⅺⅻ")}
_FRACTIONS = {"½": "二分の一", "⅓": "三分の一", "⅔": "三分の二", "¼": "四分の一", "¾": "四分の三"}


def digits(number: str) -> str:
    return number.translate(_DIGIT_TABLE)


def cardinal(number: str) -> str:
    number = number.replace(",", "").lstrip("0") or "0"
    return digits(number) if len(number) > 16 else _count(int(number)) or "零"


def _count(value: int) -> str:
    for unit_value, name in ((10**12, "兆"), (10**8, "億"), (10**4, "万")):
        if value >= unit_value:
            high, low = divmod(value, unit_value)
            return _myriad(high) + name + _count(low)
    return _below_ten_thousand(value)


def _myriad(value: int) -> str:
    """In front of 万, 億, 兆 a thousand keeps its 一."""
    said = _count(value)
    return "一" + said if said.startswith("千") and value < 10**4 else said


def _below_ten_thousand(value: int) -> str:
    said = ""
    for unit_value, name in ((1000, "千"), (100, "百"), (10, "十")):
        digit, value = divmod(value, unit_value)
        if digit:
            said += ("" if digit == 1 else _DIGITS[digit]) + name
    return said + (_DIGITS[value] if value else "")


def number(text: str) -> str:
    whole, point, fraction = text.replace(",", "").lstrip("+-").partition(".")
    said = cardinal(whole) if whole else "零"
    sign = "マイナス" if text[0] == "-" else ""
    return f"{sign}{said}点{digits(fraction)}" if point and fraction else sign + said


def _date(match: Match) -> str | None:
    year, _, month, day = match.groups()
    if not (1 <= int(month) <= 12 and 1 <= int(day) <= 31):
        return None
    return f"{cardinal(year)}年{cardinal(month)}月{cardinal(day)}日"


def _time(match: Match) -> str | None:
    hour, minute, second = match.groups()
    if int(hour) > 26:
        return None
    said = f"{cardinal(hour)}時" + (f"{cardinal(minute)}分" if minute != "00" or second else "")
    return said + (f"{cardinal(second)}秒" if second else "")


def _times(match: Match) -> str:
    first, minute, last, last_minute = match.groups()
    start = f"{cardinal(first)}時" + (f"{cardinal(minute)}分" if minute != "00" else "")
    return f"{start}から{cardinal(last)}時" + (f"{cardinal(last_minute)}分" if last_minute != "00" else "")


def _phone(match: Match) -> str:
    return "の".join(digits(group).replace("零", "ゼロ") for group in re.findall(r"\d+", match.group()))


def _money(match: Match) -> str:
    sign, symbol, value, multiple = match.groups()
    currency = "" if after(match, 1) in ("円", "ド", "ユ") else _MONEY[symbol]
    return ("マイナス" if sign else "") + number(value) + (multiple or "") + currency


def _money_code(match: Match) -> str:
    return number(match.group(1)) + _MONEY[match.group(2)]


def _unit_name(symbol: str) -> str | None:
    over, slash, under = symbol.partition("/")
    found = unit(symbol)
    if found:
        return found.ja
    if slash:
        numerator, denominator = _unit_name(over), _unit_name(under.rstrip("²³"))
        power = {"²": "毎", "³": "毎"}.get(under[-1], "")
        return numerator and denominator and f"{numerator}毎{denominator}{power}".replace("毎時間", "毎時")
    base = unit(over.rstrip("²³"))
    return base and f"{'平方' if over[-1] == '²' else '立方'}{base.ja}"


def _measure(match: Match) -> str | None:
    sign, value, multiple, second, symbol = match.groups()
    name = "パーセント" if symbol == "%" else "パーミル" if symbol == "‰" else _unit_name(symbol)
    if name is None or (
        symbol in ("in", "us", "N", "J", "t", "h") and after(match, 1).isalnum() and not after(match, 1) > "\u3000"
    ):
        return None
    until = f"から{number(second)}" if second else ""
    return f"{_sign(sign)}{number(value)}{multiple or ''}{until}{name}"


def _sign(sign: str | None) -> str:
    return {"-": "マイナス", "+": "プラス", "±": "プラスマイナス"}.get(sign or "", "")


def _fraction(match: Match) -> str | None:
    whole, above, below = match.groups()
    if not whole and (above, below) == ("24", "7"):
        return "二十四時間七日"
    if (
        not whole
        and int(below) > 12
        and int(above) <= 12
        and re.match(r"\s?(?:[(（]|に|から|まで|は|の)", after(match, 1))
    ):
        return f"{cardinal(above)}月{cardinal(below)}日"
    return (f"{cardinal(whole)}と" if whole else "") + f"{cardinal(below)}分の{cardinal(above)}"


def _vulgar(match: Match) -> str:
    whole, char = match.groups()
    return (f"{cardinal(whole)}と" if whole else "") + _FRACTIONS[char]


def _ratio(match: Match) -> str:
    return "対".join(number(part) for part in re.split(r"\s?[:：]\s?", match.group()))


def _score(match: Match) -> str | None:
    if re.match(r"\s?=", after(match, 2)):
        return f"{number(match.group(1))}引く{number(match.group(2))}"
    if _SCORE_AFTER.match(after(match, 5)) or int(match.group(1)) > int(match.group(2)):
        return f"{number(match.group(1))}対{number(match.group(2))}"
    return None


def _range(match: Match) -> str:
    sign, first, multiple, second = match.groups()
    return f"{_sign(sign)}{number(first)}{multiple or ''}から{number(second)}"


def _dashed(match: Match) -> str:
    return "の".join(
        digits(part) if len(part) > 2 or part[0] == "0" else cardinal(part) for part in match.group().split("-")
    )


def _dotted(match: Match) -> str:
    return "点".join(
        digits(part) if len(part) > 2 or part[0] == "0" else cardinal(part) for part in match.group().split(".")
    )


def _version(match: Match) -> str:
    return "バージョン" + _dotted_text(match.group(1))


def _dotted_text(text: str) -> str:
    return "点".join(digits(part) for part in text.split("."))


def _number_sign(match: Match) -> str:
    return "ナンバー" + cardinal(match.group(1))


def _name(match: Match) -> str:
    letters, run, rest = match.groups()
    said = digits(run) if run[0] == "0" or len(run) > 3 else cardinal(run)
    return letters + said + (f"点{digits(rest[1:])}" if rest else "")


def _number(match: Match) -> str:
    sign, value = match.groups()
    if value[0] == "0" and value.isdecimal() and len(value) > 1:
        return _sign(sign) + digits(value)
    return _sign(sign) + number(value)


def _sign_word(match: Match) -> str:
    return _SIGNS[match.group().strip()]


def _roman(match: Match) -> str:
    return "".join(cardinal(str(_ROMAN[char])) for char in match.group())


def _minus(match: Match) -> str | None:
    return "ひく" if re.search(r"[=＝²³+×÷]", before(match, 8) + after(match, 8)) else None


_SIGN = r"(?:(?:(?<![\w)])([-+±]))|)"
RULES = (
    *addresses.rules(_MARKS, digits),
    Rule(
        "¥$€£₩-UJEGCRK",
        r"(-)?(?<![A-Za-z])(US\$|USD|JPY|EUR|GBP|KRW|CNY|RMB|[¥$€£₩])\s?" + rf"({NUMBER})([千百]?[万億兆千])?",
        _money,
    ),
    Rule(DIGITS, rf"{_FREE}({NUMBER})\s?(USD|JPY|EUR|GBP|KRW|CNY|RMB|[€£$])(?![A-Za-z\d])", _money_code),
    Rule(DIGITS, r"(?<![\d.,/-])(\d{4})([-/.])(\d{1,2})\2(\d{1,2})(?![\d/-])日?", _date),
    Rule(DIGITS, rf"(?<![\d:.])(\d{{1,2}}):([0-5]\d){_RANGE}(\d{{1,2}}):([0-5]\d)(?![\d:])", _times),
    Rule(DIGITS, r"(?<![\d:.])(\d{1,2})[:：]([0-5]\d)(?:[:：]([0-5]\d))?(?![\d:])", _time),
    Rule(DIGITS + "+(", r"(?:\+81[- ]?)?\(?0?\d{1,4}\)?[- ]\d{2,4}[- ]\d{3,4}(?![\d-])(?<=\d)", _phone),
    Rule(DIGITS, r"(?<![\d.])0[789]0\d{8}(?!\d)", _phone),
    Rule(DIGITS, r"(?<![\d-])\d{3}-\d{4}(?![\d-])", _phone),
    Rule(
        DIGITS + "-+±",
        rf"{_SIGN}(?<![\d.])({NUMBER})([千百]?[万億兆千])?(?:{_RANGE}({NUMBER}))?\s?([%‰]|{UNIT}[²³]?(?:/{UNIT}[²³]?)"
        rf"?(?![A-Za-z²³]))",
        _measure,
    ),
    Rule(DIGITS, r"(?<![\d/.])(?:(\d{1,3})[ と])?(\d{1,4})/(\d{1,4})(?![\d/])", _fraction),
    Rule(DIGITS + "".join(_FRACTIONS), rf"(?<![\d/.])(\d{{1,3}})?([{''.join(_FRACTIONS)}])", _vulgar),
    Rule(DIGITS, r"(?<![\d:.])\d{1,6}(?:\.\d{1,3})?(?:\s?[:：]\s?\d{1,6}(?:\.\d{1,3})?){1,3}(?![\d:])", _ratio),
    Rule(DIGITS, r"(?<![\d.])\d{1,5}(?:\.\d{1,5}){2,6}(?!\d)", _dotted),
    Rule(DIGITS, r"(?<![\d.-])\d{1,5}(?:-\d{1,5}){2,5}(?![\d-])", _dashed),
    Rule(DIGITS, r"(?<![\d.-])(\d{1,3})-(\d{1,3})(?![\d-]|\.\d)", _score),
    Rule("vV", r"(?<![A-Za-z])[vV](?:er\.?)? ?(\d{1,4}(?:\.\d{1,4}){0,4})(?![A-Za-z\d]|\.\d)", _version),
    Rule("N", r"(?<![A-Za-z])N[oO]\.? ?(\d{1,6})(?!\d)", _number_sign),
    Rule(DIGITS + "-+±", rf"{_SIGN}(?<![\d.])({NUMBER})([千百]?[万億兆千])?{_RANGE}({NUMBER})(?![\d-])", _range),
    Rule(DIGITS + "-+±.", rf"{_SIGN}({NUMBER}|(?<!\d)\.\d{{1,20}})", _number),
    Rule(DIGITS, r"\d+", lambda match: digits(match.group())),
    Rule(LETTERS, r"([A-Za-z]{1,30})-?(\d{1,6})(\.\d{1,3})?(?![\d,:/]|\.\d)", _name),
    Rule("-", r"(?<=[\w)])\s?-\s?(?=[\w(])", _minus),
    Rule("".join(_SIGNS), rf"[{re.escape(''.join(_SIGNS))}]", _sign_word),
    Rule("".join(_ROMAN), rf"[{''.join(_ROMAN)}]{{1,8}}", _roman),
    Rule(LETTERS, r"[A-Za-z]{1,40}", lambda match: match.group()),
)


@cache
def grammar() -> Grammar:
    return Grammar(RULES)


def say(text: str) -> str:
    """Text whose numbers are kanji numerals and whose units and signs are Japanese words."""
    said = clean(grammar().say(text))
    return (_BLANKS.sub(" ", said) if "  " in said else said).strip()
