"""The prompt: what was said, as heard."""

from nur_server.conversation.events import Role
from nur_server.conversation.history import CUT_OFF, MAX_NOTES_CHARACTERS, STILL_RUNNING, History
from nur_server.conversation.record import ToolStatus
from nur_server.conversation.tools import ToolJournal


def lines(
    history: History, tools: ToolJournal | None = None, **more: object
) -> list[tuple[str, str]]:
    prompt = history.prompt("Be kind.", tools or ToolJournal(), **({"turns": 10} | more))  # type: ignore[arg-type]
    return [(message.role.value, message.content) for message in prompt]


def test_turns_follow_the_system_prompt() -> None:
    history = History()
    history.user_said("Hello.")
    history.agent_said("Hi.", was_cut=False, call_ids=())
    assert lines(history) == [("system", "Be kind."), ("user", "Hello."), ("assistant", "Hi.")]


def test_the_model_is_told_where_it_was_cut_off() -> None:
    history = History()
    history.user_said("What is there?")
    history.agent_said("We have", was_cut=True, call_ids=())
    history.user_said("Stop.")
    assert lines(history)[-2:] == [("assistant", "We have"), ("user", f"{CUT_OFF} Stop.")]


def test_user_messages_in_a_row_become_one() -> None:
    history = History()
    history.user_said("One.")
    history.user_said("Two.")
    assert lines(history)[1:] == [("user", "One.\nTwo.")]


def test_a_reply_nobody_heard_leaves_no_trace() -> None:
    history = History()
    history.user_said("One.")
    history.agent_said("", was_cut=True, call_ids=())
    history.user_said("Two.")
    assert lines(history)[1:] == [("user", "One.\nTwo.")]


def test_a_call_is_followed_by_its_result_even_while_it_runs() -> None:
    history, tools = History(), ToolJournal()
    call = tools.open("c1", "resp_1", "look", "{}", None, 0)
    history.user_said("Look.")
    history.agent_said("", was_cut=False, call_ids=("c1",))
    assert lines(history, tools)[-1] == ("tool", STILL_RUNNING)
    tools.close(call.record.call_id, ToolStatus.SUCCEEDED, '"seen"', 5)
    assert lines(history, tools)[-1] == ("tool", '"seen"')


def test_words_said_aside_come_with_the_next_turn_once() -> None:
    history = History()
    history.user_said_aside("mm-hm")
    history.user_said("And then?")
    history.user_said("More.")
    [(_, text)] = lines(history)[1:]
    assert text == '[While you spoke I said "mm-hm".] And then?\nMore.'


def test_only_the_last_turns_are_shown_and_calls_stay_whole() -> None:
    history, tools = History(), ToolJournal()
    for number in range(4):
        call = tools.open(f"c{number}", f"resp_{number}", "look", "{}", None, 0)
        tools.close(call.record.call_id, ToolStatus.SUCCEEDED, str(number), 5)
        history.user_said(f"Turn {number}.")
        history.agent_said("", was_cut=False, call_ids=(f"c{number}",))
    prompt = history.prompt("", tools, turns=2)
    assert [m.content for m in prompt if m.role is Role.USER] == ["Turn 2.", "Turn 3."]
    asked = [call.call_id for m in prompt for call in m.tool_calls]
    assert asked == [m.tool_call_id for m in prompt if m.role is Role.TOOL] == ["c2", "c3"]


def test_the_greeting_is_there_before_the_first_turn() -> None:
    history = History()
    history.agent_said("Welcome.", was_cut=False, call_ids=())
    history.user_said("Hello.")
    assert lines(history)[1:] == [("assistant", "Welcome."), ("user", "Hello.")]


def test_context_from_the_client_joins_the_system_prompt() -> None:
    history = History()
    history.note(Role.SYSTEM, "The caller is Ada.")
    history.note(Role.USER, "I am Ada.")
    assert lines(history, instructions="Be brief.") == [
        ("system", "Be kind.\n\nBe brief."),
        ("system", "The caller is Ada."),
        ("user", "I am Ada."),
    ]


def test_the_latest_notes_are_kept_within_a_bound() -> None:
    history = History()
    for number in range(40):
        history.note(Role.SYSTEM, f"Note {number}. " + "x" * 990)
    notes = [content for role, content in lines(history) if role == "system"][1:]
    assert sum(map(len, notes)) <= MAX_NOTES_CHARACTERS
    assert len(notes) >= 16
    assert notes[-1].startswith("Note 39.")
    history.note(Role.SYSTEM, "y" * 100_000)
    assert [len(content) for _, content in lines(history)][1:] == [MAX_NOTES_CHARACTERS]


def test_a_turn_that_is_not_certain_yet_can_be_shown() -> None:
    history = History()
    history.user_said_aside("yeah")
    assert lines(history, user_text="Go on.")[-1] == (
        "user",
        '[While you spoke I said "yeah".] Go on.',
    )
    assert lines(history)[1:] == []


def looked(history: History, tools: ToolJournal, *, answered_ms: int | None) -> None:
    """A turn in which the agent calls a tool at 0 ms."""
    tools.open("c1", "resp_1", "look", "{}", None, 0)
    history.user_said("Look.")
    history.agent_said("Let me look.", was_cut=False, call_ids=("c1",), began_ms=0)
    if answered_ms is not None:
        tools.close("c1", ToolStatus.SUCCEEDED, '"seen"', answered_ms)


def test_what_is_said_while_a_tool_runs_stands_in_front_of_its_result() -> None:
    for answered_ms in (None, 5_000, 3_001):
        history, tools = History(), ToolJournal()
        looked(history, tools, answered_ms=answered_ms)
        history.agent_said("One moment.", was_cut=False, call_ids=(), began_ms=3_000)
        roles = [role for role, _ in lines(history, tools)]
        assert roles == ["system", "user", "assistant", "tool"]
        assert lines(history, tools)[2] == ("assistant", "Let me look. One moment.")


def test_what_is_said_of_a_result_stands_behind_it() -> None:
    history, tools = History(), ToolJournal()
    looked(history, tools, answered_ms=2_000)
    history.agent_said("I saw it.", was_cut=False, call_ids=(), began_ms=2_000)
    assert lines(history, tools)[-2:] == [("tool", '"seen"'), ("assistant", "I saw it.")]


def test_one_tool_of_two_that_still_runs_is_enough() -> None:
    history, tools = History(), ToolJournal()
    for number, answered_ms in ((1, 1_000), (2, 5_000)):
        tools.open(f"c{number}", "resp_1", "look", str(number), None, 0)
        tools.close(f"c{number}", ToolStatus.SUCCEEDED, "seen", answered_ms)
    history.user_said("Look.")
    history.agent_said("", was_cut=False, call_ids=("c1", "c2"), began_ms=0)
    history.agent_said("One moment.", was_cut=False, call_ids=(), began_ms=3_000)
    roles = [role for role, _ in lines(history, tools)]
    assert roles == ["system", "user", "assistant", "tool", "tool"]
    assert lines(history, tools)[2] == ("assistant", "One moment.")


def test_an_answer_to_the_user_while_a_tool_runs_keeps_its_place() -> None:
    history, tools = History(), ToolJournal()
    looked(history, tools, answered_ms=9_000)
    history.user_said("And until when are you open?")
    history.agent_said("Until six.", was_cut=False, call_ids=(), began_ms=5_000)
    assert lines(history, tools)[-1] == ("assistant", "Until six.")
