"""Who has answered an outbound call: a person, a voicemail, a menu, a service that screens calls?

Judged from what they say, how long they speak, and the beep. Nothing is spoken before it is known.
A machine is told by words that no person says, or by several that people rarely do; a greeting that
ends in a question is a person's, however long. In doubt it is a person: a machine that is spoken to
costs a little, a person who is hung up on is lost.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

HUMAN_SPEECH_MS = 2_500
"""A greeting this short, followed by silence, is a person's."""
HUMAN_SILENCE_MS = 600
SCREENING_TONE_MS = 2_500
"""Silence after which the tone of a screening service is not expected any more."""
MACHINE_SPEECH_MS = 10_000
"""Nobody greets a caller for so long. A business's receptionist takes six seconds or seven."""
UNCERTAIN_SECONDS = 10.0
"""Without any speech for so long, whoever is there is spoken to."""

_FULL = re.compile(
    r"\b(?:mail ?box|inbox)\b.{0,30}\bfull\b|cannot accept (?:any )?(?:new )?messages"
)
_TONE = re.compile(
    r"\b(?:(?:after|at|following|wait for|hear) (?:the|a) (?:\w+ )?(?:tone|beep|signal)"
    r"|nach dem (?:\w+ )?(?:\w*ton|signal)|apr[eè]s le (?:bip|signal)|despu[eé]s (?:del|de la) "
    r"(?:tono|señal)|dopo il (?:segnale|bip)|ap[oó]s o (?:sinal|bip))"
)
_VOICEMAIL = re.compile(
    r"leave (?:a|your|me a|us a|me your|us your) (?:\w+ )?(?:message|name|number)"
    r"|voice ?(?:mail|message)"
    r"|(?:number|person|subscriber|customer|party) you(?:'ve| have| are|'re)?"
    r" (?:diall?ed|called|calling|(?:try|trying) to reach)"
    r"|record (?:your|a) message"
    r"|(?:can(?:'t| ?not)|could(?:n't| not)|(?:un|not )able to) (?:come|get) to (?:the|my) \w+"
    r"|(?:can(?:'t| ?not)|(?:un|not )able to) (?:take|answer) your call"
    r"|nachricht hinterlassen|hinterlassen sie|anrufbeantworter|mailbox"
    r"|laiss(?:ez|er) (?:\w+ )?(?:un |votre )?message|messagerie vocale|r[eé]pondeur"
    r"|dej[ea] (?:su|un|tu) mensaje|buz[oó]n de voz|contestador"
    r"|lasci(?:ate|are|a) un messaggio|segreteria telefonica"
    r"|deixe (?:a sua|sua|uma) mensagem|correio de voz|caixa postal"
)
_TAKES_MESSAGES = re.compile(r"\b(?:leave|message|voice ?mail|mailbox)\b")
_RARE = (
    re.compile(r"(?:not|n't|currently un|is un) ?available"),
    re.compile(r"you(?:'ve| have) reached"),
    re.compile(r"(?:get|call) (?:back to )?you(?: back)?\b|return your call"),
    re.compile(r"as soon as (?:i|we) can|at (?:your|my|our) (?:earliest )?convenience"),
    re.compile(r"(?:away from|out of) (?:my|the) (?:desk|office|phone)"),
    re.compile(r"(?:currently|now) closed"),
    re.compile(r"(?:office|business|opening) hours"),
)
"""What machines often say and people may: two of them make a machine."""
_MENU = re.compile(
    r"\b(?:press|dial|say)\b.{0,12}\b(?:one|two|three|four|zero|star|pound|hash|\d)\b"
    r"|main menu|following options|para español"
)
_ASKS = re.compile(
    r"\b(?:who(?:'s| is) (?:this|it|there|that|calling|speaking)|who am i (?:speaking|talking)"
    r"|(?:how|what) (?:can|may|could) (?:i|we) (?:help|do)|(?:can|may) i help"
    r"|what(?:'s| is) (?:this|it) (?:about|regarding)|what do you want|can i call you back"
    r"|(?:how|where) (?:can|may|shall) i direct)\b"
)
"""What only a person asks, whether a recogniser hears the question mark or not."""
_SCREENING = re.compile(
    r"\b(?:screening (?:service|this|your|calls)|screens? (?:my|his|her|their|all|your) calls?"
    r"|(?:this|the) person (?:you(?:'re| are) calling )?(?:is|are) using a screen"
    r"|see if (?:this person|the person|they|he|she|\w+)(?:'s| is| are) (?:available|there)"
    r"|(?:say|state|record|tell me|give|announce|speak) (?:me )?your (?:full )?name"
    r".{0,40}\b(?:reason|why|purpose|who you)"
    r"|(?:tell me|say|state) (?:who(?:'s| is) calling|who you are|why you(?:'re| are) calling)"
    r"|(?:say|state|record) your name (?:so|and i(?:'ll| will)|before|to be connected)"
    r"|(?:try|trying) to connect you|before i connect you)"
)
_WAIT = re.compile(
    r"\b(?:hold (?:on|the line|please)|please hold|stay on the line"
    r"|(?:one|a|just a) (?:moment|second|minute)|please wait|connecting"
    r"|try(?:ing)? to (?:connect|reach)|checking|thank(?:s| you))\b"
)


def announces_tone(text: str) -> bool:
    """Whether a greeting says that a tone will come."""
    return _TONE.search(text.casefold()) is not None


def asks_to_wait(text: str) -> bool:
    """Whether somebody, or a service, asks for a moment and no more."""
    folded = text.casefold()
    return _WAIT.search(folded) is not None and _ASKS.search(folded) is None and "?" not in folded


class Answerer(StrEnum):
    HUMAN = "human"
    VOICEMAIL = "voicemail"
    MENU = "ivr"
    MAILBOX_FULL = "mailbox_full"
    SCREENING = "screening"
    """A service that asks who calls and why, and then passes the call on or does not."""
    UNCERTAIN = "uncertain"

    @property
    def is_machine(self) -> bool:
        return self in (Answerer.VOICEMAIL, Answerer.MENU, Answerer.MAILBOX_FULL)


@dataclass(frozen=True, slots=True)
class AnswerEvidence:
    speech_ms: int
    """Speech since the call was answered, pauses left out."""
    silence_ms: int
    """Since the last of it."""
    text: str
    """What was understood so far."""
    is_text_current: bool
    beeped: bool
    waited_seconds: float
    """Since the call was answered."""


@dataclass(frozen=True, slots=True)
class AnswerVerdict:
    answerer: Answerer | None
    """None: not known yet."""
    reason: str


def judge(evidence: AnswerEvidence) -> AnswerVerdict:
    """Who it is, as far as the evidence goes."""
    machine = _machine(evidence)
    if machine is not None:
        return machine
    if evidence.speech_ms == 0:
        if evidence.waited_seconds >= UNCERTAIN_SECONDS:
            return AnswerVerdict(Answerer.UNCERTAIN, "no_speech")
        return AnswerVerdict(None, "no_speech_yet")
    if evidence.silence_ms >= HUMAN_SILENCE_MS and evidence.is_text_current:
        return _person(evidence)
    if evidence.speech_ms >= MACHINE_SPEECH_MS:
        return AnswerVerdict(Answerer.VOICEMAIL, "long_greeting")
    return AnswerVerdict(None, "speaking")


def _machine(evidence: AnswerEvidence) -> AnswerVerdict | None:
    """Told by its words, or the beep. Who asks something is listened to first."""
    text = evidence.text.casefold()
    if _FULL.search(text):
        return AnswerVerdict(Answerer.MAILBOX_FULL, "words")
    if _SCREENING.search(text) and not _TAKES_MESSAGES.search(text):
        if not _may_answer(evidence):
            return AnswerVerdict(None, "speaking")
        return AnswerVerdict(Answerer.SCREENING, "words")
    if evidence.beeped:
        return AnswerVerdict(Answerer.VOICEMAIL, "beep")
    if announces_tone(text) or (_VOICEMAIL.search(text) and not _asks(text)):
        return AnswerVerdict(Answerer.VOICEMAIL, "words")
    if _asks(text):
        return None
    if _MENU.search(text):
        return AnswerVerdict(Answerer.MENU, "words")
    if sum(pattern.search(text) is not None for pattern in _RARE) >= 2:
        return AnswerVerdict(Answerer.VOICEMAIL, "words")
    return None


def _may_answer(evidence: AnswerEvidence) -> bool:
    """Whether a screening service has said all and, where it announced one, given its tone."""
    has_tone = announces_tone(evidence.text) and not evidence.beeped
    needed_ms = SCREENING_TONE_MS if has_tone else HUMAN_SILENCE_MS
    return evidence.silence_ms >= needed_ms and evidence.is_text_current


def _person(evidence: AnswerEvidence) -> AnswerVerdict:
    if _asks(evidence.text.casefold()):
        return AnswerVerdict(Answerer.HUMAN, "question")
    if evidence.speech_ms <= HUMAN_SPEECH_MS:
        return AnswerVerdict(Answerer.HUMAN, "short_greeting")
    return AnswerVerdict(Answerer.UNCERTAIN, "medium_greeting")


def _asks(text: str) -> bool:
    """Whether it ends in a question to the caller."""
    return text.rstrip().endswith("?") or _ASKS.search(text) is not None
