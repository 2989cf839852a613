"""Numbers with what they count in English: money, percent, units, ranges, fractions, ratios, maths, codes."""

from __future__ import annotations

import re

from pipeline.text.languages.english.numerals import as_ordinal, cardinal, digits, number, ordinal, pairs, plural
from pipeline.text.languages.grammar import DIGITS, LETTERS, Match, Rule, after, before
from pipeline.text.languages.units import UNIT, unit

NUMBER = r"(?:\d{1,3}(?:,\d{3}){1,6}(?!\d)|\d{1,40})(?:\.\d{1,40})?"
_SUFFIX = rf"{UNIT}[²³]?(?:/{UNIT}[²³]?)?(?![A-Za-z²³])"
_LARGE = r"(?:hundred|thousand|million|billion|trillion|[kKMB]|mn|bn)"
_LARGE_NAMES = {"k": "thousand", "m": "million", "mn": "million", "b": "billion", "bn": "billion"}
_FREE = r"(?<![\d.])"
_TO = r"\s?(?:-|~|—|to)\s?"
_ONLY_ATTACHED = frozenset(
    ("in", "us", "t", "N", "J", "ha", "bar", "h", "v", "w", "l", "mi", "ML", "gal", "DB", "mb", "tb")
)

# Singular, plural, hundredth part.
_MONEY = {
    "$": ("dollar", "dollars", "cent"), "US$": ("U S dollar", "U S dollars", "cent"),
    "USD": ("U S dollar", "U S dollars", "cent"), "HK$": ("Hong Kong dollar", "Hong Kong dollars", "cent"),
    "A$": ("Australian dollar", "Australian dollars", "cent"), "C$": ("Canadian dollar", "Canadian dollars", "cent"),
    "NT$": ("Taiwan dollar", "Taiwan dollars", "cent"), "€": ("euro", "euros", "cent"),
    "EUR": ("euro", "euros", "cent"), "£": ("pound", "pounds", "penny|pence"),
    "GBP": ("pound", "pounds", "penny|pence"), "¥": ("yuan", "yuan", "fen|fen"), "RMB": ("yuan", "yuan", "fen|fen"),
    "CNY": ("yuan", "yuan", "fen|fen"), "JPY": ("yen", "yen", "sen|sen"), "₩": ("won", "won", "jeon|jeon"),
    "KRW": ("won", "won", "jeon|jeon"), "₹": ("rupee", "rupees", "paisa|paise"),
    "INR": ("rupee", "rupees", "paisa|paise"), "HKD": ("Hong Kong dollar", "Hong Kong dollars", "cent"),
}  # fmt: skip
_FRACTION_NAMES = {"2": "half|halves", "4": "quarter"}
_VULGAR = {"½": "1/2", "⅓": "1/3", "⅔": "2/3", "¼": "1/4", "¾": "3/4", "⅕": "1/5", "⅖": "2/5", "⅗": "3/5", "⅘":
    "4/5", "⅙": "1/6", "⅚": "5/6", "⅛": "1/8", "⅜": "3/8", "⅝": "5/8", "⅞": "7/8", "⅐": "1/7", "⅑": "1/9", "⅒":
    "1/10"}  # fmt: skip
_CODE_BEFORE = re.compile(
    r"(?:\b(?:code|pin|id|zip|zipcode|password|account|card|order|serial|passport|isbn|extension|ext|dial|call|text"
    r"|phone|tel|telephone|fax)\b)(?: (?:number|code|no|is))?[.:# ]{1,3}$",
    re.I,
)
_NAME_BEFORE = re.compile(
    r"\b(?:room|flight|route|highway|boeing|bus|suite|apartment|apt|interstate|area|unit|airbus|model|channel|gate)"
    r"[ #.]{1,2}$",
    re.I,
)


def counted(name: str, is_one: bool) -> str:
    """`name` is the singular, with an irregular plural after a bar."""
    singular, _, irregular = name.partition("|")
    return singular if is_one else irregular or f"{singular}s"


def _large(letter: str | None) -> str:
    return "" if not letter else " " + _LARGE_NAMES.get(letter.strip().lower(), letter.strip())


def _money(match: Match) -> str:
    sign, symbol, value, large, second, second_large = match.groups()
    one, many, cent = _MONEY[symbol.upper() if symbol.upper() in _MONEY else symbol]
    minus = "minus " if sign else ""
    if second:
        return f"{minus}{number(value)}{_large(large)} to {number(second)}{_large(second_large)} {many}"
    if large:
        return f"{minus}{number(value)}{_large(large)} {many}"
    return minus + _coins(value, one, many, cent)


def _coins(value: str, one: str, many: str, cent: str) -> str:
    whole, _, fraction = value.replace(",", "").partition(".")
    if len(fraction) not in (0, 2):
        return f"{number(value)} {many}"
    hundredths = int(fraction or "0")
    units = f"{cardinal(whole)} {one if int(whole) == 1 else many}"
    if not hundredths:
        return units
    cents = f"{cardinal(fraction)} {counted(cent, hundredths == 1)}"
    return cents if int(whole) == 0 else f"{units} and {cents}"


def _money_code(match: Match) -> str | None:
    sign, value, large, symbol = match.groups()
    one, many, cent = _MONEY[symbol.upper()]
    return ("minus " if sign else "") + (
        f"{number(value)}{_large(large)} {many}" if large else _coins(value, one, many, cent)
    )


def _cents(match: Match) -> str:
    return f"{number(match.group(1))} cent" + ("" if match.group(1) == "1" else "s")


def _sign(sign: str | None) -> str:
    return {"-": "minus ", "+": "plus ", "±": "plus or minus ", "~": "about "}.get(sign or "", "")


def _percent(match: Match) -> str:
    sign, value, second, mark = match.groups()
    until = f" to {number(second)}" if second else ""
    return f"{_sign(sign)}{number(value)}{until} {'percent' if mark == '%' else 'per mille'}"


def unit_name(symbol: str, is_one: bool) -> str | None:
    over, slash, under = symbol.partition("/")
    found = unit(symbol) or unit(over)
    if found is None:
        base = unit(over.rstrip("²³"))
        return base and f"{'square' if over[-1] == '²' else 'cubic'} {counted(base.en, is_one)}"
    name = counted(found.en, is_one)
    if not slash or unit(symbol):
        return name
    per = unit(under.rstrip("²³"))
    power = {"²": " squared", "³": " cubed"}.get(under[-1], "")
    return per and f"{name} per {counted(per.en, True)}{power}"


def _measure(match: Match) -> str | None:
    sign, value, large, second, gap, symbol, stop = match.groups()
    if (gap and symbol in _ONLY_ATTACHED and not stop) or (
        symbol in ("in", "us") and not re.match(r"[\s,.)x]|$", after(match, 1))
    ):
        return None
    name = unit_name(symbol, value == "1" and not second and not large)
    if name is None:
        return None
    until = f" to {number(second)}" if second else ""
    return f"{_sign(sign)}{number(value)}{_large(large)}{until} {name}"


def _height(match: Match) -> str:
    feet, inches = match.groups()
    return f"{cardinal(feet)} foot {cardinal(inches)}"


def _feet_inches(match: Match) -> str:
    feet, inches = match.groups()
    return (
        f"{cardinal(feet)} {'foot' if feet == '1' else 'feet'} {cardinal(inches)} inch{'' if inches == '1' else 'es'}"
    )


def _fraction(match: Match) -> str | None:
    whole, above, below = match.groups()
    if (above, below) in (("24", "7"), ("9", "11")) and not whole:
        return f"{cardinal(above)} {cardinal(below)}"
    if above == below and not whole:
        return f"{cardinal(above)} {cardinal(below)}"
    if int(below) < 2 or len(below) > 4:
        return f"{cardinal(above)} over {cardinal(below)}"
    if int(above) > int(below):
        return f"{cardinal(above)} over {cardinal(below)}"
    return fraction(whole, above, below)


def fraction(whole: str | None, above: str, below: str) -> str:
    name = _FRACTION_NAMES.get(below) or as_ordinal(cardinal(below)).replace("one hundredth", "hundredth").replace(
        "one thousandth", "thousandth"
    )
    part = f"{cardinal(above)} {counted(name, above == '1') if '|' in name or above == '1' else plural(name)}"
    if not whole:
        return part
    return f"{cardinal(whole)} and {part.replace('one ', 'a ', 1) if part.startswith('one ') else part}"


def _vulgar(match: Match) -> str:
    whole, char = match.groups()
    above, _, below = _VULGAR[char].partition("/")
    return fraction(whole and whole.strip(), above, below)


def _ratio(match: Match) -> str:
    return " to ".join(number(part) for part in re.split(r"\s?:\s?", match.group()))


def _range(match: Match) -> str:
    sign, first, large, second = match.groups()
    return f"{_sign(sign)}{number(first)}{_large(large)} to {number(second)}"


def _subtraction(match: Match) -> str | None:
    if not re.match(r"\s?=", after(match, 2)) and not re.search(r"[=+×*÷]\s?$", before(match, 2)):
        return None
    return f"{number(match.group(1))} minus {number(match.group(2))}"


def _phone(match: Match) -> str:
    plus = "plus " if match.group()[0] == "+" else ""
    groups = re.findall(r"\d+", match.group())
    return plus + ", ".join(_phone_group(group) for group in groups)


def _phone_group(group: str) -> str:
    return "eight hundred" if group == "800" else digits(group, "oh")


def _dashed(match: Match) -> str:
    return " ".join(cardinal(part) if len(part) < 3 else digits(part) for part in match.group().split("-"))


def _dotted(match: Match) -> str:
    parts = match.group().split(".")
    is_address = len(parts) == 4 and any(len(part) == 3 for part in parts)
    return (" dot " if is_address else " point ").join(
        digits(part) if is_address or len(part) > 2 else cardinal(part) for part in parts
    )


def _version(match: Match) -> str:
    return "version " + " point ".join(
        cardinal(part) if i == 0 or len(part) < 2 else digits(part) for i, part in enumerate(match.group(1).split("."))
    )


def _ordinal(match: Match) -> str:
    return ordinal(match.group(1).replace(",", ""))


def _code(match: Match) -> str | None:
    run = match.group()
    context = before(match, 24)
    if _CODE_BEFORE.search(context):
        return digits(run, "oh" if len(run) == 3 else "zero")
    if _NAME_BEFORE.search(context) and len(run) < 5:
        return pairs(run)
    if run[0] == "0" or len(run) > 12 or run == "911":
        return digits(run)
    return None


def _number_sign(match: Match) -> str:
    return f"number {cardinal(match.group(1))}"


def _name(match: Match) -> str | None:
    """GPT-4, COVID-19, iPhone15, RTX 4090, MP3, A380."""
    letters, joint, run, rest = match.groups()
    if joint == " " and len(run) < 4:
        return None
    if joint == " " and (len(letters) > 4 or not letters.isupper()):
        return None
    said = pairs(run) + (f" point {digits(rest[1:])}" if rest else "")
    return f"{letters} {said}{' ' if after(match, 1).isalpha() else ''}"


def _times_over(match: Match) -> str:
    return f"{number(match.group(1))} times"


def _plus(match: Match) -> str:
    return f"{number(match.group(1))}{_large(match.group(2))} plus"


def _large_number(match: Match) -> str:
    return f"{_sign(match.group(1))}{number(match.group(2))}{_large(match.group(3))}"


def _number(match: Match) -> str:
    said = number(match.group(2))
    gap = " " if re.match(r"[A-Za-z]", after(match, 1)) else ""
    sign = match.group(1) if match.group(1) != "+" or not before(match, 1).strip() else "+"
    lead = " " if re.search(r"[A-Za-z]$", before(match, 1)) else ""
    return f"{lead}{_sign(sign)}{said}{gap}"


_SYMBOL = r"(US\$|HK\$|NT\$|A\$|C\$|USD|EUR|GBP|RMB|CNY|JPY|KRW|INR|HKD|[$€£¥₩₹])"
_CODE = r"(USD|EUR|GBP|RMB|CNY|JPY|KRW|INR|HKD|usd|eur|gbp|rmb|cny|jpy)"
_MINUS = r"(-)?"
RULES = (
    Rule(
        "$€£¥₩₹-UHNACEGRJKI",
        rf"{_MINUS}(?<![A-Za-z]){_SYMBOL}\s?({NUMBER})(\s?{_LARGE}(?![A-Za-z]))"
        rf"?(?:{_TO}{_SYMBOL.replace('(', '(?:', 1)}?({NUMBER})(\s?{_LARGE}(?![A-Za-z]))?)?",
        _money,
    ),
    Rule(DIGITS + "-", rf"{_MINUS}{_FREE}({NUMBER})(\s?{_LARGE})? ?{_CODE}(?![A-Za-z])", _money_code),
    Rule(DIGITS, rf"{_FREE}(\d{{1,3}})¢", _cents),
    Rule("+", r"\+\d{1,3}[- ]?(?:\(\d{1,4}\)|\d{2,4})(?:[- ]?\d{2,8}){1,4}(?!\d)", _phone),
    Rule(DIGITS + "(", r"(?<![\d.-])(?:1[- ])?(?:\(\d{3}\) ?|\d{3}[- ])\d{3}[- ]\d{4}(?![\d-])", _phone),
    Rule(DIGITS, r"(?<![\d.-])\d{3}-\d{4}(?![\d-])", _phone),
    Rule(DIGITS + "-+±~", rf"(?:(?:(?<![\w)])([-+±~]))|)(?<![\d.])({NUMBER})(?:{_TO}({NUMBER}))?\s?(%|‰)", _percent),
    Rule(DIGITS, r"(?<![\d.])(\d)'\s?(\d{1,2})\"?(?!\d)", _height),
    Rule(DIGITS, r"(?<![\d.])(\d) ?(?:ft|feet|foot)\.? (\d{1,2}) ?(?:in|inch|inches)(?![A-Za-z])\.?", _feet_inches),
    Rule(
        DIGITS + "-+±~",
        rf"(?:(?:(?<![\w)])([-+±~]))|)(?<![\d.])({NUMBER})(\s(?:hundred|thousand|million|billion))"
        rf"?(?:{_TO}({NUMBER}))?([ -]?)({_SUFFIX})(\.(?=\s[a-z\d]|,|$))?",
        _measure,
    ),
    Rule(DIGITS, r"(?<![\d/.])(?:(\d{1,4})[ -])?(\d{1,4})/(\d{1,4})(?![\d/]|\.\d)", _fraction),
    Rule(DIGITS + "".join(_VULGAR), rf"(?<![\d/.])(\d{{1,4}} ?)?([{''.join(_VULGAR)}])", _vulgar),
    Rule(DIGITS, r"(?<![\d:.])\d{1,6}(?:\.\d{1,3})?(?:\s?:\s?\d{1,6}(?:\.\d{1,3})?){1,3}(?![\d:])", _ratio),
    Rule(DIGITS, rf"{_FREE}({NUMBER})\s?-\s?({NUMBER})(?![\d-])", _subtraction),
    Rule(DIGITS, r"(?<![\d.-])\d{1,5}(?:-\d{1,5}){2,5}(?![\d-])", _dashed),
    Rule(DIGITS, r"(?<![\d.])\d{1,5}(?:\.\d{1,5}){2,6}(?!\d)", _dotted),
    Rule("vV", r"(?<![A-Za-z])[vV](?:er\.?|ersion)? ?(\d{1,4}(?:\.\d{1,4}){0,4})(?![\w])", _version),
    Rule(DIGITS, r"(?<![\d.])(\d{1,3}(?:,\d{3}){1,5}|\d{1,12})(?:st|nd|rd|th)(?![A-Za-z])", _ordinal),
    Rule("#", r"#\s?(\d{1,6})(?!\d)", _number_sign),
    Rule("N", r"\bN[oO]\. ?(\d{1,6})(?!\d)", _number_sign),
    Rule(DIGITS, r"(?<![\d.,])\d{2,40}(?![\d,.]\d|\d)", _code),
    Rule(DIGITS, rf"{_FREE}({NUMBER})[xX](?![\w])", _times_over),
    Rule(DIGITS, rf"{_FREE}({NUMBER})(\s?{_LARGE}(?![A-Za-z]))?\+(?![\w+])", _plus),
    Rule(
        DIGITS + "-+~",
        rf"(?:(?:(?<![\w)])([-+~]))|)(?<![\d.])({NUMBER})({_LARGE}(?<=[kKMB])(?![A-Za-z]))?{_TO}({NUMBER})(?![\d:-]"
        rf"|\.\d)",
        _range,
    ),
    Rule(DIGITS + "-+~", rf"(?:(?:(?<![\w)])([-+~]))|)(?<![\d.])({NUMBER})(k)(?![A-Za-z])", _large_number),
    Rule(DIGITS + "-+±~.", rf"(?:(?:(?<![\w)])([-+±~]))|)({NUMBER}|(?<!\d)\.\d{{1,40}})", _number),
    Rule(DIGITS, r"\d+", lambda match: digits(match.group())),
)
NAME_RULES = (
    Rule(LETTERS, r"([A-Za-z]{1,30})([- ]?)(\d{1,6})(\.\d{1,3})?(?![\d,:/]|\.\d|s\b|st\b|nd\b|rd\b|th\b)", _name),
)
