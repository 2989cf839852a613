"""Numbers that name something in Chinese: telephones, identity and room numbers, versions, models, flights, trains."""

from __future__ import annotations

import re

from pipeline.text.languages.grammar import DIGITS, LETTERS, Match, Rule, after, before, constant
from pipeline.text.languages.han.numerals import cardinal, digits, number, telephone
from pipeline.text.languages.units import unit

_CODE_BEFORE = re.compile(
    r"(?:电话|電話|手机|手機|手机号|号码|號碼|热线|熱線|客服|传真|傳真|座机|分机|转|尾号|验证码|驗證碼|密码|密碼|口令|编号|編號|学号|学籍|工号|订单|订单号|单号|卡号|帐号|账号|账户|帳號"
    r"|身份证|身份证号|身份證|护照|护照号"
    r"|邮编|邮政编码|郵編|QQ|qq|QQ群|微信|[ABH]股|沪市|深市|创业板|科创板|证券|基金|房间|房号|门牌|证号|代码|股票|车牌|车牌号|航班|航班号|车次|序列号|ISBN|货号|批号|区号|考号|准考证|会员号|条形码|群号|ID|id|PIN|暗号"
    r"|快递|运单|取件码|邀请码|兑换码|警号|许可证|备案|档案|文号|保单|流水号|Tel|TEL|tel|端口|会议号|会议|拨打|拨|致电|来电|回复)"
    r"(?:号|號|号码|码|为|為|是|了|到|：|:|#|\s|No\.?){0,4}$"
)
_CALL_BEFORE = re.compile(
    r"(?:拨打?|打|撥|叫|致电|报警|火警|匪警|急救|热线|電話|电话|呼|求助|联系)[^。，；！？\d]{0,3}(?:\d{3,5}[或和、及与/]\s?){0,2}$"
)
_CALL_AFTER = re.compile(
    r"\s?(?:报警|急救|热线|熱線|电话|指挥中心|民警|接警|服务台|客服|消防|专线|官网|订票|购票|抢票|平台投诉)"
)
_ROOM_AFTER = re.compile(
    r"\s?(?:室|房间|房間|号房|號房|号室|寝室|宿舍|教室|包间|包厢|会议室|病房|号病房|房(?!子|租|价)|路(?!口|程|人)公?|路$|路[，。车]|号(?:公交|列车|航班)|中学(?!生)|医院(?![床号])|[国省县乡]道|高地)"
)
_SERVICE_NUMBERS = re.compile(r"(?:110|119|120|122|114|911|999|12\d{3}|100(?:86|10|00|01)|9[56]\d{3}|1\d{4})$")
_NAMED_DIGITS = re.compile(
    r"(?:985|211)(?=高校|大学|院校|工程|、|和|学校|本科|毕业|硕|名校|/)|996(?=工作|制|福报|的|，|。|$|文化|加班)|315(?=晚会|打假|曝光|消费)|618(?=大促|购物|活动"
    r"|期间|年中|促|电商)|360(?=安全|公司|浏览|手机|搜索|杀毒|软件)|520(?=表白|情人|告白|快乐|礼物)|007(?=系列|电影|，|。)"
    r"|58(?=同城|到家)|51(?=Talk|job)|404(?=错误|页面|not|Not)|500(?=错误)|502(?=胶)|(?<=985[/、])211|737|747|777|787|320|330"
    r"|350|380|919"
)
_PLANE_BEFORE = re.compile(r"(?:波音|空客|空中客车|客机|C|ARJ)\s?$")
_PROVINCES = "京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼港澳使领学警"
_AIRLINES = (
    "CA|MU|CZ|HU|3U|ZH|MF|FM|GS|SC|HO|KN|JD|9C|8L|TV|EU|G5|PN|UA|AA|DL|BA|LH|AF|NH|JL|KE|OZ|SQ|CX|EK|QR|TK"
    "|BR|CI|KA|NX|TG|MH|VN|QF|AC|KL|SU|EY|AY|A6|DZ|UQ|FU|GJ|BK|KY|Y8|QW|DR|GX|RY|AQ|LT|CN|NS"
)
_ROMAN = {"I": 1, "V": 5, "X": 10, "L": 50}
_ROMAN_CHARS = "ⅠⅡⅢⅣⅤⅥⅦⅧⅨⅩⅪⅫⅰⅱⅲⅳⅴⅵⅶⅷⅸⅹⅺⅻ"
_ROMAN_VALUES = {char: i % 12 + 1 for i, char in enumerate(_ROMAN_CHARS)}
_ROMAN_AFTER = re.compile(r"\s?(?:型|级|級|期|类|類|世|章|卷|部|代|度|号|號|区|相|度|册|编|节|阶段|系列|等|组|线)")


def _phone(match: Match) -> str | None:
    return telephone(match.group())


def _country_phone(match: Match) -> str:
    return "加" + telephone(match.group()[1:])


def _long_code(match: Match) -> str | None:
    """Digit strings that nobody counts with: identity cards, bank cards, orders."""
    run = match.group()
    if (
        re.match(r"\s?(?:[个人次元块万亿美欧日港吨米年条只名公千平立%°]|[kmgt]?[mgLWVB])", after(match, 2))
        and len(run) < 17
    ):
        return None
    return None if run.endswith("0000") and len(run) < 14 else telephone(run)


def _spaced_card(match: Match) -> str:
    return telephone(match.group())


def _context_code(match: Match) -> str | None:
    run = match.group()
    if _CODE_BEFORE.search(before(match, 12)) and not re.match(
        r"\s?(?:[元块个人次部台张万%份天年小]|点(?![击开选赞按])|分(?!机))", after(match, 3)
    ):
        return telephone(run)
    if len(run) in (3, 4) and (
        _ROOM_AFTER.match(after(match, 4)) or re.search(r"单元$|[栋幢]$|号楼$|[A-Za-z]座$", before(match, 2))
    ):
        return telephone(run)
    return None


def _grouped_code(match: Match) -> str | None:
    return telephone(match.group()) if _CODE_BEFORE.search(before(match, 12)) else None


def _service_number(match: Match) -> str | None:
    run = match.group()
    if not _SERVICE_NUMBERS.match(run):
        return None
    if _CALL_BEFORE.search(before(match, 16)) or _CALL_AFTER.match(after(match, 5)):
        return telephone(run)
    return (
        telephone(run)
        if run in ("12306", "12315", "10086", "12320", "12333") and not re.match(r"[个人元次]", after(match, 1))
        else None
    )


def _named_digits(match: Match) -> str | None:
    run = match.group()
    if (
        len(run) == 3
        and run[0] in "379"
        and run not in ("985", "996", "315", "360")
        and not _PLANE_BEFORE.search(before(match, 5))
    ):
        return None
    return digits(run)


def _leading_zero(match: Match) -> str:
    return digits(match.group())


def _dotted(match: Match) -> str:
    parts = match.group().split(".")
    is_address = len(parts) == 4 and any(len(part) == 3 for part in parts)
    said = [digits(part) if is_address or len(part) > 2 or part[0] == "0" else cardinal(part) for part in parts]
    return "点".join(said)


def _version(match: Match) -> str:
    letter, numbers = match.groups()
    return letter + "点".join(
        digits(part) if part[0] == "0" or (i and len(part) > 1) else cardinal(part)
        for i, part in enumerate(numbers.split("."))
    )


def _flight(match: Match) -> str:
    return digits(match.group(1)) + telephone(match.group(2))


def _train(match: Match) -> str | None:
    letter, run = match.groups()
    is_train = len(run) > 2 or bool(re.match(r"\s?(?:次|列车|高铁|动车)", after(match, 3)))
    if not is_train or letter + run in ("C919", "C929") or (len(run) == 3 and run.endswith("00")):
        return None
    return letter + (telephone(run) if len(run) > 2 else cardinal(run))


def _plate(match: Match) -> str:
    return digits(match.group().replace("·", "").replace(" ", ""))


def _name(match: Match) -> str | None:
    """A Latin name with a number: GPT-4, iPhone15, RTX 4090, COVID-19, MP3, A380."""
    letters, joint, run = match.groups()
    if (joint == " " and (_counts(match) or after(match, 1) == "/")) or _has_unit(match):
        return None
    said = name_number(run)
    if joint == "-" and len(letters) == 1 and letters.islower():
        return f"{letters}减{said}"
    return f"{letters}{' ' if joint == ' ' else ''}{said}"


def _counts(match: Match) -> bool:
    return bool(
        re.match(r"\s?[个個只条张本件位名台辆间家元块%°次天年月日号人万亿千米斤岁倍种点小分秒到至~-]", after(match, 2))
    )


def _has_unit(match: Match) -> bool:
    letters = re.match(r"[A-Za-zμ]{2,5}", after(match, 5))
    return letters is not None and unit(letters.group()) is not None


def _model(match: Match) -> str:
    """i5-12400: a series and a number."""
    letters, series, run = match.groups()
    return f"{letters}{cardinal(series)}{' ' if letters.isupper() else ''}{digits(run)}"


def _number_and_letters(match: Match) -> str | None:
    """5800X, 737MAX, 3080Ti; 405B and 256GB are amounts."""
    run, letters = match.groups()
    if (
        unit(letters) is not None
        or (letters in ("K", "M", "B", "G", "T", "k", "w", "W", "x", "X") and len(run) < 4)
        or run.endswith("00")
    ):
        return None
    return digits(run) + letters


def _joined_digits(match: Match) -> str:
    return "".join(digits(part) for part in match.groups())


def name_number(run: str) -> str:
    if "." in run:
        whole, _, rest = run.partition(".")
        return f"{cardinal(whole)}点{digits(rest)}" if "." not in rest else "点".join(map(cardinal, run.split(".")))
    if (
        (len(run) <= 2 and run[0] != "0")
        or (len(run) == 3 and run.endswith("00"))
        or (len(run) == 4 and run.endswith("000"))
    ):
        return cardinal(run)
    return digits(run)


def _resolution(match: Match) -> str:
    return digits(match.group(1)) + match.group(2)


def _number_sign(match: Match) -> str:
    is_rank = not match.group(1)[0].isalpha()
    return f"{'' if is_rank and before(match, 1) == '第' else '第'}{cardinal(match.group(2))}"


def _number_hash(match: Match) -> str:
    return cardinal(match.group(1)) + "号"


def _hash_number(match: Match) -> str:
    return cardinal(match.group(1)) + "号"


def roman_value(numeral: str) -> int | None:
    """The value of a Roman numeral below 90 (C, D and M are rather words), or None if it is not well formed."""
    if not re.fullmatch(r"(?:XL|L?X{0,3})(?:IX|IV|V?I{0,3})", numeral) or not numeral:
        return None
    values = [_ROMAN[char] for char in numeral]
    return sum(-v if i + 1 < len(values) and v < values[i + 1] else v for i, v in enumerate(values))


def _roman(match: Match) -> str | None:
    numeral = match.group()
    value = roman_value(numeral)
    if value is None or numeral in ("XX", "XXX", "XL", "XXL", "LV", "LI", "L"):
        return None
    context = before(match, 3)
    is_ordinal = context.endswith("第") or bool(_ROMAN_AFTER.match(after(match, 3)))
    follows_name = bool(re.search(r"[\u4e00-\u9fff]$|[A-Za-z\u4e00-\u9fff][ -]$", context))
    if numeral in ("V", "X") and not context.endswith("第") and not re.match(r"[级期章卷世]", after(match, 1)):
        return None
    if (
        is_ordinal
        or (len(numeral) > 1 and follows_name and not after(match, 1).isalnum())
        or (len(numeral) > 1 and follows_name and numeral not in ("VI", "XI"))
    ):
        return cardinal(str(value))
    return None


def _roman_char(match: Match) -> str:
    values = [_ROMAN_VALUES[char] for char in match.group()]
    return "".join(cardinal(str(value)) for value in values)


RULES = (
    Rule("+", r"\+\d{1,3}[- ]?(?:\(\d{1,4}\)|\d{2,4})(?:[- ]?\d{2,8}){1,4}(?!\d)", _country_phone),
    Rule(DIGITS, r"(?<![\d.])00\d{2,3}[- ]\d{2,3}[- ]\d{7,8}(?![\d.])", _phone),
    Rule(DIGITS, r"(?<![\d.])(?:(?:00)?86[- ])?1[3-9]\d(?:[- ]?\d{4}){2}(?!\d|\.\d)", _phone),
    Rule(
        DIGITS,
        r"(?<![\d.])(?:[48]00[- ]?\d{3}[- ]?\d{4}|[48]00-\d{4}-\d{3}|0\d{2,3}[- ]\d{7,8}(?:-\d{1,5})?|0\d{2,3}[- "
        r"]\d{4}[- ]\d{4})(?!\d)",
        _phone,
    ),
    Rule("(", r"\(0\d{2,3}\)\s?(?:\d{7,8}|\d{4}[- ]\d{4}|\d{3}[- ]\d{4})(?!\d)", _phone),
    Rule(DIGITS, r"(?<![\d.,])\d{17}[\dXx](?![\dA-Za-z])", _spaced_card),
    Rule(DIGITS, r"(?<![\d.,])\d{4}(?:[ -]\d{4}){2,4}(?:[ -]\d{1,3})?(?!\d)", _spaced_card),
    Rule(DIGITS, r"(?<![\d.,])\d{3}-\d(?:-\d{1,7}){2}-[\dX](?!\d)", _spaced_card),
    Rule(DIGITS, r"(?<![\d.,])\d{3,4}(?:[ -]\d{3,4}){1,5}(?![\d.])", _grouped_code),
    Rule(DIGITS, r"(?<![\d.,])\d{11,40}(?![\d,.])", _long_code),
    Rule(DIGITS, r"(?<![\d.,])\d{41,}", lambda match: digits(match.group())),
    Rule(DIGITS, r"(?<![\d.,])\d{3,20}(?![\d,.]|\s?[-~]\s?\d)(?:-\d{1,8}(?!\d))?", _context_code),
    Rule(DIGITS, r"(?<![\d.,])\d{3,5}(?![\d,.])", _service_number),
    Rule(DIGITS, rf"(?<![\d.,])(?:{_NAMED_DIGITS.pattern})(?![\d,.%])", _named_digits),
    Rule(DIGITS, r"(?<![\d.,])(\d{1,2})·(\d{1,2})(?!\d)", _joined_digits),
    Rule(DIGITS, r"(?<![\d.,])802\.11(?!\d)", constant("八零二点一一")),
    Rule(DIGITS, r"(?<![\d.,])(\d{3,5})(?![xX]\d)([A-Za-z]{1,5})(?![A-Za-z])", _number_and_letters),
    Rule(DIGITS, r"(?<![\d.,])7-(?:11|Eleven|ELEVEN|eleven)(?=便利|店|买|，|。|$)", constant("七十一")),
    Rule(DIGITS, r"(?<![\d.,])0\d{1,39}(?![\d,.:：/%-])", _leading_zero),
    Rule(DIGITS, r"(?<![\d.])\d{1,5}(?:\.\d{1,5}){2,7}(?![\d%])", _dotted),
    Rule(DIGITS, r"(?<![\d.])(480|540|720|1080|1440|2160|4320)([pPi])(?![A-Za-z])", _resolution),
    Rule(DIGITS, rf"(?<![A-Za-z\d])({_AIRLINES})(\d{{3,4}})(?!\d)", _flight),
    Rule(LETTERS, rf"(?<![A-Za-z\d])({_AIRLINES})\s?(\d{{3,4}})(?![\d.])", _flight),
    Rule("GDCZTKYSL", r"(?<![A-Za-z\d])([GDCZTKYSL])(\d{1,4})(?![\dA-Za-z.-])", _train),
    Rule(LETTERS, rf"(?<=[{_PROVINCES}])[A-Z][· ]?[A-Z0-9]{{5,6}}(?![A-Za-z0-9])", _plate),
    Rule("Vv", r"(?<![A-Za-z])([vV](?:er\.?|ersion)?\s?)(\d{1,4}(?:\.\d{1,5}){0,6})(?!\d)", _version),
    Rule("NT", r"(?<![A-Za-z])(No\.?|NO\.?)\s?(\d{1,6})(?!\d)", _number_sign),
    Rule(DIGITS, r"(?<![\d.])(\d{1,3})#(?=[楼栋机线厂门仓炉井宿库车间馆])", _number_hash),
    Rule(DIGITS, r"(?<![\d.])(\d{1,6})(?:st|nd|rd|th)(?![A-Za-z])", lambda match: f"第{cardinal(match.group(1))}"),
    Rule("#", r"#(\d{1,4})(?=[\u4e00-\u9fff\s，。]|$)(?!#)", _hash_number),
    Rule("IVXL", r"(?<![A-Za-z])[IVXL]{1,8}(?![A-Za-z'])", _roman),
    Rule(_ROMAN_CHARS, f"[{_ROMAN_CHARS}]{{1,8}}", _roman_char),
)
NAME_RULES = (
    Rule(LETTERS, r"([A-Za-z]{1,20})(\d{1,2})-(\d{3,6})(?![\d-])", _model),
    Rule(LETTERS, r"([A-Za-z]{1,30})([- ]?)(\d{1,20}(?:\.\d{1,3}){0,3})(?![\d,:]|\.\d|-\d{1,7}-)", _name),
)
FALLBACK_RULES = (
    Rule(DIGITS, r"\d{1,40}", lambda match: number(match.group())),
    Rule(DIGITS, r"\d+", lambda match: digits(match.group())),
)
