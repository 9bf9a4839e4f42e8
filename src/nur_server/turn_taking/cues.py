"""Cues in English words that show whom they are for and whether they take the turn.

`addressee` and `floor` weigh the cues; `python -m bench.overlaps` fits the weights.
"""

import re

_THIRD_PARTY = "".join(
    rf"(?<!\b{word} )"
    for word in ("my", "our", "his", "her", "their", "the", "a", "your", "for", "with", "by")
)
_SOMEBODY = (
    r"(?:mum|mummy|mom|mommy|mama|dad|daddy|papa|grandma|grandpa|granny|grandad|nana|nan|auntie"
    r"|uncle|honey|hun|sweetie|sweetheart|darling|babe|baby|poppet|munchkin|pumpkin|buddy|pal|mate"
    r"|guys|girls|boys|kids|kiddo|folks|lads|children|everyone|everybody|bro|dude|man|son|sir"
    r"|madam|maam|miss|love|dear|angel|monkey|chef|nurse|doctor|officer|driver)"
)
_BUSINESS_OWN = (
    r"(?:price|prices|website|store|shop|company|policy|office|email|system|app|service|department"
    r"|manager|supervisor|address|hours|terms|fees?|rates?|team|branch|staff|number|name|driver"
    r"|colleague|delivery|opening|return|last|records?|side|end|people|agent)"
)
_OPENING = r"^(?:(?:no|yes|but|and|so|well|ok|okay|actually|sorry|wait|because) )*"
_CAPITALISED_OPENING = (
    r"(?:No|Yes|Yeah|Okay|Ok|Well|So|Sorry|Wait|Actually|And|But|Oh|Right|Sure|Please|Thanks|Hello"
    r"|Hi|Hey|Excuse|Now|Then|Alright|Fine|Look|Listen|Stop|Um|Uh|Ah|Good|Great|Also|First|Because)"
)

CUES: dict[str, re.Pattern[str]] = {
    "form of address": re.compile(
        rf"^{_SOMEBODY}\b|{_THIRD_PARTY}\b{_SOMEBODY}$"
        r"|\bmy (?:love|dear|darling|angel|baby|boy|girl|sweet)\b"
    ),
    "is on the phone": re.compile(
        r"\b(?:on (?:the|a|my) (?:phone|call|line|other line)|on hold|talking to"
        r"|calling (?:the|about)|off the phone|the phone)\b"
    ),
    "puts off": re.compile(
        r"\b(?:(?:call|ring|text|phone) (?:you|him|her|them) (?:back|later)|not now|later"
        r"|(?:ill|i will|will) be (?:right |with |there|down|out|home|off|back|ready)"
        r"|in a (?:bit|sec|second|minute|moment)"
        r"|(?:two|five|ten|couple of|one more|more) (?:minutes|mins|seconds|secs))\b"
    ),
    "to a pet": re.compile(
        r"\b(?:(?:good|bad|silly|clever) (?:boy|girl|dog|lad|puppy)|good job|drop it|leave it"
        r"|fetch|heel|paws?|walkies|treat|lead|leash)\b|^(?:sit|stay|down|come|off)\b"
    ),
    "command": re.compile(
        r"^(?:\w+ )?(?:come|go|get|give|put|pass|hand|grab|take|bring|turn|close|shut|open"
        r"|move|watch|mind|look|eat|finish|hurry|wait|leave|let go|pick|throw|wash|brush|tidy"
        r"|help|ask|tell|hold|keep|stand|sit|be|dont|stop)\b"
        r"(?! (?:me|it|that|this|the order|my))"
    ),
    "what is theirs": re.compile(rf"\b(?:your|yours|yourself)\b(?! (?:\w+ )?{_BUSINESS_OWN})"),
    "you": re.compile(r"\byou\b"),
    "you, of a business": re.compile(
        r"\b(?:do you (?:have|take|offer|accept|deliver|sell|know|do|need|guys|also|still|ship)"
        r"|(?:can|could|would|will) you|are you (?:open|sure|able|a|still|really|saying|there)"
        r"|you (?:said|sent|charged|have|got|told|mentioned|keep|already|dont|just|never|people"
        r"|were|can)|thank you)\b"
    ),
    "place": re.compile(
        r"\b(?:here|(?<!you )(?<!still )there|upstairs|downstairs|inside|outside|at the door"
        r"|in the (?:car|kitchen|oven|fridge|garden|hall|back|bin|sink|bag|bath|room|drawer"
        r"|cupboard)"
        r"|on the (?:table|sofa|couch|counter|floor|stairs|chair|desk|bed|shelf|side))\b"
    ),
    "household": re.compile(
        r"\b(?:dinner|lunch|tea|supper|breakfast|bed|bedtime|bath|bathroom|toilet|school"
        r"|homework|toys?|telly|tv|cartoons?|dishes|kettle|oven|fridge|sofa|couch|kitchen"
        r"|garden|window|dog|cat|laundry|washing|coat|socks?|jacket|teeth|hair|nappy|diaper"
        r"|milk|juice|snack|sandwich|sweets|cookies?|biscuits?|coffees?|latte|cappuccino|parcel"
        r"|ball|scissors|towel|tissue|stroller|pram|playground|park|movie|meeting|the bus"
        r"|traffic|lights|parking|seat|bags?|keys)\b"
    ),
    "thanks": re.compile(r"\b(?:thanks|cheers|ta|thank you)\b"),
    "greeting": re.compile(
        r"\b(?:bye|goodbye|see you|good ?night|night|drive safe(?:ly)?|love you|happy birthday"
        r"|have (?:a )?(?:good|great|nice|lovely|fun)|well done|careful|hiya|hi|hey"
        r"|morning|evening|keep the change|same again|congratulations|welcome|enjoy|sleep)\b"
    ),
    "noise": re.compile(
        r"\b(?:sh+|hush|quiet|noise|noisy|loud|louder|keep it down|inside voice"
        r"|turn (?:it|that|the) (?:\w+ )?down|(?:shout|yell|scream|cry)(?:ing)?)\b"
    ),
    "family": re.compile(r"\b(?:daddys?|mumm?ys?|mommys?|grandmas?|nanas?|brother|sister)\b"),
    "others": re.compile(r"\b(?:he|she|him|her|hes|shes|they|theyre|them)\b"),
    "in answer": re.compile(r"^(?:\w+ )?(?:ill|i will|im|just|yeah|yes|no|oh|ooh)\b"),
    "about oneself": re.compile(
        rf"{_OPENING}(?:i (?:want|need|would|have|said|already|dont|do|didnt|cant|was|asked"
        r"|ordered|paid|am|thought|never|only|just|got|applied|bought|booked|still|sent|live"
        r"|prefer|meant)|id|ive|my|its|it|thats|this|the|there|we|you)\b"
    ),
    "question": re.compile(
        rf"{_OPENING}(?:how|what|which|why|when|where|who|is|are|does|do|can|could|will|would"
        r"|did|has|have|whats|whens|wheres|hows|if)\b"
    ),
    "business": re.compile(
        r"\b(?:prices?|costs?|refund\w*|order(?:s|ed)?|deliver\w*|accounts?|appointments?"
        r"|book(?:ings?|ed)|cancel\w*|chang\w*|repeat|transfer|manager|supervisor|numbers?"
        r"|emails?|address|invoice|bill\w*|charg\w*|pay\w*|paid|card|cheap\w*|includ\w*"
        r"|available|reserv\w*|policy|subscription|website|confirm\w*|customer|warranty"
        r"|returns?|exchange|sizes?|dollars|pounds|percent|euros|free|discount|offer|contract"
        r"|plan|insurance|claim|flight|ticket\w*|rooms?|hotel|nights|prescription|password"
        r"|log ?in|signal|meter|upgrade|fees?|deposit|reference|code|receipt|stores?|shipping"
        r"|tracking|first|second|last|ones?|option|monday|tuesday|wednesday|thursday|friday"
        r"|saturday|sunday|january|february|march|april|may|june|july|august|september|october"
        r"|november|december|am|pm|\d+|person|human|representative|operator|someone)\b"
    ),
    "takes the floor": re.compile(
        rf"{_OPENING}(?:actually|wait|excuse me|hold on|hang on|stop|listen|let me|tell me|skip"
        r"|go back|repeat|forget|never mind|cancel|enough|slow)\b"
    ),
    "please": re.compile(r"\bplease\b"),
    "own matter": re.compile(
        rf"{_OPENING}(?:i (?:want|need|would|have|havent|said|already|dont|do|didnt|cant|cannot"
        r"|asked|ordered|paid|am|meant|prefer|live|lost|forgot|called|got)|id|ive|im|my|we|our)\b"
    ),
    "objection": re.compile(
        r"\b(?:wrong|incorrect|mistaken?|misunder\w+|misheard|broken|never|cant|cannot|wont|doesnt"
        r"|didnt|isnt|wasnt|arent|havent|hasnt"
        r"|not (?!bad|too bad|surprised|really|ideal|great|at all)"
        r"|too (?!bad|true|kind|right|easy)\w+)\b"
    ),
    "assessment": re.compile(
        r"^(?:(?:oh|ah|well|yeah|yes|no|okay|ok|right|so|and|but|wow|mm|hm|huh|yep|aha) )*"
        r"(?:thats|that is|that was|thatll|that sounds|that makes|its|it is|it was|it does|it makes"
        r"|sounds|makes|looks|feels|i (?:see|know|bet|guess|suppose|thought|think|figured"
        r"|understand|believe|imagine|hope|agree|follow|hear|remember)|glad|happy|good|great|nice"
        r"|lovely|fair|cool|perfect|fine|true|not (?:bad|surprised|really|ideal|great)"
        r"|no (?:problem|worries|rush|bother|trouble|way|doubt|wonder|kidding)|same|just|as i"
        r"|if you say|whatever|thank|thanks|cheers)\b"
    ),
}
"""Patterns by the name of the cue. They match bare words, without apostrophes."""

_NAME = re.compile(
    r"[^,]*,\s+(?!I\b)[A-Z][a-z]+[.!?]*$"
    rf"|(?!{_CAPITALISED_OPENING}\b)(?:[A-Z][a-z]+ )?[A-Z][a-z]{{2,}},\s"
)


def has(name: str, bare: str) -> bool:
    """Whether a cue is in some bare words, case folded."""
    return CUES[name].search(bare) is not None


def has_name(text: str) -> bool:
    """Whether the text addresses a person by a name that is set off by a comma."""
    return _NAME.match(text) is not None
