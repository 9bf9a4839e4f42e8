"""Events stored and read back exactly."""

import zlib
from dataclasses import fields
from typing import get_args

import msgspec
import pytest

from nur_server.conversation.actions import Action, CallTool, Flush, Release, SetDeadline
from nur_server.conversation.config import ConversationConfig, ToolSpec
from nur_server.conversation.events import (
    ClauseSynthesised,
    ConfigChanged,
    EndedReason,
    EndRequested,
    Event,
    MessageAdded,
    Role,
    SessionOpened,
    SpeechScored,
    TranscriptUpdated,
    WordTime,
)
from nur_server.conversation.journal import (
    VERSION,
    ActionsDigest,
    Checkpoint,
    JournalWriter,
    as_stored,
    read,
    read_rows,
)
from nur_server.turn_taking.settings import TurnDetection

CONFIG = ConversationConfig(
    "ses_1",
    tools=(ToolSpec("look", "Look", {"type": "object", "properties": {}}),),
    turn_detection=TurnDetection(uninterruptible_turns=frozenset({"greeting"})),
)
EVENTS: list[Event] = [
    SessionOpened(0.0),
    SpeechScored(0.032, 512, 0.1 + 0.2, -20.5),
    TranscriptUpdated(1.5, "utt_1", "Grüße, 世界", 24_000, True, None),
    ClauseSynthesised(2.0, "resp_1", 0, 900, (WordTime(0, 0), WordTime(4, 300))),
    ConfigChanged(3.0, CONFIG),
    MessageAdded(4.0, Role.SYSTEM, "x"),
    EndRequested(5.0, EndedReason.CLIENT_ENDED, True),
]


def test_what_is_read_is_what_was_written() -> None:
    writer = JournalWriter(CONFIG)
    chunks = []
    for event in EVENTS:
        writer.add(event)
        chunk = writer.take()
        assert chunk is not None
        chunks.append(chunk[1])
    config, events = read(chunks)[:2]
    assert config == CONFIG
    assert list(events) == EVENTS


def test_a_window_costs_a_few_bytes() -> None:
    writer = JournalWriter(CONFIG)
    for number in range(1000):
        treble_db = -60.0 + number % 5
        writer.add(SpeechScored(number * 0.032, number * 512, (number % 7) / 255, -40.0, treble_db))
    chunk = writer.take()
    assert chunk is not None and len(chunk[1]) < 16_000


def test_a_field_that_came_later_has_its_default_in_an_older_journal() -> None:
    rows = [[VERSION, CONFIG], [1, 0.032, 512, 0.5, -40.0]]
    chunk = zlib.compress(msgspec.msgpack.encode(rows))
    assert list(read([chunk])[1]) == [SpeechScored(0.032, 512, 0.5, -40.0, None)]


@pytest.mark.parametrize("chunks", [[], [b"nonsense"]])
def test_what_is_no_journal_is_refused(chunks: list[bytes]) -> None:
    with pytest.raises(ValueError, match="expected a journal"):
        list(read(chunks)[1])


def test_events_keep_their_places_and_fields_within_a_version() -> None:
    """Where this fails, the journals of servers in use cannot be read: the version goes up."""
    known = [
        "SessionOpened at",
        "SpeechScored at position probability level_db treble_db",
        "TranscriptUpdated at utterance_id text covers is_final confidence",
        "TranscriptFailed at utterance_id code message",
        "TurnScored at utterance_id pause probability",
        "ReplyText at response_id text",
        "ReplyToolCall at response_id call_id name arguments",
        "ReplyFinished at response_id finish_reason prompt_tokens completion_tokens",
        "ReplyFailed at response_id code message retryable",
        "ClauseSynthesised at response_id clause duration_ms words",
        "SpeechFailed at response_id clause code message",
        "PlayoutProgressed at response_id played_ms",
        "PlayoutDrained at response_id played_ms",
        "PlayoutFlushed at response_id played_ms",
        "ToolAnswered at call_id result is_error triggers_reply",
        "ConfigChanged at config",
        "MessageAdded at role content item_id after",
        "ReplyRequested at instructions request_id waits offers_tools speaks is_kept",
        "ReplyCancelled at response_id",
        "ClientDropped at",
        "ClientResumed at",
        "EndRequested at reason finish_speaking",
        "Ticked at",
        "DigitPressed at digit",
        "BeepHeard at",
        "TransferFinished at call_id error",
        "InputCommitted at triggers_reply",
        "InputCleared at",
        "ReplyTruncated at item_id played_ms",
        "AudioMissing at missing_ms",
        "ItemRemoved at item_id",
        "ToolCallNoted at call_id name arguments result item_id after",
        "AsideRequested at request_id instructions messages",
        "AsideCancelled at request_id",
    ]
    events = [" ".join([k.__name__, *(f.name for f in fields(k))]) for k in get_args(Event)]
    assert VERSION == 1
    assert events[: len(known)] == known


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        ([[VERSION + 1, {}]], f"version {VERSION}; got {VERSION + 1}"),
        ([[VERSION, {"session_id": 7}]], "expected this version's settings"),
        ([[VERSION, {"session_id": "s"}], [99, 0.0]], r"this version's events; got \[99, 0.0\]"),
        ([[VERSION, {"session_id": "s"}], [0, 0.0, "more"]], "this version's events"),
        ([[VERSION, {"session_id": "s"}], [0, "early"]], "this version's events"),
        ([[VERSION, {"session_id": "s"}], [{}, 0.0]], "this version's events"),
    ],
)
def test_a_journal_of_another_version_is_refused(rows: list[object], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        list(read([zlib.compress(msgspec.msgpack.encode(rows))])[1])


def digest_of(*answers: list[Action]) -> str:
    digest = ActionsDigest()
    for actions in answers:
        digest.add(actions)
    return digest.checkpoint().digest


def test_each_chunk_closes_with_a_checkpoint() -> None:
    writer = JournalWriter(CONFIG)
    chunks = []
    for event in EVENTS[:2]:
        writer.add(event)
        writer.answered([Release("resp_1")])
        chunk = writer.take()
        assert chunk is not None
        chunks.append(chunk[1])
    checkpoints = [row for row in read_rows(chunks)[1] if isinstance(row, Checkpoint)]
    assert [(c.events, c.actions) for c in checkpoints] == [(1, 1), (2, 2)]
    assert checkpoints[1].digest == digest_of([Release("resp_1")], [Release("resp_1")])


def test_the_digest_tells_actions_their_order_and_their_events_apart() -> None:
    one, other = Release("resp_1"), Flush("resp_1")
    digests = [
        digest_of([one, other]),
        digest_of([other, one]),
        digest_of([one], [other]),
        digest_of([], [one, other]),
        digest_of([one]),
    ]
    assert len(set(digests)) == len(digests)


def test_the_digest_does_not_depend_on_the_order_of_keys() -> None:
    def call(arguments: dict[str, int]) -> Action:
        return CallTool("call_1", "resp_1", CONFIG.tools[0], arguments)

    assert digest_of([call({"a": 1, "b": 2})]) == digest_of([call({"b": 2, "a": 1})])
    assert digest_of([call({"a": 1})]) != digest_of([call({"a": 2})])


def test_a_digest_is_the_same_in_every_version() -> None:
    expected = "5466fb3e4e6767ba4a3fe613c1ab50990af573bf367fc1a44e500c344711ea0c"
    assert digest_of([SetDeadline(1.5)], [], [Release("resp_1")]) == expected


def test_whole_numbers_given_for_fractions_are_read_back_as_fractions() -> None:
    given = ConversationConfig("ses_1", interruption_threshold=1, max_duration_seconds=30)
    stored = as_stored(given)
    assert stored == given
    assert type(stored.interruption_threshold) is type(stored.max_duration_seconds) is float


def test_a_journal_that_begins_in_the_middle_is_refused() -> None:
    writer = JournalWriter(CONFIG)
    writer.take()
    writer.add(SpeechScored(0.0, 512, 0.5, -20.0))
    chunk = writer.take()
    assert chunk is not None
    with pytest.raises(ValueError, match="its beginning is missing"):
        read([chunk[1]])
