"""Proof that a number is an account's own: a call to it speaks a code, which is given back."""

import hashlib
import hmac
import secrets
from dataclasses import dataclass

from nur_server.calls.numbers import read_number
from nur_server.calls.service import CallService
from nur_server.calls.tasks import PromptPlayback
from nur_server.clock import Clock
from nur_server.errors import InvalidRequest, NurError
from nur_server.ports import TextToSpeech
from nur_server.store.call_records import (
    CallFields,
    Purpose,
)
from nur_server.store.engine import Database
from nur_server.store.numbers import CallerIdRecord, CallerIds

PURPOSE = "caller_ids"
"""Of the secret that codes are hashed with."""
DIGITS = 6
MAX_SECONDS = 90
RING_SECONDS = 30
SEPARATORS = str.maketrans("", "", " -.")


@dataclass(frozen=True, slots=True)
class Challenge:
    """A verification on its way."""

    caller_id: CallerIdRecord
    call_id: str
    code: str | None
    """None: only whoever answers the call hears it. A simulated call has nobody to hear it."""


class Verification:
    """Verifies caller ids by calling them."""

    def __init__(
        self,
        database: Database,
        service: CallService,
        tts: TextToSpeech,
        voice: str,
        clock: Clock,
        secret: bytes,
    ) -> None:
        """`voice` is one of `tts`'s own. Codes are kept as HMACs under `secret`."""
        self._database = database
        self._service = service
        self._tts = tts
        self._voice = voice
        self._clock = clock
        self._secret = secret

    async def begin(
        self, account_id: str, number: str, *, from_number: str | None = None
    ) -> Challenge:
        """Call `number` and speak a fresh code.

        The call shows `from_number`, or the account's first verified caller id, or else the number
        itself. Raises as `CallService.dial` does, and `RateLimited` right after another code.
        """
        read_number(number, "phone_number")
        self._service.check_destination(number, "phone_number")
        shown = await self._shown(account_id, number, from_number)
        carrier = self._service.outbound
        code = "".join(str(secrets.randbelow(10)) for _ in range(DIGITS))
        own = CallerIds(self._database, account_id)
        await own.expect_code(number, self._hash(number, code), carrier.engine.name)
        playback = PromptPlayback(_words(code), self._tts, self._voice, self._clock)
        fields = CallFields(
            to_number=number,
            from_number=shown,
            engine=carrier.engine.name,
            purpose=Purpose.VERIFICATION,
            max_duration_seconds=MAX_SECONDS,
            ring_seconds=RING_SECONDS,
        )
        try:
            call = await self._service.dial_with(account_id, fields, lambda call: playback)
        except NurError:
            await own.forget_code(number)
            raise
        noted = await own.note_call(number, call.id)
        return Challenge(noted, call.id, code if carrier.is_simulated else None)

    async def finish(self, account_id: str, number: str, code: str) -> CallerIdRecord:
        """The number is verified where the code is the one that was spoken.

        Raises `NotFound`, and `InvalidRequest` for a wrong code or one that is too late.
        """
        digits = code.translate(SEPARATORS)
        verified = await CallerIds(self._database, account_id).verify(
            number, self._hash(number, digits)
        )
        if verified is None:
            raise InvalidRequest(
                "code: expected the code that the call has spoken, not long ago; "
                "after several wrong ones ask for another call",
                code="verification_failed",
                param="code",
            )
        return verified

    async def _shown(self, account_id: str, number: str, wanted: str | None) -> str:
        if wanted is not None:
            return await self._service.caller_id(account_id, wanted)
        try:
            return await self._service.caller_id(account_id, None)
        except InvalidRequest:
            return number

    def _hash(self, number: str, code: str) -> str:
        return hmac.new(self._secret, f"{number}:{code}".encode(), hashlib.sha256).hexdigest()


def _words(code: str) -> str:
    digits = ", ".join(code)
    return f"Hello. Your verification code is: {digits}. Once more: {digits}. Goodbye."
