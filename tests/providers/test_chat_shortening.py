"""What is given up of a prompt that is too long, and in which order."""

from nur_server.conversation.actions import ModelMessage, ToolCallMessage
from nur_server.conversation.events import Role
from nur_server.providers.chat_shortening import CUT, prompt_characters, shortened

LONG = "line of the report " * 800


def called(number: int, result: str) -> tuple[ModelMessage, ...]:
    call = ToolCallMessage(f"c{number}", "read", "{}")
    return (
        ModelMessage(Role.USER, f"Question {number}."),
        ModelMessage(Role.ASSISTANT, "", (call,)),
        ModelMessage(Role.TOOL, result, tool_call_id=f"c{number}"),
        ModelMessage(Role.ASSISTANT, f"Answer {number}."),
    )


SYSTEM = ModelMessage(Role.SYSTEM, "Be kind.")
NOTE = ModelMessage(Role.SYSTEM, "A note. " * 400)
LAST = ModelMessage(Role.USER, "And now?")


def test_old_results_go_first() -> None:
    prompt = (SYSTEM, NOTE, *called(1, LONG), LAST)
    kept = shortened(prompt, 8_000)
    assert prompt_characters(kept) <= 8_000
    (result,) = [m for m in kept if m.role is Role.TOOL]
    assert CUT in result.content and result.content.startswith("line of the report")
    assert [m for m in kept if m.role is not Role.TOOL] == [
        m for m in prompt if m.role is not Role.TOOL
    ]


def test_the_latest_result_keeps_what_there_is_room_for() -> None:
    prompt = (SYSTEM, *called(1, LONG)[:3])
    kept = shortened(prompt, 9_000)
    assert 8_500 < prompt_characters(kept) <= 9_100


def test_then_notes_then_turns() -> None:
    prompt = (SYSTEM, NOTE, *called(1, "x" * 300), *called(2, "y" * 300), LAST)
    notes_cut = shortened(prompt, 2_000)
    assert CUT in notes_cut[1].content
    assert len(notes_cut) == len(prompt)
    turns_cut = shortened(prompt, 900)
    talk = [m.content for m in turns_cut if m.role is not Role.SYSTEM]
    assert talk[0] == "Question 2." and talk[-1] == "And now?"
    assert turns_cut[0] == SYSTEM


def test_the_users_last_words_are_cut_only_at_the_end() -> None:
    prompt = (SYSTEM, *called(1, "x"), ModelMessage(Role.USER, LONG))
    kept = shortened(prompt, 5_000)
    assert [m.role for m in kept] == [Role.SYSTEM, Role.USER]
    assert prompt_characters(kept) <= 5_100


def test_a_prompt_that_fits_stays_as_it_is() -> None:
    prompt = (SYSTEM, NOTE, *called(1, LONG), LAST)
    assert shortened(prompt, 100_000) == prompt
    assert shortened((), 10) == ()
