"""Word error rate of the multilingual recogniser on people's speech in several languages.

    python -m bench.languages [--per-language 20] [--folder DIR] [--whole-window] [--show]

The speech is the telephone prompts of Debian's `asterisk-core-sounds-*` (CC-BY-SA, 8 kHz, one
speaker a language), fetched with `apt-get download` into DIR and not shipped. The prompts sometimes
differ from their transcript, and figures written as digits count as errors, so that the rates are
upper bounds. `--whole-window` gives the network the 30 s it was trained on instead of the short
window. Prints, for each language, the error rate, how often the language was told from the sound,
and the processor time per utterance.
"""

import argparse
import os
import re
import subprocess
import time
import unicodedata
from pathlib import Path

import numpy as np
import soundfile
import soxr

from bench.wer import errors, number
from nur_server.ports import Samples
from nur_server.providers import whisper_model
from nur_server.providers.whisper_model import WhisperModel
from nur_server.settings import Settings

RATE = 16_000
LANGUAGES = ("en", "es", "fr", "it", "ru")
SHORTEST_WORDS = 6
"""Single words and digits say little of how sentences are understood."""
DOWNLOAD_SECONDS = 300


def prompts(language: str, folder: Path, most: int) -> list[tuple[Samples, str]]:
    """Prompts of a language at 16 kHz, with what is said in them."""
    root = folder / language
    if not root.is_dir():
        fetch(language, folder)
    (listing,) = root.rglob(f"core-sounds-{language}*.txt*")
    text = read(listing)
    sounds = {sound.stem: sound for sound in sorted(root.rglob("*.wav"))}
    found = []
    for line in text.splitlines():
        name, _, said = line.partition(":")
        said = re.sub(r"[\[(<].*?[\])>]", " ", said).strip()
        sound = sounds.get(Path(name.strip()).name)
        if sound is not None and len(said.split()) >= SHORTEST_WORDS:
            samples, rate = soundfile.read(sound, dtype="int16", always_2d=True)
            found.append((soxr.resample(samples[:, 0], rate, RATE), said))
    step = max(1, len(found) // most)
    return found[::step][:most]


def fetch(language: str, folder: Path) -> None:
    names = (f"asterisk-core-sounds-{language}", f"asterisk-core-sounds-{language}-wav")
    root = folder / language
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        ["apt-get", "download", *names], cwd=folder, check=True, timeout=DOWNLOAD_SECONDS
    )
    for name in names:
        for package in folder.glob(f"{name}_*.deb"):
            subprocess.run(["dpkg-deb", "-x", str(package), str(root)], check=True, timeout=60)


def read(listing: Path) -> str:
    if listing.suffix == ".gz":
        import gzip

        return gzip.decompress(listing.read_bytes()).decode("utf-8", "replace")
    return listing.read_text("utf-8", "replace")


def words(text: str) -> list[str]:
    """Without case, accents and punctuation."""
    plain = unicodedata.normalize("NFKD", text.lower().replace("’", "'"))
    plain = "".join(c for c in plain if not unicodedata.combining(c))
    return re.findall(r"[^\W_]+", plain.replace("'", " "))


def spelled_out(found: list[str]) -> list[str]:
    """With figures as English words."""
    return [part for word in found for part in (number(int(word)) if word.isdigit() else [word])]


def measure(
    model: WhisperModel, language: str, clips: list[tuple[Samples, str]], show: bool
) -> None:
    wrong = total = known = 0
    spent = 0.0
    for samples, said in clips:
        before = time.process_time()
        heard = model.hear(samples, language=language).text
        spent += time.process_time() - before
        known += model.language_of(samples)[0] == language
        expected, got = words(said), words(heard)
        if language == "en":
            expected, got = spelled_out(expected), spelled_out(got)
        wrong += errors(expected, got)
        total += len(expected)
        if show:
            print(f"  {said}\n    {heard}")
    rate = 100 * wrong / total if total else 0.0
    print(
        f"{language}  WER {rate:5.1f} %  ({wrong}/{total} words, {len(clips)} prompts)  "
        f"language told {known}/{len(clips)}  {spent / len(clips):.2f} s of processor an utterance"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--per-language", type=int, default=20)
    parser.add_argument("--folder", type=Path, default=Path.home() / ".cache" / "nur" / "prompts")
    parser.add_argument("--whole-window", action="store_true")
    parser.add_argument("--show", action="store_true")
    asked = parser.parse_args()
    print("load", " ".join(f"{load:.1f}" for load in os.getloadavg()))
    if asked.whole_window:
        whisper_model.PADDING_SECONDS = 25
    model = WhisperModel.load(Settings().models_dir)
    model.hear(np.zeros(RATE, np.int16))
    for language in LANGUAGES:
        measure(model, language, prompts(language, asked.folder, asked.per_language), asked.show)


if __name__ == "__main__":
    main()
