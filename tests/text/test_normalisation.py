import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nur_server.text.clauses import ClauseSplitter
from nur_server.text.normalisation import SpokenClause, TextNormaliser

MARKUP = set("*_#<>{}[]|`")


def written(text: str) -> str | None:
    spoken = TextNormaliser().clause(text)
    return None if spoken is None else spoken.written


def said(text: str, language: str = "en") -> str | None:
    spoken = TextNormaliser(language).clause(text)
    return None if spoken is None else spoken.spoken


def answered(text: str) -> str:
    """A whole answer as the transcript shows it, clause by clause."""
    splitter, normaliser = ClauseSplitter(), TextNormaliser()
    clauses = splitter.feed(text) + splitter.finish()
    spoken = [normaliser.clause(clause) for clause in clauses]
    return "".join(clause.gap + clause.written for clause in spoken if clause is not None)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("**Bold** and __strong__ words", "Bold and strong words"),
        ("It is *really* good", "It is really good"),
        ("It is _really_ good", "It is really good"),
        ("Run `ls` ~~twice~~ once", "Run ls twice once"),
        ("## Opening hours\n", "Opening hours."),
        ("# Hours:\n", "Hours:"),
        ("- Apples\n- Pears\n", "Apples. Pears."),
        ("* Apples.\n+ Pears!\n", "Apples. Pears!"),
        ("1. First\n2) Second\n3. Third\n", "First. Second. Third."),
        ("5. That is it.", "5. That is it."),
        ("- [x] Done\n- [ ] Open\n", "Done. Open."),
        ("> A quote\n", "A quote."),
        ("Above\n---\nBelow", "Above Below"),
        ("| Tea | $2 |\n|---|:--:|\n| Milk | $1 |\n", "Tea, $2. Milk, $1."),
        ("See [our page](https://example.com/a?b=c) now", "See our page now"),
        ("See ![a cat](cat.png) here", "See a cat here"),
        ("See https://www.example.com/a_b#c.", "See example.com/a_b#c."),
        ("See https://me:pw@example.com:8080/x, ok", "See example.com:8080/x, ok"),
        ("See www.example.org/x", "See example.org/x"),
        ("See example.com/path/x!", "See example.com/path/x!"),
        ("<b>Hi</b> there", "Hi there"),
        ("One<br>two", "One, two"),
        ("Fish &amp; chips", "Fish & chips"),
        ("Hello 😀👍🏽 there 👨‍👩‍👧", "Hello there"),
        ("Nice :) to meet you", "Nice to meet you"),
        ("As said [1] before [2, 3].", "As said before."),
        ("if x > 3 and 5 < 6", "if x is more than 3 and 5 is less than 6"),
        ("5 * 3", "5 × 3"),
        ("user_id", "user id"),
        ("A -> B", "A, B"),
        ("Hello [friend]", "Hello friend"),
        ("Hello\u200b\u00a0there\x07", "Hello there"),
        ("broken \ud83d half", "broken half"),
    ],
)
def test_markup_is_taken_out(text: str, shown: str) -> None:
    assert written(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<think>The user is angry.</think>Hello.", "Hello."),
        ("<thinking>\nHm, let me see. Yes.\n</thinking>\nHello.", "Hello."),
        ('<tool_call>{"name": "book", "arguments": {}}</tool_call> Done.', "Done."),
        ("<function=book>x</function> Done.", "Done."),
        ('Sure. {"name": "book", "arguments": {"at": "4, or 5. Yes"}} Done.', "Sure. Done."),
        ('{\n  "name": "book",\n  "text": "a } b"\n}\nDone.', "Done."),
        ('[{"name": "book"}] Done.', "Done."),
        ('Sure. functions.book(at="4, or 5. Yes", n=(1)) Done.', "Sure. Done."),
        ('book_table(day="Monday") Done.', "Done."),
        ('Sure. [TOOL_CALLS] [{"name": "book"}] and more', "Sure."),
        ("<|im_start|>Hello.<|im_end|>", "Hello."),
        ("Your id is call_abc123DEF.", "Your id is."),
        ("Done toolu_01A09q90qw90.", "Done."),
        ("Session ses_0123456789abcdef0123456789abcdef here.", "Session here."),
        (f"Data {'aB3' * 30} here.", "Data here."),
        ("Hi {{customer_name}}, hello.", "Hi, hello."),
        ("```python\nprint(1)\n\nx = 2. And 3.\n```\nThat is it.", "That is it."),
        ("*smiles* Hello.", "Hello."),
        ("*smiles warmly, then nods* Hello.", "Hello."),
        ("(laughs) Hello. [pause] Bye. (sighs deeply)", "Hello. Bye."),
        ("*clears throat* Hello.", "Hello."),
        ("[laughter] Hello.", "Hello."),
        ("Hello (in the morning).", "Hello (in the morning)."),
        ("I *love* it and *really* mean it.", "I love it and really mean it."),
        ("We sell (cough) syrup.", "We sell (cough) syrup."),
        ("We met (see page 5).", "We met (see page 5)."),
        ("*smiles Hello there. How are you?", "How are you?"),
    ],
)
def test_what_is_internal_is_neither_shown_nor_said(text: str, shown: str) -> None:
    assert answered(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "Your order is ORD-12345678.",
        "Your ticket is task-20261 and the case is user-48291.",
        "The request is 550e8400-e29b-41d4-a716-446655440000.",
        "The commit is 0123456789abcdef0123.",
        "Your booking is ord_12345678 at item_90210ab.",
        "Say <your name> after the tone.",
        "Press [1] for sales, or [2] for help.",
        "Text [HELP] to us.",
        "Open report_2026_v2.pdf now.",
        "Your key is AB_12_CD.",
        "Write to jo_e.doe+nur@mail.example.com today.",
        "Go to example.com/pay?id=4821 now.",
    ],
)
def test_what_the_user_asked_for_is_shown(text: str) -> None:
    assert "".join(filter(str.isalnum, answered(text))) == "".join(filter(str.isalnum, text))


def test_known_ids_are_neither_shown_nor_said() -> None:
    normaliser = TextNormaliser("en", frozenset({"D681PevKs", "1", "order"}))
    clause = normaliser.clause("Call D681PevKs found 1 order.")
    assert clause is not None
    assert clause.written == "Call found 1 order."


@pytest.mark.parametrize(
    ("text", "language", "spoken"),
    [
        ("Press * to go back or # to repeat.", "en", "Press star to go back or pound to repeat."),
        ("Press *, then #.", "en", "Press star, then pound."),
        ("Press **#** now.", "en", "Press pound now."),
        ("Press `*` or `#`.", "en", "Press star or pound."),
        ('Hit "*" twice.', "en", "Hit star twice."),
        ("Dial *67 first.", "en", "Dial star six seven first."),
        ("Dial *21#.", "en", "Dial star two one pound."),
        ("Enter 4821# now.", "en", "Enter four eight two one pound now."),
        ("Press # for help.", "en-GB", "Press hash for help."),
        ("Drücken Sie * oder #.", "de", "Drücken Sie Stern oder Raute."),
        ("Appuyez sur * ou #.", "fr", "Appuyez sur étoile ou dièse."),
        ("Pulse * o #.", "es", "Pulse asterisco o almohadilla."),
        ("Prema * o #.", "it", "Prema asterisco o cancelletto."),
        ("Pressione * ou #.", "pt-BR", "Pressione asterisco ou jogo da velha."),
        ("Нажмите * или #.", "ru", "Нажмите звёздочка или решётка."),
        ("5 * 3 is 15", "en", "five times three is fifteen"),
        ("It is *really* good *.", "en", "It is really good."),
        ("## Title *bold*", "en", "Title bold"),
    ],
)
def test_keys_of_a_telephone_are_named(text: str, language: str, spoken: str) -> None:
    assert said(text, language) == spoken


@pytest.mark.parametrize(
    ("text", "language", "named"),
    [
        ("请按*返回，或按#重听。", "zh", ("星号", "井号")),
        ("*か#を押してください。", "ja", ("米印", "シャープ")),
        ("돌아가려면 *를, 다시 들으려면 # 를 누르세요.", "ko", ("별표", "우물 정자")),
        ("लौटने के लिए * दबाएँ, दोहराने के लिए #।", "hi", ("स्टार", "हैश")),
    ],
)
def test_keys_are_named_beside_letters_without_spaces(
    text: str, language: str, named: tuple[str, str]
) -> None:
    spoken = said(f"{text}", language)
    assert spoken is not None
    assert all(name in spoken for name in named)


@pytest.mark.parametrize(
    ("clauses", "spoken"),
    [
        (["Your code for today,", " valid ten minutes, ", "is 4829."], "four eight two nine"),
        (["The code for the door", " is 4829."], "four eight two nine"),
        (["Your account balance", " is 4829."], "four thousand"),
        (["Here is your code.", " 482913."], "four eight two, nine one three"),
        (["Your confirmation number:\n", "7310"], "seven three one zero"),
        (["Thanks for the call.", " 2026 was a good year."], "twenty twenty-six"),
    ],
)
def test_the_clause_before_says_what_figures_are(clauses: list[str], spoken: str) -> None:
    normaliser = TextNormaliser("en")
    said = [clause.spoken for text in clauses if (clause := normaliser.clause(text)) is not None]
    assert spoken in said[-1]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "...",
        "```",
        "---",
        "**",
        "😀",
        "*smiles*",
        "<br>",
        "{}",
        "|---|---|",
        "call_abc123DEF",
    ],
)
def test_what_cannot_be_said_is_nothing(text: str) -> None:
    assert TextNormaliser().clause(text) is None


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("Dr. Smith and Mr. Lee", "Doctor Smith and Mister Lee"),
        ("Mrs. Jones, Prof. Ray", "Missus Jones, Professor Ray"),
        ("Ask St. Mary", "Ask Saint Mary"),
        ("on Main St. and on", "on Main Street and on"),
        ("12 Elm Dr., please", "twelve Elm Drive, please"),
        ("123 Main St.", "one hundred twenty-three Main Street."),
        ("fruit, e.g. apples", "fruit, for example apples"),
        ("fruit, i.e. apples", "fruit, that is apples"),
        ("apples, etc.", "apples, et cetera."),
        ("apples, etc., too", "apples, et cetera, too"),
        ("us vs. them", "us versus them"),
        ("approx. 5 people", "approximately five people"),
        ("every a.m.", "every AM."),
        ("It is No. 5.", "It is number five."),
        ("No. I will not.", "No. I will not."),
        ("Smith & Sons", "Smith and Sons"),
        ("AT&T", "AT and T"),
        ("he/she and/or TCP/IP", "he or she and or TCP IP"),
        ("tea w/o milk", "tea without milk"),
        ("C# or C++", "C sharp or C plus plus"),
        ("2 + 2 = 4", "two plus two equals four"),
        ("~5 people", "about five people"),
        ("100 %", "one hundred percent"),
        ("See https://example.com/path.", "See example dot com slash path."),
        ("See my-site.co.uk now", "See my dash site dot co dot uk now"),
        ("a_b.c@mail.example.com", "a underscore b dot c at mail dot example dot com"),
        ("Use node.js", "Use node dot js"),
        ("The U.S. and NASA", "The U.S. and NASA"),
        ("Henry VIII", "Henry VIII"),
        ("at 9 PM EST.", "at nine PM EST."),
        ("HTTP/2", "HTTP two"),
        (
            "On Nov. 20 at 4:30 p.m., pay $5.",
            "On November twentieth at four thirty PM, pay five dollars.",
        ),
    ],
)
def test_english_is_put_into_words(text: str, spoken: str) -> None:
    assert said(text) == spoken


@pytest.mark.parametrize(
    ("text", "language", "spoken"),
    [
        ("**Escriba** a ana@correo.es", "es", "Escriba a ana arroba correo punto es"),
        ("Il a 80 ans", "fr", "Il a quatre-vingts ans"),
        ("Siehe https://beispiel.de/x", "de-DE", "Siehe beispiel Punkt de Schrägstrich x"),
        ("你好，我有25个", "zh", "你好，我有25个"),
        ("Dr. Müller", "de", "Dr. Müller"),
    ],
)
def test_other_languages_lose_their_markup(text: str, language: str, spoken: str) -> None:
    assert said(text, language) == spoken


def test_words_know_their_place_in_the_speech() -> None:
    spoken = TextNormaliser().clause("Pay **$4.50** on Nov 20, ok?")
    assert spoken is not None
    assert spoken.spoken == "Pay four dollars and fifty cents on November twentieth, ok?"
    assert [
        (word.text, spoken.spoken[word.spoken_start : word.spoken_end]) for word in spoken.words
    ] == [
        ("Pay", "Pay"),
        ("$4.50", "four dollars and fifty cents"),
        ("on", "on"),
        ("Nov", "November"),
        ("20,", "twentieth,"),
        ("ok?", "ok?"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "我们每天九点开门。星期天晚一个小时。请带上您的票。",
        "毎日九時に開きます。日曜日は一時間遅れます。切符をお持ちください。",
        "我们开门了！您好吗？好的，谢谢，再见。",
        "我们9点开门。Please come. 谢谢。",
        "山田 太郎です。よろしくお願いします。",
        "เปิดทุกวันเก้าโมง วันอาทิตย์สายหนึ่งชั่วโมง",
        "매일 아홉 시에 엽니다. 일요일은 한 시간 늦습니다.",
        "हम हर दिन नौ बजे खुलते हैं। रविवार को एक घंटा देर से।",
        "We open at nine. On Sundays, an hour later! Ask us.",
        "Мы открываемся в девять. В воскресенье позже.",
    ],
)
def test_clauses_are_joined_as_the_model_wrote_them(text: str) -> None:
    assert answered(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("第一句。\n第二句。", "第一句。第二句。"),
        ("你好😀世界", "你好世界"),
        ("请看[我们的页面](https://a.cn)吧", "请看我们的页面吧"),
        ("你好<think>嗯</think>世界", "你好世界"),
        ("- 苹果\n- 梨\n", "苹果。梨。"),
        ("First.\nSecond.", "First. Second."),
    ],
)
def test_nothing_is_put_between_characters(text: str, shown: str) -> None:
    assert answered(text) == shown


def test_each_ideograph_is_a_word() -> None:
    spoken = TextNormaliser("zh").clause("你好，世界。")
    assert spoken is not None
    assert [word.text for word in spoken.words] == ["你", "好，", "世", "界。"]


def test_a_word_that_is_not_said_has_an_empty_span() -> None:
    spoken = TextNormaliser().clause("Yes ^ no")
    assert spoken is not None
    caret = spoken.words[1]
    assert spoken.spoken[caret.spoken_start : caret.spoken_end].strip() == ""


def assert_aligned(spoken: SpokenClause) -> None:
    """The words cover the written text in order, and their speech is in order and in bounds."""
    shown = heard = 0
    for word in spoken.words:
        start = word.written_end - len(word.text)
        assert spoken.written[shown:start].strip() == ""
        assert spoken.written[start : word.written_end] == word.text
        assert heard <= word.spoken_start <= word.spoken_end <= len(spoken.spoken)
        shown, heard = word.written_end, word.spoken_end
    assert shown == len(spoken.written)


PIECES = (
    'Dr. |Hello|, |. |3|5|: |\n|- |1. |…|? |"|)|(|*|**|_|`|```|<|>|#|~|{|}|[|]|\\|https://a.b/c_d|'
    'a_b@c.de|call_abc123|&amp;|&lt;|😀|\u200d|\ud800|½|(laughs)|*smiles|functions.x(|{"name": |'
    "$|€|%|km|2026|Nov |st|p.m.|+1 |555-|0199|你好|。|¿|<b>|<br>|-->|=|/|@|²|٣|Ⅷ|<think>|</think>"
)
MESSY = st.one_of(
    st.lists(st.sampled_from([*PIECES.split("|"), "|"]), max_size=40).map("".join),
    st.text(max_size=200),
)
LANGUAGES = st.sampled_from(["en", "es", "de", "fr", "zh", "xx", ""])


@settings(deadline=None)  # the first text in a language compiles its patterns
@given(MESSY, LANGUAGES)
def test_any_text_is_clean_and_aligned(text: str, language: str) -> None:
    normaliser = TextNormaliser(language)
    for clause in (text, text):
        spoken = normaliser.clause(clause)
        if spoken is None:
            continue
        assert not MARKUP & set(spoken.spoken)
        assert not MARKUP - set("_#*") & set(spoken.written)
        assert spoken.written == spoken.written.strip()
        spoken.spoken.encode()
        spoken.written.encode()
        assert_aligned(spoken)


SECRET = "zebrafish"
BEFORE = st.text(alphabet="abc ,.!?-\n", max_size=80)


@settings(deadline=None)  # the first text in a language compiles its patterns
@given(
    before=BEFORE,
    after=BEFORE,
    pair=st.sampled_from(
        [
            ("<think>", "</think>"),
            ("<tool_call>", "</tool_call>"),
            ("```\n", "\n```"),
            ('{"name": "', '"}'),
            ("functions.find(", ")"),
        ]
    ),
    filling=st.lists(st.sampled_from([SECRET, "one, two", "three. ", " ", "\n"]), max_size=40),
)
def test_nothing_internal_is_shown_wherever_the_clauses_are_cut(
    before: str, after: str, pair: tuple[str, str], filling: list[str]
) -> None:
    text = f"{before} {pair[0]}{''.join(filling)}{SECRET}{pair[1]} {after}"
    assert SECRET not in answered(text)
