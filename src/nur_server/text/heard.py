"""What of a recogniser's text the user has said: marks for noise, music and silence are no words.

Whisper and its kin write remarks in brackets for what is no speech, leak special tokens, and make
whole sentences of silence that stand at the end of many videos.
"""

import re

MAX_REMARK_CHARACTERS = 60
"""Longest remark in round brackets or asterisks: longer ones are taken for words."""

_SPECIAL = re.compile(r"<\|[^|<>]{0,60}\|>|</?[A-Za-z_][\w .:-]{0,40}>|\bBLANK_AUDIO\b")
"""`<|nospeech|>`, `<|0.00|>`, `<noise>`, `</s>`."""
_SQUARE = re.compile(r"\[[^\[\]]*(?:\]|$)|【[^【】]*(?:】|$)|［[^［］]*(?:］|$)|\{[^{}]*(?:\}|$)")
_ROUND = re.compile(
    rf"\([^()\d]{{1,{MAX_REMARK_CHARACTERS}}}(?:\)|$)|（[^（）\d]{{1,{MAX_REMARK_CHARACTERS}}}(?:）|$)"
)
"""Without digits: the area code of a telephone number stands in such brackets."""
_ASTERISKS = re.compile(rf"(\*{{1,2}})(?![\s*])[^*\d]{{1,{MAX_REMARK_CHARACTERS}}}(?<!\s)\1")
_SONG = re.compile(r"[♪♫♬🎵🎶][^♪♫♬🎵🎶]*[♪♫♬🎵🎶]|[♪♫♬🎵🎶]")
_SPEAKER = re.compile(r">>+\s*|^\s*(?:[-–—]\s+|speaker[ _]?\d+\s*:\s*)", re.IGNORECASE)
_FROM_VIDEOS = re.compile(
    r"""
    (?:ok(?:ay)?\W+)?(?:thank(?:s|[ ]you)(?:[ ](?:so|very)[ ]much|[ ]all)?|thanks[ ]everyone)
        [ ]for[ ](?:watching|viewing|listening[ ]to[ ](?:this|the)[ ](?:video|podcast|episode))
        (?:[ ](?:this|the|my|our)[ ](?:video|channel|stream|show|program\w*|episode))?
        (?:\W+(?:and[ ])?(?:please[ ])?(?:don't[ ]forget[ ]to[ ])?(?:like|subscribe|see[ ]you).*)?
    | (?:please[ ])?(?:don't[ ]forget[ ]to[ ])?
        (?:like[ ]and[ ]subscribe.*|subscribe[ ]to[ ](?:my|our|the|this)[ ]channel.*)
    | (?:subtitles|captions|captioning|transcri(?:bed|ption)|translat(?:ed|ion)|sub(?:titled|bed))
        (?:[ ]\w+)?[ ](?:by|provided).*
    | .*\bamara\.org\b.* | (?:www\.)?mooji\.org
    | untertitel(?:ung)?[ ](?:im|von|der|des|aufgrund)\b.* | vielen[ ]dank[ ]fürs[ ]zuschauen
    | sous-titr(?:es|age)\b.* | merci[ ]d['’]avoir[ ]regardé.*
    | subtítulos\b.* | gracias[ ]por[ ]ver.* | sottotitoli\b.* | grazie[ ]per[ ]la[ ]visione
    | legendas[ ]pela\b.* | obrigad[oa][ ]por[ ]assistir.* | ondertitel(?:ing|s|d)\b.*
    | napisy[ ]\w+.* | субтитры\b.* | редактор[ ]субтитров.* | продолжение[ ]следует.*
    | спасибо[ ]за[ ]просмотр | ご視聴(?:いただき)?ありがとうございま(?:した|す)
    | (?:请不吝)?点赞[ ]?订阅.* | 字幕.* | 謝謝(?:大家)?(?:觀看|收看) | 谢谢(?:大家)?(?:观看|收看)
    | 시청해[ ]?주셔서[ ]?감사합니다 | مترجم.* | ترجمة.*
    """,
    re.IGNORECASE | re.VERBOSE,
)
_EDGES = " \t\r\n.,!?…。！？،۔-–—\"'“”«»"


def heard_words(text: str) -> str:
    """The user's words in `text`; empty where there are none.

    "(coughs) Yes, please." gives "Yes, please."; "[BLANK_AUDIO]", "♪", "." and "Thanks for
    watching!" give nothing.
    """
    for pattern in (_SPECIAL, _SQUARE, _ROUND, _ASTERISKS, _SONG, _SPEAKER):
        text = pattern.sub(" ", text)
    text = " ".join(text.split())
    if not any(character.isalnum() for character in text):
        return ""
    return "" if _FROM_VIDEOS.fullmatch(text.strip(_EDGES)) else text.lstrip(".,!?…。 ")
