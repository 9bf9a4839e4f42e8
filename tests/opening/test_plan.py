"""Agent, session and `session.update` become one configuration."""

import base64
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from nur_server.api.wire.realtime.options import (
    agent_id_of,
    echo,
    in_words_of_the_wire,
    options_of,
    warnings_of,
)
from nur_server.api.wire.realtime.schemas import SessionPart
from nur_server.audio.formats import AudioFormat, Encoding
from nur_server.conversation.config import ToolRunner
from nur_server.errors import InvalidRequest
from nur_server.opening.plan import (
    SessionPlan,
    connection_formats,
    plan_for_agent,
    plan_for_client,
    tool_endpoints,
    updated,
)
from nur_server.opening.prepare import Identity, prepare
from nur_server.ports import TextToSpeechCapabilities
from nur_server.providers.catalogue import Catalogue
from nur_server.providers.scripted import (
    ScriptedLanguageModel,
    ScriptedTextToSpeech,
    ScriptedTurnModel,
)
from nur_server.session.setup import SessionSetup
from nur_server.store.records import AgentRecord, SessionKind, SessionRecord, SessionState
from nur_server.store.records import SessionStatus as Status

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CATALOGUE = Catalogue.scripted()
LOOKUP = {
    "type": "function",
    "name": "lookup_order",
    "description": "Looks up an order.",
    "parameters": {"type": "object", "properties": {"order_id": {"type": "string"}}},
}
AT_AN_ADDRESS = {
    **LOOKUP,
    "http": {
        "url": "https://example.com/orders",
        "headers": [{"name": "X-Token", "value": "secret"}],
    },
}


def part(**session: Any) -> SessionPart:
    return msgspec.convert(session, SessionPart)


def agent(**fields: Any) -> AgentRecord:
    whole: dict[str, Any] = {
        "id": "agt_1",
        "account_id": "acc_1",
        "created_at": NOW,
        "updated_at": NOW,
        "name": "Support",
        "voice_id": "marcus_v2",
        "system_prompt": "Be brief.",
    }
    return AgentRecord(**{**whole, **fields})


def session(**fields: Any) -> SessionRecord:
    whole: dict[str, Any] = {
        "id": "ses_1",
        "account_id": "acc_1",
        "agent_id": "agt_1",
        "expires_at": NOW,
        "created_at": NOW,
        "kind": SessionKind.WEBSOCKET,
        "state": SessionState.CREATED,
        "status": Status.ACTIVE,
    }
    return SessionRecord(**{**whole, **fields})


def from_update(asked: SessionPart) -> SessionPlan:
    return plan_for_client(options_of(asked), warnings_of(asked))


def update(plan: SessionPlan, asked: SessionPart) -> SessionPlan:
    return updated(plan, options_of(asked), warnings_of(asked))


def echoed(plan: SessionPlan) -> dict[str, Any]:
    return echo(prepare(plan, Identity("acc_1", "ses_1"), CATALOGUE).about)


def made(configuration: SessionPlan, catalogue: Catalogue = CATALOGUE) -> SessionSetup:
    return prepare(configuration, Identity("acc_1", "ses_1"), catalogue)


def refused(configuration: SessionPlan | None, **session: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as error:
        if configuration is None:
            made(from_update(part(**session)))
        else:
            update(configuration, part(**session))
    told = in_words_of_the_wire(error.value)
    assert isinstance(told, InvalidRequest)
    return told


# From session.update


def test_nothing_asked_for_gives_the_defaults() -> None:
    running = made(from_update(part()))
    talk = running.conversation
    assert (talk.system_prompt, talk.greeting, talk.tools) == ("", None, ())
    assert (talk.speaks, talk.max_turns, talk.has_turn_model) == (True, None, False)
    assert (running.output_rate, running.volume, running.speed) == (24_000, 1.0, 1.0)
    assert (running.agent_id, running.listen.language) == (None, "en")


def test_every_documented_field_reaches_the_session() -> None:
    running = made(
        from_update(
            part(
                system_prompt="You are a concise support agent.",
                greeting="Hi! How can I help you today?",
                tools=[LOOKUP],
                input={
                    "format": {"encoding": "audio/pcmu"},
                    "keyterms": ["Nur", "Moonshine"],
                    "transcription_prompt": "orders",
                    "language_codes": ["en-GB"],
                    "continuous_partials": False,
                    "voice_focus": "far-field",
                    "turn_detection": {
                        "type": "server_vad",
                        "vad_threshold": 0.4,
                        "min_silence": 300,
                        "max_silence": 2_000,
                        "interrupt_response": False,
                        "interruption_delay": 250,
                        "uninterruptible_turns": ["greeting"],
                    },
                },
                output={
                    "voice": "claire",
                    "volume": 50,
                    "format": {"encoding": "audio/pcm", "sample_rate": 16_000},
                },
            )
        )
    )
    talk, detection = running.conversation, running.conversation.turn_detection
    assert talk.system_prompt == "You are a concise support agent."
    assert talk.greeting == "Hi! How can I help you today?"
    assert talk.voice_focus == "far-field"
    assert [(tool.name, tool.runner) for tool in talk.tools] == [
        ("lookup_order", ToolRunner.CLIENT)
    ]
    assert (detection.vad_threshold, detection.min_silence_ms, detection.max_silence_ms) == (
        0.4,
        300,
        2_000,
    )
    assert (detection.interrupt_response, detection.interruption_delay_ms) == (False, 250)
    assert detection.uninterruptible_turns == {"greeting"}
    assert running.listen.keyterms == ("Nur", "Moonshine")
    assert (running.listen.prompt, running.listen.wants_partials) == ("orders", False)
    assert (running.listen.language, talk.language) == ("en", "en-GB")
    assert (running.output_rate, running.volume) == (16_000, 0.5)


@pytest.mark.parametrize(
    ("given", "kept", "recognised"),
    [("pt-BR", "pt-BR", "pt"), ("PT_br", "pt-BR", "pt"), ("zh-hant", "zh-Hant", "zh")],
)
def test_a_language_with_a_region_is_recognised_as_the_language(
    given: str, kept: str, recognised: str
) -> None:
    running = made(from_update(part(input={"language_codes": [given]})))
    assert running.options.input.languages == (kept,)
    assert (running.conversation.language, running.listen.language) == (kept, recognised)


@pytest.mark.parametrize("tag", ["xx", "english", "", "xx-US", "en--us"])
def test_a_language_that_is_none_is_refused(tag: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        from_update(part(input={"language_codes": ["de", tag]}))
    assert refused.value.param == "input.languages"
    assert "de" in refused.value.details["languages"]


def test_what_the_engines_cannot_do_is_told() -> None:
    class English(ScriptedTextToSpeech):
        capabilities = TextToSpeechCapabilities(languages=frozenset({"en"}))

    unable = Catalogue.scripted(
        llm=ScriptedLanguageModel(["Hi."], calls_tools=False), tts=English()
    )
    asked = part(tools=[LOOKUP], input={"language_codes": ["de-AT"]})
    assert made(from_update(asked), unable).warnings == (
        "scripted-llm calls no tools: the agent's tools are never called",
        "scripted-tts does not speak 'de-AT'",
    )
    able = part(input={"language_codes": ["en-GB"]})
    assert made(from_update(able), unable).warnings == ()


def test_text_only_output_does_not_speak() -> None:
    assert not made(from_update(part(output={"type": "text"}))).conversation.speaks


def test_the_session_knows_whether_there_is_a_turn_model() -> None:
    with_model = Catalogue.scripted(turn_model=ScriptedTurnModel())
    assert made(from_update(part()), with_model).conversation.has_turn_model


def test_first_generation_turn_detection_is_understood() -> None:
    old = {
        "type": "server_vad",
        "speech_detection_threshold": 0.6,
        "min_end_of_turn_silence_ms": 400,
        "max_turn_silence_ms": 1_200,
        "min_interrupt_duration_ms": 300,
    }
    detection = made(from_update(part(turn_detection=old))).conversation.turn_detection
    assert (detection.vad_threshold, detection.min_silence_ms) == (0.6, 400)
    assert (detection.max_silence_ms, detection.interruption_delay_ms) == (1_200, 300)


def test_where_both_generations_of_turn_detection_come_the_present_one_wins() -> None:
    both = part(
        turn_detection={"vad_threshold": 0.9, "min_end_of_turn_silence_ms": 400},
        input={"turn_detection": {"vad_threshold": 0.3}},
    )
    detection = made(from_update(both)).conversation.turn_detection
    assert (detection.vad_threshold, detection.min_silence_ms) == (0.3, 400)


@pytest.mark.parametrize(
    ("session", "param"),
    [
        ({"output": {"voice": "nobody"}}, "output.voice"),
        ({"llm": [{"model": "x"}]}, "llm"),
        (
            {"input": {"format": {"encoding": "audio/pcma", "sample_rate": 16_000}}},
            "input.format.sample_rate",
        ),
        (
            {"output": {"format": {"encoding": "audio/pcmu", "sample_rate": 24_000}}},
            "output.format.sample_rate",
        ),
        (
            {"input": {"turn_detection": {"min_silence": 500, "max_silence": 500}}},
            "input.turn_detection.min_silence",
        ),
        ({"tools": [{"name": "x", "parameters": {"type": "object", "properties": 7}}]}, None),
        ({"tools": [LOOKUP, LOOKUP]}, "tools[1].name"),
    ],
)
def test_values_that_do_not_go_are_refused(session: dict[str, Any], param: str | None) -> None:
    error = refused(None, **session)
    assert error.param == param or (param is None and str(error.param).startswith("tools[0]"))


def test_fields_without_effect_are_accepted_and_named() -> None:
    without_effect = {
        "voice_focus_threshold": 0.5,
        "transcription_mode": "balanced",
        "language_codes": ["en", "de"],
    }
    asked = part(input=without_effect, pre_connect_requests=[{}], tool_choice="required")
    names = {*(f"input.{name}" for name in without_effect), "pre_connect_requests", "tool_choice"}
    told = from_update(asked).warnings
    assert {warning.split()[0].rstrip(":") for warning in told} == names
    stored = plan_for_agent(agent(settings={"input": without_effect}))
    assert set(stored.warnings) == {text for text in told if text.startswith("input.")}


def test_what_is_as_it_would_be_anyway_is_not_named() -> None:
    asked = part(input={"language_codes": ["en"]}, pre_connect_requests=[], tool_choice="auto")
    assert from_update(asked).warnings == ()


def test_hints_for_a_recogniser_that_takes_none_are_named() -> None:
    configuration = from_update(part(input={"keyterms": ["Nur"]}))
    prepared = prepare(configuration, Identity("acc_1", "ses_1"), CATALOGUE)
    (warning,) = prepared.warnings
    assert warning.startswith("input.keyterms")


# The agent


def test_an_agent_id_goes_with_nothing_else() -> None:
    assert agent_id_of(part(agent_id="agt_1")) == "agt_1"
    assert agent_id_of(part(system_prompt="x")) is None
    with pytest.raises(InvalidRequest, match="mutually exclusive") as error:
        agent_id_of(part(agent_id="agt_1", greeting="Hi"))
    assert error.value.param == "agent_id"


def test_an_agent_s_fields_reach_the_session() -> None:
    running = made(
        plan_for_agent(
            agent(
                first_message="Good morning.",
                language="en",
                tools=(LOOKUP,),
                tool_url="https://example.com/tools",
                max_turns=7,
                context_window=4,
                interruption_threshold=0.8,
                settings={
                    "turn_detection": {"min_silence": 700},
                    "silence": {"reprompt_seconds": 8.0, "max_reprompts": 1},
                    "max_duration_seconds": 300.0,
                    "goodbye": "Bye.",
                    "tool_filler": "",
                    "speed": 1.2,
                    "temperature": 0.2,
                    "max_tokens": 100,
                    "output": {"volume": 80},
                },
            )
        )
    )
    talk = running.conversation
    assert (talk.greeting, talk.max_turns, talk.context_window) == ("Good morning.", 7, 4)
    assert (talk.interruption_threshold, talk.turn_detection.min_silence_ms) == (0.8, 700)
    assert (talk.silence.reprompt_seconds, talk.silence.max_reprompts) == (8.0, 1)
    assert (talk.max_duration_seconds, talk.goodbye, talk.tool_filler) == (300.0, "Bye.", None)
    assert talk.tools[0].runner is ToolRunner.SERVER
    assert (running.speed, running.volume, running.temperature) == (1.2, 0.8, 0.2)
    assert (running.agent_id, running.max_tokens) == ("agt_1", 100)


SECRET = "whsec_" + base64.b64encode(b"s" * 32).decode()
OWNED = agent(
    tool_url="https://example.com/tools",
    tools=(LOOKUP, {**AT_AN_ADDRESS, "name": "refund"}),
    settings={"tool_secret": SECRET},
)
TOLD = session(context={"name": "Ada"}, metadata={"ticket": "42"})


def test_an_agent_s_own_tools_given_back_stay_its_own() -> None:
    begun = plan_for_agent(OWNED, TOLD)
    for given in (echoed(begun)["tools"], list(OWNED.tools)):
        changed = update(begun, part(tools=given))
        shared, own = tool_endpoints(changed).values()
        assert (shared.context, shared.metadata) == ({"name": "Ada"}, {"ticket": "42"})
        assert (shared.signing_secret, own.signing_secret) == (SECRET, SECRET)
        assert (shared.is_trusted, own.is_trusted) == (True, True)
        assert {tool.spec.runner for tool in changed.tools} == {ToolRunner.SERVER}


@pytest.mark.parametrize(
    "tool",
    [
        {"name": "another", "parameters": {}},
        {**LOOKUP, "description": "Something else"},
        {**LOOKUP, "parameters": {"order": {"type": "integer"}}},
        {"type": "function", "function": {"name": "lookup_order", "parameters": {}}},
    ],
)
def test_a_client_s_tool_is_never_sent_to_the_agent_s_address(tool: dict[str, Any]) -> None:
    changed = update(plan_for_agent(OWNED, TOLD), part(tools=[tool]))
    assert tool_endpoints(changed) == {}
    assert changed.tools[0].spec.runner is ToolRunner.CLIENT


@pytest.mark.parametrize(
    "tool",
    [
        {"name": "another", "http": {"url": "https://visitor.example/"}},
        {"name": "refund", "http": {"url": "https://visitor.example/"}},
        {**LOOKUP, "http": {"url": "https://example.com/tools"}},
        {"name": "refund", "http": {"url": "https://example.com/orders", "http_method": "GET"}},
    ],
)
def test_a_client_s_tool_is_never_signed_for(tool: dict[str, Any]) -> None:
    changed = update(plan_for_agent(OWNED, TOLD), part(tools=[tool]))
    (endpoint,) = tool_endpoints(changed).values()
    assert endpoint.signing_secret is None
    assert not endpoint.is_trusted
    assert not endpoint.context


def test_the_session_s_own_opening_line_wins() -> None:
    opening = plan_for_agent(agent(first_message="Hi."), session(initial_message="Welcome back."))
    assert made(opening).conversation.greeting == "Welcome back."


def test_variables_are_filled_in_from_context_before_metadata() -> None:
    configuration = plan_for_agent(
        agent(system_prompt="You help {{name}} of {{firm}}.", first_message="Hi {{nick|you}}."),
        session(context={"name": "Ada"}, metadata={"name": "Bob"}),
    )
    talk = made(configuration).conversation
    assert talk.system_prompt == "You help Ada of ."
    assert talk.greeting == "Hi you."
    assert len(configuration.warnings) == 1
    assert "firm" in configuration.warnings[0]


def test_what_the_connection_asks_for_goes_before_the_agent_s_format() -> None:
    telephone = AudioFormat(Encoding.MULAW, 8_000)
    configured = agent(settings={"output": {"format": {"encoding": "audio/pcm"}}})
    configuration = plan_for_agent(configured, session(), connection_formats(telephone))
    options = configuration.options
    assert options.input_format == options.output_format == telephone
    assert made(configuration).output_rate == 8_000


def test_a_model_that_is_not_configured_is_named() -> None:
    configuration = plan_for_agent(agent(llm_model="qwen3.5-4b"))
    prepared = prepare(configuration, Identity("acc_1", "ses_1"), CATALOGUE)
    assert any("qwen3.5-4b" in warning for warning in prepared.warnings)


# Later updates


BEGUN = from_update(
    part(
        system_prompt="Be brief.",
        greeting="Hi.",
        tools=[LOOKUP],
        input={"keyterms": ["Nur"], "turn_detection": {"vad_threshold": 0.4}},
        output={"voice": "claire"},
    )
)


def test_an_update_changes_what_it_names_and_nothing_else() -> None:
    changed = update(
        BEGUN, part(system_prompt="Be kind.", input={"turn_detection": {"min_silence": 200}})
    )
    talk = made(changed).conversation
    assert (talk.system_prompt, talk.greeting) == ("Be kind.", "Hi.")
    assert (talk.turn_detection.vad_threshold, talk.turn_detection.min_silence_ms) == (0.4, 200)
    assert made(changed).listen.keyterms == ("Nur",)
    assert [tool.name for tool in talk.tools] == ["lookup_order"]


def test_tools_are_replaced_as_a_whole() -> None:
    other = {**LOOKUP, "name": "refund"}
    changed = update(BEGUN, part(tools=[other]))
    assert [tool.name for tool in made(changed).conversation.tools] == ["refund"]
    assert made(update(changed, part(tools=[]))).conversation.tools == ()


def test_null_goes_back_to_the_default() -> None:
    changed = update(BEGUN, part(input={"turn_detection": {"vad_threshold": None}}))
    assert made(changed).conversation.turn_detection.vad_threshold == 0.5


@pytest.mark.parametrize(
    ("session", "param"),
    [
        ({"greeting": "Hello."}, "greeting"),
        ({"output": {"voice": "marcus_v2"}}, "output.voice"),
        ({"output": {"type": "text"}}, "output.type"),
        ({"input": {"type": "text"}}, "input.type"),
        ({"output": {"format": {"encoding": "audio/pcmu"}}}, "output.format"),
        ({"webhook": {"url": "https://example.com", "events": []}}, "webhook"),
    ],
)
def test_what_cannot_change_is_refused_by_name(session: dict[str, Any], param: str) -> None:
    error = refused(BEGUN, **session)
    assert (error.code, error.param) == ("immutable_field", param)
    assert error.message == f"'{param}' cannot be changed once the session has been set up"


@pytest.mark.parametrize(
    "session",
    [
        {"greeting": "Hi."},
        {"output": {"voice": "claire"}},
        {"output": {"voice": "hazel"}},
        {"output": {"type": "audio", "format": {"encoding": "audio/pcm", "sample_rate": 24_000}}},
        {"input": {"type": "audio"}},
    ],
)
def test_repeating_a_value_is_no_change(session: dict[str, Any]) -> None:
    repeated = made(update(BEGUN, part(**session)))
    assert replace(repeated, options=made(BEGUN).options) == made(BEGUN)


def test_the_input_format_may_change() -> None:
    changed = update(BEGUN, part(input={"format": {"encoding": "audio/pcmu"}}))
    assert changed.options.input_format == AudioFormat(Encoding.MULAW, 8_000)


def test_an_agent_is_named_first_or_never() -> None:
    assert refused(BEGUN, agent_id="agt_1").code == "agent_id_not_first"


def test_silences_are_judged_together_with_what_was_set_before() -> None:
    changed = update(BEGUN, part(input={"turn_detection": {"max_silence": 300}}))
    error = refused(changed, input={"turn_detection": {"min_silence": 400}})
    assert error.param == "input.turn_detection.min_silence"


# The echo


def test_the_echo_has_the_documented_skeleton() -> None:
    assert echoed(from_update(part())) == {
        "id": "ses_1",
        "agent_id": None,
        "system_prompt": "",
        "greeting": None,
        "input": {
            "type": "audio",
            "format": {"encoding": "audio/pcm", "sample_rate": 24_000},
            "turn_detection": None,
            "keyterms": None,
            "transcription_mode": None,
            "continuous_partials": None,
            "transcription_prompt": None,
            "language_codes": None,
            "voice_focus": None,
            "voice_focus_threshold": None,
        },
        "output": {
            "type": "audio",
            "voice": "hazel",
            "format": {"encoding": "audio/pcm", "sample_rate": 24_000},
            "volume": None,
        },
        "tools": [],
        "llm": [],
        "pre_connect_requests": [],
    }


def test_the_echo_shows_tools_flat_and_without_secrets() -> None:
    nested = {"type": "function", "function": {"name": "refund", "parameters": {"type": "object"}}}
    configuration = plan_for_agent(agent(tools=(AT_AN_ADDRESS, nested)))
    first, second = echoed(configuration)["tools"]
    assert (first["name"], first["execution_mode"]) == ("lookup_order", "interactive")
    assert first["http"]["url"] == "https://example.com/orders"
    assert "secret" not in str(first)
    assert (second["name"], second["type"], second["http"]) == ("refund", "function", None)


# Tools at an address


def test_a_client_s_own_tool_may_run_at_an_address() -> None:
    configuration = from_update(part(tools=[AT_AN_ADDRESS]))
    assert made(configuration).conversation.tools[0].runner is ToolRunner.SERVER
    found = tool_endpoints(configuration)
    assert found["lookup_order"].url == "https://example.com/orders"
    assert dict(found["lookup_order"].headers) == {"X-Token": "secret"}


def test_an_address_this_server_may_not_call_is_refused() -> None:
    private = {**LOOKUP, "http": {"url": "http://127.0.0.1:1/orders"}}
    configuration = from_update(part(tools=[private]))
    with pytest.raises(InvalidRequest) as error:
        tool_endpoints(configuration)
    assert error.value.param == "tools[0].http.url"


def test_tools_given_back_as_they_are_shown_keep_their_secrets() -> None:
    begun = from_update(part(tools=[AT_AN_ADDRESS]))
    shown = echoed(begun)["tools"]
    changed = update(begun, part(tools=shown))
    found = tool_endpoints(changed)
    assert dict(found["lookup_order"].headers) == {"X-Token": "secret"}


def test_a_secret_nobody_gave_is_refused() -> None:
    begun = from_update(part(tools=[AT_AN_ADDRESS]))
    shown = echoed(begun)["tools"]
    elsewhere = [{**shown[0], "http": {**shown[0]["http"], "url": "https://example.org/"}}]
    assert refused(begun, tools=elsewhere).param == "tools[0].http.headers"


def test_configurations_are_values() -> None:
    assert replace(BEGUN) == BEGUN
    update(BEGUN, part(system_prompt="Other."))
    assert BEGUN.options.system_prompt == "Be brief."
