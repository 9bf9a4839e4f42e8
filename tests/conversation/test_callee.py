"""Outbound calls: who has answered, and what they hear first."""

from dataclasses import replace

import pytest

from nur_server.conversation.answering_machine import Answerer, AnswerEvidence, judge
from nur_server.conversation.config import AnsweringPolicy, ConversationConfig, OnMachine
from nur_server.conversation.events import (
    BeepHeard,
    ClientDropped,
    ClientResumed,
    EndedReason,
    EndRequested,
    ReplyRequested,
)
from nur_server.conversation.notices import CallAnswered
from tests.conversation.stage import Part, Say, Stage

OPENING = (
    "Hello, this is Sam from the clinic, calling about your appointment on Tuesday at three. "
    "Does that still suit you?"
)
MESSAGE = "This is Sam from the clinic. Please call us back about your appointment."
CONFIG = ConversationConfig(
    "ses_0123456789ab", greeting=OPENING, hello_seconds=2.5, eager_replies=False
)
LEAVES = replace(CONFIG, answering=AnsweringPolicy(OnMachine.LEAVE_MESSAGE, MESSAGE))
HANGS_UP = replace(CONFIG, answering=AnsweringPolicy(OnMachine.HANG_UP))
SCREENS = "Hi. If you record your name and reason for calling, I will see if they are available."


def stage(config: ConversationConfig = CONFIG, *answers: list[Part]) -> Stage:
    left = list(answers)
    return Stage(config=config, model=lambda m: left.pop(0) if left else [Say("Fine.")]).open()


def answerers(s: Stage) -> list[str]:
    return [notice.answerer for notice in s.notices_of(CallAnswered)]


# The hello


@pytest.mark.parametrize("at", [0.1, 0.5, 1.5, 2.3])
@pytest.mark.parametrize("hello", ["Hello?", "Yes?", "Smith and Sons, good morning."])
def test_the_agent_waits_for_the_hello(at: float, hello: str) -> None:
    s = stage()
    said = s.say(hello, at=at)
    s.run(15)
    assert s.frames[0][0] > said.end
    assert s.frames[0][0] < said.end + 1.2
    assert s.agent_said == [OPENING]
    assert s.user_said == [hello]
    assert s.prompts == [] or "Fine." not in s.agent_said


@pytest.mark.parametrize("hello_seconds", [0.0, 1.0, 2.5])
def test_who_says_nothing_is_spoken_to_after_a_while(hello_seconds: float) -> None:
    s = stage(replace(CONFIG, hello_seconds=hello_seconds)).run(12)
    assert s.agent_said == [OPENING]
    assert hello_seconds <= s.frames[0][0] < hello_seconds + 0.3


def test_an_inbound_call_is_greeted_at_once() -> None:
    s = stage(replace(CONFIG, hello_seconds=None)).run(1)
    assert s.frames[0][0] < 0.3


def test_a_long_hello_is_listened_to_within_a_bound() -> None:
    s = stage()
    s.say("and then " * 60, at=0.2, seconds=40)
    s.run(12)
    assert 10.0 <= s.frames[0][0] < 11.0


@pytest.mark.parametrize(
    "callee",
    [
        [(0.5, "Hello?")],
        [(2.0, "Hello?")],
        [],
        [(0.5, "Hello?"), (3.0, "Who is this?")],
        [(0.5, "Hello?"), (2.6, "Hello? Hello?"), (6.0, "Sorry, who's calling?")],
        [(3.2, "Hello? Who is this?")],
        [(3.0, "Yes, speaking.")],
        [(0.5, "Hi."), (3.5, "Can you hear me?")],
        [(0.4, "Good morning, this is Ada."), (4.0, "Sorry, what?")],
        [(2.4, "Hello?"), (4.5, "Hello, is anybody there?")],
    ],
)
def test_the_appointment_reaches_whoever_picks_up(callee: list[tuple[float, str]]) -> None:
    s = stage()
    for at, text in callee:
        s.say(text, at=at)
    s.run(40)
    assert any("Tuesday at three" in said for said in s.agent_said), s.agent_said


def test_an_opening_cut_by_something_else_is_told_to_the_model() -> None:
    s = stage(CONFIG, [Say("I see. It is about Tuesday at three.")])
    s.say("Hello?", at=0.5)
    s.say("Stop, I am driving a car at the moment.", at=3.0)
    s.run(15)
    assert s.agent_said[-1] == "I see. It is about Tuesday at three."
    assert "Tuesday at three" in str(s.prompts[-1])


def test_an_opening_that_was_heard_is_not_said_again() -> None:
    s = stage(CONFIG, [Say("Good.")])
    s.say("Hello?", at=0.5)
    s.run(8)
    s.say("Yes.", after=0.5)
    s.run(8)
    assert s.agent_said == [OPENING, "Good."]


def test_the_opening_is_not_said_for_ever() -> None:
    s = stage()
    for number in range(12):
        s.say("Hello? Who is this?", at=0.5 + 4.0 * number)
    s.run(60)
    assert sum(said.startswith("Hello, this is") for said in s.agent_said) <= 3


# Who it is


def heard(text: str, speech_ms: int = 3000, silence_ms: int = 700) -> Answerer | None:
    return judge(AnswerEvidence(speech_ms, silence_ms, text, True, False, 4.0)).answerer


@pytest.mark.parametrize(
    "text",
    [
        "Hi, I'm not available right now. Who is this?",
        "I'm not available right now",
        "You've reached Smith Dental, how can I help you?",
        "Thank you for calling Smith and Sons, this call may be recorded, how may I direct your"
        " call",
        "Sorry I can't take this call right now who's this",
        "Hello, this is Tom, I can't talk right now, can I call you back?",
        "You've reached Bob's Garage",
        "Joe's pizza, what can I get you?",
    ],
)
def test_a_person_is_never_taken_for_a_machine(text: str) -> None:
    for silence_ms, speech_ms in ((0, 3000), (700, 3000), (700, 7000)):
        assert heard(text, speech_ms, silence_ms) in (None, Answerer.HUMAN, Answerer.UNCERTAIN)
    assert heard(text) is not None


@pytest.mark.parametrize(
    "text",
    [
        "You have reached Maria. I can't come to the phone right now.",
        "By this is Maria, I can't come to the cell right now.",
        "Hello, I cannot get to my phone.",
        "Please leave your name, number and reason for calling after the beep.",
        "You've reached Bob. I'm not available, I'll call you back as soon as I can.",
        "Your call has been forwarded to an automatic voice message system.",
        "The person you are calling is not available. Please try again later.",
        "Bitte hinterlassen Sie eine Nachricht nach dem Signalton.",
        "Deje su mensaje después del tono.",
    ],
)
def test_a_voicemail_is_one(text: str) -> None:
    assert heard(text) is Answerer.VOICEMAIL


@pytest.mark.parametrize(
    "text",
    [
        SCREENS,
        "The person you're calling is using a screening service from Google. Go ahead and say your"
        " name and why you're calling.",
        "Please tell me who's calling and why.",
        "Please state your name and the purpose of your call.",
        "Please say your name, and I will try to connect you.",
    ],
)
def test_a_phone_that_screens_its_calls_is_no_voicemail(text: str) -> None:
    assert heard(text) is Answerer.SCREENING
    assert heard(text, silence_ms=0) is None


@pytest.mark.parametrize("config", [HANGS_UP, LEAVES])
def test_screening_is_told_who_calls_and_the_callee_hears_it_again(
    config: ConversationConfig,
) -> None:
    s = stage(config)
    s.say(SCREENS, at=0.5)
    s.run(14)
    assert s.agent_said == [OPENING]
    s.say("Thank you. Please stay on the line.")
    s.run(8)
    assert s.agent_said == [OPENING], "the service is not talked to any more"
    s.say("Hello?")
    s.run(10)
    assert s.agent_said == [OPENING, OPENING]
    assert answerers(s) == ["screening", "human"]
    s.say("Yes, that suits me.")
    s.run(5)
    assert s.agent_said[-1] == "Fine."


def test_a_voicemail_behind_the_screening_is_one() -> None:
    s = stage(HANGS_UP)
    s.say(SCREENS, at=0.5)
    s.run(14)
    s.say("They are not available. Please leave a message after the tone.")
    s.run(10)
    assert s.ended is EndedReason.VOICEMAIL
    assert answerers(s) == ["screening", "voicemail"]


def test_without_an_opening_the_model_says_who_calls() -> None:
    s = stage(replace(HANGS_UP, greeting=None), [Say("Sam from the clinic, about Tuesday.")])
    s.say(SCREENS, at=0.5)
    s.run(12)
    assert s.agent_said == ["Sam from the clinic, about Tuesday."]
    assert "who calls and why" in str(s.prompts[-1])


def test_nobody_comes_behind_the_screening() -> None:
    s = stage(HANGS_UP)
    s.say(SCREENS, at=0.5)
    s.run(90)
    assert answerers(s) == ["screening", "uncertain"]


# The message


@pytest.mark.parametrize("pause", [0.5, 1.5, 3.5, 4.5])
def test_a_message_waits_for_the_tone_behind_a_pause_in_the_greeting(pause: float) -> None:
    s = stage(LEAVES)
    first = s.say("Hi, this is Maria. I can't come to the phone right now.", at=0.5)
    second = s.say("Please record your message after the tone.", at=first.end + pause)
    s.run(second.end + 0.5)
    assert s.frames == []
    s.feed(BeepHeard(s.now))
    s.run(12)
    assert s.agent_said == [MESSAGE]
    assert s.ended is EndedReason.VOICEMAIL


@pytest.mark.parametrize("late", [2.0, 4.0, 6.0])
def test_a_late_tone_is_waited_for(late: float) -> None:
    s = stage(LEAVES)
    greeting = s.say("You have reached Maria. Leave a message after the tone.", at=0.5)
    s.run(greeting.end + late)
    assert s.frames == []
    s.feed(BeepHeard(s.now))
    s.run(12)
    assert s.agent_said == [MESSAGE]


def test_without_a_tone_the_message_is_spoken_all_the_same() -> None:
    s = stage(LEAVES)
    s.say("You have reached Maria. Leave a message after the tone.", at=0.5)
    s.run(30)
    assert s.agent_said == [MESSAGE]
    assert s.ended is EndedReason.VOICEMAIL


@pytest.mark.parametrize("spoken", [0.5, 2.0])
def test_a_machine_that_speaks_on_gets_the_message_again_behind_its_tone(spoken: float) -> None:
    s = stage(LEAVES)
    greeting = s.say("You have reached Maria. I can't come to the phone.", at=0.5)
    s.run_until(lambda: bool(s.frames))
    assert s.frames[0][0] >= greeting.end + 5.0
    s.run(spoken)
    s.say("Please record your message after the tone, and then hang up.", seconds=4.0)
    s.run(4.5)
    before = len(s.frames)
    s.run(0.5)
    assert len(s.frames) == before, "it has stopped"
    s.feed(BeepHeard(s.now))
    s.run(12)
    assert s.agent_said[-1] == MESSAGE
    assert s.ended is EndedReason.VOICEMAIL


def test_a_tone_in_the_middle_of_the_message_begins_it_again() -> None:
    s = stage(LEAVES)
    s.say("You have reached Maria. I can't come to the phone.", at=0.5)
    s.run_until(lambda: bool(s.frames))
    s.run(2)
    s.feed(BeepHeard(s.now))
    s.run(12)
    assert s.agent_said[-1] == MESSAGE
    assert len(s.agent_said) == 2


def test_a_line_that_is_never_quiet_gets_the_message_all_the_same() -> None:
    s = stage(LEAVES)
    s.say("You have reached Maria. Leave a message after the tone.", at=0.5)
    s.run(5)
    s.feed(BeepHeard(s.now))
    s.say("", seconds=400, is_noise=True)
    s.run(220)
    assert s.agent_said[-1] == MESSAGE
    assert s.ended is EndedReason.VOICEMAIL


# The client's first audio

WAITS = ConversationConfig(
    "ses_0123456789ab", greeting="Good morning.", first_audio_seconds=0.4, eager_replies=False
)


def silent(config: ConversationConfig = WAITS) -> Stage:
    """A client that sends no audio."""
    s = Stage(config=config, model=lambda m: [Say("Fine.")])
    s.is_sending_audio = False
    return s.open()


@pytest.mark.parametrize("seconds", [0.1, 0.25, 0.38])
def test_the_greeting_waits_for_the_clients_first_audio(seconds: float) -> None:
    s = silent()
    s.run(seconds)
    assert s.frames == []
    s.is_sending_audio = True
    s.run(3)
    assert seconds < s.frames[0][0] < seconds + 0.1
    assert s.agent_said == ["Good morning."]


@pytest.mark.parametrize("config", [WAITS, replace(WAITS, first_audio_seconds=0.2)])
def test_a_client_that_sends_none_is_greeted_within_a_bound(config: ConversationConfig) -> None:
    s = silent(config).run(3)
    assert config.first_audio_seconds <= s.frames[0][0] < config.first_audio_seconds + 0.1
    assert s.agent_said == ["Good morning."]


def test_a_reply_that_is_asked_for_meanwhile_is_not_lost() -> None:
    s = silent().run(0.1)
    s.feed(ReplyRequested(s.now, None))
    s.run(3)
    assert s.agent_said[-1] == "Fine."


def test_an_end_after_the_last_word_waits_for_the_greeting() -> None:
    s = silent().run(0.1)
    s.feed(EndRequested(s.now, EndedReason.CLIENT_ENDED, finish_speaking=True))
    s.run(3)
    assert s.agent_said == ["Good morning."]
    assert s.ended is EndedReason.CLIENT_ENDED


def test_a_client_that_drops_meanwhile_is_greeted_when_it_is_back() -> None:
    s = silent().run(0.1)
    s.feed(ClientDropped(s.now))
    s.run(1)
    assert s.frames == []
    s.feed(ClientResumed(s.now))
    s.run(3)
    assert s.agent_said == ["Good morning."]


def test_a_greeting_that_is_written_waits_for_nothing() -> None:
    s = silent(replace(WAITS, speaks=False)).run(0.1)
    assert s.agent_said == ["Good morning."]
