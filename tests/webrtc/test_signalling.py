"""LiveKit's signalling from bad clients: a clear word each, and nothing left."""

import base64
import gzip
import json
from collections.abc import Mapping
from typing import Any

import httpx2
import jwt
import pytest
from livekit.protocol import models, rtc
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from nur_server.api.media_tokens import MediaTokens
from nur_server.api.wire.livekit.room import Room
from nur_server.clock import SystemClock
from tests.api_realtime.conftest import Serve, Server, eventually
from tests.webrtc.browser import browser


def joining(request: rtc.JoinRequest, packed: bytes | None = None) -> str:
    """As clients write it in the address."""
    data = gzip.compress(request.SerializeToString()) if packed is None else packed
    wrapped = rtc.WrappedJoinRequest(compression=rtc.WrappedJoinRequest.GZIP, join_request=data)
    return base64.urlsafe_b64encode(wrapped.SerializeToString()).decode().rstrip("=")


async def started(server: Server) -> dict[str, Any]:
    return await server.post("/voice/start", agent_id=await server.make_agent())


def address(server: Server, token: str, path: str = "/rtc/v1", **query: str) -> str:
    return f"ws://{server.address}{path}?{httpx2.QueryParams({'access_token': token, **query})}"


async def refused(url: str) -> tuple[int, str]:
    with pytest.raises(InvalidStatus) as found:
        async with connect(url):
            pass
    response = found.value.response
    return response.status_code, (response.body or b"").decode()


async def next_of(socket: ClientConnection, kind: str) -> rtc.SignalResponse:
    while True:
        response = rtc.SignalResponse()
        response.ParseFromString(await socket.recv())
        if response.WhichOneof("message") == kind:
            return response


def forged(token: str, key: bytes = b"another key, as long as it should be", **claims: Any) -> str:
    said = jwt.decode(token, options={"verify_signature": False})
    return jwt.encode({**said, **claims}, key, algorithm="HS256")


async def test_tokens_that_open_nothing_are_refused_in_our_words(serve: Serve) -> None:
    async with serve() as server:
        good, other = await started(server), await started(server)
        ours = server.services.media_tokens._key
        room = {"video": {"roomJoin": True, "room": other["session_id"]}}
        cases: Mapping[str, tuple[int, str]] = {
            "": (401, "got none"),
            "nonsense": (401, "made for a session"),
            server.key: (401, "made for a session"),
            forged(good["token"]): (401, "made for a session"),
            forged(good["token"], ours, exp=1): (401, "has expired"),
            forged(good["token"], ours, iss="somebody"): (401, "made for a session"),
            forged(good["token"], ours, video={"room": "x"}): (401, "made for a session"),
            forged(good["token"], ours, **room): (401, "websocket_url"),
        }
        for token, (status, told) in cases.items():
            for path in ("/rtc/v1", "/rtc"):
                url = address(server, token, path)
                assert (await refused(url))[0] == status
                answer = await server.http.get(
                    f"{path}/validate",
                    params={"access_token": token},
                    headers={"Authorization": ""},
                )
                assert answer.status_code == status and told in answer.text, token[:20]
                assert answer.headers["access-control-allow-origin"] == "*"
        answer = await server.http.get("/rtc/validate", params={"access_token": good["token"]})
        assert (answer.status_code, answer.text) == (200, "success")
        url = address(server, good["token"], room="another")
        assert (await refused(url))[0] == 403
        assert len(server.services.media) == 0


@pytest.mark.parametrize(
    "request_text",
    ["", "!!!", "AAAA", joining(rtc.JoinRequest(), b"no gzip"),
     joining(rtc.JoinRequest(), gzip.compress(bytes(5_000_000)))],
    ids=["none", "no base64", "no protobuf", "no gzip", "a bomb"],
)  # fmt: skip
async def test_a_request_to_join_that_cannot_be_read(serve: Serve, request_text: str) -> None:
    async with serve() as server:
        token = (await started(server))["token"]
        if request_text == "":
            async with connect(address(server, token)) as socket:
                joined = (await next_of(socket, "join")).join
            assert joined.other_participants[0].kind == models.ParticipantInfo.AGENT
            await eventually(lambda: len(server.services.media) == 1)
            return
        status, told = await refused(address(server, token, join_request=request_text))
        assert status in (400, 413) and "join_request" in told
        assert len(server.services.media) == 0


async def test_what_cannot_be_read_is_passed_over(serve: Serve) -> None:
    async with serve() as server:
        token = (await started(server))["token"]
        async with connect(address(server, token)) as socket:
            await next_of(socket, "join")
            offer = rtc.SessionDescription(type="offer", sdp="v=0 nonsense", id=1)
            await socket.send(rtc.SignalRequest(offer=offer).SerializeToString())
            for said in ("{", "[]", "[" * 50_000, '{"candidate":' * 5_000):
                trickle = rtc.TrickleRequest(candidateInit=said)
                await socket.send(rtc.SignalRequest(trickle=trickle).SerializeToString())
            await socket.send(b"\xff\xff\xff")
            await socket.send("no json")
            for _ in range(500):
                candidate = json.dumps({"candidate": "candidate:nonsense", "sdpMid": "0"})
                flood = rtc.SignalRequest(trickle=rtc.TrickleRequest(candidateInit=candidate))
                await socket.send(flood.SerializeToString())
            await socket.send(rtc.SignalRequest(ping=1).SerializeToString())
            assert (await next_of(socket, "pong")).pong > 0
            await socket.send(rtc.SignalRequest(leave=rtc.LeaveRequest()).SerializeToString())
            await socket.wait_closed()
        await eventually(lambda: len(server.services.media) == 0)


async def test_a_message_that_is_too_large_ends_the_signalling(serve: Serve) -> None:
    async with serve() as server:
        token = (await started(server))["token"]
        async with connect(address(server, token)) as socket:
            await next_of(socket, "join")
            await socket.send(bytes(300_000))
            await socket.wait_closed()


async def test_media_that_never_comes_is_told(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nur_server.transports.webrtc.connection.CONNECT_SECONDS", 0.2)
    async with serve() as server, browser() as far:
        token = (await started(server))["token"]
        offer = rtc.SessionDescription(type="offer", sdp=await far.offer(), id=7)
        request = joining(rtc.JoinRequest(publisher_offer=offer))
        async with connect(address(server, token, join_request=request)) as socket:
            answer = (await next_of(socket, "answer")).answer
            assert answer.id == 7 and dict(answer.mid_to_track_id)
            left = (await next_of(socket, "leave")).leave
            assert left.reason == models.DisconnectReason.JOIN_FAILURE
            assert left.action == rtc.LeaveRequest.DISCONNECT
        await eventually(lambda: len(server.services.media) == 0)


def test_what_a_client_says_of_itself_is_bounded() -> None:
    room = Room("ses_1", "user", "", 0)
    assert room.update_user("Ada", "", {"a": "b"})
    assert not room.update_user("", "", {"a": "x" * 5_000})
    assert not room.update_user("", "", {str(i): "" for i in range(100)})
    assert not room.update_user("x" * 5_000, "", {})
    assert (room.user.name, dict(room.user.attributes)) == ("Ada", {"a": "b"})
    tracks = [room.publish(rtc.AddTrackRequest(cid=str(i))) for i in range(20)]
    assert tracks[15] is not None and tracks[16] is None


def test_a_token_says_what_it_was_made_with() -> None:
    clock = SystemClock()
    tokens = MediaTokens(b"a key of thirty-two bytes or more", clock)
    claims = tokens.verify(tokens.make("ses_1", "ssk_1", clock.now().replace(year=2999)))
    assert (claims.session_id, claims.secret, claims.identity) == ("ses_1", "ssk_1", "user")


@pytest.mark.parametrize("path", ["/rtc/v1", "/rtc"])
async def test_a_client_that_would_resume_is_told_to_connect_anew(serve: Serve, path: str) -> None:
    async with serve() as server:
        token = (await started(server))["token"]
        asked = {"reconnect": "1"} if path == "/rtc" else {
            "join_request": joining(rtc.JoinRequest(reconnect=True, participant_sid="PA_1"))
        }  # fmt: skip
        async with connect(address(server, token, path, **asked)) as socket:
            left = (await next_of(socket, "leave")).leave
            assert left.action == rtc.LeaveRequest.RECONNECT
            await socket.wait_closed()
        assert len(server.services.media) == 0


async def test_a_second_participant_takes_the_first_one_s_place(serve: Serve) -> None:
    label = "_reliable"
    async with (
        serve() as server,
        browser(label=label) as first,
        browser(label=label) as second,
    ):
        made = await started(server)
        token, live = made["token"], server.services.live
        sockets = []
        for far in (first, second):
            offer = rtc.SessionDescription(type="offer", sdp=await far.offer(), id=1)
            request = joining(rtc.JoinRequest(publisher_offer=offer))
            socket = await connect(address(server, token, join_request=request))
            sockets.append(socket)
            answer = (await next_of(socket, "answer")).answer
            assert far.channel is not None
            await far.accept(answer.sdp)
            await eventually(lambda far=far: "Connected" in far.states)
            await eventually(lambda: live.get(made["session_id"]) is not None)
        left = (await next_of(sockets[0], "leave")).leave
        assert left.reason == models.DisconnectReason.DUPLICATE_IDENTITY
        await eventually(lambda: len(server.services.media) == 1)
        for socket in sockets:
            await socket.close()
