"""What is played: scenes and the conditions they are heard in."""

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from bench.scorecard.wordings import HELD_OUT, TUNING, Wordings
from bench.scorecard.wordings_fresh import FRESH

SETS = {"tuning": TUNING, "held_out": HELD_OUT, "fresh": FRESH}
OPENING = "Please tell me everything about your offers."
"""Said by the user first, but where the agent asks: it answers, and knows their voice."""
READINGS = 2
"""Voices that say each text."""


class Kind(StrEnum):
    INTERRUPTION = "interruption"
    BACKCHANNEL = "backchannel"
    TIC = "vocal tic"
    ASIDE = "aside"
    """Somebody else, further away, talks to somebody else."""
    TURNED = "turned away"
    """The user, the head turned or a hand over the microphone, talks to somebody else."""
    REMARK = "remark"
    """The user talks to somebody else straight into the microphone, as loud as ever."""
    QUIET_TIC = "vocal tic in silence"
    QUIET_ASIDE = "aside in silence"
    QUIET_TURNED = "turned away in silence"
    PAUSE = "mid-thought pause"
    ANSWER = "finished turn"

    @property
    def is_overlap(self) -> bool:
        """It happens while the agent speaks."""
        return not self.is_turn and not self.is_in_silence

    @property
    def is_in_silence(self) -> bool:
        """It happens while nobody speaks, and nobody is to answer it."""
        return self in (Kind.QUIET_TIC, Kind.QUIET_ASIDE, Kind.QUIET_TURNED)

    @property
    def is_turn(self) -> bool:
        """It is said to the agent, who is to answer once it is over."""
        return self in (Kind.PAUSE, Kind.ANSWER)


class Condition(StrEnum):
    CLEAN = "clean"
    TELEPHONE = "telephone"
    """300–3400 Hz, and G.711 mu-law on the socket."""
    NOISE_15 = "noise 15 dB"
    NOISE_10 = "noise 10 dB"

    @property
    def snr_db(self) -> float | None:
        """Level of the user's speech over the noise."""
        return {Condition.NOISE_15: 15.0, Condition.NOISE_10: 10.0}.get(self)


NOISES = ("pink", "brown", "babble")


@dataclass(frozen=True, slots=True)
class Scene:
    """One conversation with one thing to judge in it."""

    name: str
    part: str
    """The set it belongs to."""
    kind: Kind
    text: str
    voice: str
    """The user's."""
    other_voice: str
    """Who says an aside."""
    seed: int
    question: str | None = None
    """What the agent asks first. None: the user speaks first."""
    lead_seconds: float = 0.0
    """How long the agent has been speaking, or silent, when what is judged begins."""
    pause_seconds: float = 0.0
    noise: str = NOISES[0]
    file: Path | None = None
    """A recording to play in place of synthesised speech."""
    pause_at: tuple[float, float] | None = None
    """Where the recording pauses, in seconds."""


def scripted(part: str) -> list[Scene]:
    """The scenes of a set, in an order that mixes kinds and voices."""
    scenes = list(_of_set(part, SETS[part]))
    random.Random(f"order {part}").shuffle(scenes)
    return scenes


def _of_set(part: str, wordings: Wordings) -> Iterator[Scene]:
    plain = {
        Kind.INTERRUPTION: wordings.interruptions,
        Kind.BACKCHANNEL: wordings.backchannels,
        Kind.TIC: wordings.tics,
        Kind.ASIDE: wordings.asides,
        Kind.TURNED: wordings.remarks,
        Kind.REMARK: wordings.remarks,
        Kind.QUIET_TIC: wordings.tics,
        Kind.QUIET_ASIDE: wordings.asides,
        Kind.QUIET_TURNED: wordings.remarks,
    }
    asked = {Kind.PAUSE: wordings.pauses, Kind.ANSWER: wordings.answers}
    for kind, texts in plain.items():
        for number, text in enumerate(texts):
            for reading in range(READINGS):
                yield _scene(part, kind, number, reading, text, None, wordings.voices)
    for kind, pairs in asked.items():
        for number, (question, text) in enumerate(pairs):
            for reading in range(READINGS):
                yield _scene(part, kind, number, reading, text, question, wordings.voices)


def _scene(
    part: str,
    kind: Kind,
    number: int,
    reading: int,
    text: str,
    question: str | None,
    voices: tuple[str, ...],
) -> Scene:
    name = f"{part}/{kind.name.lower()}/{number:02}{'ab'[reading]}"
    chance = random.Random(name)
    speaker = (number + 2 * reading) % len(voices)
    return Scene(
        name=name,
        part=part,
        kind=kind,
        text=text,
        voice=voices[speaker],
        other_voice=voices[(speaker + 1 + reading) % len(voices)],
        seed=chance.randrange(1 << 30),
        question=question,
        lead_seconds=chance.uniform(1.5, 3.0),
        pause_seconds=chance.uniform(0.7, 1.5),
        noise=NOISES[(number + reading) % len(NOISES)],
    )


def recorded(folder: Path) -> list[Scene]:
    """The scenes of a folder with a `manifest.json`: a list of objects with `file` (WAV) and
    `kind`, and where they apply `question`, `text` and `pause` (`[from, to]` in seconds).

    Raises `ValueError` for an entry that cannot be played.
    """
    return [
        _recording(folder, number, entry)
        for number, entry in enumerate(json.loads((folder / "manifest.json").read_text()))
    ]


def _recording(folder: Path, number: int, entry: dict[str, object]) -> Scene:
    kinds = {kind.name.lower(): kind for kind in Kind}
    kind = kinds.get(str(entry.get("kind")))
    if kind is None:
        raise ValueError(f"entry {number}: expected a kind of {', '.join(kinds)}; got {entry}")
    pause = entry.get("pause")
    if kind is Kind.PAUSE and not (isinstance(pause, list) and len(pause) == 2):
        raise ValueError(f"entry {number}: expected `pause` as [from, to] in seconds; got {pause}")
    question = str(entry.get("question", "How can I help you?"))
    return Scene(
        name=f"recorded/{kind.name.lower()}/{entry['file']}",
        part="recorded",
        kind=kind,
        text=str(entry.get("text", "")),
        voice=SETS["tuning"].voices[0],
        other_voice="",
        seed=number,
        question=question if kind.is_turn else None,
        lead_seconds=random.Random(number).uniform(1.5, 3.0),
        noise=NOISES[number % len(NOISES)],
        file=folder / str(entry["file"]),
        pause_at=(float(pause[0]), float(pause[1])) if isinstance(pause, list) else None,
    )
