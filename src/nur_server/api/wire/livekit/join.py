"""What a client sends with its connection: the request to join, in the address."""

import base64
import binascii
import zlib

from google.protobuf.message import DecodeError
from livekit.protocol import rtc

from nur_server.errors import BadRequest, PayloadTooLarge

MAX_JOIN_BYTES = 262_144
"""Of a join request, unpacked. A browser's, with its offer, takes 10 KiB."""


def read_join(text: str) -> rtc.JoinRequest:
    """The `join_request` of an address. Raises `BadRequest` and `PayloadTooLarge`."""
    try:
        packed = base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)
        wrapped = rtc.WrappedJoinRequest()
        wrapped.ParseFromString(packed)
        data = wrapped.join_request
        if wrapped.compression == rtc.WrappedJoinRequest.GZIP:
            data = _unpacked(data)
        request = rtc.JoinRequest()
        request.ParseFromString(data)
        return request
    except (binascii.Error, DecodeError, zlib.error, ValueError):
        raise BadRequest(
            "expected a join_request of LiveKit's protocol (base64 of WrappedJoinRequest), got "
            "something else; update the client",
            param="join_request",
        ) from None


def _unpacked(data: bytes) -> bytes:
    unpacker = zlib.decompressobj(wbits=31)
    read = unpacker.decompress(data, MAX_JOIN_BYTES)
    if unpacker.unconsumed_tail:
        raise PayloadTooLarge(
            f"expected a join_request of at most {MAX_JOIN_BYTES} bytes, got more"
        )
    return read
