"""Ways of writing numbers that come from programs, science and English, as Chinese reads them."""

from __future__ import annotations

import math
import re

from pipeline.text.languages.grammar import DIGITS, LETTERS, Match, Rule, after, before
from pipeline.text.languages.han.calendar import clock, part_of_day
from pipeline.text.languages.han.numerals import cardinal, digits, number

_FREE = r"(?<![\w.])"
_MAX_FACTORIAL = 20
_DATED_AFTER = re.compile(
    r"\s?(?:起|至今|以来|出版|发布|发行|入职|毕业|开始|成立|上线|修订|更新|截止|[-~—至到]\s?(?:今|(?:19|20)\d\d\.))"
)
_YEAR = re.compile(r"(?:19|20)\d\d")


def _scientific(match: Match) -> str:
    """3.2e-5 is 3.2 times ten to the minus fifth."""
    mantissa, exponent = match.groups()
    return f"{number(mantissa)}乘以十的{number(exponent.lstrip('+'))}次方"


def _hexadecimal(match: Match) -> str:
    mark, run = match.groups()
    return f"零{mark}{digits(run)}"


def _factorial(match: Match) -> str | None:
    """5!=120 is a factorial; 5!=3 says in a program that they differ."""
    count, _, product = match.groups()
    is_true = int(count) <= _MAX_FACTORIAL and math.factorial(int(count)) == int(product)
    return f"{cardinal(count)}的阶乘等于{cardinal(product)}" if is_true else None


def _port(match: Match) -> str:
    host, port = match.groups()
    return f"{host}冒号{digits(port)}"


def _decade(match: Match) -> str:
    return f"{digits(match.group(1))}年代"


def _enclosed_year(match: Match) -> str | None:
    """（2024） and "2024"年 are years, though no 年 follows at once."""
    is_closed = after(match, 1) in ")）" and before(match, 1) in "(（" and bool(before(match, 1))
    is_quoted = bool(re.match(r"[\"”’」》]年", after(match, 2)))
    return digits(match.group()) if is_closed or is_quoted else None


def _month_of_year(match: Match) -> str | None:
    """2024.1 alone or before words of time is a month; before a unit it is an amount."""
    year, month = match.groups()
    is_alone = not re.search(r"\w$", before(match, 1)) and re.match(r"\s*(?:$|[)）])", after(match, 4))
    is_dated = _DATED_AFTER.match(after(match, 10))
    follows = re.search(r"(?:19|20)\d\d\.\d{1,2}\s?[-~—至到]\s?$", before(match, 12))
    if not 1 <= int(month) <= 12 or not (is_alone or is_dated or follows):
        return None
    return f"{digits(year)}年{cardinal(month)}月"


def _year_of_event(match: Match) -> str:
    return digits(match.group())


def _seconds(match: Match) -> str:
    """9"58 of a race."""
    whole, hundredths = match.groups()
    return f"{cardinal(whole)}秒{digits(hundredths)}"


def _viscosity(match: Match) -> str:
    """5W-30 on a can of oil."""
    cold, hot = match.groups()
    return f"{cardinal(cold)}W{cardinal(hot)}"


def _name_parts(match: Match) -> str:
    """test_v2.docx and wx_12345, part by part."""
    return "".join(_name_part(part) for part in re.findall(r"[A-Za-z]+|\d+|.", match.group()))


def _name_part(part: str) -> str:
    if not part.isdecimal():
        return _JOINTS.get(part, part)
    return digits(part) if len(part) > 2 or part[0] == "0" else cardinal(part)


def _half_before(match: Match) -> str:
    """am 9:00."""
    half, hour, minute = match.groups()
    return part_of_day(half, int(hour)) + clock(hour, minute)


def _hours(match: Match) -> str:
    """9am-5pm."""
    hour, half, last_hour, last_half = match.groups()
    first = part_of_day(half, int(hour)) + clock(hour, "00")
    return f"{first}到{part_of_day(last_half, int(last_hour))}{clock(last_hour, '00')}"


def _standard(match: Match) -> str:
    """GB/T 7714-2015."""
    body, run, edition = match.groups()
    return f"{body.replace('/', ' ')}{digits(run)}杠{digits(edition)}"


def _charger(match: Match) -> str:
    """5V2A."""
    return f"{number(match.group(1))}伏{number(match.group(2))}安"


def _magnitude(match: Match) -> str:
    inner = match.group(1)
    return f"{inner if inner.isalpha() else number(inner)}的绝对值"


_JOINTS = {".": "点", "_": "下划线", "-": "杠"}
_FILE = (
    "txt|pdf|docx?|xlsx?|pptx?|mp3|mp4|wav|jpe?g|png|gif|exe|zip|rar|json|ya?ml|md|csv|py|js|ts|cpp|java|vue|html?|css"
    "|go|sh"
)
_EVENT = (
    "奥运|奧運|冬奥|亚运|亞運|世界杯|世界盃|欧洲杯|欧冠|春晚|世博|峰会|大会|年会|音乐节|电影节|论坛|博览会|高考|考研|中考"
    "|新款|夏季|春季|秋季|冬季|跨年|新年|春节|国庆|元旦|款|赛季|锦标赛|大奖赛|大赛|公开赛|联赛"
)
_COUNTED = "人个個名位元块家次场件台只条张份万亿千百多年月日号分秒米度岁吨斤公平立"
RULES = (
    Rule(
        DIGITS,
        rf"(?<![\d.,:/第约近共了达超过有-])(?:19|20)\d\d(?![{_COUNTED}])(?=[\u4e00-\u9fff]{{0,6}}(?:{_EVENT}))",
        _year_of_event,
    ),
    Rule(
        LETTERS + DIGITS,
        rf"(?<![A-Za-z0-9_.-])[A-Za-z0-9]{{1,30}}(?:[_-][A-Za-z0-9]{{1,30}}){{0,6}}\.(?:{_FILE})(?![A-Za-z0-9_.])",
        _name_parts,
    ),
    Rule(LETTERS, r"(?<![A-Za-z0-9_])[A-Za-z]{1,20}(?:_[A-Za-z]{1,20}){0,3}_\d{2,12}(?![A-Za-z0-9_@.])", _name_parts),
    Rule("aApP", r"(?<![A-Za-z])([AaPp])\.?[Mm]\.?\s?(\d{1,2})[:：]([0-5]\d)(?![\d:：])", _half_before),
    Rule(DIGITS, rf"{_FREE}(\d{{1,3}}(?:\.\d{{1,2}})?)[Vv](\d{{1,2}}(?:\.\d{{1,2}})?)A(?![A-Za-z0-9])", _charger),
    Rule(
        DIGITS,
        rf"{_FREE}(\d{{1,2}})\s?([AaPp])\.?[Mm]\.?\s?(?:[-~—]|到|至)\s?(\d{{1,2}})\s?([AaPp])\.?[Mm](?![A-Za-z])\.?",
        _hours,
    ),
    Rule("GDHJQY", r"(?<![A-Za-z])((?:GB|DB|HJ|JGJ|JB|QB|YY|YD)(?:/[A-Z])?) ?(\d{2,6})-(\d{4})(?!\d)", _standard),
    Rule("'", rf"'(\d\d)(?=[\u4e00-\u9fff]{{0,4}}(?:{_EVENT}))", lambda match: digits(match.group(1))),
    Rule("|", r"\|(-?\d{1,6}|[A-Za-z])\|", _magnitude),
    Rule(DIGITS, r"(?<![\d.'])(\d{1,2})\"(\d{2})(?![\d\"])", _seconds),
    Rule(DIGITS, rf"{_FREE}(\d{{1,2}})[Ww]-(\d{{2}})(?![\d.])", _viscosity),
    Rule(DIGITS, rf"{_FREE}(\d{{1,3}}(?:\.\d{{1,20}})?)[eE]([-+]?\d{{1,3}})(?![\w.])", _scientific),
    Rule(DIGITS, rf"{_FREE}0([xX])([0-9A-Fa-f]{{1,16}})(?![A-Za-z0-9])", _hexadecimal),
    Rule(DIGITS, rf"{_FREE}(\d{{1,2}})(!\s?=\s?)(\d{{1,19}})(?![\d.])", _factorial),
    Rule(LETTERS, r"(?<![A-Za-z0-9.])(localhost|LOCALHOST)[:：](\d{2,5})(?!\d)", _port),
    Rule(DIGITS, r"(?<![\w.])((?:1[5-9]|20)\d0)'?s(?![A-Za-z])", _decade),
    Rule(DIGITS, rf"(?<![\w.]){_YEAR.pattern}(?=[)）\"”’」》])", _enclosed_year),
    Rule(DIGITS, r"(?<![\d.])((?:19|20)\d\d)\.(\d{1,2})(?![\d.%‰])", _month_of_year),
)
