"""The chat adapter against a real llama.cpp server with a tiny model of random weights.

Needs `pip install "llama-cpp-python[server]" gguf`. What the model says is noise; that it arrives,
ends, and can be broken off is what is shown.
"""

import asyncio
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from pathlib import Path

import httpx2
import numpy as np
import pytest

from nur_server.conversation.actions import ModelMessage, ToolCallMessage
from nur_server.conversation.config import ToolSpec
from nur_server.conversation.events import Role
from nur_server.errors import ProviderGarbled
from nur_server.ports import ReplyEnd, ReplyRequest, TextDelta
from nur_server.providers.discovery import Place, discover
from nur_server.providers.http import ModelServer, model_client
from nur_server.providers.openai_chat import OpenAIChat

gguf = pytest.importorskip("gguf", reason="gguf is not installed")
pytest.importorskip("llama_cpp", reason="llama-cpp-python[server] is not installed")
pytest.importorskip("llama_cpp.server", reason="llama-cpp-python has no [server] extra here")

MODEL = "qwen3.5-4b"
START_SECONDS = 60
WIDTH, HIDDEN, LAYERS, HEADS = 64, 128, 2, 4
END, TURN, TURN_END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

ASK = ReplyRequest(
    (ModelMessage(Role.SYSTEM, "Be kind."), ModelMessage(Role.USER, "Hello")),
    temperature=0.8,
    max_tokens=24,
)
LOOKUP = ToolSpec("lookup", "Look up", {"type": "object", "properties": {"id": {"type": "string"}}})


def byte_alphabet() -> list[str]:
    """The printable characters GPT-2's tokenizer writes the 256 bytes with, in order of byte."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = iter(range(256, 512))
    return [chr(byte if byte in shown else next(hidden)) for byte in range(256)]


def write_model(file: Path) -> None:
    """A llama of two layers with a byte-level tokenizer of a few merges, about 0.5 MB."""
    merges = ["h e", "l l", "he ll", "hell o", "t h", "th e", "a n", "i n", "e r", "o u"]
    tokens = [*byte_alphabet(), *(merge.replace(" ", "") for merge in merges), END, TURN, TURN_END]
    special = {token: len(tokens) - 3 + i for i, token in enumerate((END, TURN, TURN_END))}
    writer = gguf.GGUFWriter(str(file), "llama")
    writer.add_name("tiny")
    writer.add_context_length(512)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(HIDDEN)
    writer.add_block_count(LAYERS)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_types([3 if token in special else 1 for token in tokens])
    writer.add_token_merges(merges)
    writer.add_bos_token_id(special[END])
    writer.add_eos_token_id(special[TURN_END])
    writer.add_add_bos_token(False)
    writer.add_chat_template(TEMPLATE)
    for name, weights in random_weights(len(tokens)).items():
        writer.add_tensor(f"{name}.weight", weights)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def random_weights(vocabulary: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(7)

    def matrix(*shape: int) -> np.ndarray:
        return (random.standard_normal(shape) * 0.2).astype(np.float32)

    ones = np.ones(WIDTH, np.float32)
    weights = {
        "token_embd": matrix(vocabulary, WIDTH),
        "output": matrix(vocabulary, WIDTH),
        "output_norm": ones,
    }
    square, up, down = (WIDTH, WIDTH), (HIDDEN, WIDTH), (WIDTH, HIDDEN)
    shapes = dict.fromkeys(("attn_q", "attn_k", "attn_v", "attn_output"), square)
    shapes |= {"ffn_gate": up, "ffn_up": up, "ffn_down": down}
    for layer in range(LAYERS):
        weights |= {f"blk.{layer}.{name}": matrix(*shape) for name, shape in shapes.items()}
        weights |= {f"blk.{layer}.{name}": ones for name in ("attn_norm", "ffn_norm")}
    return weights


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("llama") / "tiny.gguf"
    write_model(file)
    return file


@pytest.fixture
async def base_url(model_file: Path) -> AsyncIterator[str]:
    """A running llama.cpp server."""
    port = free_port()
    with (model_file.parent / "server.log").open("wb") as output:
        server = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "llama_cpp.server", "--model", str(model_file)),
            *("--model_alias", MODEL, "--host", "127.0.0.1", "--port", str(port)),
            *("--n_ctx", "512", "--n_threads", "1"),
            stdout=output,
            stderr=output,
        )
        try:
            await until_ready(server, f"http://127.0.0.1:{port}/v1", model_file.parent)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            with suppress(ProcessLookupError):
                server.kill()
            await server.wait()


async def until_ready(server: asyncio.subprocess.Process, url: str, folder: Path) -> None:
    async with asyncio.timeout(START_SECONDS), httpx2.AsyncClient(trust_env=False) as client:
        while server.returncode is None:
            with suppress(httpx2.TransportError):
                if (await client.get(f"{url}/models")).is_success:
                    return
            await asyncio.sleep(0.1)
    pytest.fail(f"the server ended: {(folder / 'server.log').read_text()[-2000:]}")


@pytest.fixture
async def chat(base_url: str) -> AsyncIterator[OpenAIChat]:
    async with model_client(20) as client:
        yield OpenAIChat(ModelServer(base_url, MODEL), client, chunk_seconds=20)


async def test_a_real_server_is_found_answers_and_can_be_broken_off(
    chat: OpenAIChat, base_url: str
) -> None:
    """One server start for all of it: that is what takes time."""
    found = await discover(own_port=0, places=[Place("llama.cpp", base_url)], within_seconds=10)
    assert found is not None
    assert found.models == (MODEL,)

    parts = [part async for part in chat.reply(ASK)]
    assert isinstance(parts[-1], ReplyEnd)
    assert parts[-1].finish_reason in ("stop", "length")
    assert all(isinstance(part, TextDelta) for part in parts[:-1])
    assert len(parts) > 2

    async with aclosing(chat.reply(ASK)) as broken_off:
        assert isinstance(await anext(broken_off), TextDelta)
    again = [part async for part in chat.reply(ASK)]
    assert isinstance(again[-1], ReplyEnd)

    call = ToolCallMessage("call_1", "lookup", '{"id": "7"}')
    with_tools = ReplyRequest(
        (
            *ASK.messages,
            ModelMessage(Role.ASSISTANT, "", (call,)),
            ModelMessage(Role.TOOL, '{"status": "open"}', tool_call_id="call_1"),
            ModelMessage(Role.USER, "And?"),
        ),
        (LOOKUP,),
        max_tokens=8,
    )
    assert isinstance([part async for part in chat.reply(with_tools)][-1], ReplyEnd)

    too_long = ReplyRequest((ModelMessage(Role.USER, "hello " * 2000),), max_tokens=8)
    with pytest.raises(ProviderGarbled, match="longer than its context"):
        _ = [part async for part in chat.reply(too_long)]
