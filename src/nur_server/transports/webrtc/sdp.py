"""Session descriptions (RFC 8866), as far as Nur looks into them."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address

from nur_server.errors import InvalidRequest, PayloadTooLarge
from nur_server.transports.webrtc.media import Candidate

MAX_SDP_BYTES = 65_536
"""Of an offer. A browser's with audio, data and six spare sections takes 12 KiB."""
MAX_SECTIONS = 32
MAX_CANDIDATES = 100
"""In one offer: browsers list some dozen."""


@dataclass(frozen=True, slots=True)
class Section:
    """One `m=` section."""

    kind: str
    """`audio`, `video` or `application`."""
    mid: str
    direction: str
    """`sendrecv`, `sendonly`, `recvonly` or `inactive`."""
    codecs: tuple[str, ...]
    is_rejected: bool

    @property
    def receives(self) -> bool:
        return self.direction in ("sendrecv", "recvonly")


def sections(sdp: str) -> list[Section]:
    """The media sections of a description. Raises nothing: what is odd is left to the library."""
    found = []
    for index, block in enumerate(re.split(r"\r?\n(?=m=)", sdp)[1:]):
        lines = block.splitlines()
        kind, _, rest = lines[0][2:].partition(" ")
        attributes = [line[2:] for line in lines[1:] if line.startswith("a=")]
        directions = ("sendrecv", "sendonly", "recvonly", "inactive")
        codecs = (a.partition(" ")[2].partition("/")[0].lower() for a in attributes
                  if a.startswith("rtpmap:"))  # fmt: skip
        found.append(
            Section(
                kind=kind,
                mid=next((a[4:].strip() for a in attributes if a.startswith("mid:")), str(index)),
                direction=next((a for a in attributes if a in directions), "sendrecv"),
                codecs=tuple(codecs),
                is_rejected=rest.startswith("0 "),
            )
        )
    return found


def check_offer(sdp: str, *, needs_audio: bool = True) -> None:
    """Refuse an offer that no conversation can be held over. Raises `InvalidRequest`, and
    `PayloadTooLarge`."""
    if len(sdp.encode("utf-8", "replace")) > MAX_SDP_BYTES:
        raise PayloadTooLarge(
            f"expected an SDP offer of at most {MAX_SDP_BYTES} bytes, got {len(sdp)}", param="sdp"
        )
    if not sdp.startswith("v=0"):
        raise _refused("expected an SDP offer, which begins with v=0; got something else")
    found = sections(sdp)
    if len(found) > MAX_SECTIONS or sdp.count("a=candidate:") > MAX_CANDIDATES:
        raise _refused(
            f"expected an offer of at most {MAX_SECTIONS} sections and {MAX_CANDIDATES} "
            f"candidates, got {len(found)} and {sdp.count('a=candidate:')}"
        )
    if "a=fingerprint:" not in sdp or "a=ice-ufrag:" not in sdp:
        raise _refused("expected an offer of WebRTC, with a=fingerprint and a=ice-ufrag; got none")
    if not needs_audio:
        return
    audio = [section for section in found if section.kind == "audio" and not section.is_rejected]
    if not audio:
        kinds = ", ".join(section.kind for section in found) or "nothing"
        raise _refused(f"expected an offer with an audio section, got one of {kinds}")
    if not any("opus" in section.codecs for section in audio):
        named = sorted({codec for section in audio for codec in section.codecs})
        raise _refused(f"expected audio with Opus, got {', '.join(named)[:200] or 'no codec'}")
    if not any(section.receives for section in audio):
        raise _refused(
            "expected an audio section that receives (a=sendrecv or a=recvonly), got only "
            f"{', '.join(sorted({section.direction for section in audio}))}: the agent could not "
            "be heard"
        )


def _refused(message: str) -> InvalidRequest:
    return InvalidRequest(message, code="invalid_sdp", param="sdp")


def with_candidates(sdp: str, candidates: Iterable[Candidate]) -> str:
    """A description that needs no trickle: `candidates` stand in its first bundled section."""
    head, *blocks = re.split(r"(?<=\n)(?=m=)", sdp)
    lines = {c.candidate for c in candidates if c.candidate}
    for i, block in enumerate(blocks):
        if not block.partition(" ")[2].startswith("0 "):
            ordered = sorted(lines, key=_priority, reverse=True)
            added = "".join(f"a={line}\r\n" for line in ordered)
            blocks[i] = f"{block}{added}a=end-of-candidates\r\n"
            break
    return head + "".join(blocks)


def _priority(line: str) -> int:
    parts = line.split()
    return int(parts[3]) if len(parts) > 3 and parts[3].isdecimal() else 0


def is_tcp(candidate: Candidate) -> bool:
    """Whether it is reached over TCP."""
    parts = candidate.candidate.split()
    return len(parts) > 2 and parts[2].lower() == "tcp"


def advertised(candidate: Candidate, address: str | None) -> Candidate | None:
    """A host candidate of this end as the far end is told it. None: it is not told.

    With an `address`, that stands in the place of this machine's own of the same family, and
    candidates of the other family are left out.
    """
    if address is None or not candidate.candidate:
        return candidate
    parts = candidate.candidate.split()
    if len(parts) < 8 or parts[7] != "host":
        return candidate
    try:
        if ip_address(parts[4]).version != ip_address(address).version:
            return None
    except ValueError:
        return None
    parts[4] = address
    return Candidate(" ".join(parts), candidate.mid, candidate.index)


def with_stream(sdp: str, mid: str, stream_id: str, track_id: str) -> str:
    """A description whose section `mid` names its stream and track like this."""
    head, *blocks = re.split(r"(?<=\n)(?=m=)", sdp)
    for i, block in enumerate(blocks):
        if re.search(rf"^a=mid:{re.escape(mid)}\r?$", block, re.MULTILINE):
            block = re.sub(r"a=msid:\S+(?: \S+)?", f"a=msid:{stream_id} {track_id}", block)
            block = re.sub(r"(a=ssrc:\d+ msid:)[^\r\n]+", rf"\g<1>{stream_id} {track_id}", block)
            blocks[i] = block
    return head + "".join(blocks)
