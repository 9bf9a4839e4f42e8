"""Who has answered an outbound call: a person, a voicemail, a menu?

Judged from how long they speak, what they say, and the beep. Nothing is spoken before it is known.
The figures follow what is usual in the field: a person says a word or two and waits, a machine
goes on.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

HUMAN_SPEECH_MS = 2_500
"""A greeting this short, followed by silence, is a person's."""
HUMAN_SILENCE_MS = 600
MACHINE_SPEECH_MS = 4_500
"""Nobody greets a caller for so long."""
UNCERTAIN_SECONDS = 10.0
"""Without any speech for so long, whoever is there is spoken to."""

_FULL = re.compile(
    r"\b(?:mail ?box|inbox)\b.{0,30}\bfull\b|cannot accept (?:any )?(?:new )?messages"
)
_VOICEMAIL = re.compile(
    r"leave (?:a|your|me a|us a) (?:brief |short |detailed )?(?:message|name)"
    r"|(?:after|at) the (?:tone|beep)|voice ?mail|(?:not|n't) available|(?:un|not )able to (?:take|"
    r"answer|come)|can(?:'t| ?not) (?:take|come|answer|get)|record your message"
    r"|you(?:'ve| have) reached|(?:get|call) (?:back to )?you(?: back)? as soon"
)
_MENU = re.compile(
    r"\b(?:press|dial|say)\b.{0,12}\b(?:one|two|three|four|zero|star|pound|hash|\d)\b"
    r"|main menu|following options|para español|calls? (?:may|will) be (?:recorded|monitored)"
)


class Answerer(StrEnum):
    HUMAN = "human"
    VOICEMAIL = "voicemail"
    MENU = "ivr"
    MAILBOX_FULL = "mailbox_full"
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
    text = evidence.text.casefold()
    if _FULL.search(text):
        return AnswerVerdict(Answerer.MAILBOX_FULL, "words")
    if evidence.beeped:
        return AnswerVerdict(Answerer.VOICEMAIL, "beep")
    if _VOICEMAIL.search(text):
        return AnswerVerdict(Answerer.VOICEMAIL, "words")
    if _MENU.search(text):
        return AnswerVerdict(Answerer.MENU, "words")
    if evidence.speech_ms >= MACHINE_SPEECH_MS:
        return AnswerVerdict(Answerer.VOICEMAIL, "long_greeting")
    if evidence.speech_ms == 0:
        if evidence.waited_seconds >= UNCERTAIN_SECONDS:
            return AnswerVerdict(Answerer.UNCERTAIN, "no_speech")
        return AnswerVerdict(None, "no_speech_yet")
    if evidence.silence_ms >= HUMAN_SILENCE_MS and evidence.is_text_current:
        if evidence.speech_ms <= HUMAN_SPEECH_MS:
            return AnswerVerdict(Answerer.HUMAN, "short_greeting")
        return AnswerVerdict(Answerer.UNCERTAIN, "medium_greeting")
    return AnswerVerdict(None, "speaking")
