"""What recognisers write for noise is no words; what people say is."""

import pytest

from nur_server.text.heard import heard_words


@pytest.mark.parametrize(
    "text",
    [
        "", " ", ".", "...", "?!", "…", "。", "[BLANK_AUDIO]", "[ Silence ]", "[Music]",
        "[music", "BLANK_AUDIO", "(music)",
        "(upbeat music playing)", "(笑)", "（音楽）", "【音楽】", "[音楽]",
        "♪", "♪♪", "♪ la la la ♪", "🎵 la la la 🎵", "*coughs*", "**door closes**", "<|nospeech|>",
        "<|startoftranscript|><|en|><|0.00|> <|2.00|>", "<noise>", "<unk>", "{noise}",
        "[00:00.000 --> 00:02.000]", "Thanks for watching!", "Thank you for watching.",
        "Thank you so much for watching this video.", "Please like and subscribe.",
        "Thanks for watching, please subscribe to my channel!",
        "Subtitles by the Amara.org community", "Untertitel der Amara.org-Community",
        "Untertitel im Auftrag des ZDF für funk, 2017", "Sous-titrage Société Radio-Canada",
        "ご視聴ありがとうございました", "字幕由Amara.org社区提供", "Субтитры сделал DimaTorzok",
        "(coughs) (laughs)", "[Music] ♪ .", "- [BLANK_AUDIO]",
    ],
)  # fmt: skip
def test_marks_are_no_words(text: str) -> None:
    assert heard_words(text) == ""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("(coughs) Yes, please.", "Yes, please."),
        ("[Music] Hello there.", "Hello there."),
        ("Hello *laughs* there.", "Hello there."),
        ("<|en|> Hello.<|endoftext|>", "Hello."),
        (">> Hello.", "Hello."),
        ("- Hello.", "Hello."),
        ("♪ Happy birthday ♪ to you.", "to you."),
        ("Call (415) 555-2671.", "Call (415) 555-2671."),
        ("Press * and then *.", "Press * and then *."),
        ("Thank you.", "Thank you."),
        ("Thanks for watching my dog.", "Thanks for watching my dog."),
        ("Subscribe.", "Subscribe."),
        ("example.com", "example.com"),
        ("9 - 5", "9 - 5"),
        ("1 < 2", "1 < 2"),
        ("नमस्ते", "नमस्ते"),
        ("停", "停"),
        ("7", "7"),
    ],
)  # fmt: skip
def test_words_are_words(text: str, words: str) -> None:
    assert heard_words(text) == words
