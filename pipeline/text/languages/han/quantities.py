"""Numbers with what they count in Chinese: percent, money, units, ranges, fractions, ratios, scores."""

from __future__ import annotations

import re
from functools import lru_cache

from pipeline.text.languages.grammar import DIGITS, Match, Rule, after, before, constant
from pipeline.text.languages.han.numerals import cardinal, digits, number, telephone
from pipeline.text.languages.units import UNIT, unit

NUMBER = r"(?:\d{1,3}(?:[,，]\d{3}){1,8}(?!\d)|\d{1,40})(?:\.\d{1,40})?"
_MULTIPLE = r"(?:百万|千万|十万|万亿|百億|千億|百亿|千亿|[万萬亿億千百]|\s?(?:million|billion|trillion)\b)"
_SUFFIX = rf"(?:\s?(?:[%‰‱]|{UNIT}(?:²|³)?(?:/{UNIT}(?:²|³)?)?(?![A-Za-z²³])))"
_CODE = r"(?:USD|US|RMB|CNY|EUR|GBP|JPY|HKD|TWD|NTD|KRW|AUD|CAD|SGD|CHF|MOP|THB|RUB|INR|VND|MYR|BTC|ETH)"
_SYMBOL = r"(?:US\$|HK\$|NT\$|AU\$|A\$|CA\$|C\$|S\$|R\$|CN¥|JP¥|[$¥€£₩₽₹฿₫])"
_LETTER_MULTIPLE = r"(?:[kKwW](?![A-Za-z])|[MB](?![A-Za-z])|[Mm]n|[Bb]n)"
_RANGE = r"\s?(?:-{1,2}|~|—{1,2}|至|到)\s?"

_CURRENCIES = {
    "$": "美元", "US$": "美元", "USD": "美元", "US": "美元", "HK$": "港元", "HKD": "港元", "NT$": "新台币",
    "TWD": "新台币", "NTD": "新台币", "AU$": "澳元", "A$": "澳元", "AUD": "澳元", "CA$": "加元", "C$": "加元",
    "CAD": "加元", "S$": "新加坡元", "SGD": "新加坡元", "R$": "雷亚尔", "¥": "元", "CN¥": "元", "RMB": "元",
    "CNY": "元", "JP¥": "日元", "JPY": "日元", "€": "欧元", "EUR": "欧元", "£": "英镑", "GBP": "英镑", "₩": "韩元",
    "KRW": "韩元", "₽": "卢布", "RUB": "卢布", "₹": "卢比", "INR": "卢比", "฿": "泰铢", "THB": "泰铢", "₫": "越南盾",
    "VND": "越南盾", "CHF": "瑞士法郎", "MOP": "澳门元", "MYR": "林吉特", "BTC": "比特币", "ETH": "以太币",
}  # fmt: skip
_SAID_CURRENCY = re.compile(
    r"\s?(?:多|余|左右)?(?:美元|美金|港币|港元|日元|日圆|欧元|英镑|韩元|人民币|元|块|圆|円|刀|美刀)"
)
_SCALES = {"k": 3, "w": 4, "m": 6, "mn": 6, "million": 6, "b": 9, "bn": 9, "billion": 9, "trillion": 12}
_PERCENT = {"%": "百分之", "‰": "千分之", "‱": "万分之"}

# After these a lone 2 is 两. Ordinal-like counters (月 日 号 楼 年级 等奖 ...) are absent: there it stays 二.
_MEASURE = re.compile(
    r"\s?(?:多|来|余)"
    r"?(?:[个個只隻条條张張本件位名台臺辆輛间間家座棵朵杯瓶碗盘盤块塊片颗顆粒套双雙对對种種类類次遍趟场場天夜周岁歲秒"
    r"米元斤倍份部篇首句头頭匹头口门門节節句座栋棟扇把支枝根滴勺盒箱袋包桶吨噸升克厘毫寸尺码里圈轮輪批"
    r"群排列行组組队隊代辈步声聲眼"
    r"道项項段幅面笔筆股封株枚艘架所处處则則页頁遍顿頓阵陣层層款届屆人亩畝站页集章回课課]"
    r"|小时|小時|分钟|分鐘|秒钟|公里|公斤|公分|公顷|平方|立方|年(?!级|級|[0-9]|代)|星期|礼拜|禮拜|月份?(?<=个月)"
    r"|克拉|[毛角]|分(?!之|析|布|组|类|级)|英里|英寸|英尺|海里|毫升|毫米|厘米|千米|千克|刻钟|世纪|美元"
    r"|美金|欧元|英镑|港元|日元|韩元|万|亿|千(?!年)|兆|成(?!立|功|为|長|长)|半(?:球)?|者|国|國|党|会(?!议)|地|岸|侧"
    r"|端|手(?!房|车|烟|货)|[点點](?!几|幾|多少)|[点點][钟鐘]"
    r"|块钱|居室|厅|卫|房)"
)
_NOT_MEASURE = re.compile(
    r"\s?(?:名次|位数|代(?:表|码)|号|道路|段(?:位)|队长|人转|把手|回合|站台|手|地址|会员|组长|班|章节|行代码|页面"
    r"|级|楼|栋|次元|次方|次函数|次革命|次世界|条款)"
)
_ORDINAL_BEFORE = re.compile(
    r"(?:第|初|周|星期|礼拜|禮拜|农历|之|[零一二三四五六七八九十百千万点]|高|小|版本|乘|加|减|除以|等于)\s?$"
)
_SCORE_BEFORE = re.compile(
    r"(?:比分|大比分|总比分|以|[胜負负赢贏输輸平克]|战胜|击败|战平|领先|落后|逆转|淘汰|不敌|横扫|完胜|险胜|大胜"
    r"|惨败|比数)(?:为|是|了|成)"
    r"?\s?[：:]?\s?(?:\d{1,3}-\d{1,3}[、，,]\s?){0,2}$"
)
_SCORE_AFTER = re.compile(
    r"\s?(?:战胜|击败|大胜|险胜|完胜|小胜|取胜|获胜|逆转|领先|落后|不敌|淘汰|横扫|战平|大比分|的比分|的总比分|比分"
    r"|胜出|告负|拿下|负于|输给|赢|输|胜|负|平|惜败|惨败|晋级|力克|绝杀|夺冠"
    r"|憾负|主场|客场|完败)"
)
_NO_NAME_END = frozenset("从由在约近达为是有到至了过价比含第的")
_MATHS_AROUND = re.compile(r"[=＝≈><≥≤+×÷*^√(]\s?$")
_NEGATIVE_BEFORE = re.compile(r"[温度为的是到至降低跌达在零下约于值差、，。：；！？（(【“「《~,:;=×÷+*/<>≥≤≈±|\s-]$")
_DASHED_NAME = re.compile(r"[\w)\]）】]$")


def _sign(sign: str | None, match: Match) -> str:
    if not sign:
        return ""
    if sign == "+":
        return "加" if re.search(r"[\w²³)]\s?$", before(match, 2)) else "正"
    return "减" if _is_subtracted(match) else "负" if is_negative(match) else ""


def _is_subtracted(match: Match) -> bool:
    """y=3x-2: after a variable or a bracket, in an equation."""
    near = match.string[max(0, match.start() - 12) : match.end() + 12]
    follows_term = re.search(r"(?:^|[^A-Za-z])[a-z]$|[²³)]$", before(match, 2))
    return bool(follows_term and re.search(r"[=<>≤≥]", near))


def is_negative(match: Match) -> bool:
    """Whether a minus sign in front of a number negates it; 歼-20 and 东风-41 are names."""
    context = before(match, 2)
    return (
        not context
        or bool(_NEGATIVE_BEFORE.search(context))
        or not _DASHED_NAME.search(context)
        or bool(re.match(r"\s?(?:°|%|‰|度)", after(match, 2)))
    )


@lru_cache(maxsize=2048)
def _suffix(symbol: str) -> str | None:
    """What a unit symbol is called, with one unit per another; None when it is not a unit."""
    plain = symbol.strip()
    found = unit(plain)
    if found:
        return found.zh
    over, slash, under = plain.partition("/")
    if slash:
        numerator, denominator = _suffix(over), _suffix(under.rstrip("²³"))
        if numerator is None or denominator is None:
            return None
        return f"{numerator}每{_power(under)}{denominator}"
    found = unit(plain.rstrip("²³"))
    if found and plain[-1] in "²³":
        return f"{'平方' if plain[-1] == '²' else '立方'}{found.zh}"
    return None


def _power(symbol: str) -> str:
    if symbol[-1] not in "²³":
        return ""
    is_square = symbol[-1] == "²"
    if symbol[:-1] in ("s", "min", "h"):
        return "二次方" if is_square else "三次方"
    return "平方" if is_square else "立方"


def _with_two(said: str, is_counted: bool) -> str:
    return "两" if said == "二" and is_counted else said


def _is_counted(match: Match) -> bool:
    following = after(match, 4)
    return (
        bool(_MEASURE.match(following))
        and not _NOT_MEASURE.match(following)
        and not _ORDINAL_BEFORE.search(before(match, 3))
    )


def _amount(value: str, multiple: str | None, *, is_counted: bool = False) -> str:
    """A number with 万 or 亿 after it."""
    if not multiple:
        return _with_two(number(value), is_counted)
    multiple = multiple.strip()
    if multiple in ("million", "billion", "trillion"):
        return scaled(value, _SCALES[multiple])
    return _with_two(number(value), multiple[0] not in "百十") + multiple


def scaled(value: str, power: int) -> str:
    """value times ten to the power, said in Chinese steps of ten thousand."""
    whole, _, fraction = value.replace(",", "").partition(".")
    shifted = whole + fraction[:power].ljust(power, "0")
    rest = fraction[power:]
    return number(f"{shifted}.{rest}" if rest else shifted)


def _quantity(match: Match) -> str | None:
    sign, value, multiple, suffix = match.group("sign", "value", "multiple", "suffix")
    return _one(match, sign, value, multiple, suffix)


def _one(match: Match, sign: str | None, value: str, multiple: str | None, suffix: str | None) -> str | None:
    said_sign = _sign(sign, match)
    if sign and suffix and suffix.strip()[0] in "%‰‱°" and not re.search(r"[\dA-Za-z%)]$", before(match, 1)):
        said_sign = "负" if sign == "-" else "正"
    if suffix and suffix.strip() in _PERCENT:
        return f"{said_sign}{_percentage(suffix.strip(), value, multiple)}"
    name = _suffix(suffix) if suffix else ""
    if name is None or (suffix and not _is_unit_here(suffix.strip(), match)):
        return None
    two = _is_counted(match) if not suffix else not name.isascii() and "°" not in suffix
    return said_sign + _amount(value, multiple, is_counted=two) + name


def _percentage(mark: str, value: str, multiple: str | None) -> str:
    return _PERCENT[mark] + ("百" if value == "100" and mark == "%" else _amount(value, multiple))


def _is_unit_here(symbol: str, match: Match) -> bool:
    """Single letters are units only where nothing else is likely: 5A景区, 3V3 and 100W粉丝 are not volts and watts."""
    following = after(match, 2)
    if symbol in ("N", "J", "in", "us", "d"):
        return not following[:1].isalnum() or following[:1] in "的左"
    if symbol in ("v", "w", "W", "V"):
        return (
            not following.startswith(("粉", "人", "+", "字", "阅", "元", "块", "播", "点", "赞", "个", "年"))
            and symbol != "w"
            and not following[:1].isdecimal()
        )
    return not (symbol in ("h", "s", "t", "g", "m", "l") and following[:1].isdecimal() and symbol not in ("h", "m"))


def _range(match: Match) -> str | None:
    g = match.group
    if (g("suffix") and g("suffix").strip() in _PERCENT) or (g("suffix2") and g("suffix2").strip() in _PERCENT):
        kind = (g("suffix2") or "").strip()
        if kind not in _PERCENT:
            return None  # 下跌5%至300点, 5%到10㎡: no range
        first = _one(match, g("sign"), g("value"), g("multiple"), g("suffix") or kind)
        return f"{first}到{_second_sign(g('sign2'))}{_percentage(kind, g('value2'), g('multiple2'))}"
    name = _suffix(g("suffix")) if g("suffix") else ""
    name2 = _suffix(g("suffix2")) if g("suffix2") else ""
    if name is None or name2 is None:
        return None
    counted = bool(name2 or name) or _is_counted(match) or bool(g("multiple2"))
    first = _amount(g("value"), g("multiple"), is_counted=counted)
    second = _amount(g("value2"), g("multiple2"), is_counted=counted)
    return f"{_sign(g('sign'), match)}{first}{name}到{_second_sign(g('sign2'))}{second}{name2}"


def _second_sign(sign: str | None) -> str:
    return {"-": "负", "+": "正"}.get(sign or "", "")


def _score(match: Match) -> str | None:
    """3-2 of a match, and 10-3=7; otherwise a dash is a range."""
    if _MATHS_AROUND.search(before(match, 2)) or re.match(r"\s?[=＝]", after(match, 2)):
        return f"{number(match.group(1))}减{number(match.group(2))}"
    if before(match, 1) in ("图", "圖", "表", "例", "题", "式"):
        return f"{number(match.group(1))}杠{number(match.group(2))}"
    if _SCORE_BEFORE.search(before(match, 18)) or _SCORE_AFTER.match(after(match, 5)):
        return f"{number(match.group(1))}比{number(match.group(2))}"
    return None


def _descending(match: Match) -> str | None:
    """21-19 with nothing counted is a score."""
    first, second = match.groups()
    if _is_basketball(match, int(first), int(second)):
        return f"{number(first)}比{number(second)}"
    if int(first) >= int(second) and not _MEASURE.match(after(match, 4)) and not re.match(r"[\w%°]", after(match, 1)):
        return f"{number(first)}比{number(second)}"
    return None


def _is_basketball(match: Match, first: int, second: int) -> bool:
    """湖人108-102勇士: between two names no range goes down."""
    names = re.search(r"[\u4e00-\u9fff]{2}$", before(match, 2)) and re.match(r"[\u4e00-\u9fff]{2}", after(match, 2))
    is_names = bool(names) and before(match, 1) not in _NO_NAME_END and not _MEASURE.match(after(match, 4))
    return is_names and 180 > first > second > 59


def _code_range(match: Match) -> str:
    return "杠".join(telephone(part) for part in match.groups())


def _dashed(match: Match) -> str:
    parts = match.group().split("-")
    return "".join(cardinal(part) if len(part) < 2 else digits(part) for part in parts)


def _money(match: Match) -> str | None:
    g = match.group
    currency = (
        _CURRENCIES[g("currency").upper()] if g("currency").upper() in _CURRENCIES else _CURRENCIES[g("currency")]
    )
    if _SAID_CURRENCY.match(after(match, 6)):
        currency = ""
    sign = "负" if g("sign") else ""
    first = money_amount(g("value"), g("multiple"), bool(currency))
    if not g("value2"):
        return sign + first + currency
    return f"{sign}{first}到{money_amount(g('value2'), g('multiple2'), bool(currency))}{currency}"


def money_amount(value: str, multiple: str | None, is_counted: bool) -> str:
    if multiple and multiple.strip().lower() in _SCALES:
        return scaled(value, _SCALES[multiple.strip().lower()])
    if value.endswith(".00"):
        value = value[:-3]
    return _amount(value, multiple, is_counted=is_counted)


def _letter_multiple(match: Match) -> str | None:
    """5w and 3k for 五万 and 三千, as people type them."""
    value, letter, plus = match.groups()
    if letter == "W" and not (plus or re.match(r"[粉人阅播点赞元块个字]", after(match, 1))):
        return None
    if (letter in "kK" and re.match(r"金|歌|屏", after(match, 1))) or (
        letter == "K"
        and re.match(r"\s?(?:|电视|分辨率|画质|视频|超清|高清|显示|金|歌|黄金|蓝光|摄|录|$|[，。、])", after(match, 3))
    ):
        return None
    return scaled(value, _SCALES[letter.lower()]) + ("加" if plus else "")


def _letter_multiples(match: Match) -> str:
    first, letter, second = match.groups()
    power = _SCALES[letter.lower()]
    return f"{scaled(first, power)}到{scaled(second, power)}"


def _fraction(match: Match) -> str | None:
    whole, above, below = match.groups()
    if above == "24" and below == "7":
        return "七乘二十四"
    if int(below) == 1 and not whole and 1 <= int(above) <= 12:
        return f"{cardinal(above)}月一日"
    if int(below) == 0 or len(below) > 4:
        return None
    if int(above) >= int(below) and not whole and re.match(r"\s?=", after(match, 2)):
        return f"{cardinal(above)}除以{cardinal(below)}"
    said = f"{cardinal(below)}分之{cardinal(above)}"
    return f"{cardinal(whole)}又{said}" if whole else said


def _fractions(match: Match) -> str:
    above, below, last_above, last_below = match.groups()
    return f"{cardinal(below)}分之{cardinal(above)}到{cardinal(last_below)}分之{cardinal(last_above)}"


def _spaced(match: Match) -> str:
    return cardinal(match.group().replace(" ", ""))


_VULGAR = {"½": "二分之一", "⅓": "三分之一", "⅔": "三分之二", "¼": "四分之一", "¾": "四分之三", "⅕": "五分之一", "⅖":
    "五分之二", "⅗": "五分之三",
    "⅘": "五分之四",
           "⅙": "六分之一", "⅚": "六分之五", "⅐": "七分之一", "⅛": "八分之一", "⅜": "八分之三", "⅝": "八分之五", "⅞":
               "八分之七", "⅑": "九分之一",
               "⅒": "十分之一", "↉": "零"}  # fmt: skip


def _vulgar(match: Match) -> str:
    whole, part = match.groups()
    return f"{cardinal(whole.strip())}又{_VULGAR[part]}" if whole else _VULGAR[part]


def _blood_pressure(match: Match) -> str:
    return f"{number(match.group(1))}比{number(match.group(2))}毫米汞柱"


def _ratio(match: Match) -> str:
    return "比".join(number(part) for part in re.split(r"\s?[:：]\s?", match.group()))


def _angle(match: Match) -> str:
    degrees, minutes, seconds = match.groups()
    return f"{number(degrees)}度{cardinal(minutes)}分" + (f"{number(seconds)}秒" if seconds else "")


def _amperes(match: Match) -> str | None:
    """5A beside a voltage or before a charger; 5A景区 is a grade."""
    is_current = re.search(r"V[/,，]?\s?$|电流[为是达约]?$", before(match, 4)) or re.match(
        r"的?(?:充电|电流|快充|保险丝|输出|插座|熔断)", after(match, 4)
    )
    return f"{number(match.group(1))}安" if is_current else None


def _screen_inches(match: Match) -> str:
    return f"{number(match.group(1))}英寸"


def _many(match: Match) -> str:
    """100+人 is a hundred-odd people, 18+ is eighteen plus."""
    value, multiple = match.groups()
    is_round = value.endswith("0") and bool(
        re.match(r"\s?[个人家名位种款次条天万篇项座所城国年元块件本场]", after(match, 2))
    )
    return _amount(value, multiple) + ("多" if is_round else "加")


_ONE = rf"(?P<sign>[-+])?(?P<value>{NUMBER})(?P<multiple>{_MULTIPLE})?(?P<suffix>{_SUFFIX})?"
_TWO = rf"(?P<sign2>[-+])?(?P<value2>{NUMBER})(?P<multiple2>{_MULTIPLE})?(?P<suffix2>{_SUFFIX})?"
_AMOUNT = rf"(?P<value>{NUMBER})(?P<multiple>{_MULTIPLE}|{_LETTER_MULTIPLE})?"
_AMOUNT2 = rf"(?P<value2>{NUMBER})(?P<multiple2>{_MULTIPLE}|{_LETTER_MULTIPLE})?"
_NOT_IN_WORD = r"(?<![A-Za-z\d.])"
_FREE = r"(?<![\d.])"

MONEY_RULES = (
    Rule(
        "$¥€£₩₽₹฿₫-AHNCSRUJ",
        rf"(?P<sign>-)?(?<![A-Za-z])(?P<currency>{_SYMBOL})\s?-?{_AMOUNT}(?:{_RANGE}{_SYMBOL}?\s?{_AMOUNT2})?",
        _money,
    ),
    Rule(
        "URCEGJHTNKASMBIVurcegjhk",
        rf"(?P<sign>-)?(?<![A-Za-z])(?P<currency>{_CODE}|usd|rmb|cny|eur|gbp|jpy|hkd|krw)"
        rf"\s?[$¥€£]?\s?{_AMOUNT}(?:{_RANGE}{_AMOUNT2})?(?![A-Za-z])",
        _money,
    ),
    Rule(
        DIGITS + "-",
        rf"(?P<sign>-)?{_NOT_IN_WORD}{_AMOUNT}(?:{_RANGE}{_AMOUNT2})?\s?(?P<currency>(?:{_CODE}|usd|rmb|cny|eur|gbp"
        rf"|jpy|hkd)(?![A-Za-z])|[€£$¥₽₩₹฿₫](?!\d))",
        _money,
    ),
)
RULES = (
    Rule(DIGITS, rf"{_FREE}(\d{{2,3}})/(\d{{2,3}})\s?(?:mmHg|mmhg|MMHG)(?![A-Za-z])", _blood_pressure),
    Rule(DIGITS, rf"{_FREE}(\d{{1,3}})°\s?(\d{{1,2}})['分](?:\s?(\d{{1,2}}(?:\.\d{{1,3}})?)[\"秒])?", _angle),
    Rule(DIGITS, rf"{_FREE}([1-9]\d?)/([1-9]\d{{0,2}})\s?[-~]\s?([1-9]\d?)/([1-9]\d{{0,2}})(?![\d/])", _fractions),
    Rule(".", r"(?<![\w.])\.\d{1,20}(?![\d.])", lambda match: number(match.group())),
    Rule(DIGITS, rf"{_FREE}(\d{{1,3}}(?:\.\d{{1,2}})?)A(?![A-Za-z\d])", _amperes),
    Rule(DIGITS, rf"{_FREE}(\d{{1,2}}(?:\.\d{{1,2}})?)\"(?=显示|屏|电视|液晶|平板|笔记本|管|轮)", _screen_inches),
    Rule(DIGITS, rf"{_FREE}[1-9]\d{{0,2}}(?: \d{{3}}){{2,5}}(?! ?\d)", _spaced),
    Rule("~", r"(?<![\d)]~)(?<![\d%])~\s?(?=\d)", constant("约")),
    Rule(DIGITS, rf"{_FREE}(?:(\d{{1,4}})(?:\s|又))?(?<![/\d])(\d{{1,6}})/(\d{{1,6}})(?![\d/]|\.\d)", _fraction),
    Rule(DIGITS + "".join(_VULGAR), rf"{_FREE}(\d{{1,4}}\s?)?([{''.join(_VULGAR)}])", _vulgar),
    Rule(DIGITS, rf"{_FREE}(\d{{1,3}})\s?[-]\s?(\d{{1,3}})(?![\d-]|\.\d)", _score),
    Rule(DIGITS, rf"{_FREE}(\d{{1,2}})-(\d{{3,4}})(?=室|房|号房|宿舍|单元|号)(?!-)", _code_range),
    Rule(DIGITS, rf"{_FREE}\d{{1,4}}(?:-\d{{1,4}}){{2,6}}(?![\d-])", _dashed),
    Rule(DIGITS, rf"{_FREE}(\d{{1,3}})-(\d{{1,3}})(?![\d.-])", _descending),
    Rule(
        DIGITS,
        r"(?<![\d.:：])\d{1,10}(?:\.\d{1,5})?(?:\s?[:：]\s?\d{1,10}(?:\.\d{1,5})?){1,4}(?![\d:])",
        _ratio,
    ),
    Rule(DIGITS, rf"{_FREE}({NUMBER})([wkK]){_RANGE}({NUMBER})\2(?![A-Za-z])", _letter_multiples),
    Rule(DIGITS, rf"{_FREE}({NUMBER})([wWkK])(?![A-Za-z])(\+)?", _letter_multiple),
    Rule(DIGITS, rf"{_FREE}({NUMBER})({_MULTIPLE})?\s?\+(?![\d+A-Za-z])(?!\s?[\d=a-z])", _many),
    Rule(DIGITS + "-+", rf"{_NOT_IN_WORD}{_ONE}{_RANGE}{_TWO}(?![\d:]|-\d)", _range),
    Rule(DIGITS + "-+", rf"{_FREE}{_ONE}", _quantity),
)
