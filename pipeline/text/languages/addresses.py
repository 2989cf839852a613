"""Web and e-mail addresses: where they are in a text, and their reading from a language's words for the marks."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from pipeline.text.languages.grammar import DIGITS, LETTERS, Match, Rule

STARTS = LETTERS + DIGITS
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,40}[A-Za-z0-9])?"
_TOP = (
    r"(?:com|cn|net|org|edu|gov|mil|int|io|ai|co|me|tv|cc|info|biz|xyz|top|app|dev|hk|tw|jp|kr|uk|us|de|fr|ru|eu"
    r"|in|au|ca|sg|mo|site|online|tech|cloud|club|shop|vip|pro|wang|ly|gg|fm|so|to|html?|php|aspx?)"
)
_PATH = r"(?:/[A-Za-z0-9._~%!$&*+=:@#?/-]{0,300}[A-Za-z0-9_~%=/#])?(?:\?[A-Za-z0-9._~%&=+#/-]{0,300}[A-Za-z0-9=])?/?"
EMAIL = rf"[A-Za-z0-9][A-Za-z0-9._%+-]{{0,63}}@(?:{_LABEL}\.){{1,4}}[A-Za-z]{{2,20}}(?![A-Za-z])"
_PORT = r"(?::\d{2,5}(?!\d))?"
URL = rf"(?:[a-zA-Z]{{3,6}}://|www\.)[A-Za-z0-9][A-Za-z0-9.:@_-]{{0,120}}(?<=[A-Za-z0-9]){_PATH}"
DOMAIN = rf"(?<![A-Za-z0-9@._/-])(?:{_LABEL}\.){{1,4}}{_TOP}(?![A-Za-z0-9_]|\.[A-Za-z0-9]){_PORT}{_PATH}"
_PARTS = re.compile(r"://|[A-Za-z]+|\d+|.", re.S)


def rules(marks: Mapping[str, str], digits: Callable[[str], str], joint: str = "") -> tuple[Rule, ...]:
    """Rules that read addresses part by part; `marks` has words for `.`, `@`, `/` and so on, `joint` joins them."""

    def read(match: Match) -> str:
        said = (_part(part, marks, digits) for part in _PARTS.findall(match.group()))
        return joint.join(part for part in said if part)

    return tuple(Rule(STARTS, pattern, read) for pattern in (EMAIL, URL, DOMAIN))


def _part(part: str, marks: Mapping[str, str], digits: Callable[[str], str]) -> str:
    if part.isdecimal():
        return digits(part)
    if part == "://":
        return (
            "".join((marks[":"], marks["/"], marks["/"]))
            if not marks.get(" ")
            else " ".join((marks[":"], marks["/"], marks["/"]))
        )
    return part if part.isalpha() else marks.get(part, "")
