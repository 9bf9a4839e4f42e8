"""Offers that no conversation can be held over, and what is written into answers."""

import pytest

from nur_server.errors import InvalidRequest, NurError, PayloadTooLarge
from nur_server.transports.webrtc import sdp
from nur_server.transports.webrtc.media import Candidate

HEAD = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=fingerprint:sha-256 AA\r\n"
AUDIO = (
    "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=ice-ufrag:x\r\na=mid:0\r\na=sendrecv\r\n"
    "a=rtpmap:111 opus/48000/2\r\n"
)
DATA = "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=ice-ufrag:x\r\na=mid:1\r\n"
HOST = "candidate:1 1 udp 2122194687 10.0.0.2 40000 typ host generation 0"


@pytest.mark.parametrize(
    "offer",
    [
        HEAD + AUDIO,
        HEAD + AUDIO + DATA,
        HEAD + AUDIO.replace("sendrecv", "recvonly"),
        HEAD + DATA + AUDIO,
        HEAD + AUDIO.replace("opus", "OPUS"),
        (HEAD + AUDIO).replace("\r\n", "\n"),
    ],
)
def test_offers_that_can_be_answered(offer: str) -> None:
    sdp.check_offer(offer)


@pytest.mark.parametrize(
    ("offer", "told"),
    [
        ("", "begins with v=0"),
        ("hello", "begins with v=0"),
        (HEAD + DATA, "with an audio section"),
        (HEAD + AUDIO.replace("audio 9", "audio 0"), "with an audio section"),
        (HEAD + AUDIO.replace("m=audio", "m=video"), "with an audio section"),
        (HEAD + AUDIO.replace("opus/48000/2", "PCMU/8000"), "Opus, got pcmu"),
        (HEAD + AUDIO.replace("a=rtpmap:111 opus/48000/2\r\n", ""), "no codec"),
        (HEAD + AUDIO.replace("sendrecv", "sendonly"), "could not be heard"),
        (HEAD + AUDIO.replace("sendrecv", "inactive"), "could not be heard"),
        (HEAD.replace("a=fingerprint:sha-256 AA\r\n", "") + AUDIO, "fingerprint"),
        (HEAD + AUDIO + DATA * 40, "at most 32 sections"),
        (HEAD + AUDIO + f"a={HOST}\r\n" * 200, "100 candidates"),
    ],
)
def test_offers_that_are_refused(offer: str, told: str) -> None:
    with pytest.raises(InvalidRequest, match=told) as refused:
        sdp.check_offer(offer)
    assert (refused.value.code, refused.value.param) == ("invalid_sdp", "sdp")


@pytest.mark.parametrize("size", [70_000, 1_000_000, 5_000_000])
def test_an_offer_that_is_too_long(size: int) -> None:
    with pytest.raises(PayloadTooLarge):
        sdp.check_offer(HEAD + AUDIO + "a=x\r\n" * (size // 5))


@pytest.mark.parametrize("offer", ["v=0\r\nm=", "v=0\nm=audio\n", "v=0\r\nm=audio 9\r\na=\r\n"])
def test_odd_offers_raise_nothing_else(offer: str) -> None:
    with pytest.raises(NurError):
        sdp.check_offer(offer)


def test_candidates_stand_in_the_first_section_the_best_first() -> None:
    worse = Candidate(HOST.replace("2122194687", "5"), "0", 0)
    written = sdp.with_candidates(HEAD + AUDIO + DATA, [worse, Candidate(HOST), Candidate("")])
    audio = written[written.index("m=audio") : written.index("m=application")]
    assert [line for line in audio.splitlines() if "candidate" in line] == [
        f"a={HOST}", f"a={worse.candidate}", "a=end-of-candidates"
    ]  # fmt: skip
    assert "candidate" not in written[written.index("m=application") :]


@pytest.mark.parametrize(
    ("given", "address", "expected"),
    [
        (HOST, None, HOST),
        (HOST, "203.0.113.7", HOST.replace("10.0.0.2", "203.0.113.7")),
        (HOST, "2001:db8::1", None),
        (HOST.replace("10.0.0.2", "fd00::2"), "203.0.113.7", None),
        (HOST.replace("10.0.0.2", "x.local"), "203.0.113.7", None),
        (HOST.replace("typ host", "typ relay"), "203.0.113.7", HOST.replace("host", "relay")),
    ],
)
def test_the_address_that_is_offered(given: str, address: str | None, expected: str | None) -> None:
    told = sdp.advertised(Candidate(given), address)
    assert (told.candidate if told else None) == expected


def test_an_answer_names_the_agent_s_stream() -> None:
    voice = AUDIO + "a=msid:reactor-stream abc\r\na=ssrc:5 msid:reactor-stream abc\r\n"
    other = voice.replace("mid:0", "mid:1")
    written = sdp.with_stream(HEAD + voice + other, "0", "PA_1|TR_1", "TR_1")
    assert written.count("msid:PA_1|TR_1 TR_1") == 2
    assert written.count("msid:reactor-stream abc") == 2
