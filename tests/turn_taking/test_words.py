import pytest
from hypothesis import given
from hypothesis import strategies as st

from nur_server.turn_taking.backchannels import is_backchannel, is_vocal_tic
from nur_server.turn_taking.stop_words import is_stop_command
from nur_server.turn_taking.words import (
    Expected,
    ends_unfinished,
    expects,
    is_short_answer,
    leaves_question_open,
    normalise,
    overlap_with,
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Hello,  World!", "hello world"),
        ("I'm fine — really.", "im fine really"),
        ("Mm-hmm.", "mm hmm"),
        ("It’s 4:30 PM", "its 4 30 pm"),
        ("ÜBER straße", "über strasse"),
        ("¿Qué tal?", "qué tal"),
        ("हिन्दी में।", "हिन्दी में"),
        ("你好，世界。", "你好 世界"),
        ("ＡＢＣ", "abc"),
        ("...", ""),
        ("", ""),
    ],
)
def test_normalising_keeps_the_bare_words(text: str, words: str) -> None:
    assert normalise(text) == words


@given(st.text())
def test_normalising_twice_changes_nothing(text: str) -> None:
    once = normalise(text)
    assert normalise(once) == once


@pytest.mark.parametrize(
    "text",
    [
        "mhm",
        "Mm-hmm.",
        "mm hmm",
        "mmhmm",
        "uh huh",
        "Uh-huh, uh-huh.",
        "hmm",
        "mm",
        "yeah",
        "Yeah.",
        "yeah yeah yeah",
        "right",
        "Right, right.",
        "ok",
        "Okay.",
        "okay sure",
        "oh okay i see",
        "I see.",
        "got it",
        "Oh, wow!",
        "go on",
        "makes sense",
        "that makes sense",
        "yeah that's true",
        "Oh really?",
        "sounds good",
        "all right",
        "of course",
        "i know right",
        "no way",
        "aha",
        "umhm",
        "cool cool",
        "Oh, that's really good to know.",
        "How lovely!",
        "That sounds great, no worries.",
        "What a relief.",
        "Okay, that works for me.",
    ],
)
def test_listening_noises_are_backchannels(text: str) -> None:
    assert is_backchannel(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no",
        "yeah but",
        "okay stop",
        "right turn",
        "i see a problem",
        "what",
        "yes i have a question",
        "sure can you repeat that",
        "thursday",
        "wait",
        "i don't think so",
        "got it wrong",
        "that's wrong",
        "that's too expensive",
        "do you have",
        "sounds great but",
        "how good is it",
    ],
)
def test_words_with_content_are_no_backchannels(text: str) -> None:
    assert not is_backchannel(text)


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("sí, claro", "es", True),
        ("ajá", "es-MX", True),
        ("mhm", "es", True),
        ("claro que no", "es", False),
        ("oui d'accord", "fr", True),
        ("non merci", "fr", False),
        ("ja genau", "de", True),
        ("nein", "de", False),
        ("va bene", "it", True),
        ("tá bom", "pt_BR", True),
        ("okay yeah", "ja", True),
    ],
)
def test_backchannels_in_other_languages(text: str, language: str, expected: bool) -> None:
    assert is_backchannel(text, language) is expected


@pytest.mark.parametrize("text", ["um", "Uh...", "uh, um", "er", "erm", "hm", "Hmm.", "ahem", "eh"])
def test_hesitation_is_a_tic(text: str) -> None:
    assert is_vocal_tic(text)


@pytest.mark.parametrize(
    "text",
    ["", "um yes", "mm hmm", "uh huh", "mhm", "umbrella", "error", "hello", "her", "mum", "a"],
)
def test_words_are_no_tic(text: str) -> None:
    assert not is_vocal_tic(text)


@pytest.mark.parametrize(
    "text",
    [
        "stop",
        "Stop.",
        "please stop",
        "stop talking",
        "okay stop",
        "wait",
        "wait a minute",
        "no wait",
        "hold on",
        "Hold on a second.",
        "yeah hold on",
        "hang on",
        "no no",
        "No, no, that's not it.",
        "excuse me",
        "shut up",
        "actually",
        "Actually, I changed my mind.",
        "oh actually",
        "one second",
        "just a sec",
        "give me a minute",
        "let me ask you something",
        "um let me think",
        "never mind",
        "i need you to stop",
        "can i just say something",
        "sorry but can you hold on",
        "espera un momento",
        "Perdón, no entiendo",
        "attendez",
        "Moment mal",
        "warte",
        "aspetta",
        "espere",
    ],
)
def test_asking_for_the_floor_is_a_stop_command(text: str) -> None:
    assert is_stop_command(text)


@pytest.mark.parametrize(
    "text",
    [
        *[
            "停",
            "停！",
            "停一下",
            "请停下来",
            "等等",
            "等一下。",
            "别说了",
            "够了",
            "安静",
            "夠了",
            "我有个问题",
        ],
        *["रुको", "रुकिए", "ज़रा रुकिए", "कृपया रुक जाइए", "बस करो", "बस", "एक मिनट", "चुप रहो", "सुनिए"],
        *[
            "止めて",
            "止めてください",
            "待って",
            "ちょっと待ってください",
            "ストップ",
            "もういいです",
            "すみません",
        ],
        *[
            "그만",
            "그만하세요",
            "잠깐만요",
            "잠시만요",
            "멈춰",
            "멈추세요",
            "기다려 주세요",
            "저기요",
        ],
        *["Стоп!", "стой", "Подождите, пожалуйста", "погоди", "хватит", "минутку", "Извините"],
        *[
            "para",
            "¡Para ya!",
            "no, para",
            "alto",
            "Basta.",
            "deténgase",
            "cállate",
            "oiga, espere",
        ],
        *[
            "arrête",
            "Attendez, s'il vous plaît",
            "ça suffit",
            "taisez-vous",
            "non non",
            "Excusez-moi",
        ],
        *[
            "Stopp!",
            "Halt",
            "bitte warten Sie",
            "hör auf",
            "Können Sie bitte aufhören?",
            "Das reicht",
        ],
        *["fermati", "basta", "un attimo", "la smetta", "Mi scusi", "zitto", "no, aspetti"],
        *[
            "pare",
            "para",
            "espera aí",
            "peraí",
            "chega",
            "um minuto",
            "por favor, pare",
            "Com licença",
        ],
        *["wacht even", "hou op", "przestań", "proszę poczekać", "vänta", "sluta", "dur", "bekle"],
    ],
)
def test_the_agent_is_stopped_in_every_language_it_speaks(text: str) -> None:
    assert is_stop_command(text)


@pytest.mark.parametrize(
    "text",
    [
        *["停车场在哪里", "别停", "不要停", "公交站", "好的", "我们九点见"],
        *["मत रुको", "हाँ ठीक है", "मुझे टिकट चाहिए", "बस का टिकट"],
        *["止めないで", "待っています", "はい", "駅はどこですか"],
        *["그만큼", "멈추지 마세요", "네", "예약이 됐어요"],
        *["да, хорошо", "остановка автобуса", "я долго ждал"],
        *["para dos personas", "la parada", "ich warte seit gestern", "la fermata", "halten"],
        *["sus datos", "minute details", "stop by tomorrow", "le dur travail"],
    ],
)
def test_words_like_a_stop_command_are_none(text: str) -> None:
    assert not is_stop_command(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yeah",
        "mm hmm",
        "please don't stop",
        "you never stop",
        "the bus stop",
        "next stop is mine",
        "i can't wait",
        "the wait time was long",
        "what is the wait",
        "stop by tomorrow",
        "nonstop",
        "waiter",
        "i see",
        "no",
        "it was actually good",
        "thursday at four",
    ],
)
def test_other_words_are_no_stop_command(text: str) -> None:
    assert not is_stop_command(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("i would like to", "function_word"),
        ("I want to book a", "function_word"),
        ("I want to book a.", "function_word"),
        ("can you send it to my", "function_word"),
        ("i was there because", "function_word"),
        ("it's on tuesday and", "function_word"),
        ("i'd like a table for", "function_word"),
        ("and i'm", "function_word"),
        ("we could", "function_word"),
        ("what about the", "function_word"),
        ("the appointment is", "lead_in"),
        ("i was there and it is", "function_word"),
        ("so", "function_word"),
        ("i want to go um", "filler"),
        ("Well, uh...", "trailing_off"),
        ("i think uh", "filler"),
        ("on monday,", "comma"),
        ("two things:", "comma"),
        ("well...", "trailing_off"),
        ("i was —", "trailing_off"),
        ("i wan-", "trailing_off"),
        ("it is five five five", "number"),
        ("5 5 5 0 1", "number"),
        ("my number is 555-12", "number"),
        ("four one five oh", "number"),
        ("s m i", "spelling"),
        ("S-M-I-T", "spelling"),
        ("it's j o", "spelling"),
        ("b as in boy", "spelling"),
        ("maria dot", "spelling"),
        ("smith with a double", "spelling"),
        ("my number is", "lead_in"),
        ("My name is.", "lead_in"),
        ("my phone number is", "lead_in"),
        ("let me think", "lead_in"),
        ("Let me see.", "lead_in"),
        ("hm let me think about that", "lead_in"),
        ("and then", "lead_in"),
        ("for example", "lead_in"),
        ("i was wondering", "lead_in"),
        ("the thing is", "lead_in"),
        ("one second", "lead_in"),
        ("i like it you know", "lead_in"),
    ],
)
def test_unfinished_turns_say_why(text: str, reason: str) -> None:
    assert ends_unfinished(text) == reason


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yes",
        "Yes.",
        "I would like to book a table for two.",
        "a table for two",
        "thank you",
        "see you",
        "come in",
        "hold on",
        "Yes, I am.",
        "yes it is",
        "no i don't",
        "yes i would",
        "i'd love to.",
        "yes i'd love to",
        "What is it for?",
        "what's that for",
        "my number is 555-0199",
        "five five five oh one nine nine",
        "at 7 30",
        "at five pm",
        "4 p m",
        "in the us",
        "twenty twenty six",
        "i'm forty two",
        "room 204",
        "Let me know?",
        "go on",
        "why not",
        "i think so",
        "maybe",
        "uh huh",
        "mm hmm",
        "what do you mean",
        "i want this",
    ],
)
def test_finished_turns_may_be_complete(text: str) -> None:
    assert ends_unfinished(text) is None


@pytest.mark.parametrize(
    ("text", "language", "reason"),
    [
        ("quiero reservar una", "es", "function_word"),
        ("quiero reservar una mesa", "es", None),
        ("je voudrais un", "fr", "function_word"),
        ("ich möchte mit", "de-AT", "function_word"),
        ("ich möchte einen Termin.", "de", None),
        ("vorrei un tavolo per", "it", "function_word"),
        ("eu quero uma", "pt", "function_word"),
        ("ja, und dann,", "de", "comma"),
        ("予約したいんですが、", "ja", "comma"),
    ],
)
def test_unfinished_turns_in_other_languages(text: str, language: str, reason: str | None) -> None:
    assert ends_unfinished(text, language) == reason


@pytest.mark.parametrize(
    "text",
    [
        "yes",
        "Yes.",
        "no",
        "nope",
        "yes please",
        "no thank you",
        "No, thanks.",
        "okay",
        "mm hmm",
        "not really",
        "i don't know",
        "that's right",
        "Maria",
        "maria lopez",
        "John Smith.",
        "four",
        "42",
        "twenty five",
        "four thirty pm",
        "half past three",
        "on thursday",
        "tomorrow morning",
        "yes i do",
        "the second one",
        "yes it is",
        "No, that is all.",
        "I do not think so.",
        "No, I did not.",
    ],
)
def test_short_answers_are_complete(text: str) -> None:
    assert is_short_answer(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "um",
        "what",
        "Why?",
        "because",
        "yes but",
        "yes,",
        "the",
        "i want",
        "so",
        "well",
        "maria lopez from the accounting department",
        "i would like to cancel it",
        "four one five",
        "m a r",
    ],
)
def test_other_answers_are_not_short(text: str) -> None:
    assert not is_short_answer(text)


@pytest.mark.parametrize(
    "text",
    [
        "How can I help you?",
        "Thanks. What is your name?",
        'Did he say "no?"',
        "Is that right? Just say yes or no.",
        "Tell me about it.",
        "Great, now tell me your address.",
        "Please say your full name.",
        "Okay, please spell it for me.",
        "Let me know if that works.",
        "¿Cómo se llama?",
        "お名前は？",
        "ما اسمك؟",
        "Dígame su nombre.",
        "Bitte nennen Sie Ihren Namen.",
    ],
)
def test_questions_are_seen(text: str) -> None:
    assert expects(text) is not Expected.NONE


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Hello there.",
        "Did you know? It is open now.",
        "Your table is booked.",
        "I will tell you later.",
        "Please hold.",
        "...",
        "Version 2.0 is out.",
    ],
)
def test_statements_are_no_questions(text: str) -> None:
    assert expects(text) is Expected.NONE


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Your table is booked.", Expected.NONE),
        ("", Expected.NONE),
        ("Is that correct?", Expected.YES_NO),
        ("Would you like me to book it?", Expected.YES_NO),
        ("So do you have an account with us?", Expected.YES_NO),
        ("It's at four, right?", Expected.YES_NO),
        ("Anything else?", Expected.YES_NO),
        ("Is your phone number still the same?", Expected.YES_NO),
        ("Please answer yes or no.", Expected.YES_NO),
        ("Do you want it or not?", Expected.YES_NO),
        ("Would you like tea or coffee?", Expected.CHOICE),
        ("Which one do you prefer?", Expected.CHOICE),
        ("Morning or afternoon?", Expected.CHOICE),
        ("What's your phone number?", Expected.NUMBER),
        ("Can I have your account number, please?", Expected.NUMBER),
        ("Please tell me your date of birth.", Expected.NUMBER),
        ("What is your zip code?", Expected.NUMBER),
        ("Could you read me the digits?", Expected.NUMBER),
        ("How many people will be coming?", Expected.QUANTITY),
        ("What time works for you?", Expected.QUANTITY),
        ("When would you like to come?", Expected.QUANTITY),
        ("Can you spell that for me?", Expected.SPELLING),
        ("How do you spell your last name?", Expected.SPELLING),
        ("What's your email address?", Expected.SPELLING),
        ("What is your name?", Expected.NAME),
        ("May I have your full name?", Expected.NAME),
        ("Who am I speaking with?", Expected.NAME),
        ("Tell me your name.", Expected.NAME),
        ("How can I help you today?", Expected.OPEN),
        ("Can you tell me more about it?", Expected.OPEN),
        ("What happened?", Expected.OPEN),
        ("Thanks! Your name is on file. What brings you here?", Expected.OPEN),
    ],
)
def test_questions_say_what_they_expect(text: str, expected: Expected) -> None:
    assert expects(text) is expected


@pytest.mark.parametrize(
    ("said", "heard", "share"),
    [
        ("Your table is booked for four.", "your table is booked for four", 1.0),
        ("Your table is booked for four.", "table is booked", 1.0),
        ("Your table is booked for four.", "table has booked", 2 / 3),
        ("Your table is booked for four.", "no that's wrong", 0.0),
        ("Your table is booked for four.", "for booked", 0.5),
        ("", "hello", 0.0),
        ("hello", "", 0.0),
        ("one two three four five six", "one two four five", 1.0),
    ],
)
def test_an_echo_repeats_a_passage(said: str, heard: str, share: float) -> None:
    assert overlap_with(said, heard) == pytest.approx(share)


def test_words_scattered_over_a_long_answer_are_no_echo() -> None:
    said = (
        "I can help you with that. The first thing to know is that we open at nine in the morning. "
        "Then, if you want, there is a tour on every other day, and it is free of charge."
    )
    assert overlap_with(said, "can the tour open if it is free") < 0.6


@given(st.text(), st.text())
def test_overlap_is_a_share(said: str, heard: str) -> None:
    assert 0.0 <= overlap_with(said, heard) <= 1.0


@given(st.lists(st.sampled_from(["a", "table", "for", "two", "please"]), min_size=1))
def test_a_text_is_its_own_echo(words: list[str]) -> None:
    text = " ".join(words)
    assert overlap_with(text, text) == 1.0


@given(st.text(), st.sampled_from(["en", "es", "fr", "de", "it", "pt", "ja", ""]))
def test_any_text_can_be_asked_about(text: str, language: str) -> None:
    assert is_backchannel(text, language) in (True, False)
    assert is_vocal_tic(text) in (True, False)
    assert is_stop_command(text) in (True, False)
    assert is_short_answer(text) in (True, False)
    assert expects(text) in Expected
    assert ends_unfinished(text, language) != ""


@pytest.mark.parametrize(
    ("heard", "is_open"),
    [
        ("Shall I book it?", True),
        ("Shall I book it? It is", True),
        ("Shall I book it? It is the last room we have left for tonight.", False),
        ("It is the last room. Shall I", False),
        ("お名前は？", True),
        ("", False),
        ("?", False),
    ],
)
def test_a_question_is_open_until_the_agent_has_gone_on(heard: str, is_open: bool) -> None:
    assert leaves_question_open(heard) is is_open
