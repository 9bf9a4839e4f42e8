"""Strips markup, tool syntax and stage directions from model output before synthesis.

Nothing internal is left: thoughts, tool calls, JSON, code, stage directions, the server's own ids.
Nor is any layout: headings, numbers of list items, tables, footnotes, link targets behind a text,
pictures, the scheme of a web address and the query of a long one. All other letters and digits are
kept.
"""

import html
import re
import unicodedata
from collections.abc import Set
from urllib.parse import unquote

from nur_server.text.internal import InternalContent
from nur_server.text.joining import gap, joined


class MarkupFilter:
    """Filters one response, clause by clause. Markup may span clauses, so state is kept."""

    def __init__(self, internal_ids: Set[str] = frozenset()) -> None:
        """`internal_ids` are known not to be the user's own matter: ids of tool calls, say."""
        self._internal_ids = internal_ids
        self._hidden = InternalContent()
        self._lines = _Lines()
        self._offers_choice = False
        """The user was asked to choose by a number or a key."""

    def strip(self, text: str) -> str:
        """The next clause as running text; empty when nothing of it is left."""
        visible = self._lines.plain(self._hidden.visible(text))
        self._offers_choice = self._offers_choice or _CHOICE.search(visible) is not None
        return _tidy(visible, self._internal_ids, keeps_figures=self._offers_choice)


def can_be_said(text: str) -> bool:
    return any(character.isalnum() for character in text)


# What is layout


def _full_stop(text: str) -> str:
    """The mark that ends a sentence in the script of the text."""
    return "。" if "\u3000" <= text.rstrip()[-1:] <= "\uff9f" else "."


_RULE_OR_DIVIDER = re.compile(r"(?=(?:[^-*_=]*[-*_=]){3})[-*_=:|\s]+")
_HEADING = re.compile(r"\s{0,3}#{1,6}\s+")
_BULLET = re.compile(
    r"\s*(?:>\s?)*(?:[-*+•◦▪‣–]\s+(?!(?:or|oder|ou|o|или|या|또는|of|lub|eller)\s)(?:\[[ xX]\]\s+)?)"
)
"""The mark of a list item. "* or #" are keys."""
_QUOTE = re.compile(r"\s*(?:>\s?)+")
_NUMBERED = re.compile(r"\s*(?:\*\*)?(?P<number>[0-9]{1,3})[.)](?:\*\*)?\s+(?=\S)")
_ENDED = re.compile(r"[.!?:;,…。！？؟।，：；][\"'”’»)\]*_`]*\s*\Z")


class _Lines:
    """Takes out the marks of headings, lists and tables, over the clauses of one response."""

    def __init__(self) -> None:
        self._at_start = True
        self._number = 0
        """Of the last list item. A figure at the start of a line is one only in its turn."""

    def plain(self, text: str) -> str:
        """The lines as running text: an item that ends without a mark gets a full stop."""
        *whole, last = text.split("\n")
        plain = []
        for line in whole:
            plain.append(self._plain_line(line, is_whole=True))
            self._at_start = True
        plain.append(self._plain_line(last, is_whole=False))
        if last.strip():
            self._at_start = False
        return joined(*plain)

    def _plain_line(self, line: str, *, is_whole: bool) -> str:
        if not self._at_start or not line.strip():
            return line.strip()
        if _RULE_OR_DIVIDER.fullmatch(line):
            return ""
        if line.lstrip().startswith("|"):
            return self._row(line)
        body = self._without_marker(line)
        is_item = body is not line
        if is_item and is_whole and can_be_said(body) and not _ENDED.search(body):
            return body.strip() + _full_stop(body)
        return body.strip()

    @staticmethod
    def _row(line: str) -> str:
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        return ", ".join(filter(None, cells)) + _full_stop(line.strip().strip("|"))

    def _without_marker(self, line: str) -> str:
        numbered = _NUMBERED.match(line)
        if numbered is not None and int(numbered["number"]) in (1, self._number + 1):
            self._number = int(numbered["number"])
            return line[numbered.end() :]
        for marker in (_HEADING, _BULLET, _QUOTE):
            found = marker.match(line)
            if found is not None:
                return line[found.end() :]
        return line


_ADDRESS = re.compile(
    r"(?:https?|ftp|wss?)://(?:[^\s/@<>]*@)?(?:www\.)?(?P<host>[^\s/<>()\[\]?#:,\"'|]+)"
    r"(?P<path>(?::[0-9]+)?(?:[/?#][^\s<>]*)?)|\bwww\.(?P<www>[^\s/<>()\[\]?#:,\"'|]+)"
    r"(?P<www_path>[/?#][^\s<>]*)?",
    re.IGNORECASE,
)
DOMAINS = (
    r"(?:com|org|net|edu|gov|io|ai|app|dev|info|biz|co|me|tv|shop|store|online|site|cloud|health"
    r"|uk|de|fr|es|it|pt|nl|eu|us|ca|au|in|jp|br|ch|at|be|se|no|pl|ru|cn)"
)
_BARE_PATH = re.compile(rf"(?<![\w.-])(?P<host>(?:[\w-]+\.)+{DOMAINS})/[^\s<>]*", re.IGNORECASE)
LONGEST_ADDRESS = 60
"""Characters of a web address that is read out whole. Of a longer one the query goes, and when it
is still longer only the host is said: nobody writes down more by ear."""
LONGEST_NAME = 65
"""Letters and digits in a row from which they are data. The longest name in use, a SHA-256 sum,
has 64."""
_SENTENCE_MARKS = ".,;:!?)]}'\"”’*_`"
_IMAGE_OR_LINK = re.compile(
    r"!?\[(?P<text>[^\[\]]*)\](?:\([^()\s]*(?:\([^()]*\)[^()\s]*)*(?:\s[^()]*)?\)|\[[^\[\]]*\])"
)
_FOOTNOTE = re.compile(
    r"\[\^?[0-9]{1,3}(?:, ?[0-9]{1,3})*\]"
    r"|\[/?(?:[A-Z]+(?:_[A-Z]+)+|INST|SYS|EOS|BOS|PAD|UNK|CLS|SEP|MASK|END|SILENCE|MUSIC|NOISE"
    r"|INAUDIBLE|PAUSE|LAUGHTER|APPLAUSE)\]|【[^】]*】"
)
_CHOICE = re.compile(
    r"(?i:\b(?:press|dial|keys?|enter|type|option|choose|select|hit|push|tap|drücken sie|taste"
    r"|wählen sie|tapez|touche|appuyez|pulse|tecla|opción|prema|premi|tasto|tecle|opção|нажмите)\b"
    r"|按|押|누르|दबाएँ)"
)
"""In a sentence with such a word a figure in brackets is no footnote but a key."""
_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)|<\|[^|<>]*\|>|<｜[^｜<>]*｜>", re.DOTALL)
_HTML = re.compile(
    r"</[a-zA-Z][^<>]*>|<[a-zA-Z][^<>]*/>|<[a-zA-Z][\w-]*[:-][^<>]*>|<[a-zA-Z]\w*\s[^<>]*=[^<>]*>"
    r"|<(?:a|abbr|audio|b|big|blockquote|body|br|button|center|code|col|dd|details|div|dl|dt|em"
    r"|emphasis|figure|font|footer|form|h[1-6]|head|header|hr|html|i|iframe|img|input|ins|kbd|label"
    r"|li|link|main|mark|meta|nav|ol|option|p|phoneme|pre|prosody|q|s|samp|section|select|small"
    r"|source|span|speak|strike|strong|sub|summary|sup|table|tbody|td|textarea|tfoot|th|thead|title"
    r"|tr|tt|u|ul|video|voice|break|audio|lexicon|sentence|silence|thinking)\b[^<>]*>",
    re.IGNORECASE,
)
"""Tags of HTML and SSML. Words in angle brackets that are no tag are kept: "<your name>"."""
_BREAK = re.compile(r"(?<=[\w)\"'])\s?<(?:br|/p|/li|/div|hr)\b[^<>]*>", re.IGNORECASE)
_INTERNAL_IDS = re.compile(
    r"\b(?:"
    # This server's own, see `ids`: hexadecimal behind a prefix, and counted within a session.
    r"(?:agt|ses|call|key|req|evt|resp|msg|utt)_[0-9a-f]{12,32}(?:_[0-9]+)?"
    # Tool calls, messages and runs of model servers.
    r"|(?:call|toolu|fc|rs|resp|msg|run|thread|asst|chatcmpl|chatcmpl-tool)[_-]"
    r"(?=[A-Za-z_-]*[0-9])[A-Za-z0-9_-]{6,}"
    # Credentials.
    r"|(?:sk|pk|nur)[_-](?=[A-Za-z_-]*[0-9])[A-Za-z0-9_-]{20,}"
    # Data: nobody writes down this much.
    rf"|(?=[A-Za-z]*[0-9])[A-Za-z0-9+/]{{{LONGEST_NAME},}}={{0,2}}"
    r")(?!\w)"
)
"""Ids that are known to be internal. Any other is the user's own matter and is spoken."""
FILE_NAME = re.compile(
    r"(?<![\w./@-])\w[\w-]*(?:\.[\w-]+)*\.(?:pdf|docx?|xlsx?|pptx?|txt|csv|zip|png|jpe?g|gif|svg|mp[34]"
    r"|wav|json|xml|ya?ml|html?|py|js|ts|md|exe|dmg|apk|ics|log|ini|toml|sh|tar|gz|rar|epub|odt|rtf)"
    r"(?![\w-])"
)
_CODE_WITH_UNDERSCORE = re.compile(r"(?<!\w)(?=[A-Za-z_]*[0-9])[A-Z0-9]+(?:_[A-Z0-9]+)+(?!\w)")
EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]*\w@[\w-]+(?:\.[\w-]+)*\.[A-Za-z]{2,}")
WEB_ADDRESS = re.compile(
    rf"(?<![\w.@-])(?:[A-Za-z0-9][\w-]*\.)+(?:{DOMAINS}\b|[a-z][a-z0-9-]+\b)(?!\.?[\w@])"
    r"(?::[0-9]+)?(?:[/?#][\w~%.+=&?#:@!$/;,-]*[\w/=~-])?"
)
_EMOTICON = re.compile(r"(?<!\S)[:;=][-']?[)(DPpOo|](?!\w)")
_PICTURES_KEPT = frozenset("°℃℉№")
_JOINERS = frozenset("\u200c\u200d")


def _tidy(text: str, internal_ids: Set[str], *, keeps_figures: bool) -> str:
    """Running text without links, tags, ids, pictures and stray markup."""
    text = _COMMENT.sub(_gap, " ".join(text.split()))
    if "](" in text or "][" in text:
        text = _IMAGE_OR_LINK.sub(_link_text, text)
    text = _BARE_PATH.sub(_bare_host, _ADDRESS.sub(_host, text))
    text = _HTML.sub(_gap, _BREAK.sub(", ", text))
    text = html.unescape(text) if "&" in text else text
    text = _without_ids(_FOOTNOTE.sub(_bracketed if keeps_figures else _gap, text), internal_ids)
    text = _without_pictures(_EMOTICON.sub(_gap, text))
    text = _without_marks(text)
    for pattern, replacement in _SPACING:
        text = pattern.sub(replacement, text)
    return text.strip().lstrip(",;:.、，；：。)").strip()


def _gap(found: re.Match[str]) -> str:
    """What stands in place of something that was taken out."""
    return gap(found.string[: found.start()][-1:], found.string[found.end() :][:1])


def _link_text(found: re.Match[str]) -> str:
    before, after = found.string[: found.start()][-1:], found.string[found.end() :][:1]
    text = found["text"].strip()
    return f"{gap(before, text)}{text}{gap(text, after)}"


def _bracketed(found: re.Match[str]) -> str:
    """What is in brackets where they are no footnotes: a figure to choose."""
    return found[0].strip("[]") if found[0][1].isdigit() else _gap(found)


def _without_ids(text: str, internal_ids: Set[str]) -> str:
    text = _INTERNAL_IDS.sub(_gap, text)
    for known in internal_ids:
        if known in text and _is_unmistakable(known):
            text = re.sub(rf"(?<!\w){re.escape(known)}(?!\w)", _gap, text)
    return text


def _is_unmistakable(known: str) -> bool:
    """Whether an id can be no word or number of the user's. Some models count: "call 1"."""
    has_both = any(map(str.isdigit, known)) and any(map(str.isalpha, known))
    return has_both and len(known) >= SHORTEST_ID


SHORTEST_ID = 8
"""Characters of an id that is told from a word of the text. Mistral's have nine."""


def _host(found: re.Match[str]) -> str:
    host = found["host"] or found["www"]
    path = found["path"] or found["www_path"] or ""
    return _with_sentence_end(host, path)


def _bare_host(found: re.Match[str]) -> str:
    return _with_sentence_end(found["host"], found[0][len(found["host"]) :])


def _with_sentence_end(host: str, path: str) -> str:
    """The address as far as it is read out, and the marks of the sentence behind it."""
    whole = host + path
    bare = whole.rstrip(_SENTENCE_MARKS)
    shown, end = unquote(bare), whole[len(bare) :]
    if len(shown) > LONGEST_ADDRESS:
        shown = re.split(r"[?#]", shown, maxsplit=1)[0]
    if len(shown) > LONGEST_ADDRESS or not shown.isprintable() or re.search(r"[\s<>|]", shown):
        shown = host
    return shown.rstrip("/?#") + end


def _without_pictures(text: str) -> str:
    if text.isascii() and text.isprintable():
        return text
    kept = []
    for place, character in enumerate(text):
        if character in _JOINERS:
            around = text[place - 1 : place] + text[place + 1 : place + 2]
            kept.append(character if len(around) == 2 and around.isalpha() else "")
        elif character in _PICTURES_KEPT:
            kept.append(character)
        else:
            category = unicodedata.category(character)
            is_picture = (
                category in ("So", "Cs", "Co", "Cn", "Sk", "Me") and not character.isascii()
            )
            is_invisible = category in ("Cc", "Cf") or "\ufe00" <= character <= "\ufe0f"
            if is_picture or category == "Cc":
                kept.append(gap(text[place - 1 : place], text[place + 1 : place + 2]))
            elif not is_invisible:
                kept.append(character)
    return "".join(kept)


_STAR, _POUND = "\ue000", "\ue001"
"""Stand for the keys of a telephone while stray marks are taken out."""
_KEY_END = r"[\s.,;:!?)।。，、！？]|\Z"
_KEY_VERB = "[按押拨撥打]"
_KEY_PARTICLE = "か|を|キー|または|ボタン|键|鍵|를|을|키|버튼"
"""Beside a sign in languages that write without spaces: it is a key, no markup."""
_KEYS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\\\*|(?<![*\w])\*{2}\\?\*\*{2}(?![*\w])|[`\"'“‘(]\*[`\"'”’)]"), _STAR),
    (re.compile(r"\\#|\*{1,2}\\?#\*{1,2}|[`\"'“‘(]#[`\"'”’)]"), _POUND),
    (re.compile(r"(?<![*\w])\*(?=[0-9]+(?![0-9*]))|(?<=[0-9])\*(?=[0-9]+#)"), _STAR),
    (re.compile(r"(?<![*\w])\*(?=[0-9]+\*[0-9]+#|#)"), _STAR),
    (re.compile(r"(?<=[0-9])#(?![\w#])|(?<![\w#])#(?=[0-9]+#|\*)"), _POUND),
    (re.compile(rf"(?<!\S)#(?={_KEY_END})|(?<={_KEY_VERB})#|#(?={_KEY_PARTICLE})"), _POUND),
    (re.compile(rf"(?<={_KEY_VERB})\*(?!\*)|(?<!\*)\*(?={_KEY_PARTICLE})"), _STAR),
)
_LONE_STAR = re.compile(rf"(?<!\S)\*(?={_KEY_END})")
_OPEN_EMPHASIS = re.compile(r"(?<![*\w])\*{1,3}(?=[^\s*.,;:!?)])")
_MARKS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(?<=[0-9)]) ?\* ?(?=[0-9(])"), " × "),
    (re.compile(r"[-=]>|→|⇒|➜"), ", "),
    (re.compile(r"(?<=[\w)%]) ?(?:<=|≤) ?(?=[\w$€£-])"), " is at most "),
    (re.compile(r"(?<=[\w)%]) ?(?:>=|≥) ?(?=[\w$€£-])"), " is at least "),
    (re.compile(r"(?<=[\w)%]) < ?(?=[0-9$€£-])"), " is less than "),
    (re.compile(r"(?<=[\w)%]) > ?(?=[0-9$€£-])"), " is more than "),
    (re.compile(r"(?<!\S)<\s?(?=[0-9])"), "less than "),
    (re.compile(r"(?<!\S)>\s?(?=[0-9])"), "more than "),
    (re.compile(r"\s*\|+\s*"), ", "),
    (re.compile(r"(?<=\w)\\+(?=\w)"), " "),
    (re.compile(r"[*`{}\[\]<>\\]+|~{2,}"), ""),
    (re.compile(r"#(?!\s?[A-Z]*-?[0-9])(?<!\b[CF]#)"), " "),
)
_UNDERSCORES = re.compile(r"(?<!\w)_+|_+(?!\w)|_+")
_VERBATIM = re.compile(
    rf"{EMAIL.pattern}|{WEB_ADDRESS.pattern}|{FILE_NAME.pattern}|{_CODE_WITH_UNDERSCORE.pattern}"
)
"""Names in which every mark counts."""


def _without_marks(text: str) -> str:
    text = _with_keys(text)
    parts, at = [], 0
    for found in _VERBATIM.finditer(text):
        parts += [_plain(text[at : found.start()]), found[0].strip("_")]
        at = found.end()
    plain = "".join([*parts, _plain(text[at:])])
    return plain.replace(_STAR, "*").replace(_POUND, "#")


def _plain(text: str) -> str:
    for pattern, replacement in _MARKS:
        text = pattern.sub(replacement, text)
    return _UNDERSCORES.sub(" ", text) if "_" in text else text


def _with_keys(text: str) -> str:
    """The text with stand-ins for the signs that are keys of a telephone."""
    if "*" not in text and "#" not in text:
        return text
    for pattern, key in _KEYS:
        text = pattern.sub(key, text)
    if _OPEN_EMPHASIS.search(text) is None:
        text = _LONE_STAR.sub(_lone_star, text)
    return text


def _lone_star(found: re.Match[str]) -> str:
    """A star between figures is a product, any other that stands alone a key."""
    before, after = found.string[: found.start()].rstrip(), found.string[found.end() :].lstrip()
    is_product = before[-1:].isdigit() and after[:1].isdigit()
    return found[0] if is_product else _STAR


_SPACING = (
    (re.compile(r"\(\s*\)|（\s*）|\"\s*\""), " "),
    (re.compile(r"\s+"), " "),
    (re.compile(r" +(?=[,.](?:\s|\Z))"), ""),
    (re.compile(r"(?:,\s*){2,}"), ", "),
    (re.compile(r"(?<=\() | (?=\))"), ""),
)
