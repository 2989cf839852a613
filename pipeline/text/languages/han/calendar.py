"""Dates and times of day in Chinese."""

from __future__ import annotations

from pipeline.text.languages.grammar import DIGITS, Match, Rule, after, before, constant
from pipeline.text.languages.han.numerals import cardinal, digits

_DASH = r"\s?(?:-|~|—{1,2}|至|到)\s?"
_NOT_IN_NUMBER = r"(?<![\d.,:/])"
_CLOCK = r"(\d{1,2})[:：]([0-5]\d)(?:[:：]([0-5]\d))?(?![\d:：])"
_HALF_OF_DAY = {"a": "上午", "p": "下午"}
_RATIO_WORDS = ("比", "比例", "比分", "比率", "比为", "比是", "例为", "例是", "分为", "率为", "尺")
_DURATION_AFTER = (
    "历史",
    "歷史",
    "来",
    "來",
    "后",
    "後",
    "以前",
    "之前",
    "前",
    "间",
    "間",
    "内",
    "內",
    "以上",
    "多",
    "左右",
    "期",
    "时",
    "時",
    "光阴",
    "寿命",
    "的历",
    "的时",
    "的经",
    "的寿",
    "的光",
    "的努",
    "的研",
    "的合",
    "的产",
    "的使",
    "的奋",
    "的等",
    "的友",
    "的工",
    "的婚",
    "的交",
    "的租",
)
_DURATION_BEFORE = (
    "第",
    "近",
    "约",
    "約",
    "了",
    "过",
    "過",
    "达",
    "達",
    "满",
    "滿",
    "长",
    "有",
    "用",
    "共",
    "每",
    "隔",
    "整",
    "超",
    "后",
    "前",
    "干",
    "需",
    "要",
    "刑",
    "逾",
    "上",
    "下",
)


def _is_date(month: str, day: str) -> bool:
    return 1 <= int(month) <= 12 and 1 <= int(day) <= 31


def _numeric_date(match: Match) -> str | None:
    year, _, month, day = match.groups()[:4]
    if not _is_date(month, day):
        return None
    return f"{digits(year)}年{cardinal(month)}月{cardinal(day)}日{' ' if after(match, 1) == 'T' else ''}"


def _date_year_last(match: Match) -> str | None:
    """12/31/2024 and 31/12/2024."""
    first, second, year = match.groups()
    month, day = (first, second) if int(first) <= 12 else (second, first)
    return f"{digits(year)}年{cardinal(month)}月{cardinal(day)}日" if _is_date(month, day) else None


def _date_short_year(match: Match) -> str | None:
    year, month, day = match.groups()
    if not _is_date(month, day) or int(year) <= 12:
        return None
    return f"{digits(year)}年{cardinal(month)}月{cardinal(day)}日"


def _date_until_day(match: Match) -> str | None:
    """2024-05-01 to 05-07 are two dates; 2024.5.1-7 and 5.1-5.7 share what they leave out."""
    year, _, month, day, last_month, last_day = match.groups()
    if not _is_date(month, day) or not _is_date(last_month or "1", last_day):
        return None
    until = f"{cardinal(last_month)}月" if last_month else ""
    return f"{digits(year)}年{cardinal(month)}月{cardinal(day)}日到{until}{cardinal(last_day)}日"


def _dates(match: Match) -> str | None:
    first_year, _, first_month, first_day, last_year, last_month, last_day = match.groups()
    if not _is_date(first_month, first_day) or not _is_date(last_month, last_day):
        return None
    first = f"{digits(first_year)}年{cardinal(first_month)}月{cardinal(first_day)}日"
    return f"{first}到{digits(last_year)}年{cardinal(last_month)}月{cardinal(last_day)}日"


def _year_month(match: Match) -> str | None:
    year, month = match.groups()
    return f"{digits(year)}年{cardinal(month)}月" if 1 <= int(month) <= 12 else None


def _years(match: Match) -> str:
    first, unit, last, rest = match.groups()
    return f"{digits(first)}{unit or ''}到{digits(last)}{rest}"


def _life_years(match: Match) -> str | None:
    """1939-1945 without a unit is a span of years; round numbers are rather amounts."""
    first, last = match.groups()
    if first >= last or (first.endswith("00") and last.endswith("00")):
        return None
    return f"{digits(match.group(1))}到{digits(match.group(2))}"


def _year(match: Match) -> str | None:
    year = match.group(1)
    return f"{digits(year)}年" if _is_year_name(year, match) else None


def _is_year_name(year: str, match: Match) -> bool:
    """Whether NN年 names a year (digit by digit) and does not count years."""
    following = after(match, 2)
    counted = following.startswith(_DURATION_AFTER) or before(match, 1) in _DURATION_BEFORE
    if following[:1] in ("级", "級") and len(year) < 4:
        return False
    if before(match, 1) == "'":
        return True
    if len(year) == 4:
        is_round = year.endswith("00") and counted and not following.startswith(("间", "間", "的", "内", "以"))
        return "1000" < year < "3000" and not (
            is_round and following.startswith(("历", "歷", "前", "以前", "之前", "多", "来"))
        )
    if len(year) == 3:
        return before(match, 3).endswith(("公元", "元前", "西元"))
    if following[:1].isdecimal() or following[:1] in (
        "款",
        "版",
        "产",
        "產",
        "属",
        "生",
        "出",
        "底",
        "初",
        "末",
        "春",
        "夏",
        "秋",
        "冬",
    ):
        return not counted or (
            following[:1].isdecimal() and year[0] in "0126789" and len(after(match, 3)) > 1 and "月" in after(match, 3)
        )
    if year[0] == "0":
        return True
    return year >= "70" and not counted


def _decade(match: Match) -> str:
    if match.group(2):
        return f"{cardinal(match.group(1))}世纪{cardinal(match.group(2))}年代"
    number = match.group(3)
    return f"{digits(number) if len(number) == 4 or number[0] == '0' else cardinal(number)}年代"


def _born_after(match: Match) -> str:
    return "、".join(digits(year) for year in match.group(1).split("、")) + match.group(2)


def _season(match: Match) -> str:
    return f"{digits(match.group(1))}到{digits(match.group(2))}"


def _quarter(match: Match) -> str:
    year, quarter = match.groups()
    return f"{digits(year)}年第{cardinal(quarter)}季度"


def _hours_minutes(match: Match) -> str:
    hours, minutes = match.groups()
    return f"{'两' if hours == '2' else cardinal(hours)}小时{cardinal(minutes)}分钟"


def _stopwatch(match: Match) -> str:
    minutes, seconds = match.groups()
    return f"{cardinal(minutes)}分{cardinal(seconds)}秒"


def _month_day(match: Match) -> str | None:
    """5-1, 5/1 and 5.1 before a word that makes it a date; 3-5日 are days."""
    month, day = match.groups()
    if match.string[match.end(1)] == "-" and match.group()[-1] in "日号":
        return None
    return f"{cardinal(month)}月{cardinal(day)}日" if _is_date(month, day) else None


def _memorial_day(match: Match) -> str:
    return "".join(digits(part) for part in match.groups() if part)


def clock(hour: str, minute: str, second: str | None = None) -> str:
    """Three o'clock is 三点, half past 半, five past 零五."""
    said = ("两" if int(hour) == 2 else cardinal(hour)) + "点"
    if second not in (None, "00"):
        return f"{said}{_two_places(minute)}分{_two_places(second)}秒"
    if minute == "00":
        return said
    if minute == "30":
        return said + "半"
    return said + _two_places(minute) + ("" if minute[0] == "0" else "分")


def _two_places(number: str) -> str:
    return ("零" if number[0] == "0" and number != "00" else "") + cardinal(number)


def _time(match: Match) -> str | None:
    hour, minute, second, half = match.groups()
    if int(hour) > 24 or before(match, 3).endswith(_RATIO_WORDS):
        return None
    said = clock(hour, minute, second)
    if not half:
        return said
    named = before(match, 3).rstrip().endswith(("上午", "下午", "早上", "晚上", "凌晨", "中午", "傍晚"))
    return said if named else part_of_day(half, int(hour)) + said


def part_of_day(half: str, hour: int) -> str:
    if half[0] in "pP" and hour < 12 and hour >= 6:
        return "晚上"
    return _HALF_OF_DAY[half[0].lower()]


def _times(match: Match) -> str | None:
    first_hour, first_minute, last_hour, last_minute, half = match.groups()
    if int(first_hour) > 24 or int(last_hour) > 24:
        return None
    part = part_of_day(half, int(first_hour)) if half else ""
    return f"{part}{clock(first_hour, first_minute)}到{clock(last_hour, last_minute)}"


def _english_hour(match: Match) -> str | None:
    hour, half = match.groups()
    if not 1 <= int(hour) <= 12:
        return None
    return part_of_day(half, int(hour)) + clock(hour, "00")


RULES = (
    Rule(
        DIGITS,
        rf"{_NOT_IN_NUMBER}([12]\d{{3}})([-/.])(\d{{1,2}})\2(\d{{1,2}}){_DASH}([12]\d{{3}})\2(\d{{1,2}})\2(\d{{1,2}})(?![\d/-])",
        _dates,
    ),
    Rule(
        DIGITS,
        rf"{_NOT_IN_NUMBER}([12]\d{{3}})([-/.])(\d{{1,2}})\2(\d{{1,2}})\s?[-~—至到]\s?(?:(\d{{1,2}})\2)?(\d{{1,2}})(?![\d.:/-])[日号]?",
        _date_until_day,
    ),
    Rule(
        DIGITS, rf"{_NOT_IN_NUMBER}([12]\d{{3}})([-/.])(\d{{1,2}})\2(\d{{1,2}})(?![\d/-]|\.\d)[日号]?T?", _numeric_date
    ),
    Rule(DIGITS, r"(\d{2,4})(年?)" + _DASH + r"(\d{2,4})(年(?!级|後|后|的?历史|以上|左右|期))(?<=\d{4}年)", _years),
    Rule(DIGITS, r"([12]\d{3})\s?[-~—/]\s?([12]\d{3}|\d\d)(?=赛季|賽季|学年|學年|年度|财年|財年|届)", _season),
    Rule(DIGITS, rf"{_NOT_IN_NUMBER}([12]\d{{3}})\s?[-~—]{{1,2}}\s?([12]\d{{3}})(?=[)）,，。；、]|$)", _life_years),
    Rule(DIGITS, rf"{_NOT_IN_NUMBER}((?:19|20)\d\d)[-/](0[1-9]|1[0-2])(?![\d/-])(?:月)?", _year_month),
    Rule(DIGITS, rf"{_NOT_IN_NUMBER}((?:19|20)\d\d)\.(0[1-9]|1[0-2])(?=[)）-]|$|\s)", _year_month),
    Rule(DIGITS, rf"{_NOT_IN_NUMBER}((?:19|20)\d\d)-([1-9]|1[0-2])(?=$|[，。；、）)])", _year_month),
    Rule(DIGITS, rf"{_NOT_IN_NUMBER}((?:19|20)\d\d)\s?年?[Qq]([1-4])(?![\dA-Za-z])", _quarter),
    Rule(
        DIGITS,
        rf"{_NOT_IN_NUMBER}(?:19|20)\d\d(?=届|屆|级(?!别|台阶)|款|版(?!权)|赛季|财年|学年|學年)",
        lambda match: digits(match.group()),
    ),
    Rule(DIGITS, r"(\d{1,2})世[纪紀](\d0)年代|(\d{2,4})年代", _decade),
    Rule(
        DIGITS,
        rf"{_NOT_IN_NUMBER}([0-9][05](?:、[0-9][05]){{0,3}})([后後](?!面|来|來|天|年|的(?![孩年小青新人女男妈爸父母一我你他她])|才|会|，|又|再))(?<!\d\d[分秒天年]后)",
        _born_after,
    ),
    Rule(DIGITS, rf"{_NOT_IN_NUMBER}(\d{{2,4}})\s?年", _year),
    Rule(
        DIGITS,
        rf"{_NOT_IN_NUMBER}(\d{{1,2}})[./·・-](\d{{1,2}})(?=事件|惨案|慘案|事变|事變|运动|運動|起义|晚会|打假|国际消费者|讲话|特大|地震|恐怖|袭击)",
        _memorial_day,
    ),
    Rule(
        DIGITS,
        rf"{_NOT_IN_NUMBER}(\d{{1,2}})[./-](\d{{1,2}})(?=[日号]|劳动节|国庆|清明|圣诞|元旦|平安夜|教师节|植树节|青年节|放假|假期|黄金周|儿童节|妇女节|建军节|情人节|活动|截止|开始|上映|发布会)[日号]?",
        _month_day,
    ),
    Rule(DIGITS, rf"{_NOT_IN_NUMBER}(\d{{1,2}})\s?[hH]\s?([0-5]?\d)\s?(?:min|m|M)(?![A-Za-z])", _hours_minutes),
    Rule(DIGITS, rf"{_NOT_IN_NUMBER}(\d{{1,3}})'\s?([0-5]?\d)\"", _stopwatch),
    Rule(
        DIGITS,
        rf"{_NOT_IN_NUMBER}(\d{{1,2}})[:：]([0-5]\d){_DASH}(\d{{1,2}})[:：]([0-5]\d)(?![\d:：])(?:\s?([AaPp])\.?[Mm]\b\.?)?",
        _times,
    ),
    Rule(DIGITS, rf"{_NOT_IN_NUMBER}{_CLOCK}(?:\s?([AaPp])\.?[Mm]\b\.?)?", _time),
    Rule(
        "-~—",
        r"(?:(?<=\d[日月号年时点分秒元岁万亿个米度级章页天周])|(?<=\d[小分公厘毫平个美英][时钟里斤米元月克升方寸尺]))\s?(?:-|~|—{1,2})\s?(?=\d|第\d)(?<!后-)",
        constant("到"),
    ),
    Rule(DIGITS, rf"{_NOT_IN_NUMBER}(\d{{1,2}})/(\d{{1,2}})/([12]\d{{3}})(?![\d/])", _date_year_last),
    Rule(DIGITS, rf"{_NOT_IN_NUMBER}(\d\d)/(\d{{1,2}})/(\d{{1,2}})(?![\d/])", _date_short_year),
    Rule(
        "-~—",
        r"(?<=\d)\s?(?:-|~|—{1,2})\s?(?=零下|负|周|星期|次日|翌日|第二天|凌晨|早|晚|上午|下午|[A-Z]\d)",
        constant("到"),
    ),
    Rule(
        "-~—",
        r"(?<=[一二三四五六日天])(?:-|~|—{1,2})(?=周[一二三四五六日天]|星期[一二三四五六日天]|礼拜[一二三四五六日天])",
        constant("到"),
    ),
    Rule(DIGITS, rf"{_NOT_IN_NUMBER}(\d{{1,2}})\s?([AaPp])\.?[Mm](?![A-Za-z])\.?", _english_hour),
)
