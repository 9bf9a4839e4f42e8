"""The journal of tool calls."""

import json
from dataclasses import replace

import pytest

from nur_server.conversation.config import ExecutionMode, ToolSpec
from nur_server.conversation.history import CUT_OFF, STILL_RUNNING
from nur_server.conversation.record import ToolStatus
from nur_server.conversation.tools import (
    MAX_RESULT_CHARACTERS,
    RefusedCall,
    ToolJournal,
    check_arguments,
    failure_for_model,
)
from nur_server.providers.chat_prompt import GO_ON, OPENING
from nur_server.text.normalisation import TextNormaliser

TOOL = ToolSpec(
    "lookup",
    "Look up",
    {
        "type": "object",
        "properties": {
            "id": {"type": "string", "pattern": "[0-9]+"},
            "kind": {"enum": ["order", "return"]},
        },
        "required": ["id"],
    },
)


def test_arguments_that_fit_are_given_as_an_object() -> None:
    assert check_arguments(TOOL, "lookup", '{"id": "12"}') == {"id": "12"}


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ("{", "not valid JSON"),
        ("[]", "must be a JSON object"),
        ("[" * 100_000, "not valid JSON"),
        ('{"id": 123456789012345678901234567890}', "has too many digits"),
        ('{"id": 1e999}', "is not a finite number"),
        ('{"id": NaN}', "is not a finite number"),
        ('{"id": "\\ud83d"}', "not valid JSON"),
        ("{}", "'id' is a required property"),
        ('{"id": 12}', "is not of type 'string'"),
        ('{"id": "12a"}', "in full"),
        ('{"id": "12", "kind": "gift"}', "is not one of"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(arguments: str, complaint: str) -> None:
    with pytest.raises(RefusedCall, match=complaint):
        check_arguments(TOOL, "lookup", arguments)


def test_a_call_has_one_result_and_the_first_one_counts() -> None:
    journal = ToolJournal()
    journal.open("c1", "resp_1", "lookup", "{}", TOOL, 0)
    assert journal.close("c1", ToolStatus.SUCCEEDED, "one", 5) is not None
    assert journal.close("c1", ToolStatus.FAILED, "two", 6) is None
    assert journal.result("c1") == "one"
    assert journal.close("unknown", ToolStatus.FAILED, "", 6) is None


@pytest.mark.parametrize("wanted", ["c1", "", "a b", "x" * 65, 'c"1'])
def test_an_id_is_unique_and_harmless(wanted: str) -> None:
    journal = ToolJournal()
    journal.open("c1", "resp_1", "lookup", "{}", TOOL, 0)
    call = journal.open(wanted, "resp_2", "lookup", "{}", TOOL, 0)
    assert call.record.call_id not in ("c1", wanted)
    assert call.record.call_id.isascii() and " " not in call.record.call_id


def test_a_repeat_is_the_same_call_in_the_same_response_or_while_it_runs() -> None:
    journal = ToolJournal()
    journal.open("a", "resp_1", "lookup", '{"id": "1", "kind": "order"}', TOOL, 0)
    same = journal.open("b", "resp_1", "lookup", '{"kind":"order","id":"1"}', TOOL, 0)
    other = journal.open("c", "resp_1", "lookup", '{"id": "2"}', TOOL, 0)
    meanwhile = journal.open("d", "resp_2", "lookup", '{"id": "2"}', TOOL, 0)
    assert journal.is_repeat(same) and journal.is_repeat(meanwhile)
    assert not journal.is_repeat(other)
    for call_id in "abcd":
        journal.close(call_id, ToolStatus.SUCCEEDED, "Well.", 1)
    assert not journal.is_repeat(journal.open("e", "resp_3", "lookup", '{"id": "2"}', TOOL, 2))


def test_results_are_ready_once_all_of_their_response_are() -> None:
    journal = ToolJournal()
    for call_id, response_id in (("a", "resp_1"), ("b", "resp_1"), ("c", "resp_2")):
        journal.open(call_id, response_id, "lookup", "{}", TOOL, 0)
    journal.close("a", ToolStatus.SUCCEEDED, "Well.", 1)
    assert journal.ready() == []
    journal.close("c", ToolStatus.SUCCEEDED, "Well.", 2)
    assert [call.record.call_id for call in journal.ready()] == ["c"]
    journal.close("b", ToolStatus.TIMED_OUT, "Late.", 3)
    assert [call.record.call_id for call in journal.ready()] == ["a", "b", "c"]


@pytest.mark.parametrize("reference", ["#/nowhere", "#/properties/id", "#/properties/id/minimum"])
def test_a_schema_that_leads_nowhere_refuses_the_call(reference: str) -> None:
    schema = {"type": "object", "properties": {"id": {"$ref": reference, "minimum": 1}}}
    with pytest.raises(RefusedCall, match="cannot be applied"):
        check_arguments(replace(TOOL, parameters=schema), "lookup", '{"id": 1}')


def test_a_tool_can_advise_the_model() -> None:
    journal = ToolJournal()
    tool = replace(TOOL, success_instructions="Be glad.", error_instructions="Be sorry.")
    for call_id, status in (("a", ToolStatus.SUCCEEDED), ("b", ToolStatus.TIMED_OUT)):
        journal.open(call_id, "resp_1", "lookup", call_id, tool, 0)
        journal.close(call_id, status, "Well.", 1)
    assert journal.result("a") == "Well.\n\nBe glad."
    assert json.loads(journal.result("b") or "") == {
        "ok": False,
        "error": "Well.",
        "instructions": "Be sorry.",
    }


def test_a_huge_result_is_cut() -> None:
    journal = ToolJournal()
    journal.open("a", "resp_1", "lookup", "{}", TOOL, 0)
    journal.close("a", ToolStatus.SUCCEEDED, "x" * 10 * MAX_RESULT_CHARACTERS, 1)
    assert len(journal.result("a") or "") < MAX_RESULT_CHARACTERS + 100


def test_only_a_holding_tool_keeps_the_agent_silent() -> None:
    journal = ToolJournal()
    holding = replace(TOOL, execution_mode=ExecutionMode.HOLD)
    assert not journal.open("a", "resp_1", "lookup", "{}", TOOL, 0).holds
    call = journal.open("b", "resp_1", "lookup", "{}", holding, 0)
    assert call.holds
    journal.close("b", ToolStatus.SUCCEEDED, "", 1)
    assert not call.holds


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("LookupError: there is no order 9999.", "there is no order 9999."),
        ("requests.exceptions.ReadTimeout: timed out", "timed out"),
        ("KeyError", "The tool failed."),
        (
            'Traceback (most recent call last)\n  File "a.py"\nValueError: no such day',
            "no such day",
        ),
        ("There are no tables left.", "There are no tables left."),
    ],
)
def test_a_failure_is_told_as_json_without_the_name_of_an_exception(text: str, told: str) -> None:
    assert json.loads(failure_for_model(text)) == {"ok": False, "error": told}


@pytest.mark.parametrize(
    "text",
    [
        "LookupError: there is no order 9999.",
        "The tool did not answer within 3 seconds.",
        "There is no tool called 'book'. Use only the tools you were given.",
        "The arguments are not valid JSON: Expecting value: line 1 column 2.",
        'a "quoted" { brace',
    ],
)
def test_a_model_that_repeats_a_failure_says_nothing_internal(text: str) -> None:
    normaliser = TextNormaliser()
    for answer in (failure_for_model(text), failure_for_model(text, "Say sorry."), STILL_RUNNING):
        assert normaliser.clause(answer) is None
    clause = normaliser.clause(f"I see. {failure_for_model(text)} Anything else?")
    assert clause is not None
    assert clause.spoken == "I see. Anything else?"


@pytest.mark.parametrize(
    "remark",
    [
        CUT_OFF,
        OPENING,
        GO_ON,
        '[While you spoke I said "wait, no".]',
        '[Somebody here said, not to you, "dinner".]',
        "[pressed 12#]",
        '[The tool book was called with {"a": [1]}. It said: ["x"]]',
    ],
)
def test_a_model_that_repeats_a_remark_of_its_prompt_does_not_say_it(remark: str) -> None:
    clause = TextNormaliser().clause(f"{remark} We open at seven.")
    assert clause is not None
    assert clause.written == "We open at seven."
