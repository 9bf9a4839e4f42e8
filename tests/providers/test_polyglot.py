"""Two synthesisers as one."""

from nur_server.ports import SpeakRequest
from nur_server.providers.polyglot import Polyglot
from nur_server.providers.scripted import ScriptedTextToSpeech


async def test_each_voice_goes_to_the_engine_that_has_it() -> None:
    first, second = ScriptedTextToSpeech(name="one"), ScriptedTextToSpeech(name="two")
    both = Polyglot(first, second)
    for request in (
        SpeakRequest("Hello", "slt", "en", 1.2),
        SpeakRequest("Hola", both.second_voice("es+f2"), "es"),
    ):
        assert [chunk async for chunk in both.speak(request)]
    assert both.name == "one"
    assert first.spoken == [SpeakRequest("Hello", "slt", "en", 1.2)]
    assert second.spoken == [SpeakRequest("Hola", "es+f2", "es")]


async def test_it_can_do_what_both_can() -> None:
    one, other = ScriptedTextToSpeech(), ScriptedTextToSpeech(gives_word_times=False)
    assert Polyglot(one, one).capabilities.gives_word_times
    assert not Polyglot(one, other).capabilities.gives_word_times


async def test_closing_reaches_the_engine() -> None:
    engine = ScriptedTextToSpeech()
    chunks = Polyglot(engine, engine).speak(SpeakRequest("Hello there", "v"))
    await anext(chunks)
    assert engine.open_clauses == 1
    await chunks.aclose()
    assert engine.open_clauses == 0
