"""A model's thinking is never spoken, whatever its family and however its text is cut."""

import pytest

from nur_server.providers.reasoning import THOUGHTS, ThoughtFilter


def assert_spoken(answer: str, spoken: str, *, begins_in_thought: bool = False) -> None:
    for size in range(1, len(answer) + 1):
        thoughts = ThoughtFilter(begins_in_thought=begins_in_thought)
        pieces = [answer[at : at + size] for at in range(0, len(answer), size)]
        assert "".join(map(thoughts.feed, pieces)) + thoughts.finish() == spoken, size


@pytest.mark.parametrize(
    ("answer", "spoken"),
    [
        ("plain", "plain"),
        ("<think>a</think>b", "b"),
        ("a <think>b</think> c", "a c"),
        ("<think>never closed", ""),
        ("</think>\n\nb", "b"),
        ("\n\n a", "a"),
        ("1 < 2 and <b>", "1 < 2 and <b>"),
        ("ends with <thin", "ends with <thin"),
        ("<think></think>", ""),
        ("<think>a</think>b<think>c</think>d", "bd"),
        ("<THINK>a</THINK>b", "b"),
        ("[THINK]a [x] b[/THINK]We open at 7.", "We open at 7."),
        ("[a] b [/c]", "[a] b [/c]"),
        ("<think>a</think><answer>b</answer>", "b"),
        ("<think>a</think>\n<response>b</response>", "b"),
        ("<|START_THINKING|>a<|END_THINKING|><|START_RESPONSE|>b<|END_RESPONSE|>", "b"),
        ("Here is my thought process:\na\n\nHere is my response:\n\nb", "b"),
        ("Well. Here is my response: no.", "Well. Here is my response: no."),
        ("<|channel>thought\na<channel|>b", "b"),
        ("<unused94>thought\na<unused95>b", "b"),
    ],
)
def test_thoughts_are_taken_out_wherever_the_text_is_cut(answer: str, spoken: str) -> None:
    assert_spoken(answer, spoken)


@pytest.mark.parametrize(("opening", "closing"), THOUGHTS)
def test_every_family_of_marks_is_known(opening: str, closing: str) -> None:
    assert_spoken(f"{opening}They want hours.{closing}\nAt seven.", "At seven.")
    assert_spoken(f"{opening}They want hours.", "")
    assert_spoken(f"{opening.title()}They want hours.{closing.title()}Seven.", "Seven.")


START, MESSAGE, END = "<|start|>assistant", "<|message|>", "<|end|>"


@pytest.mark.parametrize(
    ("answer", "spoken"),
    [
        (
            f"<|channel|>analysis{MESSAGE}Hm.{END}{START}<|channel|>final{MESSAGE}At seven.",
            "At seven.",
        ),
        (f"<|channel|>final{MESSAGE}At seven.<|return|>", "At seven."),
        (f"{START}<|channel|>analysis{MESSAGE}Hm.", ""),
        (
            f"<|channel|>analysis{MESSAGE}A.{END}{START}<|channel|>commentary to=functions.x "
            f"<|constrain|>json{MESSAGE}{{}}<|call|>{START}<|channel|>final{MESSAGE}B.",
            "B.",
        ),
        ("analysisThey want hours. We analyse.assistantfinalAt seven.", "At seven."),
        ("analysisThey want hours.", ""),
        ("analysis of the results is done.", "analysis of the results is done."),
        ("analysis", "analysis"),
        ("The assistantfinal word.", "The assistantfinal word."),
    ],
)
def test_channels_of_thought_are_silent(answer: str, spoken: str) -> None:
    assert_spoken(answer, spoken)


def test_a_thought_that_the_template_opened_is_known_by_its_end() -> None:
    assert_spoken("They want hours.</think>At seven.", "At seven.", begins_in_thought=True)
    assert_spoken("At seven.", "At seven.", begins_in_thought=True)
    assert_spoken("Yes. <think>x</think>No.", "Yes. No.", begins_in_thought=True)
    thoughts = ThoughtFilter()
    thoughts.feed("They want hours.</think>At seven.")
    assert thoughts.closed_unopened
