"""Mathematics, chemistry, Greek and the marks that Chinese says aloud."""

from __future__ import annotations

import re

from pipeline.text.languages import addresses
from pipeline.text.languages.grammar import DIGITS, LETTERS, Match, Rule, after, before, constant
from pipeline.text.languages.han.numerals import cardinal, digits, number
from pipeline.text.languages.units import unit

_HAN = "\u4e00-\u9fff"
_SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ"
_SUBSCRIPTS = "₀₁₂₃₄₅₆₇₈₉ₙ"
_PLAIN = str.maketrans(_SUPERSCRIPTS + _SUBSCRIPTS, "0123456789+-n0123456789n")
_MARKS = {
    ".": "点", "@": "艾特", "/": "斜杠", ":": "冒号", "_": "下划线", "-": "杠", "?": "问号", "=": "等于", "&": "和",
    "%": "百分号", "#": "井号", "+": "加", "~": "波浪号",
}  # fmt: skip
_OPERATORS = {
    "+": "加", "-": "减", "×": "乘", "*": "乘", "÷": "除以", "/": "除以", "=": "等于", "<": "小于", ">": "大于",
    "≤": "小于等于", "≥": "大于等于", "≠": "不等于", "≈": "约等于", "≡": "恒等于", "±": "正负", "∓": "负正",
    "<=": "小于等于", ">=": "大于等于", "!=": "不等于", "==": "等于", "∝": "正比于", "∈": "属于", "∉": "不属于",
    "⊂": "包含于", "⊆": "包含于", "∪": "并", "∩": "交", "≫": "远大于", "≪": "远小于", "≌": "全等于", "∽": "相似于",
    "∥": "平行于", "⊥": "垂直于",
}  # fmt: skip
_NAMES = {
    "√": "根号", "∛": "三次根号", "∞": "无穷大", "∑": "求和", "∏": "连乘", "∫": "积分", "∂": "偏", "∠": "角",
    "△": "三角形", "∵": "因为", "∴": "所以", "∀": "任意", "∃": "存在", "∅": "空集", "§": "第", "&": "和",
    "%": "百分号", "‰": "千分号", "→": "到", "←": "到", "⇒": "推出", "↔": "互", "@": "艾特", "+": "加", "=": "等于",
    "±": "正负", "≥": "大于等于", "≤": "小于等于", "≠": "不等于", "≈": "约等于", "×": "乘", "÷": "除以", "<": "小于",
    ">": "大于", "°": "度", "$": "美元", "¥": "元", "€": "欧元", "£": "英镑", "↑": "上升", "↓": "下降", "✓": "对",
    "✔": "对", "²": "平方", "³": "立方", "Ω": "欧姆", "♂": "男", "♀": "女",
}  # fmt: skip
_GREEK_NAMES = (
    "阿尔法", "贝塔", "伽马", "德尔塔", "艾普西隆", "泽塔", "伊塔", "西塔", "约塔",
    "卡帕", "拉姆达", "缪", "纽", "克西", "奥密克戎", "派", "柔", "西格玛",
    "陶", "宇普西隆", "斐", "希", "普西", "欧米伽",
)  # fmt: skip
_GREEK = {
    **dict(zip("αβγδεζηθικλμνξοπρστυφχψω", _GREEK_NAMES, strict=True)),
    **dict(zip("ΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡΣΤΥΦΧΨ", _GREEK_NAMES[:-1], strict=True)),  # Ω is the unit
}
_TIME_UNIT = re.compile("小时|秒|天|分钟|分|年|月|日|周")
_PER_BEFORE = re.compile(r"[片粒颗瓶盒套只支包袋杯滴元块圆円次人个件分角吨斤度篇张米字票股杯位币毛刀天月年日万]$")
_PER_AFTER = re.compile(
    r"(?:人|天|月|年|日|次|斤|公斤|千克|克|升|平|米|公里|个|小时|分钟|秒|台|件|股|吨|千|晚|夜|位|瓶|盒|只|本|桶|箱"
    r"|套|袋|块|间|张|度|条|片|份|课|节|周|季|户|亩|字|车|桌|杯"
    r"|袋|包|根|支|kg|g|m²|km|h|L|GB|kWh|万)"
)
_OR_PAIRS = frozenset(
    ("他/她", "她/他", "和/或", "是/否", "有/无", "男/女", "与/或", "及/或", "它/他", "对/错", "真/假", "买/卖")
)


def _power(match: Match) -> str:
    exponent = match.group(1).translate(_PLAIN)
    base = before(match, 1)
    named = (
        {"2": "平方", "3": "三次方"}.get(exponent)
        if base.isalnum() and not base.isdecimal()
        else {"2": "的平方", "3": "的三次方"}.get(exponent)
    )
    if named:
        return named
    return f"的{_exponent(exponent)}次方"


def _exponent(exponent: str) -> str:
    if exponent.lstrip("+-").isdecimal():
        return number(exponent.lstrip("+"))
    return digits(exponent)


def _caret(match: Match) -> str:
    exponent = match.group(1).strip("()")
    if exponent in ("2", "3") and before(match, 1).isalpha():
        return {"2": "平方", "3": "三次方"}[exponent]
    return f"的{_exponent(exponent)}次方"


def _subscript(match: Match) -> str:
    return digits(match.group().translate(_PLAIN))


def _operator(match: Match) -> str | None:
    """A mark between two operands; * and - and / only where both sides are numbers or single letters."""
    mark = match.group().strip()
    left, right = before(match, 2), after(match, 2)
    if mark in ("-", "/", "*") and not _is_operand_pair(left, right, mark, match):
        return None
    return _OPERATORS[mark]


def _is_operand_pair(left: str, right: str, mark: str, match: Match) -> bool:
    if not left or not right:
        return False
    is_number = left[-1].isdecimal() and (right[0].isdecimal() or right[0] in "(√")
    if mark == "*":
        return is_number or ((left[-1].isalnum() or left[-1] in ")）") and (right[0].isalnum() or right[0] in "(（"))
    near = match.string[max(0, match.start() - 16) : match.end() + 16]
    if mark == "-" and re.search(r"(?<![A-Za-z])[a-z]$", left) and re.match(r"[a-z](?![A-Za-z-])", right):
        return True
    if not re.search(r"[=<>≤≥≠≈²³√]", near):
        return False
    return bool(re.search(r"(?:^|[^A-Za-z])[A-Za-z]$|[\d)²³\]]$|[零一二三四五六七八九十百千万方]$", left)) and bool(
        re.match(r"[A-Za-z](?:[^A-Za-z]|$)|[\d(√]", right)
    )


def _unary(match: Match) -> str | None:
    """+- in front of a single letter or bracket, as in -x."""
    return {"-": "负", "+": "正"}[match.group()] if re.search(r"[=(<>≤≥,，]\s?$", before(match, 2)) else None


def _per_unit(match: Match) -> str | None:
    """10元/kg and ¥15/100g: so much per unit."""
    count, symbol = match.groups()
    found = unit(symbol)
    is_amount = re.search(
        r"[元块钱分角次件个只人圆币镑]$|[¥$€£][\d,.]{1,12}[万亿kKwW]?$|[\d零一二三四五六七八九十百千]万$",
        before(match, 14),
    )
    return f"每{cardinal(count) if count else ''}{found.zh}" if found and is_amount else None


def _slash(match: Match) -> str | None:
    left, right = before(match, 1), after(match, 2)
    if not left or not right:
        return ""
    if left + "/" + right[0] in _OR_PAIRS:
        return "" if right[0] == "或" else "或"
    if (
        _PER_BEFORE.search(left)
        and _PER_AFTER.match(after(match, 3))
        and re.search(rf"[\d零一二三四五六七八九十百千万亿两几多每半点%,.][{_HAN}]{{0,3}}$", before(match, 6))
    ):
        return "每"
    if _PER_AFTER.match(after(match, 3)) and re.search(r"[¥$€£][\d,.]{1,12}[万亿kKwW]?$", before(match, 14)):
        return "每"
    if _TIME_UNIT.match(after(match, 2)) and re.search(r"(?:公里|千米|[米次元克升转人千]|个)$", before(match, 2)):
        return "每"
    if _PER_AFTER.match(after(match, 3)) and re.search(r"\d\s?[A-Za-zμ]{1,4}[²³]?$", before(match, 8)):
        return "每"
    return "、" if re.match(f"[{_HAN}]", left) or re.match(f"[{_HAN}]", right) else " "


def _named(match: Match) -> str:
    return _NAMES[match.group()]


def _greek(match: Match) -> str:
    return _GREEK[match.group()]


def _hash(match: Match) -> str:
    """The mark that closes a Chinese hashtag is a pause."""
    tag = before(match, 41).rpartition("#")
    is_closing = bool(tag[1]) and bool(tag[2]) and " " not in tag[2]
    return "，" if is_closing and after(match, 1).isalnum() else ""


def _programming(match: Match) -> str:
    return match.group(1) + {"++": "加加", "#": "井"}[match.group(2)]


def _grade(match: Match) -> str:
    return match.group(1) + {"+": "加", "-": "减", "*": "星"}[match.group(2)]


def _stars(match: Match) -> str:
    return "星"


def _times(match: Match) -> str:
    return "乘"


def _ampersand(match: Match) -> str:
    """R&D and AT&T stay as letters with and; otherwise 和."""
    return "和"


def _list_number(match: Match) -> str:
    return f"{cardinal(match.group(1))}，"


def _file_dot(match: Match) -> str:
    return f"{match.group(1)}点{match.group(2)}"


def _plain_name(match: Match) -> str:
    return match.group().replace("_", " ") if "_" in match.group() else match.group()


ADDRESS_RULES = addresses.rules(_MARKS, digits)
LIST_RULES = (
    Rule(DIGITS + "(（", r"(?:(?<=\n)|(?<![\s\S]))[(（]?([1-9]\d?)(?:[.、．](?!\d)|[)）](?!\d))\s?", _list_number),
)
RULES = (
    Rule(_SUPERSCRIPTS, f"([{_SUPERSCRIPTS}]{{1,20}})", _power),
    Rule(" ", r"(?<=\d) +(?=\d)", constant("，")),
    Rule(" ", rf"(?<=\d) +(?=[{_HAN}])|(?<=[{_HAN}]) +(?=[\d¥$€£-])", constant("")),
    Rule("/", r"(?<=[LgJ])/100km(?![A-Za-z])", constant("每百公里")),
    Rule("/", r"/(\d{0,4})((?:kg|g|t|L|mL|ml|km|m|cm|kWh|kW|h|min|s|lb|oz|GB|MB|TB)[²³]?)(?![A-Za-z0-9])", _per_unit),
    Rule("^", r"\s?\^\s?(\(?[-+]?\d{1,6}\)?|\(?[A-Za-z]\)?(?![A-Za-z]))", _caret),
    Rule(_SUBSCRIPTS, f"[{_SUBSCRIPTS}]{{1,20}}", _subscript),
    Rule(LETTERS, r"(?<![A-Za-z])([A-Za-z]{1,12})(\+\+(?![A-Za-z+#])|#(?![A-Za-z0-9+#]))", _programming),
    Rule(LETTERS, rf"(?<![A-Za-z])([A-F])([+-])(?=$|[级評评，。、；！？\s等和或{_HAN}])(?!\s?\d)", _grade),
    Rule(LETTERS, r"(?<![A-Za-z])([AaDd])(\*)(?=算法|搜索|$)", _grade),
    Rule(
        LETTERS,
        r"([A-Za-z]{1,20})\.((?:js|JS|py|NET|Net|net|txt|pdf|docx?|xlsx?|pptx?|mp3|mp4|jpe?g|png|exe|zip|json|yaml"
        r"|md|csv|cpp|java|vue)(?![A-Za-z0-9]))",
        _file_dot,
    ),
    Rule(".", r"()\.((?:NET|Net)(?![A-Za-z]))", _file_dot),
    Rule("#", r"#", _hash),
    Rule("@", rf"@(?=[\w{_HAN}])", constant("艾特")),
    Rule("★☆⭐", r"(?<=[\d一二三四五六七八九两])[★☆⭐]{1,5}", _stars),
    Rule("×", rf"×{{2,4}}(?=[{_HAN}])|(?<=[{_HAN}])×{{2,4}}(?![\dA-Za-z])", lambda match: "某" * len(match.group())),
    Rule("xX", r"(?<=[\d一二三四五六七八九十百千万零米])[xX](?=\s?[\d]|宽|高|深)", _times),
    Rule(" ", r" (?:[xX×*])\s(?=\d)(?<=[\d\w] [xX×*] )", _times),
    Rule(
        " +-×*÷/=<>≤≥≠≈≡±∓!∝∈∉⊂⊆∪∩≫≪≌∽∥⊥",
        r"\s?(?:<=|>=|!=|==|[+\-×*÷/=<>≤≥≠≈≡±∓∝∈∉⊂⊆∪∩≫≪≌∽∥⊥])\s?(?<=[\w\s²³)）\]+\-×*÷/=<>≤≥≠≈≡±∓∝∈∉⊂⊆∪∩≫≪≌∽∥⊥])"
        r"(?=[\w(（√|π∞°-])(?<![\s]-\s)",
        _operator,
    ),
    Rule("-+", r"[-+](?=[A-Za-z(（√π](?![A-Za-z]))", _unary),
    Rule("&", r"\s?&\s?", _ampersand),
    Rule("/", r"/", _slash),
    Rule("<>!=", r"(?:<=|>=|!=|==)\s?(?=[\w(（])", _operator),
    Rule("°", r"°[CF](?![A-Za-z])", lambda match: "摄氏度" if match.group() == "°C" else "华氏度"),
    Rule("".join(_NAMES), f"[{re.escape(''.join(_NAMES))}]", _named),
    Rule("".join(_GREEK), f"[{''.join(_GREEK)}]", _greek),
)
WORD_RULES = (Rule(LETTERS, r"[A-Za-z]{1,40}(?:[_'’][A-Za-z]{1,40}){0,3}", _plain_name),)
