"""Words by which plain answers are told from musings, in the three languages.

An answer without JSON is taken only when nothing in it says that it may not be meant: no negation, condition,
question, and no report of what others want.
"""

from __future__ import annotations

import re

from workers.experiment.reading.reader import UnreadableError

#: Characters of a plain answer; whoever writes more is asked for a short one.
LONGEST_PLAIN = 600
#: How far a sentence is followed.
LONGEST_SENTENCE = 200

#: Said with a "no" or "not", and no negation of the answer.
_IDIOM = re.compile(
    r"""\b(?:no|not)\ (?:more|less|lower|higher|fewer)\ than\b
    |\bno\ (?:doubt|matter|problem)\b|\bwithout\ (?:a\ )?doubt\b
    |\bnot\ (?:to\ )?exceed(?:ing)?\b|\bnot\ only\b
    |\bno\ (?:menos|más|mas|menor|mayor|inferior|superior)\ (?:de|que|a)\b|\bsin\ duda\b
    |不超过|不低于|不少于|不高于|不大于|不小于|不得低于|不得超过|毫无疑问|不仅|差不多""",
    re.VERBOSE,
)
_NEGATION = re.compile(
    r"""\b(?:not|never|no|none|nor|neither|without|nothing|cannot|unable|except|instead|rather\ than)\b
    |\b(?:against|reject|rejects|rejected|refuse|abstain|oppose)\b
    |~~|n't\b|\b(?:dont|wont|cant|doesnt|wouldnt)\b
    |\b(?:nunca|jamás|jamas|ni|ninguno|ninguna|ningún|nada|sin|tampoco|excepto|salvo|contra)\b
    |\b(?:avoid|remove|removed|removing|drop|dropped|dropping|eliminate)\b
    |\b(?:worst(?![\ -]off)|mistake|wrong|hate|dislike)\b
    |\b(?:least|less)\ (?:preferred|favou?rite|liked|attractive)\b
    |\b(?:rechazo|abstengo|opongo|evitar|quitar|eliminar|peor|error|odio)\b|\ben\ (?:lugar|vez)\ de\b
    |不|没|非(?!常)|否|别|勿|反对|拒绝|弃权|除了|而是|并未|无法|避免|排除|最差|错误|讨厌""",
    re.VERBOSE,
)
_HEDGE = re.compile(
    r"""\b(?:if|unless|maybe|perhaps|possibly|either|or|versus|vs|undecided|between)\b
    |\b(?:as\ long\ as|provided|only\ when|would\ have)\b
    |\b(?:depends|depending|might|could|assuming|suppose|supposing)\b
    |\b(?:si|quizá|quizás|quiza|quizas|acaso|tal\ vez|a\ menos|o|u|entre)\b
    |\b(?:siempre\ que|con\ tal|depende|podría|podria|hubiera|habría|suponiendo)\b
    |如果|假如|假设|若|只要|除非|或|也许|可能|还是|取决|要么|之间""",
    re.VERBOSE,
)
_REPORT = re.compile(
    r"""\b(?:he|she|they|others|everyone|everybody|someone|somebody)\b
    |\b(?:wants|wanted|says|said|prefers|preferred|proposes|proposed|suggests|suggested)\b
    |\b(?:was|were|had|used\ to|last\ round|previously|earlier)\b
    |\b(?:chose|chosen|voted|votes|picked|believes|supports|supported|agreed)\b
    |\b(?:él|ella|ellos|ellas|otros|otras|todos|todas|alguien)\b
    |\b(?:quiere|quieren|dice|dijo|dicen|prefiere|prefieren|propone|propuso|sugiere)\b
    |\b(?:eligió|votó|apoya|apoyan|era|fue|antes|anterior)\b
    |之前|上一?轮|原来|他|她|别人|其他人|大家|有人|提议|建议|说过""",
    re.VERBOSE,
)
#: After it come reasons, which may say what is wrong with everything else.
_REASON = re.compile(r"\b(?:because|since|porque|ya que|puesto que)\b|因为|由于")
_BUT = re.compile(r"\b(?:but|however|although|though|pero|aunque)\b|但|然而|不过")
_QUESTION = re.compile(r"[?¿]")

#: What an agent says before its own choice.
CHOICE = re.compile(
    r"""\bi(?:'ll|'d|\ will|\ would|\ do|\ shall|'m|\ am|\ want\ to|\ would\ like\ to|'d\ like\ to)?
        \ (?:now\ |still\ |also\ |therefore\ |thus\ |firmly\ |strongly\ |hereby\ )?
        (?:choose|choosing|vote|voting|pick|picking|select|selecting|support|prefer|favou?r|opt|opting
            |back|endorse|cast|go|going|want|propose|set|setting|suggest)\b
    |\bmy\ (?:final\ |secret\ |own\ )?
        (?:choice|vote|answer|ballot|pick|selection|preference|decision|amount|floor|range|constraint
            |limit|ranking)\b
    |^(?:final\ )?(?:choice|vote|answer|ballot|ranking)\s*:
    |\b(?:elijo|escojo|voto|prefiero|apoyo|selecciono|elegiría|escogería|votaré|elegiré|propongo|quiero)\b
    |\b(?:fijo|establezco)\b|\b(?:opto|votaría|voto)\ por\b|\bme\ quedo\ con\b
    |\bmi\ (?:elección|eleccion|voto|respuesta|opción|opcion|decisión|decision|preferencia|cantidad
        |ingreso|límite|limite)\b
    |^(?:respuesta|elección|voto|decisión)\s*:
    |我(?:会|要|将|想|决定|仍然|还是|最终)*(?:选|投|支持|赞成|倾向|主张|设定)
    |我的(?:最终)?(?:选择|答案|投票|选票|决定|金额)|^(?:最终)?(?:选择|答案|回答|投票)\s*[是为:]""",
    re.VERBOSE | re.MULTILINE,
)

#: Words that only dress an answer: what is left of it without them says nothing else.
FILLER = re.compile(
    r"""\b(?:the|an?|is|are|of|at|to|by|in|for|with|and|my|i|i'll|i'd|i'm|am|will|would|do|it|this|that
        |its|as|on|be|should|must|choose|choosing|vote|voting|pick|select|support|prefer|favou?r|opt|go|set
        |want|like|final|own|answer|choice|ballot|selection|decision
        |principle|option|number|no|amount|constraint|floor|range|ceiling|minimum|maximum|least|most|limit
        |income|average|per|year|annual|annually|yearly
        |principles|ranking|order|rank|here|certainty|confidence|yes|ok|okay
        |el|la|los|las|lo|un|una|de|del|con|por|para|y|es|en|mi|yo|que|al|como|a|su
        |elijo|escojo|voto|prefiero|opto|apoyo|respuesta|elección|eleccion|decisión|opción|opcion
        |principio|principios|número|numero|cantidad|monto|importe|restricción|restriccion
        |mínimo|minimo|mínima|máximo|maximo|máxima|diferencia|límite|limite|ingreso|ingresos|promedio
        |menos|más|mas|año|anual|anuales|orden|certeza|sea|fijo)\b
    |[我会要将想选择投票给的是为了个条项号第原则选项答案最终回答金额约束限制底线最低高收入差距至少多元年每一设定在:]+""",
    re.VERBOSE,
)
#: Words of a floor and of a range: a choice with the wrong one of them is no clear choice.
FLOOR = re.compile(r"\b(?:floor|minimum)\b|\b(?:mínim[oa]|minim[oa]|piso|suelo)\b|最低")
RANGE = re.compile(r"\b(?:range|spread|gap)\b|\b(?:diferencia|rango|brecha)\b|差距")

_WORD = re.compile(r"[^\W_]")
_DIGIT = re.compile(r"(?<![\d.,$-])\d(?![\d%]|[.,]\d|\s*(?:k\b|mil\b|thousand|[十百千万亿]))")
_SENTENCE_END = re.compile(r"[.!\n;](?!\d)")


def idle(text: str) -> bool:
    """Whether nothing is left of ``text`` but filling words and signs."""
    return _WORD.search(FILLER.sub(" ", _IDIOM.sub(" ", text))) is None


def short(text: str) -> str:
    """``text`` without blanks around it, if it is short enough for a plain answer.

    Raises:
        UnreadableError: ``empty_response`` or ``too_long``.
    """
    text = text.strip()
    if not text:
        raise UnreadableError("empty_response")
    if len(text) > LONGEST_PLAIN:
        raise UnreadableError("too_long")
    return text


def without_reasons(text: str) -> str:
    """``text`` up to where its reasons begin; all of it when they are taken back by a "but"."""
    reasons = _REASON.search(text)
    if reasons is None or _BUT.search(text, reasons.end()):
        return text
    return text[: reasons.start()]


def meant(text: str) -> None:
    """Take ``text`` for what its writer means.

    Raises:
        UnreadableError: ``negated``, ``conditional``, ``question`` or ``reported``.
    """
    bare = _IDIOM.sub(" ", text)
    for code, pattern in (
        ("question", _QUESTION),
        ("negated", _NEGATION),
        ("conditional", _HEDGE),
        ("reported", _REPORT),
    ):
        if pattern.search(bare) is not None:
            raise UnreadableError(code)


def negates(text: str) -> bool:
    """Whether there is a negation in ``text``."""
    return _NEGATION.search(_IDIOM.sub(" ", text)) is not None


def conditional(text: str) -> bool:
    """Whether ``text`` supposes something or leaves it open."""
    return _HEDGE.search(_IDIOM.sub(" ", text)) is not None


def chosen_at(text: str, position: int) -> bool:
    """Whether words of choosing stand before ``position`` in the same sentence."""
    begin = max((match.end() for match in _SENTENCE_END.finditer(text, 0, position)), default=0)
    return CHOICE.search(text[begin:position]) is not None


def sentence_from(text: str, position: int) -> str:
    """The rest of the sentence at ``position``, as far as one looks ahead."""
    ahead = text[position : position + LONGEST_SENTENCE]
    end = _SENTENCE_END.search(ahead)
    return ahead if end is None else ahead[: end.start()]


def without_small_number(text: str) -> str:
    """``text`` without a digit that stands alone: the number of the principle, where it was named by it."""
    return _DIGIT.sub(" ", text, count=1)
