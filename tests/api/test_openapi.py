"""The OpenAPI document against the server: what it promises holds, whatever is sent."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, assume, given, settings
from schemathesis import GenerationMode
from schemathesis.config import SchemathesisConfig
from schemathesis.python.asgi import shutdown_lifespans

from nur_server.api.app import create_app
from nur_server.api.ratelimits import RATE_LIMITS
from nur_server.providers.catalogue import Catalogue
from nur_server.settings import Settings
from nur_server.store.records import NewKey
from tests.api.conftest import AGENT

UNLIMITED = dict.fromkeys(RATE_LIMITS, "1000000/minute")
WITHOUT_PARAMETERS = ("/healthz", "/readyz")
NEEDS_A_RECEIVER = "/v1/webhook"
"""An address that may be told: `tests/api/test_webhooks.py` has real ones."""
NEEDS_A_SECRET = ("/v1/caller-ids/{phone_number}/verify", "/v1/browser-session")
"""Only the right code, key or link is accepted."""
NEEDS_AN_OFFER = ("/v1/sessions/{session_id}/sdp",)
"""Only an SDP offer is accepted: `tests/webrtc` makes some."""
FAR_AHEAD = "2027-01-01T09:30:00+02:00"
ours = (f"+1415555{number}" for number in range(2000, 10_000))
"""Phone numbers nobody has yet."""
EXAMPLES = 8
"""Per operation."""


@pytest.fixture(scope="module")
def found() -> list[NewKey]:
    """The first key, once the server has started."""
    return []


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory, found: list[NewKey]) -> Iterator[FastAPI]:
    folder: Path = tmp_path_factory.mktemp("openapi")
    yield create_app(
        Settings(
            _env_file=None,
            data_dir=folder,
            log_level="error",
            drain_seconds=0,
            run_jobs=False,  # its threads draw random numbers, which hypothesis does not bear
            calls_per_second=10_000,
            calls_at_a_time=10_000,
        ),
        catalogue=Catalogue.scripted(),
        rate_limits=UNLIMITED,
        on_first_key=found.append,
    )
    shutdown_lifespans()


@pytest.fixture(scope="module")
def document(app: FastAPI) -> dict[str, Any]:
    return app.openapi()


@pytest.fixture(scope="module")
def described(app: FastAPI) -> Any:
    config = SchemathesisConfig.from_dict(
        {"generation": {"allow-x00": False, "allow-extra-parameters": False}}
    )
    return schemathesis.openapi.from_asgi("/openapi.json", app, config=config)


def operations() -> list[tuple[str, str]]:
    """Method and path of everything the document describes."""
    app = create_app(Settings(_env_file=None, log_level="error"))
    return [
        (method.upper(), path)
        for path, methods in app.openapi()["paths"].items()
        for method in methods
    ]


@pytest.fixture
def known(described: Any, found: list[NewKey]) -> dict[str, str]:
    """Path parameters that lead to something."""
    headers = {"Authorization": "nur_"}
    described["/healthz"]["GET"].Case().call(headers=headers)
    headers["Authorization"] = found[0].secret

    def make(path: str, body: Any, **parameters: str) -> str:
        case = described[path]["POST"].Case(
            body=body, path_parameters=parameters, media_type="application/json"
        )
        answer = case.call(headers=headers)
        assert answer.status_code == 201, answer.text
        made = answer.json()["id"]
        assert isinstance(made, str)
        return made

    agent_id = make("/v1/agents", {**AGENT, "metadata": {"k": 1}})
    number = make("/v1/phone-numbers", {"phone_number": next(ours)})
    make("/v1/caller-ids", {"phone_number": number})
    call = {"phone_number": "+15550102", "scheduled_at": FAR_AHEAD}
    return {
        "phone_number": number,
        "call_id": make("/v1/agents/{agent_id}/calls", call, agent_id=agent_id),
        "agent_id": agent_id,
        "session_id": make("/v1/agents/{agent_id}/sessions", {}, agent_id=agent_id),
        "key_id": make("/v1/api-keys", {"name": "spare"}),
        "voice_id": "claire",
        "model_id": "offline",
        "recording_id": "rec_unknown",
    }


@pytest.mark.parametrize(
    ("method", "path", "mode"),
    [
        (method, path, mode)
        for method, path in operations()
        for mode in GenerationMode
        if not (mode is GenerationMode.NEGATIVE and path in WITHOUT_PARAMETERS)
        and not (mode is GenerationMode.POSITIVE and path in NEEDS_A_SECRET + NEEDS_AN_OFFER)
        and not (mode is GenerationMode.POSITIVE and path.startswith(NEEDS_A_RECEIVER))
    ],
)
def test_answers_are_as_described(
    described: Any,
    found: list[NewKey],
    known: dict[str, str],
    method: str,
    path: str,
    mode: GenerationMode,
) -> None:
    @given(case=described[path][method].as_strategy(generation_mode=mode))
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    def answers(case: Any) -> None:
        if mode is GenerationMode.POSITIVE:
            case = plausible(case, known)
        else:
            assume((case.query or {}).get("cursor", "some"))  # an empty one is none
        case.call_and_validate(headers={"Authorization": f"Bearer {found[0].secret}"})

    answers()


def plausible(case: Any, known: dict[str, str]) -> Any:
    """The case at something that exists, without what no schema can say."""
    for name in case.path_parameters or {}:
        case.path_parameters[name] = known[name]
    for name in ("cursor", "created_after", "created_before", "start_date", "end_date"):
        (case.query or {}).pop(name, None)
    if isinstance(case.body, dict):
        for name in UNKNOWABLE & case.body.keys():
            case.body.pop(name)
        chosen = {"agent_id": known["agent_id"], **CHOSEN}
        case.body.update({name: chosen[name] for name in chosen.keys() & case.body.keys()})
        if case.path == "/v1/calls/{call_id}":
            case.body["scheduled_at"] = FAR_AHEAD
        for name in {"voice_id", "tts_voice"} & case.body.keys():
            case.body[name] = "claire"
    return case


UNKNOWABLE = frozenset(
    {"llm_model", "stt_model", "tts_model", "tools", "tool_url", "tool_secret", "webhook_url"}
    | {"phone_numbers", "expires_at", "turn_detection", "input", "output", "greeting"}
    | {"scheduled_at", "record"}
)
"""Which values exist, are taken, or go together."""


CHOSEN = {
    "phone_number": "+15550102",
    "to_number": "+15550102",
    "caller_id": "+15550199",
    "from_number": "+15550199",
}


def test_every_operation_declares_its_errors(document: dict[str, Any]) -> None:
    for path, methods in document["paths"].items():
        if not path.startswith("/v1/"):
            continue
        for method, operation in methods.items():
            answers = operation["responses"]
            assert {"400", "401", "403", "413", "422", "429", "500", "503"} <= answers.keys()
            for status in answers.keys() - {"200", "201"}:
                body = answers[status]["content"]["application/json"]["schema"]
                assert body == {"$ref": "#/components/schemas/ErrorBody"}, (method, path, status)
            if operation["operationId"] != "sign_in":  # its body holds the credential
                assert operation["security"] == [{"ApiKey": []}]


def test_operations_have_names_of_their_own(document: dict[str, Any]) -> None:
    names = [
        operation["operationId"]
        for methods in document["paths"].values()
        for operation in methods.values()
    ]
    assert len(names) == len(set(names))
    assert {"create_agent", "create_session", "get_transcript", "list_voices"} <= set(names)


def test_each_operation_is_described_once(document: dict[str, Any]) -> None:
    assert not [path for path in document["paths"] if path.startswith("/api/")]
