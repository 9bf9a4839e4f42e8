"""Phone calls to nobody: a simulated callee in this process, who follows a script.

Audio flows as it does over a carrier: mu-law at 8 kHz, 20 ms at a time, in real time. The last four
digits of the number dialled say who picks up (`SCENES`); at any other number somebody answers and
talks. Waiting is `asyncio.sleep` alone, so that calls run in virtual time too.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from enum import Enum, auto
from typing import assert_never

import numpy as np
import structlog

from nur_server.audio import g711
from nur_server.audio.rates import LISTEN_RATE
from nur_server.audio.resample import StreamResampler, resample
from nur_server.conversation.events import EndedReason
from nur_server.errors import NurError
from nur_server.ports import (
    CallControl,
    CallObserver,
    DialRequest,
    HangupCause,
    Samples,
    SessionInput,
    SessionNotice,
    SpeakRequest,
    TextToSpeech,
    TransportCapabilities,
)
from nur_server.transports.early import EarlyInput

log = structlog.get_logger(__name__)

NAME = "loopback"
RATE = 8_000
FRAME = RATE // 50
FRAME_SECONDS = 0.02
CAPABILITIES = TransportCapabilities(output_rate=RATE)
MOST_QUEUED = 5 * RATE
"""Samples of agent audio that wait; the oldest are dropped."""
DIGIT_SECONDS = 0.2
"""Between two keys being pressed."""
CACHED_LINES = 64
KNOWN_CALLS = 1_000
"""Call ids remembered, so that none is placed twice."""


# What a callee does


@dataclass(frozen=True, slots=True)
class Ring:
    seconds: float = 1.0


@dataclass(frozen=True, slots=True)
class Answer:
    """Pick up: audio flows from here on."""


@dataclass(frozen=True, slots=True)
class Refuse:
    """Do not pick up. `no_answer` rings until the caller gives up."""

    cause: HangupCause


@dataclass(frozen=True, slots=True)
class Say:
    """Speak, with the synthesiser's voice."""

    text: str
    stops_after_seconds: float | None = None
    """Stop there, mid-word as it may be."""


@dataclass(frozen=True, slots=True)
class Sound:
    """Make a sound: speech that was recorded, a beep, noise."""

    samples: Samples
    sample_rate: int = RATE


@dataclass(frozen=True, slots=True)
class Pause:
    seconds: float


@dataclass(frozen=True, slots=True)
class HearOut:
    """Listen until the agent has spoken and then been silent for a while."""

    quiet_seconds: float = 0.7
    most_seconds: float = 20.0


@dataclass(frozen=True, slots=True)
class AwaitSpeech:
    """Listen until the agent has spoken for so long, to speak up in the middle of it."""

    seconds: float = 1.0
    most_seconds: float = 20.0


@dataclass(frozen=True, slots=True)
class Press:
    digits: str


@dataclass(frozen=True, slots=True)
class HangUp:
    pass


@dataclass(frozen=True, slots=True)
class Vanish:
    """Audio stops, and nobody is told."""


Step = (
    Ring | Answer | Refuse | Say | Sound | Pause | HearOut | AwaitSpeech | Press | HangUp | Vanish
)
Script = Sequence[Step]


def beep(hz: float = 1_000.0, seconds: float = 0.4) -> Sound:
    """A voicemail's."""
    phase = 2 * np.pi * hz / RATE * np.arange(int(seconds * RATE))
    return Sound((8_000 * np.sin(phase)).astype(np.int16))


TALKS: Script = (
    Ring(),
    Answer(),
    Pause(0.3),
    Say("Hello, this is Robin speaking."),
    HearOut(),
    Say("Yes, this is a good moment. What is it about?"),
    HearOut(),
    Say("All right. Is there anything else I should know?"),
    HearOut(),
    Say("Thank you very much. Goodbye."),
    HearOut(most_seconds=10.0),
    HangUp(),
)
SCENES: Mapping[str, Script] = {
    "0100": TALKS,
    "0101": (Ring(), Refuse(HangupCause.BUSY)),
    "0102": (Ring(), Refuse(HangupCause.NO_ANSWER)),
    "0103": (Ring(), Refuse(HangupCause.REJECTED)),
    "0104": (
        Ring(2.0),
        Answer(),
        Pause(0.3),
        Say("You have reached the voicemail of Robin. Please leave a message after the tone."),
        Pause(0.4),
        beep(),
        HearOut(quiet_seconds=4.0, most_seconds=60.0),
        HangUp(),
    ),
    "0105": (
        Ring(),
        Answer(),
        Say("Hello, this is Robin speaking."),
        HearOut(),
        Say("I was just wondering whether", stops_after_seconds=0.9),
        HangUp(),
    ),
    "0106": (Ring(), Answer(), Say("Hello, this is Robin speaking."), HearOut(), Vanish()),
    "0107": (
        Ring(),
        Answer(),
        Say("Hello, this is Robin speaking."),
        AwaitSpeech(),
        Say("Sorry, wait a moment, I have a question about that."),
        HearOut(),
        Say("Thank you, goodbye."),
        HearOut(most_seconds=10.0),
        HangUp(),
    ),
    "0108": (
        Ring(),
        Answer(),
        Say("Hello, this is Robin speaking."),
        HearOut(),
        Press("1234#"),
        HearOut(),
        HangUp(),
    ),
    "0109": (Refuse(HangupCause.INVALID_NUMBER),),
}
"""Who picks up, by the last four digits of the number."""


def callee_of(request: DialRequest) -> Script:
    """Who is at a number."""
    return SCENES.get(request.to_number[-4:], TALKS)


class State(Enum):
    """How far a simulated call got."""

    PLACED = auto()
    FLOWING = auto()
    """Audio goes both ways."""
    CLOSING = auto()
    """Our side hangs up once everything was played."""
    VANISHED = auto()
    OVER = auto()


class LoopbackCall:
    """One call, and the media of it: a `ports.Transport` and its `ports.CallControl`."""

    def __init__(self, carrier_call_id: str, observer: CallObserver) -> None:
        self.carrier_call_id = carrier_call_id
        self.observer = observer
        self.state = State.PLACED
        self.keys_pressed = ""
        """By our side."""
        self.transferred_to: str | None = None
        self.agent_frames = 0
        """20 ms of agent audio that the callee has heard."""
        self.quiet_frames = 0
        """Since the callee heard any."""
        self._input = EarlyInput()
        self._to_hear: deque[tuple[str, bytes]] = deque()
        self._queued = 0
        self._to_say = np.zeros(0, np.int16)
        self._inlet = StreamResampler(RATE, LISTEN_RATE)
        self._moved = asyncio.Event()

    # Our side

    @property
    def capabilities(self) -> TransportCapabilities:
        return CAPABILITIES

    @property
    def call_control(self) -> CallControl:
        return self

    def connect(self, listener: SessionInput) -> None:
        self._input.connect(listener)

    def play(self, response_id: str, samples: Samples) -> None:
        if self.state is not State.FLOWING:
            return
        self._to_hear.append((response_id, g711.encode(samples, "mulaw")))
        self._queued += len(samples)
        while self._queued > MOST_QUEUED:
            self._queued -= len(self._to_hear.popleft()[1])

    def clear(self, response_id: str) -> None:
        self._to_hear = deque(item for item in self._to_hear if item[0] != response_id)
        self._queued = sum(len(data) for _, data in self._to_hear)

    def replaced(self) -> None:
        """A call has one line; nothing replaces it."""

    def notify(self, notice: SessionNotice) -> None:
        """A telephone shows nothing."""

    def close(self, reason: EndedReason) -> None:
        if self.state is State.FLOWING:
            self.state = State.CLOSING

    def send_digits(self, digits: str) -> None:
        if self.state is State.FLOWING:
            self.keys_pressed += digits

    async def transfer(self, to_number: str) -> None:
        self.transferred_to = to_number
        self.end(HangupCause.NORMAL)

    # The callee's side

    def say(self, samples: Samples) -> None:
        """Speak, behind what is still being said."""
        self._to_say = np.concatenate([self._to_say, samples])

    @property
    def is_speaking(self) -> bool:
        return len(self._to_say) > 0

    def press(self, digit: str) -> None:
        if self.state is State.FLOWING:
            self._input.press(digit)

    def end(self, cause: HangupCause, detail: str = "") -> None:
        """The call is over, and our side is told. May be called twice."""
        if self.state is State.OVER:
            return
        had_media, self.state = self.state is not State.PLACED, State.OVER
        self._moved.set()
        self.observer.ended(cause, detail)
        if had_media:
            self._input.hung_up(cause)

    def step(self) -> None:
        """20 ms pass: a frame is heard, and one is said."""
        self._moved.set()
        if self.state not in (State.FLOWING, State.CLOSING):
            return
        self._hear_frame()
        if self.state is State.CLOSING:
            if not self._to_hear:
                self.end(HangupCause.NORMAL)
            return
        frame, self._to_say = self._to_say[:FRAME], self._to_say[FRAME:]
        frame = np.pad(frame, (0, FRAME - len(frame)))
        heard = self._inlet.process(g711.decode(g711.encode(frame, "mulaw"), "mulaw"))
        if len(heard):
            self._input.hear(heard)

    async def next_frame(self) -> None:
        """Return when 20 ms more have passed, or the call is over."""
        self._moved.clear()
        if self.state is not State.OVER:
            await self._moved.wait()

    def _hear_frame(self) -> None:
        wanted = FRAME
        while wanted and self._to_hear:
            response_id, data = self._to_hear.popleft()
            if len(data) > wanted:
                self._to_hear.appendleft((response_id, data[wanted:]))
            taken = min(wanted, len(data))
            wanted -= taken
            self._queued -= taken
        if wanted == FRAME:
            self.quiet_frames += 1
        else:
            self.quiet_frames = 0
            self.agent_frames += 1


class LoopbackEngine:
    """A `ports.TelephonyEngine` whose callees are in this process. For one event loop."""

    name = NAME

    def __init__(
        self,
        tts: TextToSpeech,
        voice: str,
        *,
        callee: Callable[[DialRequest], Script] = callee_of,
        on_call: Callable[[LoopbackCall], None] | None = None,
    ) -> None:
        """`tts` speaks for the callees, in its own `voice`. `on_call` is shown every new call."""
        self._tts = tts
        self._voice = voice
        self._callee = callee
        self._on_call = on_call
        self._calls: dict[str, tuple[LoopbackCall, asyncio.Task[None]]] = {}
        self._placed: OrderedDict[str, str] = OrderedDict()
        self._spoken: OrderedDict[str, Samples] = OrderedDict()
        self._pacing: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        """Calls that are not over."""
        return len(self._calls)

    async def dial(self, request: DialRequest, observer: CallObserver) -> str:
        known = self._placed.get(request.call_id)
        if known is not None:
            return known
        carrier_call_id = f"loop_{request.call_id}"
        self._placed[request.call_id] = carrier_call_id
        while len(self._placed) > KNOWN_CALLS:
            self._placed.popitem(last=False)
        self._begin(carrier_call_id, observer, self._callee(request), request.ring_seconds)
        return carrier_call_id

    def call_in(self, carrier_call_id: str, observer: CallObserver, script: Script) -> None:
        """Be a caller whose call has been taken: `script` begins where audio flows."""
        self._begin(carrier_call_id, observer, (Answer(), *script), 0.0)

    async def hang_up(self, carrier_call_id: str) -> None:
        found = self._calls.get(carrier_call_id)
        if found is None:
            return
        call, task = found
        task.cancel()
        placed = call.state is State.PLACED
        call.end(HangupCause.CANCELED if placed else HangupCause.NORMAL)

    async def close(self) -> None:
        """End every call. May be called twice."""
        tasks = [task for _, task in self._calls.values()]
        if self._pacing is not None:
            tasks.append(self._pacing)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    # A call's life

    def _begin(
        self, carrier_call_id: str, observer: CallObserver, script: Script, ring_seconds: float
    ) -> None:
        call = LoopbackCall(carrier_call_id, observer)
        if self._on_call is not None:
            self._on_call(call)
        task = asyncio.create_task(self._live(call, script, ring_seconds), name=carrier_call_id)
        self._calls[carrier_call_id] = (call, task)
        if self._pacing is None or self._pacing.done():
            self._pacing = asyncio.create_task(self._pace(), name="loopback")

    async def _live(self, call: LoopbackCall, script: Script, ring_seconds: float) -> None:
        try:
            for step in script:
                await self._perform(call, step, ring_seconds)
                if call.state in (State.OVER, State.VANISHED):
                    break
            while call.state in (State.FLOWING, State.CLOSING):
                await call.next_frame()
        except NurError as error:
            call.end(HangupCause.CARRIER_ERROR, error.message)
        finally:
            if call.state is not State.VANISHED:
                call.end(HangupCause.NORMAL)
            self._calls.pop(call.carrier_call_id, None)

    async def _perform(self, call: LoopbackCall, step: Step, ring_seconds: float) -> None:
        match step:
            case Ring(seconds):
                call.observer.ringing()
                await asyncio.sleep(seconds)
            case Answer():
                call.state = State.FLOWING
                call.observer.answered(call)
            case Refuse(cause):
                if cause is HangupCause.NO_ANSWER:
                    await asyncio.sleep(ring_seconds)
                call.end(cause)
            case Say(text, stops_after_seconds):
                speech = await self._speech(text)
                if stops_after_seconds is not None:
                    speech = speech[: int(stops_after_seconds * RATE)]
                await self._say(call, speech)
            case Sound(samples, sample_rate):
                await self._say(call, resample(samples, sample_rate, RATE))
            case Pause(seconds):
                await asyncio.sleep(seconds)
            case HearOut() | AwaitSpeech():
                with suppress(TimeoutError):
                    async with asyncio.timeout(step.most_seconds):
                        await _listen(call, step)
            case Press(digits):
                for digit in digits:
                    call.press(digit)
                    await asyncio.sleep(DIGIT_SECONDS)
            case HangUp():
                call.end(HangupCause.NORMAL)
            case Vanish():
                call.state = State.VANISHED
            case _:
                assert_never(step)

    async def _say(self, call: LoopbackCall, samples: Samples) -> None:
        call.say(samples)
        while call.is_speaking and call.state is State.FLOWING:
            await call.next_frame()

    async def _speech(self, text: str) -> Samples:
        """A line of a script as audio."""
        known = self._spoken.get(text)
        if known is not None:
            return known
        async with aclosing(self._tts.speak(SpeakRequest(text, self._voice))) as chunks:
            made = [resample(chunk.samples, chunk.sample_rate, RATE) async for chunk in chunks]
        speech = np.concatenate([np.zeros(0, np.int16), *made])
        self._spoken[text] = speech
        while len(self._spoken) > CACHED_LINES:
            self._spoken.popitem(last=False)
        return speech

    async def _pace(self) -> None:
        """One clock for all calls, until there is none."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while self._calls:
            due = max(due + FRAME_SECONDS, loop.time() - FRAME_SECONDS)
            await asyncio.sleep(max(0.0, due - loop.time()))
            for call, script in tuple(self._calls.values()):
                if call.state is State.OVER:
                    script.cancel()
                    continue
                try:
                    call.step()
                except Exception:
                    log.exception("loopback.crashed", carrier_call_id=call.carrier_call_id)
                    call.end(HangupCause.CARRIER_ERROR)


async def _listen(call: LoopbackCall, step: HearOut | AwaitSpeech) -> None:
    """Until the agent has spoken as `step` wants, or the call does not go on."""
    before = call.agent_frames
    while call.state is State.FLOWING:
        spoken = call.agent_frames - before
        match step:
            case HearOut(quiet_seconds) if spoken and (
                call.quiet_frames * FRAME_SECONDS >= quiet_seconds
            ):
                return
            case AwaitSpeech(seconds) if spoken * FRAME_SECONDS >= seconds:
                return
        await call.next_frame()
