"""Abbreviations, Roman numerals, addresses and signs in English."""

from __future__ import annotations

import re

from pipeline.text.languages import addresses
from pipeline.text.languages.english.numerals import cardinal, digits, number, ordinal
from pipeline.text.languages.grammar import DIGITS, LETTERS, Match, Rule, after, before, constant

ABBREVIATIONS = {
    "mr": "mister", "mrs": "missus", "ms": "miss", "prof": "professor", "gen": "general", "col": "colonel",
    "lt": "lieutenant", "sgt": "sergeant", "capt": "captain", "gov": "governor", "sen": "senator",
    "rep": "representative", "rev": "reverend", "hon": "honorable", "jr": "junior", "sr": "senior", "vs": "versus",
    "v.s": "versus", "etc": "et cetera", "e.g": "for example", "i.e": "that is", "a.k.a": "also known as",
    "mt": "mount", "ft": "fort", "ave": "avenue", "blvd": "boulevard", "rd": "road", "ln": "lane", "apt": "apartment",
    "dept": "department", "inc": "incorporated", "ltd": "limited", "corp": "corporation", "co": "company",
    "approx": "approximately", "est": "established", "fig": "figure", "figs": "figures", "vol": "volume",
    "pp": "pages", "ch": "chapter", "sec": "section", "ext": "extension", "tel": "telephone", "govt": "government",
    "assn": "association", "univ": "university", "intl": "international", "temp": "temperature",
    "misc": "miscellaneous", "hr": "hour", "hrs": "hours", "min": "minutes", "mins": "minutes", "lbs": "pounds",
    "oz": "ounces", "yr": "year", "yrs": "years", "pres": "president", "supt": "superintendent", "sq": "square",
    "cf": "compare", "viz": "namely", "al": "al", "esq": "esquire", "messrs": "messieurs", "adj": "adjective",
    "max": "maximum", "eq": "equation", "ed": "edition", "hwy": "highway", "pkwy": "parkway", "ct": "court",
    "pl": "place",
}  # fmt: skip
_ONLY_BEFORE_NUMBER = frozenset(("fig", "figs", "pp", "ch", "sec", "vol", "eq", "ext", "max", "min"))
_ONLY_AFTER_NUMBER = frozenset(("hr", "hrs", "mins", "lbs", "oz", "yr", "yrs", "ft"))
_ONLY_BEFORE_NAME = frozenset(
    ("gen", "col", "lt", "sgt", "capt", "gov", "sen", "rep", "rev", "hon", "mt", "ft", "pres")
)
_RULERS = frozenset(
    [
        "henry",
        "louis",
        "george",
        "edward",
        "elizabeth",
        "charles",
        "james",
        "william",
        "richard",
        "paul",
        "pius",
        "benedict",
        "napoleon",
        "catherine",
        "frederick",
        "peter",
        "nicholas",
        "philip",
        "alexander",
        "leo",
        "ramses",
        "ramesses",
        "francis",
        "mary",
        "ivan",
        "otto",
        "leopold",
        "pope",
        "king",
        "queen",
        "gregory",
        "innocent",
        "urban",
        "clement",
        "julius",
        "harald",
        "olaf",
        "gustav",
        "christian",
        "margaret",
        "felipe",
        "carlos",
        "wilhelm",
        "ptolemy",
        "cleopatra",
    ]
)
_NUMBERED = re.compile(
    r"\b(?:chapter|part|act|scene|war|type|phase|volume|vol\.|book|section|class|stage|title|article|grade|level"
    r"|bowl|tier|mark|no\.|appendix|figure|table|step|world war|episode|season|division|category) $",
    re.I,
)
_ROMAN = {"I": 1, "V": 5, "X": 10, "L": 50}
_ROMAN_FORM = re.compile(r"(?:XL|L?X{0,3})(?:IX|IV|V?I{0,3})")
_GREEK_LETTERS = "αβγδεζηθικλμνξοπρστυφχψωΔΣΩΠΦΨΓΛΘ"
_GREEK_NAMES = (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi rho sigma tau upsilon phi chi"
    " psi omega delta sigma omega pi phi psi gamma lambda theta"
)
_GREEK = dict(zip(_GREEK_LETTERS, _GREEK_NAMES.split(), strict=True))
_SIGNS = {
    "&": "and", "@": "at", "+": "plus", "=": "equals", "%": "percent", "<": "less than", ">": "greater than",
    "≤": "less than or equal to", "≥": "greater than or equal to", "≠": "is not equal to",
    "≈": "approximately equals", "×": "times", "÷": "divided by", "±": "plus or minus", "√": "square root of",
    "²": "squared", "³": "cubed", "°": "degrees", "→": "to", "∞": "infinity", "§": "section", "$": "dollars",
    "€": "euros", "£": "pounds", "<=": "less than or equal to", ">=": "greater than or equal to",
    "!=": "is not equal to", "==": "equals", "π": "pi", "‰": "per mille", "∑": "sum", "∫": "integral", "¢": "cents",
    "~": "about", "⇒": "implies", "†": "", "•": ",",
}  # fmt: skip
_MARKS = {
    ".": "dot", "@": "at", "/": "slash", ":": "colon", "_": "underscore", "-": "dash", "?": "question mark",
    "=": "equals", "&": "and", "%": "percent", "#": "hash", "+": "plus", "~": "tilde", " ": " ",
}  # fmt: skip
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ₀₁₂₃₄₅₆₇₈₉", "0123456789+-n0123456789")


def _abbreviation(match: Match) -> str | None:
    word = match.group(1)
    name = word.lower()
    said = ABBREVIATIONS.get(name)
    following = after(match, 2)
    if said is None or _is_elsewhere(name, match, following):
        return None
    ends_sentence = not following.strip() and name not in _ONLY_BEFORE_NAME
    stop = "." if ends_sentence else ""
    return (said.capitalize() if word[0].isupper() else said) + stop


def _is_elsewhere(name: str, match: Match, following: str) -> bool:
    """Whether the abbreviation is an ordinary word here: `in.` after a verb, `no.` at the end of a sentence."""
    if name in _ONLY_BEFORE_NUMBER and not (name == "min" and re.search(r"\d ?$", before(match, 2))):
        return not following.strip()[:1].isdecimal()
    if name in _ONLY_AFTER_NUMBER and re.search(r"\d ?$|[a-z] $", before(match, 2)):
        return name == "ft" and not re.search(r"\d ?$", before(match, 2))
    if name in _ONLY_AFTER_NUMBER and name != "ft":
        return True
    if name in _ONLY_BEFORE_NAME:
        return not following.strip()[:1].isupper()
    return False


def _street_or(match: Match, title: str, road: str) -> str:
    follows_name = bool(re.search(r"(?:^|[^A-Za-z'])[A-Z][a-z]{2,20} $|\d(?:st|nd|rd|th) $", before(match, 24)))
    precedes_name = bool(re.match(r"\s?[A-Z]", after(match, 2)))
    at_start = bool(re.search(r"(?:^|[.!?] )[A-Z][a-z]{2,20} $", before(match, 24)))
    if title == "Doctor":
        is_title = precedes_name
    else:
        is_title = precedes_name and (not follows_name or at_start)
    return title if is_title else road + ("." if not after(match, 2).strip() else "")


def _saint(match: Match) -> str:
    return _street_or(match, "Saint", "Street")


def _doctor(match: Match) -> str:
    return _street_or(match, "Doctor", "Drive")


def _initials(match: Match) -> str:
    letters = match.group().replace(".", " ").strip()
    at_end = not after(match, 1) and match.group().endswith(".")
    return letters + ("." if at_end else "")


def _name_initial(match: Match) -> str:
    return match.group(1)


def _page(match: Match) -> str:
    return "page "


def roman_value(numeral: str) -> int | None:
    """The value of a Roman numeral below 90, or None if it is not well formed."""
    if not numeral or not _ROMAN_FORM.fullmatch(numeral):
        return None
    values = [_ROMAN[char] for char in numeral]
    return sum(-v if i + 1 < len(values) and v < values[i + 1] else v for i, v in enumerate(values))


def _roman(match: Match) -> str | None:
    numeral = match.group(1)
    value = roman_value(numeral)
    context = before(match, 24)
    name = re.search(r"([A-Z][A-Za-z]{1,20})[ -]$", context)
    if value is None or (name is None and not _NUMBERED.search(context)):
        return None
    if _NUMBERED.search(context):
        return cardinal(str(value))
    if (len(numeral) < 2 and not (name and name.group(1).lower() in _RULERS and numeral != "I")) or numeral in (
        "XL",
        "XX",
        "XXX",
        "XXL",
        "LV",
        "LI",
        "IX" * 2,
    ):
        return None
    if name and name.group(1).lower() in _RULERS:
        return f"the {ordinal(str(value))}"
    return cardinal(str(value))


def _sign(match: Match) -> str | None:
    said = _SIGNS[match.group()]
    if match.group() in "<>≤≥" and re.search(r"\w ?$", before(match, 2)):
        said = f"is {said}"
    return f" {said} " if said else " "


def _between(match: Match) -> str:
    return f" is {_SIGNS[match.group()]} " if match.group()[0] in "<>" else f" {_SIGNS[match.group()]} "


def _minus(match: Match) -> str | None:
    near = match.string[max(0, match.start() - 12) : match.end() + 12]
    if not re.search(r"[=<>≤≥²³]", near):
        return None
    return " minus "


def _power(match: Match) -> str:
    exponent = match.group(1).translate(_SUPERSCRIPTS)
    if exponent in ("2", "3"):
        return {"2": " squared ", "3": " cubed "}[exponent]
    is_number = exponent.lstrip("+-").isdecimal()
    said = number(exponent) if is_number else re.sub(r"\d", lambda digit: f" {digits(digit.group())} ", exponent)
    return f" to the power of {said} "


def _subscript(match: Match) -> str:
    return f" {digits(match.group().translate(_SUPERSCRIPTS))} "


def _greek(match: Match) -> str:
    return f" {_GREEK[match.group()]} "


def _slash(match: Match) -> str:
    if re.search(r"\d $", before(match, 2)) and re.match(r" \d", after(match, 2)):
        return " divided by "
    per = re.search(
        r"(?:dollars?|euros?|pounds?|yuan|cents|times|\d) ?$|\$ ?[\d.,]+$|[$€£][\d.,kMB]{1,9}$", before(match, 12)
    )
    return " per " if per and after(match, 1).isalpha() else " "


def _programming(match: Match) -> str:
    return match.group(1) + {"++": " plus plus", "#": " sharp"}[match.group(2)]


def _list_number(match: Match) -> str:
    return f"{cardinal(match.group(1))}, "


def _dotted_word(match: Match) -> str:
    return f"{match.group(1)} dot {match.group(2)}"


def _plain(match: Match) -> str:
    return match.group().replace("_", " ")


ADDRESS_RULES = addresses.rules(_MARKS, digits, joint=" ")
LIST_RULES = (Rule(DIGITS + "(", r"(?:(?<=\n)|(?<![\s\S]))\(?([1-9]\d?)[.)] ", _list_number),)
RULES = (
    Rule("Ss", r"\bSt\.", _saint),
    Rule("Dd", r"\bDr\.", _doctor),
    Rule("Pp", r"\b[Pp]\. ?(?=\d)", _page),
    Rule("Pp", r"\bP\.?h\.?D\.?(?![A-Za-z])", constant("P h D")),
    Rule("aApP", r"(?<=[\w] )([AaPp])\.[Mm]\.", lambda match: f"{match.group(1)} m"),
    Rule(LETTERS, r"(?<![A-Za-z.])([A-Za-z](?:\.[A-Za-z]){1,2})\.", _abbreviation),
    Rule(LETTERS, r"(?<![A-Za-z.])([A-Za-z]{2,8})\.(?![A-Za-z])", _abbreviation),
    Rule(LETTERS, r"\bvs\b(?!\.)", constant("versus")),
    Rule(LETTERS, r"(?<![A-Za-z])w/o(?![A-Za-z])", constant("without")),
    Rule(LETTERS, r"(?<![A-Za-z])w/(?=\s)", constant("with")),
    Rule(LETTERS, r"(?<![A-Za-z.])(?:[A-Za-z]\.){2,8}(?:[A-Za-z](?![A-Za-z]))?", _initials),
    Rule(LETTERS, r"(?<![A-Za-z.])([A-Z])\.(?= [A-Z])(?<!I\.)", _name_initial),
    Rule("IVXL", r"(?<![A-Za-z])([IVXL]{1,7})(?![A-Za-z'])", _roman),
    Rule(LETTERS, r"(?<![A-Za-z])([A-Za-z]{1,10})(\+\+|#)(?![\w+#])", _programming),
    Rule(
        LETTERS,
        r"([A-Za-z]{1,20})\.((?:js|JS|py|NET|Net|net|txt|pdf|docx?|xlsx?|mp3|mp4|jpe?g|png|exe|zip|json|yaml|md|csv"
        r"|cpp|java)(?![A-Za-z0-9]))",
        _dotted_word,
    ),
    Rule(".", r"(?<![A-Za-z0-9])()\.(NET|Net)(?![A-Za-z])", _dotted_word),
    Rule("#", r"#(?=\w)", constant("hashtag ")),
    Rule("^", r"\s?\^\s?\(?(-?\w{1,6})\)?", _power),
    Rule("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ", r"([⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ]{1,12})", _power),
    Rule("₀₁₂₃₄₅₆₇₈₉", r"[₀₁₂₃₄₅₆₇₈₉]{1,12}", _subscript),
    Rule("<>!=", r"(?:<=|>=|!=|==)(?=\s?[\w-])", _between),
    Rule("*", r"(?<=[\w)])\s?\*\s?(?=[\d(])|(?<=\d)\s?\*\s?(?=\w)", constant(" times ")),
    Rule("xX", r"(?<=\d)[xX](?=\d)", constant(" by ")),
    Rule("-", r"(?<=[\w)²³])\s?-\s?(?=[\w(])", _minus),
    Rule("/", r"/", _slash),
    Rule(
        "".join(char for char in _SIGNS if len(char) == 1),
        "[" + re.escape("".join(char for char in _SIGNS if len(char) == 1)) + "]",
        _sign,
    ),
    Rule("".join(_GREEK), "[" + "".join(_GREEK) + "]", _greek),
)
WORD_RULES = (Rule(LETTERS, r"[A-Za-z]{1,40}(?:[_'’][A-Za-z]{1,40}){0,3}", _plain),)
