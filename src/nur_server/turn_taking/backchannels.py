"""Listening noises: whether words only show that the user is listening, or hesitates."""

import re

from nur_server.turn_taking.phrases import consists_of, normalise, phrases, primary

_BACKCHANNELS = {
    "en": phrases(
        "yeah, yes, yep, yup, ya, yeh, yea, right, ok, okay, okey, k, kay, sure, oh, ah, aha, wow,"
        "i see, oh i see, i got it, got it, got you, gotcha, i get it, i understand, understood,"
        "go on, go ahead, keep going, carry on, please continue, uh huh, um hum, uh hum,"
        "ah huh, huh, m hm, mm hm, um hm, right right, all right, alright, alrighty, fine, good,"
        "great, nice, cool, perfect, awesome, amazing, excellent, lovely, wonderful, brilliant,"
        "interesting, fantastic, exactly, absolutely, definitely, totally, certainly, indeed,"
        "of course, for sure, true, that's true, so true, that's right, you're right, correct,"
        "that's good, that's great, that's nice, that's cool, that's fine, that's interesting,"
        "makes sense, that makes sense, makes perfect sense, sounds good, sounds great, i know,"
        "i hear you, fair enough, fair, good to know, no way, really, oh really, is that so,"
        "oh my, oh my god, oh my gosh, oh no, oh wow, oh nice, oh great, very good, very nice,"
        "very interesting, okey dokey, i guess, i think so, no kidding, you bet, whoa, ooh"
    ),
    "es": phrases(
        "sí, si, ajá, aja, vale, ok, okay, claro, claro que sí, bueno, ya, ya veo, entiendo,"
        "perfecto, de acuerdo, exacto, genial, ah, oh, muy bien, bien, eso es, sigue, siga, anda,"
        "mira, vaya, guau, entendido, por supuesto, cierto, correcto"
    ),
    "fr": phrases(
        "oui, ouais, ok, okay, d'accord, je vois, ah, ah bon, ah oui, oh, bien sûr, très bien,"
        "bien, voilà, c'est ça, exactement, parfait, super, je comprends, compris, entendu,"
        "hum hum, mm, continue, continuez, vraiment, bon, tout à fait, ça marche"
    ),
    "de": phrases(
        "ja, jaja, ja ja, jo, ok, okay, genau, gut, sehr gut, klar, aha, ach so, achso, ach, oh,"
        "ah, verstehe, ich verstehe, stimmt, richtig, alles klar, super, toll, prima, natürlich,"
        "na klar, in ordnung, mhm, echt, wirklich, weiter, mach weiter, schön, interessant, eben"
    ),
    "it": phrases(
        "sì, si, ok, okay, certo, va bene, bene, capito, ho capito, capisco, giusto, esatto, ah,"
        "oh, perfetto, d'accordo, molto bene, vero, davvero, vai, continua, bello, ottimo, già"
    ),
    "pt": phrases(
        "sim, é, ok, okay, certo, tá, tá bom, está bem, entendi, entendo, pois, pois é, claro,"
        "isso, exato, perfeito, ah, oh, bom, muito bem, beleza, uhum, aham, verdade, legal,"
        "continua"
    ),
    "hi": phrases(
        "हाँ, हां, जी, जी हाँ, हाँ जी, अच्छा, ठीक, ठीक है, सही, सही है, ओके, ओह, वाह, बिल्कुल, समझ गया,"
        "समझ गई, समझा, हम्म, हूँ, अरे वाह, बहुत अच्छा, बढ़िया"
    ),
    "ru": phrases(
        "да, ага, угу, хорошо, ладно, понятно, ясно, понял, поняла, так, точно, верно, правильно,"
        "конечно, отлично, супер, ок, окей, здорово, интересно, ого, ах, ну да, да да, вот как"
    ),
    "zh": phrases(
        "嗯, 嗯嗯, 嗯哼, 对, 对对, 对对对, 是, 是的, 是啊, 好, 好的, 好好, 好吧, 行, 可以, 哦, 噢,"
        "啊, 明白, 明白了, 知道了, 了解, 没错, 当然, 真的, 真的吗, 原来如此, 不错, 太好了, 对啊,"
        "对的, 對, 對對, 沒錯, 這樣啊, 这样啊"
    ),
    "ja": phrases(
        "はい, はいはい, ええ, うん, うんうん, そう, そうですね, そうですか, なるほど,"
        "そうなんですか, へえ, へー, ああ, わかりました, 分かりました, 了解, 了解です,"
        "いいですね, すごい, 確かに, たしかに, あー, ほんと, 本当ですか, オーケー"
    ),
    "ko": phrases(
        "네, 예, 네네, 아, 아네, 응, 음, 그래요, 그렇군요, 그렇구나, 알겠어요, 알겠습니다, 좋아요,"
        "맞아요, 맞습니다, 오, 아하, 정말요, 진짜요, 물론이죠, 오케이, 그럼요"
    ),
}
_ALSO_ENGLISH = frozenset({"hi", "ru", "zh", "ja", "ko"})
"""Languages whose words cannot be mistaken for English ones: recognisers write "okay" there too."""
_PRAISE = (
    "(?:good|great|nice|cool|fine|perfect|awesome|amazing|excellent|lovely|wonderful|brilliant"
    "|interesting|fantastic|fair|true|helpful|useful|handy|funny|crazy|wild|weird|strange|sad"
    "|terrible|awful|impressive|incredible|unbelievable|reasonable|sensible|super|sweet|neat"
    "|terrific|marvell?ous|clear|surprising|exciting|ok|okay|alright|all right)"
)
_ASSESSMENT = re.compile(
    rf"(?:(?:thats|that is|its|it is|that sounds|it sounds|that looks|sounds|looks|seems|how)"
    rf" (?:(?:really|so|very|pretty|quite|just|too|absolutely|totally|actually|all) )*{_PRAISE}"
    r"(?: (?:to me|with me|for me|to (?:know|hear)))?"
    rf"|{_PRAISE}(?: (?:news|stuff|point|idea|one|deal|then|to (?:know|hear)))?"
    rf"|(?:thats|that is) (?:{_PRAISE} (?:news|stuff|to (?:know|hear))|it|too bad|the one"
    r"|a (?:relief|shame|pity|surprise|deal|bargain)|what i (?:thought|figured|heard|hoped))"
    r"|what a (?:relief|shame|pity|surprise|deal|bargain)"
    r"|(?:i|yeah i|we) (?:see|know|get (?:it|that)|got (?:it|that)|understand|hear (?:you|that)"
    r"|figured|thought so|guess so|suppose(?: so)?|bet|agree|remember|believe (?:it|that)"
    r"|like (?:it|that)|appreciate (?:it|that)|love (?:it|that)|hope so)"
    r"|no (?:worries|problem|doubt|kidding|way|rush)|not bad|works for me|that works for me"
    r"|same here|me too"
    r"|(?:is|was) (?:it|that) (?:so|right)|goodness(?: me)?|gosh|phew|cheers|noted|yay"
    r"|(?:my|oh|good) (?:goodness|gosh|god|lord|grief|dear|boy|man))"
)
"""A brief assessment of what was just heard, and nothing more."""
_HUM = re.compile(r"m+h+m*|m+|h+m+|u+h*m?h+m+|m?h+u+m+|a+h+a+m*|e+h+e+")
HUMMED_YES = re.compile(r"(?:m+h+m+|(?:m+|h+m+|u+h*m+|u+h+|a+h*|m+h+) h+(?:m+|u+[hm]+))+")
_TICS = re.compile(r"u+h*m+|u+h+|e+r+m*|e+h+m*|a+h+(?:e*m+)?|h+m+|m+h*|u+r+m*|tsk|coughs?|sniffs?")
FILLERS = re.compile(r"u+h*m+|u+h+|e+r+m*|e+h+m+|h+m+|m{2,}|u+r+m*")


def is_backchannel(text: str, language: str = "en") -> bool:
    """Whether the whole text only shows that the user is listening: "mm-hm", "right, I see"."""
    spoken = primary(language)
    lexicon = _BACKCHANNELS.get(spoken, _BACKCHANNELS["en"])
    if spoken in _ALSO_ENGLISH:
        lexicon = lexicon | _BACKCHANNELS["en"]
    words = ["ok" if _HUM.fullmatch(word) else word for word in normalise(text).split()]
    return consists_of(words, lexicon, _ASSESSMENT if spoken == "en" else None)


def is_vocal_tic(text: str) -> bool:
    """Whether the text is nothing but hesitation: "um", "uh, er"."""
    words = normalise(text).split()
    if HUMMED_YES.fullmatch(" ".join(words)):
        return False
    return bool(words) and all(_TICS.fullmatch(word) for word in words)
