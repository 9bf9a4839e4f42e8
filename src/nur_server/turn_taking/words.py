"""Lexicons for turn-taking, and the questions that are asked of a piece of text.

User text is what a small speech recogniser writes: any case, with or without punctuation. Agent
text is punctuated. Every function takes any string and never raises.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum

from nur_server.turn_taking.backchannels import FILLERS, HUMMED_YES, is_backchannel, is_vocal_tic
from nur_server.turn_taking.phrases import (
    consists_of,
    phrases,
    primary,
    tokens,
    without_accents,
    words_of,
)
from nur_server.turn_taking.phrases import normalise as normalise


class Expected(StrEnum):
    """The kind of answer a question asks for."""

    YES_NO = "yes_no"
    CHOICE = "choice"
    """One of the things named."""
    QUANTITY = "quantity"
    """How many, how much, what time: a word or two."""
    NUMBER = "number"
    """A string of digits, given piece by piece: a phone number, a code, a date of birth."""
    SPELLING = "spelling"
    """Letters, or an e-mail address."""
    NAME = "name"
    OPEN = "open"
    """Anything."""
    NONE = "none"
    """Nothing was asked."""


# Not finished yet

_DANGLING = {
    "en": words_of(
        "a an the my your our their its his and or but because if unless although though while "
        "whereas whether until since of with from into onto than as per via between among without "
        "i'm i'd i'll i've it's that's there's we're we'd we'll we've you're you'd you'll you've "
        "they're they'd they'll he's she's what's who's where's how's let's every each these those "
        "very plus maybe also which whose gonna wanna gotta et"
    ),
    "es": words_of(
        "el la los las un una unos unas mi tu su mis tus sus y e o u pero porque si que de del a "
        "al con en por para sin sobre entre muy es son como cuando mientras"
    ),
    "fr": words_of(
        "le la les un une des du de d l j mon ma mes ton ta tes son sa ses notre votre leur et ou "
        "mais parce que qui si à au aux avec en dans par pour sans sur entre très est sont comme"
    ),
    "de": words_of(
        "der die das den dem des ein eine einen einem einer mein meine meinen und oder aber weil "
        "dass wenn ob von vom zu zum zur mit bei für ohne über zwischen sehr ist sind wie als nach"
    ),
    "it": words_of(
        "il lo la i gli le un uno una mio mia tuo tua suo sua e o ma perché se che di del della "
        "dei a al alla con in nel nella per senza su tra fra molto è sono come quando"
    ),
    "pt": words_of(
        "o a os as um uma meu minha seu sua e ou mas porque se que de do da dos das em no na com "
        "por para sem sobre entre muito é são como quando"
    ),
}
_DANGLING_UNPUNCTUATED = words_of(
    "i we he she they to for at by in on about is are was were am be been have has had do does did "
    "can could will would should might must may just some any not like so who got get need "
    "want mean don't doesn't didn't can't couldn't won't wouldn't isn't aren't"
)
"""May end a sentence: unfinished only where the recogniser heard no sentence end."""
_PARTICLE_ENDINGS = re.compile(
    r"(?:hold|go|come|hang|move|carry|later|turn|switch|put|try|log|sign|check|count|early|keep|work)"
    r" (?:in|on|by)$|(?:stand|drop|stop|pass|near) by$|(?:log|check|come|sign|get|fill) in$"
    r"|(?:looking|waiting|asked|calling|that|what|it) for$|(?:so do|can|may|should|shall|do|am) i$"
    r"|(?:think|hope|guess|say|believe) (?:so|not)$|^not$|(?:why|of course|maybe|probably) not$"
    r"|(?:i|we|they|you) (?:don't|can't|won't|didn't|wouldn't|couldn't)$"
    r"|^(?:some|any)$|(?:what|all) (?:i|you|we|do you) (?:want|need|got|mean)$"
)
_SHORT_REPLY = re.compile(
    r"(?:yes|yeah|yep|no|nope|sure|of course|well|ok|okay|oh) (?:"
    r"(?:i|we|he|she|it|they|you|that|there|this)(?: (?:really|still|certainly|definitely))? "
    r"(?:is|are|was|were|am|have|has|had|do|does|did|can|could|will|would|should|might|must|may"
    r"|(?:would )?(?:love|like|want|have|need|got|used) to)(?: not)?"
    r"|(?:i|we)'d (?:love|like) to)"
)
_LEAD_INS = re.compile(
    r"(?:^|.* )(?:"
    r"let me (?:think|see|check|look|find|get|grab)(?: (?:about|at|it|that|my|for)\b.*)?"
    r"|(?:my|the|his|her|our|their|this) (?:[\w']+ ){1,3}is|(?:it's|its|that's) spelled"
    r"|and then|but then|so then|or maybe|such as|for example|for instance|you know|i mean"
    r"|kind of|sort of|the thing is|what i (?:want|need|mean) is"
    r"|i was (?:wondering|thinking|going to)|i wanted to|i'd like to (?:know|ask|say)"
    r"|the (?:reason|problem|question|issue) is"
    r"|the first one is|i'm (?:looking for|calling about|trying to|going to)|so basically|it goes"
    r"|(?:give|gimme) (?:me )?a (?:second|sec|moment|minute)"
    r"|(?:just )?(?:one|a) (?:second|sec|moment)"
    r"|how (?:do i|should i|can i) (?:put|say) (?:it|this))"
)
_TRAILING_OFF = re.compile(r"(?:\.\.|…|\s[-–—]+|[–—]|-)[\"'”’)\s]*$")
_SENTENCE_END = re.compile(r"[.?!。？！؟][\"'”’)\s]*$")
_COMMA = re.compile(r"[,，、،;；:：][\"'”’)\s]*$")

_DIGIT_WORDS = words_of("zero oh one two three four five six seven eight nine")
_NUMBER_WORDS = _DIGIT_WORDS | words_of(
    "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty thirty "
    "forty fifty sixty seventy eighty ninety hundred thousand million first second third fourth "
    "fifth sixth seventh eighth ninth tenth half quarter o'clock dozen point"
)
_COMPLETE_DIGITS = frozenset({7, 10, 11, 12, 16})
"""Lengths of phone and card numbers."""
_LETTER_PAIRS = words_of("am pm us uk eu tv id ok la ny it pc ac dj vp hr pr")
_SPELLING_MARKS = words_of("dot underscore hyphen dash double triple capital uppercase lowercase")
_SPELLED_OUT = re.compile(r"\b[a-z] (?:as in|like in|for) [a-z]+$")


def ends_unfinished(text: str, language: str = "en") -> str | None:
    """Why more is to come. None: it may be complete.

    `trailing_off`, `comma`, `filler`, `number`, `spelling`, `lead_in` ("my name is") or
    `function_word`.
    """
    words = tokens(text)
    if not words:
        return None
    if _TRAILING_OFF.search(text):
        return "trailing_off"
    if _COMMA.search(text):
        return "comma"
    if FILLERS.fullmatch(words[-1]) and not is_backchannel(" ".join(words[-2:])):
        return "filler"
    dictated = _dictation(words)
    if dictated is not None:
        return dictated
    return _dangling(text, words, primary(language))


def _dangling(text: str, words: list[str], language: str) -> str | None:
    if language != "en":
        return "function_word" if words[-1] in _DANGLING.get(language, ()) else None
    joined = " ".join(words)
    if _LEAD_INS.fullmatch(joined) and not text.rstrip().endswith("?"):
        return "lead_in"
    if words[-1] in _DANGLING["en"] and joined != "maybe":
        return "function_word"
    if _SENTENCE_END.search(text) or words[-1] not in _DANGLING_UNPUNCTUATED:
        return None
    if _SHORT_REPLY.fullmatch(joined) or _PARTICLE_ENDINGS.search(joined):
        return None
    return "function_word"


def _dictation(words: list[str]) -> str | None:
    """`spelling` or `number` when the text breaks off in the middle of one."""
    letters = _trailing(words, lambda word: len(word) == 1 and word.isalpha())
    if len(letters) > 2 or (len(letters) == 2 and "".join(letters) not in _LETTER_PAIRS):
        return "spelling"
    if words[-1] in _SPELLING_MARKS or _SPELLED_OUT.search(" ".join(words)):
        return "spelling"
    digits = _trailing(words, lambda word: word.isdigit() or word in _DIGIT_WORDS)
    count = sum(len(word) if word.isdigit() else 1 for word in digits)
    if len(digits) >= 2 and count >= 3 and count not in _COMPLETE_DIGITS and not _is_time(digits):
        return "number"
    return None


def _is_time(digits: list[str]) -> bool:
    return [len(word) for word in digits] in ([1, 2], [2, 2]) and digits[1].isdigit()


def _trailing(words: list[str], belongs: Callable[[str], bool]) -> list[str]:
    start = len(words)
    while start and belongs(words[start - 1]):
        start -= 1
    return words[start:]


# Answers

_ANSWERS = phrases(
    "yes, yeah, yep, yup, no, nope, nah, ok, okay, sure, please, thanks, thank you, correct, right,"
    "wrong, true, false, maybe, perhaps, probably, definitely, absolutely, exactly, of course,"
    "not yet, not really, not at all, no problem, i do, i don't, i am, i'm not, i did, i didn't,"
    "i have, i haven't, i can, i can't, i will, i won't, i would, it is, it isn't, it's not,"
    "that is correct, that's correct, that's right, that's it, that's all, that's fine,"
    "that's not right, that works, sounds good, i don't know, i'm not sure, not sure, no idea,"
    "i think so, i guess so, i don't think so, i believe so, neither, both, either, none,"
    "all of them, the first one, the second one, the last one, the other one, this one, that one,"
    "go ahead, all right, alright, uh huh, mm hm, nothing else, nothing, never mind, anytime,"
    "any time"
)
_CONTRACTIONS = {
    "do not": "dont",
    "did not": "didnt",
    "have not": "havent",
    "can not": "cant",
    "cannot": "cant",
    "will not": "wont",
    "is not": "isnt",
    "it is": "its",
    "that is": "thats",
    "i am": "im",
}
_UNCONTRACTED = re.compile(rf"\b(?:{'|'.join(_CONTRACTIONS)})\b")
_CLOSING = re.compile(
    r"(?:^|.* )(?:thank you(?: (?:so|very) much)?|thanks(?: a lot| so much)?|good ?bye|bye(?: bye)?"
    r"|have a (?:nice|good|great|lovely) (?:day|one|evening|night|weekend|time)|take care"
    r"|(?:see|talk to) you (?:then|soon|later|tomorrow)"
    r"|(?:thats|that is|that was|that will be) (?:it|all)(?: (?:i|we) (?:need|needed|wanted|have)"
    r"(?: to (?:know|ask))?)?(?: for (?:now|today))?)"
)
_QUESTION_WORDS = words_of("what why who whom when where how which huh pardon sorry whose")
_NOT_ANSWERS = words_of("well oh so actually hello hey hi but and then wait stop listen")


def is_short_answer(text: str) -> bool:
    """Whether it can stand as the whole answer to a question: yes, a number, a name."""
    words = tokens(text)
    bare = [word.replace("'", "") for word in words]
    if not words or is_vocal_tic(text) or text.rstrip().endswith(("?", "？", "؟")):
        return False
    if _COMMA.search(text) or _TRAILING_OFF.search(text):
        return False
    said = " ".join(bare)
    contracted = _UNCONTRACTED.sub(lambda found: _CONTRACTIONS[found[0]], said).split()
    if HUMMED_YES.fullmatch(said) or any(consists_of(w, _ANSWERS) for w in (bare, contracted)):
        return True
    if ends_unfinished(text) is not None or words[0] in _QUESTION_WORDS:
        return False
    if len(words) <= 5 and all(_is_number(word) for word in words):
        return True
    return len(words) <= 2 and words[-1] not in _NOT_ANSWERS


def is_closing(text: str) -> bool:
    """Whether it ends as an English conversation does: thanks, a farewell, "that is all"."""
    return _CLOSING.fullmatch(normalise(text)) is not None


def _is_number(word: str) -> bool:
    return word in _NUMBER_WORDS or word in ("and", "past", "to", "am", "pm") or word.isdigit()


# Questions

_SENTENCES = re.compile(r"(?:[^.!?。！？؟]|[.](?=\S))+[.!?。！？؟]*")
_QUESTION_END = re.compile(r"[?？؟][\"'”’»)\]*_\s]*$")
_IMPERATIVE = re.compile(
    r"(?:(?:ok|okay|so|now|then|and|first|great|sure|thanks|thank you|alright|just|please|kindly"
    r"|go ahead and|feel free to|if (?:so|not|you can|you like)) )*"
    r"(?:tell me|let me know|give me|say|spell|repeat|read|describe|explain|confirm|choose|pick"
    r"|select|name|share|provide|state|enter|show me|remind me|walk me through|answer)\b"
)
_PLEASE = re.compile(
    r"(?:.* )?please (?:\w+ )?(?:tell|say|spell|give|repeat|confirm|provide|share)\b"
)
_FOREIGN_IMPERATIVE = re.compile(
    r"(?:por favor |s il vous plait |bitte |per favore )?"
    r"(?:digame|dime|cuenteme|dites moi|dis moi|sagen sie|nennen sie|erzahlen sie|mi dica|dimmi"
    r"|diga me|me diga)\b"
)


def _question(text: str) -> str | None:
    """The last sentence as bare words, if it asks."""
    sentences = [found[0] for found in _SENTENCES.finditer(text) if normalise(found[0])]
    if not sentences:
        return None
    words = normalise(sentences[-1])
    asks = (
        _QUESTION_END.search(text)
        or _IMPERATIVE.match(words)
        or _PLEASE.match(words)
        or _FOREIGN_IMPERATIVE.match(without_accents(words).replace("'", " "))
    )
    return words if asks else None


_AUXILIARY = (
    r"(?:is|are|was|were|am|do|does|did|have|has|had|can|could|will|would|shall|should|may|might"
    r"|isnt|arent|wasnt|dont|doesnt|didnt|havent|hasnt|cant|couldnt|wont|wouldnt|shouldnt)"
)
_LEADING = (
    r"(?:(?:ok|okay|so|and|now|then|but|great|thanks|well|alright|perfect|also|just|sorry) )*"
)
_POLITE = re.compile(
    rf"{_LEADING}(?:(?:can|could|would|will) you (?:\w+ )?(?:please )?(?:tell|describe|explain"
    r"|share|give|walk|say|repeat|provide|spell|confirm|read|enter|let)"
    r"|(?:can|could|may|might) i (?:please )?(?:have|get|ask|take|know)|would you mind)\b"
)
_EXPECTATIONS: tuple[tuple[re.Pattern[str], Expected], ...] = (
    (re.compile(r"\b(?:spell|spelled|spelling|letter by letter|e ?mail)\b"), Expected.SPELLING),
    (
        re.compile(
            r"\b(?:(?:phone|telephone|mobile|cell|account|card|order|reference|confirmation|booking"
            r"|policy|member|serial|tracking|ticket|invoice|case|customer|contact|callback|security"
            r"|social security|license|passport|room|flight|id) (?:number|code|id|digits)"
            r"|number (?:can|should|may) (?:i|we)|(?:zip|postal|post|area|access|pin|verification)"
            r" ?code|(?:your|the) (?:pin|number|code|passcode)|digits|date of birth|birth ?date"
            r"|birthday|born)\b"
        ),
        Expected.NUMBER,
    ),
    (
        re.compile(
            r"\b(?:(?:your|the|first|last|full|family|middle) name|who am i speaking|whos calling"
            r"|who is calling|call you|who is this|whos this|names?$)"
        ),
        Expected.NAME,
    ),
    (
        re.compile(
            r"\b(?:how (?:many|much|old|long|far|often|big|tall|large)|what (?:time|day|date|year"
            r"|month|age|size|amount|quantity)|when)\b"
        ),
        Expected.QUANTITY,
    ),
)
_STARTS_YES_NO = re.compile(rf"{_LEADING}{_AUXILIARY}\b")
_TAG = re.compile(
    r"(?:^|.* )(?:right|correct|ok|okay|yes|ready|sure|really|all good|sounds? good"
    r"|isnt it|arent you|dont you|anything else|is that so|does that work|still there|yes or no)"
)
_ALTERNATIVE = re.compile(r"\bor\b(?! (?:not|no|so|more|less)\b)")
_WHICH = re.compile(
    rf"{_LEADING}(?:which|what (?:kind|type|sort|color|colour) of)\b|.*\bwhich one\b"
)


def expects(text: str) -> Expected:
    """What kind of answer the agent's last words ask for."""
    words = _question(text)
    if words is None:
        return Expected.NONE
    is_polite = _POLITE.match(words) is not None
    is_yes_no = _STARTS_YES_NO.match(words) is not None and not is_polite
    if not is_yes_no and not words.endswith((" right", " correct")):
        for pattern, expected in _EXPECTATIONS:
            if pattern.search(words):
                return expected
    if re.search(r"\byes or no\b", words):
        return Expected.YES_NO
    if _ALTERNATIVE.search(words) or _WHICH.match(words):
        return Expected.CHOICE
    if is_yes_no or _TAG.fullmatch(words):
        return Expected.YES_NO
    return Expected.OPEN


_NUMBERS = {
    name: value
    for value, name in enumerate(
        [
            "two",
            "three",
            "four",
            "five",
            "six",
            "seven",
            "eight",
            "nine",
            "ten",
            "eleven",
            "twelve",
        ],
        start=2,
    )
}
_DIGITS_ASKED = re.compile(rf"\b({'|'.join(_NUMBERS)}|\d{{1,2}}) ?(?:digits?|figures?)\b")


def digits_asked(text: str) -> int | None:
    """How many digits the agent's last words ask for, as in "the last four digits". None: they do
    not say."""
    words = _question(text)
    found = _DIGITS_ASKED.search((words or "").replace("-", " "))
    if found is None:
        return None
    return _NUMBERS.get(found[1]) or int(found[1])


MOST_AFTER_QUESTION = 5
MOST_CHARACTERS_AFTER_QUESTION = 40
"""Words, and characters, after a question that leave it open: then the agent talks about something
else."""


def leaves_question_open(heard: str) -> bool:
    """Whether who has heard this much may answer: it ends in a question, or little behind one."""
    asked, mark, after = max(heard.rpartition(mark) for mark in ("?", "？", "؟"))
    is_close = len(after) <= MOST_CHARACTERS_AFTER_QUESTION
    return bool(mark and asked) and is_close and len(after.split()) <= MOST_AFTER_QUESTION


# Echo

_GAP = 0.34
"""What a word left out on either side costs an alignment, in matched words."""


def overlap_with(said: str, heard: str) -> float:
    """How much of `heard` is an echo of a passage of `said`: 0–1, the share of its words.

    The best local alignment (Smith–Waterman, 1981) of the two word sequences: words found here and
    there over a long text do not add up to an echo.
    """
    source, echo = normalise(said).split(), normalise(heard).split()
    if not source or not echo:
        return 0.0
    return _best_matches(source, echo) / len(echo)


def _best_matches(source: Sequence[str], echo: Iterable[str]) -> int:
    """Words matched by the best local alignment."""
    nothing = (0.0, 0)
    above = [nothing] * (len(source) + 1)
    best = nothing
    for heard in echo:
        row = [nothing]
        for column, said in enumerate(source, start=1):
            score, matches = above[column - 1]
            diagonal = (score + 1, matches + 1) if said == heard else (score - 2 * _GAP, matches)
            skipped = max(above[column], row[-1])
            cell = max(diagonal, (skipped[0] - _GAP, skipped[1]))
            row.append(cell if cell[0] > 0 else nothing)
        best = max(best, *row)
        above = row
    return best[1]
