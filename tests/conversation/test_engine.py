"""The conversation as a whole, in virtual time."""

from dataclasses import replace

import pytest

from nur_server.conversation.actions import SetDeadline, Speak
from nur_server.conversation.config import (
    ConversationConfig,
    ExecutionMode,
    SilencePolicy,
    ToolSpec,
)
from nur_server.conversation.engine import Conversation
from nur_server.conversation.events import (
    ClientDropped,
    ClientResumed,
    DigitPressed,
    EndedReason,
    EndRequested,
    MessageAdded,
    ReplyCancelled,
    ReplyRequested,
    Role,
    SessionOpened,
    Ticked,
    ToolAnswered,
)
from nur_server.conversation.notices import (
    AgentTranscript,
    AgentTranscriptDelta,
    ReplyDone,
    ReplyError,
    ReplyStarted,
    ReplyStatus,
    SessionEnded,
    ToolCallRequested,
    UserSpeechStarted,
    UserSpeechStopped,
    UserTranscript,
)
from nur_server.conversation.record import Speaker, ToolStatus
from nur_server.conversation.talker import MAX_TOOL_ROUNDS
from nur_server.turn_taking.settings import TurnDetection, VoiceFocus
from tests.conversation.stage import Call, Fail, Hang, Part, Say, Stage

CONFIG = ConversationConfig("ses_0123456789ab", system_prompt="You sell shoes.")
LONG = (
    "We have running shoes, walking shoes, hiking boots and a few pairs of sandals, "
    "all of them in stock and ready to be sent to you tomorrow morning."
)
ORDER = ToolSpec(
    "lookup_order",
    "Look up an order",
    {"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]},
)

HOURS = ToolSpec("hours", "Opening hours", {"type": "object", "properties": {}})


def says(*texts: str) -> "list[list[Part]]":
    return [[Say(text)] for text in texts]


def model_of(answers: "list[list[Part]]"):
    """A model that gives these answers in turn, then `All right.`"""
    left = list(answers)
    return lambda messages: left.pop(0) if left else [Say("All right.")]


def stage(
    config: ConversationConfig = CONFIG, answers: "list[list[Part]] | None" = None, **more
) -> Stage:
    return Stage(config=config, model=model_of(answers or []), **more).open()


def kinds(s: Stage) -> list[str]:
    return [type(n).__name__ for n in s.notices if not isinstance(n, AgentTranscriptDelta)]


def test_the_greeting_is_spoken_word_for_word_without_a_model() -> None:
    s = stage(replace(CONFIG, greeting="Hello! How can I help you today?")).run(4)
    s.assert_spoke("Hello! How can I help you today?")
    assert s.prompts == []
    assert kinds(s) == ["ReplyStarted", "AgentTranscript", "ReplyDone"]


def test_nothing_is_spoken_before_the_far_end_is_there() -> None:
    s = Stage(config=replace(CONFIG, greeting="Hello!"))
    s.say("anybody there", at=0.5)
    s.run(3)
    assert s.actions == []


def test_a_turn_is_answered() -> None:
    s = stage(answers=says("Yes, we do."))
    s.say("Do you sell boots?", at=0.5)
    s.run(6)
    assert s.user_said == ["Do you sell boots?"]
    assert s.agent_said == ["Yes, we do."]
    order = [k for k in kinds(s) if k != "UserTranscript"]
    assert order == [
        "UserSpeechStarted",
        "UserSpeechStopped",
        "ReplyStarted",
        "AgentTranscript",
        "ReplyDone",
    ]
    assert s.notices_of(UserTranscript)[-1].is_final
    stopped = s.notices_of(UserSpeechStopped)[0]
    assert stopped.reason and stopped.evidence["silence_ms"] > 0


def test_the_answer_comes_soon_after_a_finished_turn() -> None:
    s = stage(answers=says("Yes, we do."))
    speech = s.say("Do you sell boots?", at=0.5)
    s.run(6)
    assert s.frames[0][0] - speech.end < 0.6
    turn = next(t for t in s.turns.values() if t.speaker is Speaker.AGENT)
    assert turn.latency_ms is not None and 200 < turn.latency_ms < 600


def test_the_prompt_holds_the_system_prompt_and_what_was_said() -> None:
    s = stage(answers=says("Yes, we do.", "Blue ones too."))
    s.say("Do you sell boots?", at=0.5)
    s.say("And blue ones?", at=5)
    s.run(10)
    roles = [(m.role, m.content) for m in s.prompts[-1]]
    assert roles == [
        (Role.SYSTEM, "You sell shoes."),
        (Role.USER, "Do you sell boots?"),
        (Role.ASSISTANT, "Yes, we do."),
        (Role.USER, "And blue ones?"),
    ]


def test_a_pause_in_the_middle_of_a_thought_does_not_end_the_turn() -> None:
    s = stage(answers=says("Sure."), turn_probability=lambda text: 0.3)
    s.say("I would like to order the", at=0.5)
    s.say("red shoes in size nine.", at=2.9)
    s.run(9)
    assert s.user_said == ["I would like to order the red shoes in size nine."]
    assert s.agent_said == ["Sure."]


def test_a_reply_made_too_early_is_thrown_away_unheard() -> None:
    detection = TurnDetection(min_silence_ms=900)
    s = stage(replace(CONFIG, turn_detection=detection, has_turn_model=True))
    first = s.say("I want to buy shoes.", at=0.5)
    s.say("Two pairs please.", at=first.end + 0.6)
    s.run(8)
    assert s.user_said == ["I want to buy shoes. Two pairs please."]
    assert s.agent_said == ["All right."]
    assert len(s.prompts) > 1, "expected a reply to have been started early"


def test_an_interruption_cuts_the_transcript_to_what_was_heard() -> None:
    s = stage(answers=says(LONG, "Fine."))
    s.say("What do you have?", at=0.5)
    s.run(4)
    assert s.is_agent_audible
    s.say("Stop, I only want sandals please.", at=4.0)
    s.run(8)
    cut = s.assert_interrupted()
    assert LONG.startswith(cut.text) and 0 < len(cut.text) < len(LONG) - 20
    assert f"{cut.text} {cut.unheard}" == LONG
    heard = "".join(n.delta for n in s.notices_of(AgentTranscriptDelta) if n.item_id == cut.item_id)
    assert heard.strip() == cut.text
    told = next(n for n in s.notices_of(AgentTranscript) if n.interrupted)
    assert told.text == cut.text
    assistant = [m.content for m in s.prompts[-1] if m.role is Role.ASSISTANT]
    assert assistant == [cut.text]
    assert "cut you off" in s.prompts[-1][-1].content
    assert s.user_said[-1] == "Stop, I only want sandals please."
    assert s.agent_said[-1] == "Fine."


def test_the_agent_is_silent_soon_after_an_interruption() -> None:
    s = stage(answers=says(LONG))
    s.say("What do you have?", at=0.5)
    s.run(4)
    speech = s.say("Wait wait, I have a question about something else entirely.", at=4.0)
    s.run(6)
    old = s.frames[0][1]
    last = max(at for at, response in s.frames if response == old)
    assert last - speech.start < 0.9


def test_a_backchannel_does_not_stop_the_agent() -> None:
    s = stage(answers=says(LONG))
    s.say("What do you have?", at=0.5)
    s.run(4)
    s.say("Mm-hmm.", at=4.0, seconds=0.4)
    s.run(10)
    s.assert_not_interrupted()
    assert s.agent_said == [LONG]
    aside = s.turns[max(i for i, t in s.turns.items() if t.speaker is Speaker.USER)]
    assert (aside.text, aside.trigger) == ("Mm-hmm.", "backchannel")


def test_words_said_with_the_head_turned_away_do_not_stop_the_agent() -> None:
    s = stage(answers=says(LONG))
    s.say("What do you have?", at=0.5)
    s.run(4)
    s.say("How much longer do you need in there?", at=4.0, level_db=-23.0, treble_db=-44.0)
    s.run(10)
    s.assert_not_interrupted()
    aside = s.turns[max(i for i, t in s.turns.items() if t.speaker is Speaker.USER)]
    assert (aside.text, aside.trigger) == ("How much longer do you need in there?", "aside")


def test_somebody_further_away_is_not_answered() -> None:
    s = stage(answers=says("Boots.", "Yes."))
    s.say("What do you have?", at=0.5)
    s.run(4)
    s.say("Is it raining again?", level_db=-33.0, treble_db=-58.0)
    s.run(4)
    assert s.agent_said == ["Boots."]
    assert s.turns[2].trigger == "aside"
    s.say("Do you sell sandals?")
    s.run(4)
    assert s.agent_said == ["Boots.", "Yes."]
    told = s.prompts[-1][-1].content
    assert told == '[Somebody here said, not to you, "Is it raining again?".] Do you sell sandals?'


def test_everybody_in_the_room_is_answered_where_they_may_speak() -> None:
    far_field = replace(CONFIG, voice_focus=VoiceFocus.FAR_FIELD)
    s = stage(far_field, answers=says("Boots.", "Yes."))
    s.say("What do you have?", at=0.5)
    s.run(4)
    s.say("Do you sell sandals?", level_db=-33.0)
    s.run(4)
    assert s.agent_said == ["Boots.", "Yes."]


def test_one_shout_makes_no_stranger_of_the_user() -> None:
    s = stage()
    for level_db in (-20.0, -10.0, -20.0, -20.0):
        s.say("What do you have in size nine?", level_db=level_db)
        s.run(5)
    assert len(s.agent_said) == 4


def test_what_is_added_before_the_answer_is_heard_belongs_to_the_turn() -> None:
    s = stage(answers=[[Say("Of course.", delay=2.5)]])
    s.say("I would like to order boots.", at=0.5)
    s.say("It's for my mother.", at=3.6)
    s.run(10)
    assert "It's for my mother." in s.prompts[-1][-1].content


def test_a_doubtful_word_after_a_statement_is_a_noise_and_after_a_question_an_answer() -> None:
    for said, heard, is_answered in (
        ("We have boots.", "Then.", False),
        ("We have boots.", "Returns.", True),
        ("We have boots.", "Hello?", True),
        ("Which size?", "Then.", True),
    ):
        s = stage(answers=says(said, "Fine."), confidence=0.6)
        s.say("What do you have today?", at=0.5, seconds=1.6)
        s.run(5)
        s.say(heard, seconds=0.4)
        s.run(5)
        assert ("Fine." in s.agent_said) is is_answered


def test_keys_say_nothing_about_the_voice() -> None:
    s = stage(answers=says("One.", "Two.", "Three."))
    s.say("What do you have?", at=0.5)
    s.run(4)
    s.feed(DigitPressed(s.now, "5"))
    s.run(6)
    s.say("And sandals?")
    s.run(4)
    assert s.agent_said == ["One.", "Two.", "Three."]
    s.say("Is it raining again?", level_db=-33.0, treble_db=-58.0)
    s.run(4)
    assert s.turns[max(s.turns)].trigger == "aside"


def test_a_question_is_answered_while_the_agent_goes_on() -> None:
    asks = (
        "Shall I send them tomorrow? They would be with you by the end of the week at the latest."
    )
    s = stage(answers=says(asks, "Done."))
    s.say("I take the boots.", at=0.5)
    s.run(3.9)
    s.say("Yes.", seconds=0.4)
    s.run(6)
    assert s.agent_said[-1] == "Done."
    assert s.agent_said[0].startswith("Shall I send them tomorrow?")
    assert s.agent_said[0] != asks


def test_a_yes_long_after_a_question_is_a_listening_noise() -> None:
    asks = (
        "Shall I send them tomorrow? They would be with you by the end of the week at the latest."
    )
    s = stage(answers=says(asks))
    s.say("I take the boots.", at=0.5)
    s.run(6)
    s.say("Yes.", seconds=0.4)
    s.run(6)
    assert s.agent_said == [asks]


def test_a_noise_does_not_stop_the_agent() -> None:
    s = stage(answers=says(LONG))
    s.say("What do you have?", at=0.5)
    s.run(4)
    s.say("", at=4.0, seconds=1.2, is_noise=True)
    s.run(12)
    s.assert_not_interrupted()
    assert s.agent_said == [LONG]


def test_a_cough_before_the_answer_begins_does_not_swallow_it() -> None:
    s = stage(answers=[[Say("Yes, we do.", delay=1.5)]])
    s.say("Do you sell boots?", at=0.5)
    s.say("", at=2.6, seconds=0.3, is_noise=True)
    s.run(8)
    assert s.agent_said == ["Yes, we do."]


def test_a_user_who_goes_on_before_the_answer_begins_is_answered_once() -> None:
    s = stage(answers=[[Say("Boots, yes.", delay=2.0)], [Say("Brown boots, yes.")]])
    s.say("Do you sell boots?", at=0.5)
    s.say("I mean the brown ones.", at=3.0)
    s.run(9)
    assert s.agent_said == ["Brown boots, yes."]
    assert s.prompts[-1][-1].content == "Do you sell boots, I mean the brown ones."


def test_at_threshold_one_nothing_interrupts_and_what_was_said_is_answered_after() -> None:
    s = stage(replace(CONFIG, interruption_threshold=1.0), answers=says(LONG, "Sandals it is."))
    s.say("What do you have?", at=0.5)
    s.run(4)
    s.say("Stop, I only want sandals please.", at=4.0)
    s.run(14)
    s.assert_not_interrupted()
    assert s.agent_said == [LONG, "Sandals it is."]
    s.assert_heard("Stop, I only want sandals please.")


def test_at_threshold_zero_any_speech_interrupts() -> None:
    s = stage(replace(CONFIG, interruption_threshold=0.0), answers=says(LONG))
    s.say("What do you have?", at=0.5)
    s.run(4)
    speech = s.say("Mm-hmm.", at=4.0, seconds=0.4)
    s.run(3)
    cut = s.assert_interrupted()
    assert cut.interrupted_at_ms is not None
    assert cut.interrupted_at_ms - speech.start * 1000 < 150


def test_an_uninterruptible_greeting_plays_to_its_end() -> None:
    detection = TurnDetection(uninterruptible_turns=frozenset({"greeting"}))
    s = stage(replace(CONFIG, greeting=LONG, turn_detection=detection), answers=says("Sure."))
    s.say("Stop, I know that already.", at=1.0)
    s.run(14)
    assert s.agent_said == [LONG, "Sure."]


def test_a_tool_is_called_once_and_its_result_told_to_the_model() -> None:
    answers: list[list[Part]] = [
        [Say("Let me look."), Call("lookup_order", '{"id": "7"}')],
        [Say("It was sent.")],
    ]
    s = stage(replace(CONFIG, tools=(ORDER,)), answers, tools=lambda n, a: '{"status": "sent"}')
    s.say("Where is order seven?", at=0.5)
    s.run(8)
    assert s.tool_runs == [("lookup_order", {"id": "7"})]
    assert s.agent_said == ["Let me look.", "It was sent."]
    roles = [m.role for m in s.prompts[-1]]
    assert roles == [Role.SYSTEM, Role.USER, Role.ASSISTANT, Role.TOOL]
    assert s.prompts[-1][-1].content == '{"status": "sent"}'
    call = s.notices_of(ToolCallRequested)[0]
    [turn] = [t for t in s.turns.values() if t.tool_calls]
    assert turn.tool_calls[0].call_id == call.call_id
    assert turn.tool_calls[0].status is ToolStatus.SUCCEEDED
    records = s.tool_records[call.call_id]
    assert [r.status for r in records] == [ToolStatus.RUNNING, ToolStatus.SUCCEEDED]


def test_a_tool_with_wrong_arguments_never_runs_and_the_model_is_told() -> None:
    answers: list[list[Part]] = [[Call("lookup_order", '{"id": 7}')], [Say("Which order?")]]
    s = stage(replace(CONFIG, tools=(ORDER,)), answers)
    s.say("Where is my order?", at=0.5)
    s.run(6)
    assert s.tool_runs == []
    assert "not of type 'string'" in s.prompts[-1][-1].content
    assert s.agent_said[-1] == "Which order?"


def test_an_unknown_tool_is_refused() -> None:
    s = stage(answers=[[Call("fly")], [Say("I can't fly.")]])
    s.say("Fly to the moon.", at=0.5)
    s.run(6)
    assert "no tool called 'fly'" in s.prompts[-1][-1].content


def test_the_same_call_twice_in_one_answer_runs_once() -> None:
    same = Call("lookup_order", '{"id": "7"}')
    s = stage(replace(CONFIG, tools=(ORDER,)), [[same, same], [Say("Sent.")]])
    s.say("Where is order seven?", at=0.5)
    s.run(6)
    assert len(s.tool_runs) == 1
    assert [m.role for m in s.prompts[-1]].count(Role.TOOL) == 2


def test_a_tool_that_never_answers_times_out_and_the_agent_says_so() -> None:
    tool = replace(ORDER, timeout_seconds=6)
    answers: list[list[Part]] = [[Call("lookup_order", '{"id": "7"}')], [Say("It took too long.")]]
    s = stage(replace(CONFIG, tools=(tool,)), answers, tools=lambda n, a: None)
    s.say("Where is order seven?", at=0.5)
    s.run(14)
    assert s.agent_said[1:] == ["One moment, please.", "It took too long."]
    [turn] = [t for t in s.turns.values() if t.tool_calls]
    assert turn.tool_calls[0].status is ToolStatus.TIMED_OUT


def test_a_user_who_talks_while_a_tool_runs_is_answered() -> None:
    answers: list[list[Part]] = [
        [Call("lookup_order", '{"id": "7"}')],
        [Say("We are open until six.")],
        [Say("Order seven was sent.")],
    ]
    s = stage(replace(CONFIG, tools=(ORDER,), tool_filler=None), answers, tool_seconds=7.0)
    s.say("Where is order seven?", at=0.5)
    s.say("How long are you open?", at=3.0)
    s.run(16)
    assert s.agent_said[1:] == ["We are open until six.", "Order seven was sent."]
    pending = next(m for m in s.prompts[1] if m.role is Role.TOOL)
    assert "still running" in pending.content
    assert len(s.tool_runs) == 1


def test_a_fast_tool_is_told_of_while_a_slow_one_of_another_answer_runs() -> None:
    answers: list[list[Part]] = [
        [Call("lookup_order", '{"id": "7"}')],
        [Call("hours")],
        [Say("Until six.")],
        [Say("Order seven was sent.")],
    ]
    config = replace(CONFIG, tools=(ORDER, HOURS), tool_filler=None, eager_replies=False)
    s = stage(config, answers, tools=lambda name, arguments: None)
    s.say("Where is order seven?", at=0.5)
    s.run(2.5)
    s.say("And when do you close today?", after=0.5)
    s.run_until(lambda: len(s.notices_of(ToolCallRequested)) == 2)
    slow, fast = (call.call_id for call in s.notices_of(ToolCallRequested))
    s.feed(ToolAnswered(s.now, fast, '"18:00"'))
    s.run(4)
    assert s.agent_said[-1] == "Until six."
    s.feed(ToolAnswered(s.now, slow, '"sent"'))
    s.run(4)
    assert s.agent_said[-1] == "Order seven was sent."


def test_a_tool_that_runs_is_not_run_again_by_an_impatient_model() -> None:
    call = Call("lookup_order", '{"id": "7"}')
    answers: list[list[Part]] = [[call], [call], [Say("I am still looking.")], [Say("Sent.")]]
    s = stage(replace(CONFIG, tools=(ORDER,), tool_filler=None), answers, tool_seconds=9)
    s.say("Where is order seven?", at=0.5)
    s.say("Please hurry up a little.", at=3)
    s.run(16)
    assert len(s.tool_runs) == 1
    assert [text for text in s.agent_said if text] == ["I am still looking.", "Sent."]


def test_the_filler_waits_for_the_end_of_speech_and_is_said_once_for_all_tools() -> None:
    calls: list[Part] = [Say(LONG), Call("lookup_order", '{"id": "7"}'), Call("hours")]
    s = stage(replace(CONFIG, tools=(ORDER, HOURS)), [calls, [Say("Sent.")]], tool_seconds=25)
    s.say("Where is order seven?", at=0.5)
    s.run(35)
    assert s.agent_said == [LONG, CONFIG.tool_filler, "Sent."]
    first, filler, _ = [t for t in s.turns.values() if t.speaker is Speaker.AGENT]
    assert filler.started_ms - first.ended_ms >= CONFIG.tool_filler_seconds * 1000


def test_a_user_who_waits_for_a_tool_is_not_called_silent() -> None:
    silence = SilencePolicy(reprompt_seconds=4, end_seconds=10)
    config = replace(CONFIG, tools=(ORDER,), silence=silence, tool_filler=None)
    answers: list[list[Part]] = [[Call("lookup_order", '{"id": "7"}')], [Say("Sent.")]]
    s = stage(config, answers, tool_seconds=20)
    s.say("Where is order seven?", at=0.5)
    s.run(25)
    assert [text for text in s.agent_said if text] == ["Sent."]
    s.run(20)
    assert s.ended is EndedReason.SILENCE


def test_a_holding_tool_keeps_the_agent_silent_until_its_result() -> None:
    tool = replace(ORDER, execution_mode=ExecutionMode.HOLD)
    answers: list[list[Part]] = [
        [Call("lookup_order", '{"id": "7"}')],
        [Say("Sent, and until six.")],
    ]
    s = stage(replace(CONFIG, tools=(tool,)), answers, tool_seconds=6.0)
    s.say("Where is order seven?", at=0.5)
    s.say("How long are you open?", at=3.0)
    s.run(14)
    assert [text for text in s.agent_said if text] == ["Sent, and until six."]
    assert s.user_said == ["Where is order seven?", "How long are you open?"]


def test_an_interruption_while_a_tool_runs_leaves_one_call_with_one_result() -> None:
    answers: list[list[Part]] = [
        [Say(LONG), Call("lookup_order", '{"id": "7"}')],
        [Say("Order seven was sent.")],
    ]
    s = stage(replace(CONFIG, tools=(ORDER,)), answers, tool_seconds=2.0)
    s.say("Where is order seven?", at=0.5)
    s.run(3)
    s.say("Wait, please be quick about it.", at=3.0)
    s.run(12)
    assert len(s.tool_runs) == 1
    results = [m for m in s.prompts[-1] if m.role is Role.TOOL]
    assert [m.content for m in results] == ['"done"']
    s.assert_interrupted()


def test_a_model_that_fails_is_apologised_for_and_the_session_lives_on() -> None:
    s = stage(answers=[[Fail()], [Fail()], [Say("Here again.")]])
    s.say("Hello there, anybody?", at=0.5)
    s.run(7)
    assert s.agent_said == [CONFIG.apology]
    assert s.notices_of(ReplyError)[0].code == "provider_unreachable"
    [turn] = [t for t in s.turns.values() if t.speaker is Speaker.AGENT]
    assert turn.error_code == "provider_unreachable"
    s.say("Hello again, are you there?", after=1)
    s.run(7)
    assert s.agent_said[-1] == "Here again."


def test_a_model_that_dies_mid_sentence_keeps_the_whole_clauses_and_apologises() -> None:
    broken: list[Part] = [Say("We have boots in brown, in black and in gr", piece=100), Fail()]
    s = stage(answers=[broken, broken])
    s.say("Which boots do you have?", at=0.5)
    s.run(9)
    assert s.agent_said[0].startswith("We have boots in brown,")
    assert s.agent_said[0].endswith(CONFIG.apology)
    assert " gr" not in s.agent_said[0].removesuffix(CONFIG.apology)[-4:]


def test_a_model_that_hangs_is_given_up() -> None:
    s = stage(answers=[[Hang()]])
    s.say("Hello there, anybody?", at=0.5)
    s.run(40)
    assert any(isinstance(n, ReplyDone) and n.status is ReplyStatus.FAILED for n in s.notices)
    assert not s.is_agent_audible


def test_an_empty_answer_is_asked_for_once_more_then_apologised_for() -> None:
    s = stage(answers=[[Say("")], [Say("")]])
    s.say("Hello there, anybody?", at=0.5)
    s.run(7)
    assert len(s.prompts) == 2
    assert s.agent_said == [CONFIG.apology]


def test_an_answer_asked_for_again_is_cut_into_the_same_clauses() -> None:
    s = stage(answers=[[Say("")], [Say("That is No. 5 of all of them.")]])
    s.say("Hello there, anybody?", at=0.5)
    s.run(7)
    assert [speak.text for speak in s.of(Speak)] == ["That is number five of all of them."]


def test_an_endless_answer_is_cut() -> None:
    s = stage(answers=[[Say("More and more words. " * 1000, piece=2000)]], ms_per_character=2)
    s.say("Tell me everything.", at=0.5)
    s.run(60)
    [turn] = [t for t in s.turns.values() if t.speaker is Speaker.AGENT]
    assert turn.error_code == "reply_too_long"
    assert 5000 < len(turn.text) <= 6000


def test_a_synthesiser_that_fails_ends_the_reply_and_the_session_lives_on() -> None:
    s = stage(speech_fails=True)
    s.say("Hello there, anybody?", at=0.5)
    s.run(5)
    assert s.notices_of(ReplyDone)[0].status is ReplyStatus.FAILED
    assert s.ended is None


def test_a_recogniser_that_fails_is_apologised_for() -> None:
    s = stage(transcript_fails=True)
    s.say("Hello there, anybody?", at=0.5)
    s.run(8)
    assert s.agent_said == [CONFIG.apology]
    assert s.user_said == []


def test_the_session_ends_after_the_last_turn_was_answered() -> None:
    s = stage(replace(CONFIG, max_turns=1), answers=says("Goodbye then."))
    s.say("Do you sell boots?", at=0.5)
    s.run(8)
    assert s.ended is EndedReason.MAX_TURNS
    assert s.agent_said == ["Goodbye then."]
    assert s.notices_of(SessionEnded)[0].reason is EndedReason.MAX_TURNS


def test_interrupting_the_last_answer_gives_no_further_turn() -> None:
    s = stage(replace(CONFIG, max_turns=1), answers=says(LONG, "One more."))
    s.say("What do you have?", at=0.5)
    s.run(4)
    s.say("Stop please, I only want sandals.", at=4.0)
    s.run(8)
    s.assert_interrupted()
    assert s.user_said == ["What do you have?", "Stop please, I only want sandals."]
    assert "One more." not in s.agent_said
    assert s.ended is EndedReason.MAX_TURNS


def test_words_that_are_still_awaited_are_not_lost_when_the_last_turn_is_used_up() -> None:
    s = stage(replace(CONFIG, max_turns=1), transcript_delay=2.5)
    s.say("Do you sell boots?", at=0.5)
    s.say("And do you sell hats too?", at=3.5)
    s.say("What about sandals?", at=7.0)
    s.run(30)
    opened, closed = (len(s.notices_of(k)) for k in (UserSpeechStarted, UserSpeechStopped))
    assert opened == closed
    assert s.ended is EndedReason.MAX_TURNS
    assert s.notices.index(s.notices_of(SessionEnded)[0]) == len(s.notices) - 1


def test_silence_is_asked_about_and_then_ends_the_session() -> None:
    silence = SilencePolicy(reprompt_seconds=4, max_reprompts=2, end_seconds=10)
    s = stage(replace(CONFIG, silence=silence, greeting="Hello!")).run(40)
    assert s.agent_said == ["Hello!", "Are you still there?", "Are you still there?"]
    assert s.ended is EndedReason.SILENCE


def test_the_longest_duration_ends_with_a_goodbye() -> None:
    s = stage(replace(CONFIG, max_duration_seconds=5), answers=says(LONG)).run(0)
    s.say("What do you have?", at=1.0)
    s.run(14)
    assert s.agent_said[-1] == CONFIG.goodbye
    assert s.ended is EndedReason.MAX_DURATION
    last_frame = s.frames[-1][0]
    hung_up = next(at for at, a in s.actions if type(a).__name__ == "HangUp")
    assert hung_up >= last_frame


def test_a_timer_is_due_to_the_millisecond() -> None:
    conversation = Conversation(replace(CONFIG, max_duration_seconds=4))
    conversation.receive(SessionOpened(15.81))
    assert 15.81 + 4 > 19.81
    actions = conversation.receive(Ticked(19.81))
    assert any(isinstance(action, Speak) for action in actions)


def test_a_wake_up_that_comes_early_is_asked_for_again() -> None:
    conversation = Conversation(replace(CONFIG, max_duration_seconds=4))
    assert SetDeadline(4.0) in conversation.receive(SessionOpened(0.0))
    assert conversation.receive(Ticked(3.999)) == [SetDeadline(4.0)]
    assert any(isinstance(action, Speak) for action in conversation.receive(Ticked(4.0)))


def test_without_a_goodbye_the_longest_duration_ends_in_silence() -> None:
    s = stage(replace(CONFIG, max_duration_seconds=5, goodbye="")).run(8)
    assert s.ended is EndedReason.MAX_DURATION
    assert s.notices_of(ReplyStarted) == []


def test_the_end_keeps_what_was_heard_and_said_so_far() -> None:
    s = stage(answers=says(LONG))
    s.say("What do you have?", at=0.5)
    s.run(4)
    s.feed(EndRequested(s.now, EndedReason.CLIENT_ENDED))
    assert s.ended is EndedReason.CLIENT_ENDED
    assert 0 < len(s.agent_said[0]) < len(LONG)
    before = len(s.actions)
    s.run(3)
    assert len(s.actions) == before


def test_the_end_can_wait_for_the_last_word() -> None:
    s = stage(answers=says("That is all we have."))
    s.say("What do you have?", at=0.5)
    s.run_until(lambda: s.is_agent_audible)
    s.feed(EndRequested(s.now, EndedReason.AGENT_ENDED, finish_speaking=True))
    assert s.ended is None
    s.run(4)
    assert s.ended is EndedReason.AGENT_ENDED
    assert s.agent_said == ["That is all we have."]


def test_a_dropped_client_hears_the_rest_after_it_came_back() -> None:
    s = stage(answers=says(LONG))
    s.say("What do you have?", at=0.5)
    s.run(4)
    s.feed(ClientDropped(s.now))
    s.run(10)
    assert not s.is_agent_audible
    s.feed(ClientResumed(s.now))
    s.run(12)
    assert s.agent_said == [LONG]


def test_a_reply_can_be_asked_for_with_instructions() -> None:
    s = stage(replace(CONFIG, greeting=LONG), answers=says("Welcome back, Ada."))
    s.run(1)
    s.feed(ReplyRequested(s.now, "Greet Ada."))
    s.run(5)
    assert s.agent_said[-1] == "Welcome back, Ada."
    assert s.prompts[0][0].content == "You sell shoes.\n\nGreet Ada."
    assert s.notices_of(ReplyDone)[0].status is ReplyStatus.CANCELLED


def test_a_reply_asked_for_while_the_user_speaks_is_the_answer_to_them() -> None:
    s = stage(replace(CONFIG, eager_replies=False), says("Ciao.", "Twice."))
    s.say("What do you have in your shop today?", at=0.5)
    s.run(1.2)
    s.feed(ReplyRequested(s.now, "Answer in Italian."))
    s.run(8)
    assert s.agent_said == ["Ciao."]
    assert s.prompts[0][0].content.endswith("Answer in Italian.")
    assert s.prompts[0][-1].content == "What do you have in your shop today?"


@pytest.mark.parametrize("at", [0.7, 1.7, 2.5])
def test_a_reply_asked_for_while_the_user_speaks_is_made_once(at: float) -> None:
    s = stage()
    s.say("What do you have in your shop today?", at=0.5)
    s.run(at)
    s.feed(ReplyRequested(s.now))
    s.run(8)
    assert s.agent_said == ["All right."]


def test_a_reply_can_be_cancelled() -> None:
    s = stage(answers=says(LONG))
    s.say("What do you have?", at=0.5)
    s.run(4)
    reply = s.notices_of(ReplyStarted)[0]
    s.feed(ReplyCancelled(s.now, reply.reply_id))
    s.run(2)
    assert s.notices_of(ReplyDone)[-1].status is ReplyStatus.CANCELLED
    assert not s.is_agent_audible


def test_added_context_reaches_the_model_and_triggers_nothing() -> None:
    s = stage()
    s.feed(MessageAdded(s.now, Role.SYSTEM, "The caller is called Ada."))
    s.run(3)
    assert s.prompts == []
    s.say("Do you know my name?", after=0.2)
    s.run(5)
    assert "The caller is called Ada." in s.prompts[-1][1].content


def test_a_client_that_stops_sending_audio_ends_its_turn_by_the_clock() -> None:
    s = stage(answers=says("Yes, we do."))
    speech = s.say("Do you sell boots?", at=0.5)
    s.run(speech.end - s.now)
    s.is_sending_audio = False
    s.run(6)
    assert s.agent_said == ["Yes, we do."]


def test_text_only_replies_need_no_audio() -> None:
    s = stage(replace(CONFIG, speaks=False), answers=says("Yes, we do."))
    s.feed(MessageAdded(s.now, Role.USER, "Do you sell boots?"))
    s.feed(ReplyRequested(s.now))
    s.run(2)
    assert s.agent_said == ["Yes, we do."]
    assert s.frames == []


def test_only_the_last_turns_are_given_to_the_model() -> None:
    s = stage(replace(CONFIG, context_window=2))
    for number in range(4):
        s.say(f"This is question {number}?", at=0.5 + 4 * number)
    s.run(18)
    users = [m.content for m in s.prompts[-1] if m.role is Role.USER]
    assert users == ["This is question 2?", "This is question 3?"]


def test_speech_started_is_told_only_when_the_agent_yields() -> None:
    s = stage(answers=says(LONG))
    s.say("What do you have?", at=0.5)
    s.run(4)
    s.say("Yeah.", at=4.0, seconds=0.3)
    s.run(2)
    assert len(s.notices_of(UserSpeechStarted)) == 1


def test_the_same_events_give_the_same_actions() -> None:
    def run() -> Stage:
        s = stage(
            replace(CONFIG, tools=(ORDER,)), [[Say(LONG), Call("lookup_order", '{"id":"7"}')]]
        )
        s.say("What do you have?", at=0.5)
        s.say("Stop, I only want sandals please.", at=4.0)
        return s.run(12)

    assert run().actions == run().actions


def test_an_end_after_the_last_word_plays_on_what_was_held_for_the_user() -> None:
    s = stage(replace(CONFIG, greeting=LONG), transcript_delay=30.0)
    s.say("", at=1.0, seconds=3.0, is_noise=True)
    s.run(3.5)
    assert not s.is_agent_audible, "held: it may be an interruption"
    s.feed(EndRequested(s.now, EndedReason.EXPIRED, finish_speaking=True))
    s.run(20)
    assert s.ended is EndedReason.EXPIRED
    assert s.agent_said[-1].endswith("tomorrow morning.")


def test_a_turn_that_ends_when_the_client_is_gone_is_answered_when_it_is_back() -> None:
    s = stage(answers=says("Yes, we do."))
    s.say("Do you sell boots?", at=0.5)
    s.run(1.2)
    s.feed(ClientDropped(s.now))
    s.run(6)
    assert s.frames == []
    s.feed(ClientResumed(s.now))
    s.run(4)
    assert s.agent_said == ["Yes, we do."]


def test_the_client_learns_the_words_of_a_turn_that_was_cut_short() -> None:
    s = stage(answers=says("Yes, we do."))
    s.say("Do you sell boots and hats and", at=0.5)
    s.run(2.2)
    s.feed(EndRequested(s.now, EndedReason.EXPIRED))
    stopped = s.notices_of(UserSpeechStopped)
    assert [notice.reason for notice in stopped] == ["expired"]
    assert s.notices_of(UserTranscript)[-1].is_final
    assert s.user_said == [s.notices_of(UserTranscript)[-1].text]


@pytest.mark.parametrize("name", ["lookup_order", "no_such_tool"])
def test_a_model_that_never_stops_calling_tools_is_stopped(name: str) -> None:
    def model(messages: object) -> "list[Part]":
        return [Call(name, f'{{"id": "{len(s.prompts)}"}}')]

    s = Stage(config=replace(CONFIG, tools=(ORDER,)), model=model).open()
    s.say("Where is order seven?", at=0.5)
    s.run(40)
    assert len(s.prompts) == 1 + MAX_TOOL_ROUNDS
    assert s.agent_said[-1] == CONFIG.apology
    assert s.turns[max(s.turns)].error_code == "too_many_tool_calls"
    assert not s.conversation.is_agent_busy
