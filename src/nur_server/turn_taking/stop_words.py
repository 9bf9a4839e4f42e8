"""Stop commands: words by which the user asks the agent to stop, or for the floor.

English is looked for in every text: people say "stop" and "hold on" in many languages. Each other
language that has a voice has its own words, and so have some that have none. All are compared
whatever the language of the session is, since a user may change it.
"""

import re
import unicodedata

from nur_server.turn_taking.phrases import normalise, without_accents

_ANYWHERE = re.compile(
    r"(?<!\bdont )(?<!\bdoesnt )(?<!\bdidnt )(?<!\bnever )(?<!\bnot )(?<!\bwont )(?<!\bcant )"
    r"(?<!\bthe )(?<!\ba )(?<!\bbus )(?<!\bnext )(?<!\blast )(?<!\bnon )"
    r"\b(?:stop(?! (?:by|at|in|off)\b)|wait(?! (?:time|list|times|lists)\b))(?!\w)"
    r"|\b(?:hold on|hold up|hang on|shut up|be quiet|excuse me|time out|no no|no wait"
    r"|thats enough|enough already|never mind|nevermind|one (?:second|sec|moment|minute)"
    r"|just a (?:second|sec|moment|minute)|give me a (?:second|sec|moment|minute)"
    r"|sorry to interrupt|can i interrupt|let me (?:interrupt|stop you|finish|speak|talk))\b"
)
_FIRST = re.compile(
    r"(?:(?:oh|ah|um+|uh+|er|hey|no|ok|okay|yeah|yes|right|well|sorry|but|so|and|please) )*"
    r"(?:actually|let me|pause|cancel|quiet|silence|enough|listen|pardon|sorry but"
    r"|can i (?:just|ask|say|stop)|could i (?:just|ask|say|stop)|may i (?:just|ask|say)"
    r"|i have a question|quick question|i need to ask|i want to ask)\b"
)

_LEADING = (
    r"(?:(?:oh|ah|eh|hey|ey|oye|oiga|no|non|nein|nao|nee|nej|nie|ok|okay|vale|ja|si|oui|sim|tak"
    r"|bueno|bitte|por favor|s il vous plait|per favore|prosze|alsjeblieft|snalla|lutfen|please"
    r"|aber|mais|pero|ma|mas|maar|men|ale|und|et|y|e|ya|ja ja|so|also|alors|bon|allez|allora|dai"
    r"|gut|bien|bem|va bene|entschuldigung|entschuldigen sie|pardon|perdon|scusi|scusa|desculpe"
    r"|desculpa|sorry|przepraszam|ursakta|du|sie|tu|usted|vous|lei|voce) )*"
)
_SPANISH = (
    r"para(?: (?:ya|ahi|un|una|por favor|de hablar|vale|quieto))?$|para (?:ya|ahi|por favor)"
    r"|pare(?:n)?|parate|alto|detente|detengase|espera(?:te|me)?|espere(?:se|me)?"
    r"|un (?:momento|momentito|segundo|minuto|instante)|basta|ya basta|ya esta|suficiente"
    r"|callate|callese|silencio|perdon|perdona|perdone|disculpa|disculpe|escucha|escuche"
    r"|dejame hablar|dejeme hablar|tengo una pregunta|no no"
)
_FRENCH = (
    r"halte|attends|attendez|arrete|arretez|un instant|une (?:seconde|minute)|deux secondes"
    r"|minute$|un moment|excusez moi|excuse moi|pardon|tais toi|taisez vous|silence|ca suffit"
    r"|suffit|assez|ecoute|ecoutez|laissez moi parler|laisse moi parler|j ai une question"
    r"|jai une question|non non"
)
_GERMAN = (
    r"stopp|halt|warte(?:n sie)?(?: mal)?|wart mal|warten(?: bitte)?$|moment|momentchen"
    r"|augenblick|(?:einen|eine|ne) (?:moment|augenblick|sekunde|minute)|sekunde|kurz warten"
    r"|hor auf|horen sie auf|aufhoren|entschuldigung|entschuldigen sie|verzeihung|sei still"
    r"|seien sie still|still$|ruhe|schluss|genug|(?:es|das) reicht|reicht$|schweig|nein nein"
    r"|darf ich|lass mich|lassen sie mich|ich habe eine frage|hor zu|horen sie"
)
_ITALIAN = (
    r"ferma(?:ti)?|fermo|si fermi|fermatevi|aspetta|aspetti|aspettate|attenda"
    r"|un (?:attimo|momento|secondo|minuto)|basta|smettila|la smetta|smetti|zitt[oa]|silenzio"
    r"|stai zitt[oa]|scusa|scusi|mi scusi|permesso|ascolta|ascolti|ho una domanda|no no"
)
_PORTUGUESE = (
    r"para(?: (?:ai|ja|com isso|por favor|um|de falar))?$|para (?:ai|ja|por favor)|pare|pode parar"
    r"|espera|espere|pera(?:i)?|pera ai|calma|aguarda|aguarde|(?:so )?um (?:momento|momentinho"
    r"|segundo|minuto|instante|minutinho)|desculpe|desculpa|com licenca|chega|ja chega|basta"
    r"|silencio|cala a boca|cale se|cala te|escuta|escute|tenho uma (?:pergunta|duvida)|nao nao"
)
_DUTCH = (
    r"wacht(?: even)?|ho|hou op|stil|genoeg|een (?:moment|momentje|seconde)|momentje"
    r"|ogenblik|luister|mag ik|ik heb een vraag|nee nee"
)
_POLISH = (
    r"stoj|prosze (?:czekac|poczekac)|czekaj|poczekaj|zaczekaj|chwil(?:a|eczke|ke)|moment"
    r"|momencik|sekund[ae]|dosc|wystarczy|przestan|cicho|cisza|przepraszam|sluchaj|mam pytanie"
    r"|nie nie"
)
_SWEDISH = (
    r"stopp|stanna|vanta|sluta|tyst|det racker|racker|ett ogonblick|en sekund|ursakta"
    r"|forlat|lyssna|jag har en fraga|nej nej"
)
_TURKISH = r"dur$|durun|bekle|bekleyin|bir (?:dakika|saniye)|yeter|sus$|susun|pardon|afedersiniz"
_LATIN = re.compile(
    rf"{_LEADING}(?:{_SPANISH}|{_FRENCH}|{_GERMAN}|{_ITALIAN}|{_PORTUGUESE}|{_DUTCH}|{_POLISH}"
    rf"|{_SWEDISH}|{_TURKISH})\b"
)
"""At the start, without accents. Most of these words mean something else further on: "para dos
personas", "ich warte seit gestern"."""
_LATIN_ANYWHERE = re.compile(
    r"(?<!nicht )(?<!nie )\b(?:aufhoren|hor auf|horen sie auf|halt den mund|halt die klappe"
    r"|deje de hablar|deja de hablar|arretez de parler|arrete de parler|smetta di parlare"
    r"|smetti di parlare|para(?:r)? de falar|pare de falar|un momento por favor|hou op)\b"
)
_RUSSIAN = re.compile(
    r"(?:(?:ой|эй|так|да|нет|ну|ладно|хорошо|пожалуйста|всё|все|извините|простите|но|а|окей) )*"
    r"(?:стоп|стой(?:те)?|постой(?:те)?|подожди(?:те)?|погоди(?:те)?|жди|обожди|хватит|достаточно"
    r"|довольно|(?:одну |одна )?(?:минут(?:у|ку|очку|а)|секунд(?:у|очку|а))|один момент|момент"
    r"|тихо|тише|тишина|замолчи(?:те)?|помолчи(?:те)?|молчи(?:те)?|заткнись|прерви(?:сь|тесь)"
    r"|остановись|остановитесь|перестань(?:те)?|прекрати(?:те)?|нет нет|дай(?:те)? (?:мне )?сказать"
    r"|позвольте|послушай(?:те)?|извини(?:те)?|прости(?:те)?|у меня (?:есть )?вопрос)(?!\w)"
)
_HINDI = re.compile(
    unicodedata.normalize(
        "NFKC",
        r"(?<!मत )(?<!नहीं )(?:रुक(?:ो|िए|िये|ना$| जाओ| जाइए| जा)|ठहर(?:ो|िए|िये)"
        r"|(?:बस|बंद) (?:कर(?:ो|िए|ें)|कीजिए)|चुप(?: रहो| रहिए| हो जाओ| करो)?"
        r"|(?:एक|1) (?:मिनट|सेकंड|सेकेंड|पल)|सुनो|सुनिए|स्टॉप|वेट|होल्ड ऑन|थोड़ा रुक|माफ़ कीजिए"
        r"|माफ कीजिए|नहीं नहीं|मेरा (?:एक )?सवाल)(?! (?:मत|नहीं)\b)|^(?:अरे |अब |बस )*बस$",
    )
)
_CHINESE = re.compile(
    r"(?<!别)(?<!別)(?<!不要)(?<!不)停(?:一下|下来|下來|下|止|住|吧|吗|嗎|了|一停|$| )"
    r"|打住|住口|闭嘴|閉嘴|安静|安靜|够了|夠了|(?:别|別|不要)(?:再)?(?:说|讲|說|講)|先别|先別"
    r"|等(?:一下|一等|等|会|會|下)|稍等|慢着|慢著|且慢|(?:打断|打斷|插)一下|插句话|不好意思|抱歉"
    r"|我(?:有|想)(?:个|個|一个)?问|我想問|我有(?:個)?問|^(?:喂|不不|不是不是|不对|不對)"
)
_JAPANESE = re.compile(
    r"ストップ|(?:止|と|や|辞)め(?:て|ろ|なさい)(?!い|る|ある|も)|止まって|とまって"
    r"|(?:待|ま)って(?!い|る|ま|た)|(?:待|ま)った|お待ち|黙って|だまって|静かに|うるさい"
    r"|もういい|もう結構|十分です|結構です|すみません|すいません"
    r"|違います|ちがいます"
    r"|ちょっと(?:いい|よろしい)|質問(?:が|です|して)|いや違|聞いて(?:ください|よ|$)"
)
_KOREAN = re.compile(
    r"그만(?!큼|한)|멈춰|멈추(?!지)|^정지|스톱|스탑"
    r"|잠깐|잠시만|잠시 만|기다려(?!\s?왔)|기다리세요"
    r"|조용히|조용$|^됐|저기요|죄송(?:한데|하지만|합니다만)|실례|질문 (?:있|이)"
    r"|질문이|말하지 마|아니 ?아니|말 좀"
)
_NOT_LATIN = re.compile(r"[\u0400-\u04ff\u0900-\u097f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")


def is_stop_command(text: str) -> bool:
    """Whether the user asks the agent to stop or for the floor: "hold on", "espera", "停"."""
    words = normalise(text)
    if _ANYWHERE.search(words) or _FIRST.match(words):
        return True
    if _NOT_LATIN.search(words):
        return _is_foreign_stop(words)
    plain = without_accents(words)
    return _LATIN.match(plain) is not None or _LATIN_ANYWHERE.search(plain) is not None


def _is_foreign_stop(words: str) -> bool:
    is_at_start = _RUSSIAN.match(words) is not None
    anywhere = (_HINDI, _CHINESE, _JAPANESE, _KOREAN)
    return is_at_start or any(pattern.search(words) for pattern in anywhere)
