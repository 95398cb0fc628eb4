"""How a check is named and described to people, in English and Chinese."""

from quillgraph.agents.checks import check as checkers
from quillgraph.agents.checks.check import Check
from quillgraph.agents.checks.count import CharCount, CountRange, WordCount, span_in_words

_UNITS = {
    "word_count": ("words", "词"),
    "char_count": ("characters", "字"),
    "sentence_count": ("sentences", "句话"),
    "line_count": ("lines", "行"),
    "paragraph_count": ("paragraphs", "段"),
    "stanza_count": ("stanzas", "节"),
    "section_count": ("sections", "个部分"),
    "list_count": ("bullet points", "个要点"),
}
_FORMS = {
    "list": ("A list", "列表形式"),
    "numbered_list": ("A numbered list", "编号列表"),
    "no_list": ("No lists", "不使用列表"),
    "no_markdown": ("Plain text", "纯文本"),
    "headings": ("With headings", "有小标题"),
    "no_headings": ("No headings", "无小标题"),
    "table": ("A table", "表格形式"),
    "letter": ("A letter", "书信格式"),
}
_PERSONS = {"first": "第一人称", "second": "第二人称", "third": "第三人称"}
_LANGUAGES = {
    "en": ("English", "英文"),
    "zh": ("Chinese", "中文"),
    "ja": ("Japanese", "日文"),
    "ko": ("Korean", "韩文"),
    "fr": ("French", "法文"),
    "de": ("German", "德文"),
    "es": ("Spanish", "西班牙文"),
    "it": ("Italian", "意大利文"),
    "pt": ("Portuguese", "葡萄牙文"),
    "ru": ("Russian", "俄文"),
    "ar": ("Arabic", "阿拉伯文"),
    "hi": ("Hindi", "印地文"),
    "nl": ("Dutch", "荷兰文"),
    "pl": ("Polish", "波兰文"),
    "tr": ("Turkish", "土耳其文"),
    "vi": ("Vietnamese", "越南文"),
    "la": ("Latin", "拉丁文"),
    "el": ("Greek", "希腊文"),
    "sv": ("Swedish", "瑞典文"),
    "th": ("Thai", "泰文"),
}
LANGUAGE_CODES = {names[0].casefold(): code for code, names in _LANGUAGES.items()}
"""ISO 639-1 codes by the English names of the languages that requests may demand."""


def about_name(number: int, kind: str, *, chinese: bool) -> str:
    """Name a demand for about so many of a kind of unit."""
    unit = _UNITS[kind][chinese]
    return f"{number}{unit}左右" if chinese else f"About {number} {unit}"


def name_of(check: Check, *, chinese: bool) -> str:
    """Name a check in a few words."""
    if isinstance(check, CountRange):
        unit = _UNITS[check.type][chinese]
        return _range_zh(check, unit) if chinese else _range_en(check, unit)
    return _name_zh(check) if chinese else _name_en(check)


def description_of(check: Check, *, chinese: bool) -> str:
    """Say in one sentence what the text must be like."""
    name = name_of(check, chinese=chinese)
    if chinese:
        return (
            f"全文{name}。" if isinstance(check, WordCount | CharCount) else f"文章要求：{name}。"
        )
    if isinstance(check, CountRange):
        unit = _UNITS[check.type][0]
        return f"The text has {span_in_words(check.min, check.max)} {unit}."
    return f"The text keeps to this demand: {name[0].lower()}{name[1:]}."


def _range_en(check: CountRange, unit: str) -> str:
    if check.min == check.max:
        return f"{check.min} {unit[:-1] if check.min == 1 else unit}"
    span = span_in_words(check.min, check.max)
    return f"{span[0].upper()}{span[1:]} {unit}"


def _range_zh(check: CountRange, unit: str) -> str:
    if check.min is None:
        return f"不超过{check.max}{unit}"
    if check.max is None:
        return f"不少于{check.min}{unit}"
    return f"{check.min}{unit}" if check.min == check.max else f"{check.min}到{check.max}{unit}"


def _name_en(check: Check) -> str:
    match check:
        case checkers.MustInclude(terms=terms, any_of=any_of):
            return f"Includes {_quoted(terms)}" if terms else f"Includes one of {_quoted(any_of)}"
        case checkers.MustNotInclude(terms=terms):
            return f"Leaves out {_quoted(terms)}"
        case checkers.Opening(text=text):
            return f"Starts with “{text}”"
        case checkers.Ending(text=text):
            return f"Ends with “{text}”"
        case checkers.ClassicalVerse(lines=lines, characters=characters):
            return f"{lines} verses of {characters or 'equally many'} characters"
    return _manner(check)[0]


def _name_zh(check: Check) -> str:
    match check:
        case checkers.MustInclude(terms=terms, any_of=any_of):
            return f"包含{_quoted(terms)}" if terms else f"包含{_quoted(any_of)}之一"
        case checkers.MustNotInclude(terms=terms):
            return f"不出现{_quoted(terms)}"
        case checkers.Opening(text=text):
            return f"以“{text}”开头"
        case checkers.Ending(text=text):
            return f"以“{text}”结尾"
        case checkers.ClassicalVerse(lines=lines, characters=characters):
            return f"{lines}句，每句{characters}字" if characters else f"{lines}句，字数相等"
    return _manner(check)[1]


def _manner(check: Check) -> tuple[str, str]:
    """Name what holds of the whole text, in English and Chinese."""
    match check:
        case checkers.Language(language=language):
            english, chinese = _LANGUAGES.get(language, (language, language))
            return f"In {english}", f"用{chinese}写"
        case checkers.Format(form=form):
            return _FORMS[form]
        case checkers.Dialogue(present=present):
            return ("With dialogue", "有对话") if present else ("No dialogue", "没有对话")
        case checkers.Person(person=person):
            return f"In the {person} person", _PERSONS[person]
        case checkers.Title(present=present):
            return ("With a title", "有标题") if present else ("No title", "无标题")
    raise AssertionError(check)


def _quoted(terms: tuple[str, ...]) -> str:
    return ", ".join(f"“{term}”" for term in terms)
