"""A synthesiser's bytes, to samples: raw PCM16, a WAV file, or several of them in a row.

Nothing but samples is ever played. Headers are met again in mid-stream where servers send one per
piece, metadata stands behind the samples, sizes in headers are right, empty, too small or left
open, and what calls itself audio is sometimes compressed, or an error in writing.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from nur_server.errors import ProviderError
from nur_server.ports import Samples, SpeechChunk
from nur_server.providers.http import garbled, reported

DEFAULT_RATE = 24_000
MAX_CLAUSE_BYTES = 24_000 * 2 * 300
"""Five minutes: no clause is that long, a runaway synthesis is."""
MAX_HEADER_BYTES = 65_536
SNIFFED_BYTES = 512
"""Looked at before the first sample is played: 11 ms at 24 kHz."""
LISTENED_SAMPLES = 12_000
"""So far into the audio it is made sure that it is no noise: half a second at 24 kHz."""
LOUD = 0.28
"""RMS, of full scale, above which a signal without any likeness from sample to sample is noise.
Random bytes have 0.58; the loudest speech is below 0.25 in a hissed consonant, and alike from one
sample to the next elsewhere."""
LEAST_SAMPLES = 128
LEAST_TEXT = 16
"""Printable characters at the start that samples do not have by chance."""
ALIKE = 0.3
"""Likeness of neighbouring samples (correlation), below which a signal is like random bytes: they
have 0 ± 0.09 in the shortest piece that is looked at."""
PCM_TYPES = (
    "", "audio/pcm", "audio/x-pcm", "audio/raw", "audio/x-raw", "audio/l16", "audio/wav",
    "audio/x-wav", "audio/wave", "audio/vnd.wave", "application/octet-stream",
    "binary/octet-stream", "text/event-stream",
)  # fmt: skip
"""Content types that may hold plain samples. A WAV file is known by its first bytes alone."""
UNKNOWN_SIZES = (0, 0x7FFFFFFF, 0xFFFFFFFF)
CHUNK_NAMES = (
    b"LIST", b"fact", b"id3 ", b"ID3 ", b"cue ", b"bext", b"smpl", b"inst", b"PEAK", b"JUNK",
    b"junk", b"iXML", b"_PMX", b"afsp", b"DISP", b"plst", b"note", b"labl", b"PAD ", b"FLLR",
)  # fmt: skip
"""Chunks of WAV files that stand around the samples."""
SIGNATURE_BYTES = 12
_MAGIC = {
    b"OggS": "Ogg", b"fLaC": "FLAC", b"ID3": "MP3", b"\x1aE\xdf\xa3": "WebM", b"FORM": "AIFF",
    b"caff": "CAF", b".snd": "AU", b"\x1f\x8b\x08": "gzip", b"RIFX": "big-endian WAV",
    b"#!AMR": "AMR",
}  # fmt: skip
_MPEG1_KBITS = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_MPEG2_KBITS = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)


@dataclass(frozen=True, slots=True)
class WavHead:
    """What a WAV file's header says."""

    sample_rate: int
    channels: int
    data_start: int
    """Offset of the first sample."""
    data_bytes: int | None = None
    """None: not known."""


def wav_head(data: bytes) -> WavHead | None:
    """The header of a PCM16 WAV file; None while `data` ends inside it.

    Raises `ValueError` for anything but PCM16.
    """
    if len(data) >= SIGNATURE_BYTES and data[8:12] != b"WAVE":
        raise ValueError("expected RIFF/WAVE")
    position, form = 12, b""
    while len(data) >= position + 8:
        name, size = data[position : position + 4], _size(data, position + 4)
        position += 8
        if name == b"data":
            is_known = size not in UNKNOWN_SIZES and size % 2 == 0
            return _wav_form(form, position, size if is_known else None)
        if name == b"fmt ":
            form = data[position : position + 16]
        position += size + size % 2
    if position > MAX_HEADER_BYTES:
        raise ValueError("expected audio within the first 64 KiB")
    return None


def _size(data: bytes, position: int) -> int:
    return int.from_bytes(data[position : position + 4], "little")


def _wav_form(form: bytes, data_start: int, data_bytes: int | None) -> WavHead:
    if len(form) < 16:
        raise ValueError("expected a format before the data")
    coding, channels = int.from_bytes(form[0:2], "little"), int.from_bytes(form[2:4], "little")
    rate, bits = _size(form, 4), int.from_bytes(form[14:16], "little")
    if coding not in (1, 0xFFFE) or bits != 16 or channels not in (1, 2) or not rate:
        raise ValueError(
            f"expected PCM16, got format {coding} with {bits} bits, {channels} channels"
        )
    return WavHead(rate, channels, data_start, data_bytes)


class SpeechBytes:
    """The samples in a body that comes in pieces, cut anywhere."""

    def __init__(self, provider: str, kind: str, sample_rate: int, channels: int = 1) -> None:
        """`kind` is the content type; the rate and the number of channels hold unless a header
        says otherwise."""
        self._provider = provider
        self._kind = kind
        self._rate = sample_rate
        self._channels = channels
        self._held = b""
        """Not looked through yet."""
        self._has_begun = False
        self._left: int | None = None
        """Bytes until the end of the samples that a header told of. None: it told of none."""
        self._skips = 0
        """Bytes of a chunk without samples that are still to come."""
        self._taken = 0
        self._is_swapped = False
        self._listened = 0
        self.has_samples = False

    def take(self, piece: bytes) -> SpeechChunk | None:
        """The whole samples so far. Raises `ProviderGarbled` for anything else than samples."""
        self._taken += len(piece)
        if self._taken > MAX_CLAUSE_BYTES:
            got = "more than five minutes"
            raise garbled(self._provider, "the audio of one clause", got, is_quote=False)
        self._held += piece
        if not self._has_begun:
            if len(self._held) < SNIFFED_BYTES:
                return None
            self._begin()
        return self._chunk(is_end=False)

    def finish(self) -> SpeechChunk | None:
        """What was held back."""
        if not self._has_begun and self._held:
            self._begin()
        return self._chunk(is_end=True)

    def _begin(self) -> None:
        self._has_begun = True
        data = self._held
        if data[:4] in (b"RIFF", b"RF64"):
            if data[8:12] != b"WAVE":
                raise self._no_wav("another kind of RIFF file")
            self._held = b"RIFF" + data[4:]
            return
        self._refuse_text(data)
        other = _other_coding(data)
        if other is None and self._kind not in PCM_TYPES:
            other = f"content type {self._kind}"
        if other is not None:
            raise garbled(self._provider, "PCM16 or a WAV file", other, is_quote=False)
        samples = np.frombuffer(data[: len(data) // 2 * 2], "<i2")
        self._is_swapped = _roughness(samples.byteswap()) * 4 < _roughness(samples)

    def _refuse_text(self, data: bytes) -> None:
        """An error in writing is told as one."""
        start = data[:SNIFFED_BYTES].lstrip()
        if not _is_text(start) or not (len(start) >= LEAST_TEXT or start.startswith((b"{", b"<"))):
            return
        if any(word in start for word in (b'"error', b'"detail', b'"message')):
            raise reported(self._provider, "audio", start.decode("utf-8", "replace"))
        got = f"text of content type {self._kind or 'none'}"
        raise garbled(self._provider, "audio", got, is_quote=False)

    def _chunk(self, *, is_end: bool) -> SpeechChunk | None:
        parts: list[Samples] = []
        while (run := self._next_run(is_end=is_end)) is not None:
            if len(run):
                parts.append(self._samples(run))
        if not parts:
            return None
        return SpeechChunk(np.concatenate(parts), self._rate)

    def _next_run(self, *, is_end: bool) -> bytes | None:
        """The next bytes of samples; None when more has to come first."""
        if self._skips:
            skipped = min(self._skips, len(self._held))
            self._held, self._skips = self._held[skipped:], self._skips - skipped
        if not self._held or self._skips:
            return None
        if self._left == 0:
            return b"" if self._end_samples(is_end=is_end) else None
        at, is_certain = _signature(self._held)
        if at == 0 and is_certain:
            return b"" if self._pass_signature(is_end=is_end) else None
        end = len(self._held) if at is None or (is_end and not is_certain) else at
        if self._left is not None:
            end = min(end, self._left)
        frame = 2 * self._channels
        is_last = is_certain and end == at
        run = self._held[: end - end % frame]
        closes = end > 0 and (is_last or end == self._left)
        if not run and not closes:
            return None
        taken = end if closes else len(run)
        self._held = self._held[taken:]
        if self._left is not None:
            self._left -= taken
        return run

    def _end_samples(self, *, is_end: bool) -> bool:
        """The samples a header told of are over. What follows is another chunk, another file, or
        more samples behind a size that was too small. False: too little has come to tell."""
        if len(self._held) < 8 and not is_end:
            return False
        name = self._held[:4]
        self._left = None
        if name in CHUNK_NAMES:
            size = _size(self._held, 4)
            self._skips = 8 + size + size % 2
            self._left = 0
        return True

    def _pass_signature(self, *, is_end: bool) -> bool:
        """Go past a header, or metadata. False: its end has yet to come."""
        if self._held[:4] == b"LIST":
            size = _size(self._held, 4)
            self._skips = 8 + size + size % 2
            return True
        try:
            head = wav_head(self._held)
        except ValueError as error:
            raise self._no_wav(str(error)) from None
        if head is None:
            if is_end:
                self._held = b""
            return False
        told = (head.sample_rate, head.channels)
        if self.has_samples and told != (self._rate, self._channels):
            raise self._no_wav("a header with another rate in mid-stream")
        self._rate, self._channels = told
        self._left = head.data_bytes
        self._held = self._held[head.data_start :]
        return True

    def _no_wav(self, got: str) -> ProviderError:
        return garbled(self._provider, "a PCM16 WAV file", got, is_quote=False)

    def _samples(self, run: bytes) -> Samples:
        samples = np.frombuffer(run, ">i2" if self._is_swapped else "<i2").astype(np.int16)
        self.has_samples = True
        if self._listened < LISTENED_SAMPLES:
            self._listened += len(samples)
            if _is_noise(samples, self._channels):
                got = "noise at full level, as compressed audio is when played"
                raise garbled(self._provider, "PCM16 or a WAV file", got, is_quote=False)
        if self._channels == 2:
            samples = samples.reshape(-1, 2).mean(axis=1).astype(np.int16)
        return samples


def _signature(data: bytes) -> tuple[int | None, bool]:
    """Where the first header or metadata begins, and whether it is certain: of one that the data
    cuts short it is not."""
    for at in sorted(_found(data, b"RIFF") + _found(data, b"LIST")):
        found = data[at : at + SIGNATURE_BYTES]
        if len(found) < SIGNATURE_BYTES:
            return at, False
        if found[8:] == (b"WAVE" if found[:4] == b"RIFF" else b"INFO"):
            return at, True
    tail = next((n for n in (3, 2, 1) if data[-n:] in (b"RIFF"[:n], b"LIST"[:n])), 0)
    return (len(data) - tail, False) if tail else (None, False)


def _found(data: bytes, name: bytes) -> list[int]:
    places, at = [], data.find(name)
    while at >= 0:
        places.append(at)
        at = data.find(name, at + 1)
    return places


def _is_text(data: bytes) -> bool:
    return all(32 <= byte < 127 or byte in b"\t\r\n" for byte in data[:64])


def _other_coding(data: bytes) -> str | None:
    """What the body is where it is known not to be plain samples."""
    name = next((name for magic, name in _MAGIC.items() if data.startswith(magic)), None)
    if name is None and data[4:8] == b"ftyp":
        name = "MP4"
    if name is None and (_follows_itself(data, _mp3_frame) or _has_mp3_tag(data)):
        name = "MP3"
    if name is None and _follows_itself(data, _aac_frame):
        name = "AAC"
    return f"{name} data" if name else None


def _has_mp3_tag(data: bytes) -> bool:
    tags = (b"Xing", b"Info", b"LAME", b"Lavf", b"Lavc")
    return _mp3_frame(data, 0) > 0 and any(tag in data[:SNIFFED_BYTES] for tag in tags)


def _follows_itself(data: bytes, frame_bytes: Callable[[bytes, int], int]) -> bool:
    """Whether a frame of a compressed stream is followed by another one."""
    size = frame_bytes(data, 0)
    return size > 0 and frame_bytes(data, size) > 0


def _mp3_frame(data: bytes, at: int) -> int:
    """Bytes of the MPEG audio layer III frame that begins at `at`; 0: none does."""
    head = data[at : at + 4]
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE6 != 0xE2:
        return 0
    version, bitrate, rate = head[1] >> 3 & 3, head[2] >> 4, head[2] >> 2 & 3
    if version == 1 or bitrate in (0, 15) or rate == 3:
        return 0
    is_first = version == 3
    kbits = (_MPEG1_KBITS if is_first else _MPEG2_KBITS)[bitrate - 1]
    hertz = (44_100, 48_000, 32_000)[rate] >> (0 if is_first else 1 if version == 2 else 2)
    return (144 if is_first else 72) * kbits * 1000 // hertz + (head[2] >> 1 & 1)


def _aac_frame(data: bytes, at: int) -> int:
    """Bytes of the ADTS frame that begins at `at`; 0: none does."""
    head = data[at : at + 7]
    if len(head) < 7 or head[0] != 0xFF or head[1] & 0xF6 != 0xF0:
        return 0
    return (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5


def _roughness(samples: Samples) -> float:
    """How far neighbouring samples are apart."""
    return float(np.abs(np.diff(samples.astype(np.int32))).mean()) if len(samples) > 1 else 0.0


def _is_noise(samples: Samples, channels: int) -> bool:
    """Whether it is loud and without any likeness from sample to sample, as bytes of a compressed
    stream are. Too little to tell is none."""
    heard = samples[::channels].astype(np.float64) / 32_768
    if len(heard) < LEAST_SAMPLES:
        return False
    power = float(np.mean(heard**2))
    if power**0.5 < LOUD:
        return False
    return abs(float(np.mean(heard[:-1] * heard[1:]))) < ALIKE * power
