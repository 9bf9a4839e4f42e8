"""Words and sentences for the offline responder: enough English to find the fitting sentence."""

import re
from collections.abc import Iterable, Sequence

MAX_SENTENCES = 2
NEAR = 0.7
"""A second sentence is added when its score comes this close to the best one's."""


def word_set(text: str) -> frozenset[str]:
    return frozenset(text.split())


_STOP_WORDS = word_set(
    """a about all also am an and any are as at be been but by can could did do does doing for from
    get go got had has have he her here him his how i if in into is it its just know let like may me
    might mine more much my need of oh ok okay on one or our ours out please shall she should so
    some tell than thank thanks that the their them then there these they this those to too um uh
    up us very want was we well were what when where which who whom whose why will with would yes
    you your yours yourself hello hi hey give something anything thing things don't i'm i'd i'll
    it's what's that's you're can't"""
)
_RELATED = (
    "hour open close opening closing",
    "price cost fee charge expensive cheap pay",
    "ship shipping deliver delivery arrive",
    "return refund money exchange",
    "phone telephone call contact number",
    "email mail contact",
    "address location locate situated",
    "job work position hiring",
)
_DIRECTION = re.compile(
    r"(?:please\s+)?(?:never|always|do not|don't|be|keep|respond|answer|reply|use|speak|say|ask|"
    r"avoid|make sure|ensure|remember|try|stay|if|when|only|you (?:must|should|shall|may not|can't|"
    r"cannot|will)|your (?:goal|job|task|role|purpose))\b",
    re.I,
)


def words(text: str) -> list[str]:
    """Lower-case words and numbers."""
    return re.findall(r"[a-z]+(?:'[a-z]+)?|\d+", text.lower().replace("’", "'"))


def stem(word: str) -> str:
    """A word without its inflection: `orders`, `ordered`, `ordering` → `order`."""
    word = word.removesuffix("'s")
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    for ending in ("ing", "ed"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word[: -len(ending)]
            doubled = len(word) > 3 and word[-1] == word[-2] and word[-1] not in "lsz"
            return word[:-1] if doubled else word
    if word.endswith(("sses", "shes", "ches", "xes")):
        return word[:-2]
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


_RELATIVES = {
    stem(word): frozenset(map(stem, group.split())) for group in _RELATED for word in group.split()
}


def key(word: str) -> str:
    """What two forms of a word share: the stem, without a silent e."""
    return stem(word).removesuffix("e")


def content(text: str) -> list[str]:
    """The keys of the words that carry meaning, each once, in order."""
    return list(dict.fromkeys(key(word) for word in words(text) if word not in _STOP_WORDS))


def sentences(text: str) -> list[str]:
    """The sentences of a prompt, without headings, list marks and emphasis."""
    found: list[str] = []
    for line in text.splitlines():
        line = re.sub(r"^\s*(?:[-*•]|\d+[.)])\s+", "", line).strip()
        if not line or line.startswith("#"):
            continue
        line = re.sub(r"[*_`]{1,3}(\S[^*_`]*)[*_`]{1,3}", r"\1", line)
        found += [part.strip() for part in re.split(r"(?<=[.!?])\s+(?=[\"'A-Z0-9])", line)]
    return [part if part[-1] in ".!?" else f"{part.rstrip(':;,')}." for part in found if part]


def facts(prompt: str) -> list[str]:
    """The sentences of a prompt that tell something, rather than tell the agent what to do."""
    return [sentence for sentence in sentences(prompt) if not _DIRECTION.match(sentence)]


def fitting(question: str, among: Sequence[str]) -> list[str]:
    """The one or two sentences that say most about a question, in their order; none where nothing
    fits.

    A word counts the more, the fewer sentences have it; half of the question's words, or two of
    them, must occur.
    """
    asked = content(question)
    bags = [set(content(sentence)) for sentence in among]
    rarity = {word: 1 / (1 + sum(_has(bag, word) for bag in bags)) for word in asked}
    scores: list[float] = []
    for bag in bags:
        hits = [word for word in asked if _has(bag, word)]
        fits = len(hits) >= 2 or (hits and 2 * len(hits) >= len(asked))
        scores.append(sum(rarity[word] for word in hits) if fits else 0.0)
    best = max(scores, default=0.0)
    if not best:
        return []
    chosen = [i for i, score in enumerate(scores) if score >= NEAR * best]
    return [among[i] for i in sorted(sorted(chosen, key=lambda i: -scores[i])[:MAX_SENTENCES])]


def _has(bag: set[str], word: str) -> bool:
    if word in bag:
        return True
    relatives = _RELATIVES.get(word) or _RELATIVES.get(word + "e") or frozenset()
    return any(relative.removesuffix("e") in bag for relative in relatives)


def overlap(one: Iterable[str], other: Iterable[str]) -> set[str]:
    return set(one) & set(other)


_SUBJECT = (
    r"(?:can|could|do|don't|know|help|work|speak|have|had|answer|offer|provide|sell|take|will|"
    r"would|may|might|love|like|specialise|specialize|assist|represent|serve|live)\b"
)
_FIRST_PERSON: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.I), replacement)
    for pattern, replacement in (
        (r"\byou(?:\s+are|'re)\b", "I'm"),
        (r"\byou were\b", "I was"),
        (r"\byou've\b", "I've"),
        (r"\byou'll\b", "I'll"),
        (r"\byourself\b", "myself"),
        (r"\byours\b", "mine"),
        (r"\byour\b", "my"),
        (rf"\byou(?=\s+{_SUBJECT})", "I"),
        (r"^you\b", "I"),
        (r"\b(to|for|with|from|about|of|by)\s+you\b", r"\1 me"),
    )
)


def first_person(sentence: str) -> str:
    """A sentence about `you` as the agent says it: `You are Ava.` → `I'm Ava.`"""
    spoken = sentence.replace("’", "'")
    for pattern, replacement in _FIRST_PERSON:
        spoken = pattern.sub(replacement, spoken)
    return capitalised(spoken)


def capitalised(text: str) -> str:
    return text[:1].upper() + text[1:]


def listed(items: Sequence[str], last: str = "and") -> str:
    """`a, b and c`."""
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} {last} {items[-1]}"


def plain_name(name: str) -> str:
    """An identifier as it is said: `order_id`, `orderId` → `order ID`."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    parts = re.split(r"[\s_\-.]+", spaced)
    return " ".join("ID" if part.lower() == "id" else part.lower() for part in parts if part)
