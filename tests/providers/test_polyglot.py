"""Two synthesisers as one."""

from nur_server.ports import SpeakRequest
from nur_server.providers.polyglot import Polyglot
from nur_server.providers.scripted import ScriptedTextToSpeech


async def test_each_voice_goes_to_the_engine_that_has_it() -> None:
    first, second = ScriptedTextToSpeech(name="one"), ScriptedTextToSpeech(name="two")
    both = Polyglot(first, second)
    for request in (
        SpeakRequest("Hello", "slt", "en", 1.2),
        SpeakRequest("Hola", "two/es+f2", "es"),
    ):
        assert [chunk async for chunk in both.speak(request)]
    assert both.name == "one"
    assert first.spoken == [SpeakRequest("Hello", "slt", "en", 1.2)]
    assert second.spoken == [SpeakRequest("Hola", "es+f2", "es")]


def test_it_says_whose_voices_it_has() -> None:
    one, two, three = (ScriptedTextToSpeech(name=name) for name in ("one", "two", "three"))
    assert Polyglot(one, two).capabilities.voices_of == {"two": "two/"}
    assert Polyglot(Polyglot(one, two), three).capabilities.voices_of == {
        "two": "two/",
        "three": "three/",
    }


async def test_closing_reaches_the_engine() -> None:
    engine = ScriptedTextToSpeech()
    chunks = Polyglot(engine, engine).speak(SpeakRequest("Hello there", "v"))
    await anext(chunks)
    assert engine.open_clauses == 1
    await chunks.aclose()
    assert engine.open_clauses == 0
