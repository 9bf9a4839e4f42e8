"""Decides whether the user, whose turn was taken for over, goes on with it.

People pause in the middle of a sentence, and no policy tells every such pause from an end. Who
goes on within a moment, over the first words of a reply, does not interrupt: the agent has cut in.
It is silent at once, takes its reply back, and what was said before and after the pause is one
turn.
"""

from nur_server.turn_taking import addressee
from nur_server.turn_taking.backchannels import is_backchannel, is_vocal_tic
from nur_server.turn_taking.interruption import (
    ECHO_SHARE,
    OVER_SILENCE_MS,
    OverlapEvidence,
    OverlapVerdict,
    Ruling,
)
from nur_server.turn_taking.stop_words import is_stop_command
from nur_server.turn_taking.voice import MOST_BY_LEVEL
from nur_server.turn_taking.words import normalise, overlap_with

RESUME_SECONDS = 2.0
"""From the end that was decided to the first sound of what may go on with the turn. People who
think go on within a second and a half, mostly; the rest is what hearing the agent and stopping
takes."""
RESUME_HEARD_MS = 1500
"""Most that may have been heard of the reply: with more of it the user answers what they hear."""
HOLD_MS = 192
"""Speech after which the agent is silent, before there are words: six windows of the detector. Who
is talked over in their own turn stops by themselves after some 0.3 s."""
FEW_WORDS = 2
"""Words that are a sentence going on, while they are still being spoken. One may be a listening
noise, misheard."""


def judge(evidence: OverlapEvidence) -> OverlapVerdict | None:
    """What to do. None: it is no continuation so far, and is judged as any overlap is."""
    # A gain control moves from turn to turn, not within the second of a pause: who is so much
    # further away is somebody else, or speaks to somebody else.
    if evidence.away >= MOST_BY_LEVEL:
        return None
    is_over = evidence.silence_ms >= OVER_SILENCE_MS and evidence.is_text_current
    text = normalise(evidence.text)
    if not text:
        is_loud = evidence.speech_ms >= HOLD_MS and not is_over
        return OverlapVerdict(Ruling.HOLD, "resuming") if is_loud else None
    if is_vocal_tic(text) or is_backchannel(text, evidence.language) or is_stop_command(text):
        return None
    words = text.split()
    if len(words) >= FEW_WORDS and overlap_with(evidence.agent_words, text) >= ECHO_SHARE:
        return None
    elsewhere = addressee.probability(evidence.text, text, evidence.language, away=0.0)
    if elsewhere >= addressee.SURELY_ELSEWHERE:
        return None
    if is_over or len(words) >= FEW_WORDS:
        return OverlapVerdict(Ruling.YIELD, "resumed")
    return OverlapVerdict(Ruling.HOLD, "resuming")
