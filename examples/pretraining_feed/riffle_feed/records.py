"""What a line or message of the curated log says: which document changed, and its skill.

A document passes here once when it is read and once when it is given out. On reading, only its id
and skill are wanted, so the usual form is scanned instead of parsed: what Riffle writes begins
with the id as often as not, and always ends with the object `riffle`.
"""

import json

try:
    from orjson import loads
except ImportError:
    loads = json.loads

_MEASURES = b',"riffle":{'


class Malformed(ValueError):
    """A record that says nothing about any document, and why."""


def id_of(value):
    """The id that a JSON line begins with, or None where it must be parsed to find out."""
    if value.startswith(b'{"id":"'):
        start = 7
    elif value.startswith(b'{"id": "'):
        start = 8
    else:
        return None
    name = value[start : value.find(b'"', start)]
    return _text(name) if name and b"\\" not in name else None


def skill_of(value):
    """The member `riffle.skill` of a curated document: "" where there is none, and None where the
    document must be parsed to find out.

    A quotation mark within a string is escaped, so the bytes `,"riffle":{` begin a member of that
    name; it is one of the document itself if its object ends right before the document does.
    """
    at = value.rfind(_MEASURES)
    if at < 0:
        return None
    try:
        measures = loads(value[at + len(_MEASURES) - 1 : -1])
    except ValueError:
        return None
    return _named(measures.get("skill"))


def parse(value):
    """The JSON object in these bytes.

    Raises `Malformed` where there is none.
    """
    try:
        document = loads(value)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"invalid JSON: {error}") from None
    if not isinstance(document, dict):
        raise Malformed("a JSON object is expected")
    return document


def change(key, value, skill_path=None):
    """What a record says: (id, skill, whether the document is live).

    `key` is a Kafka message's key, which names the document, or None for a line, which names it
    itself. `value` is a JSON object in bytes; None, or `"deleted": true`, withdraws the document.
    The skill is `riffle.skill`, else the value at `skill_path` ("metadata.topic"), else "".

    Raises `Malformed` where the record has no usable id or value.
    """
    if value is None:
        if not key:
            raise Malformed("a takedown without a key")
        return _text(key), "", False
    name = _text(key) if key else id_of(value)
    if name is not None and (skill := skill_of(value)):
        return name, skill, True
    if name is not None and skill == "" and skill_path is None:
        return name, "", True
    document = parse(value)
    name = name or document.get("id")
    if not isinstance(name, str) or not name:
        raise Malformed("the document has no id")
    if document.get("deleted") is True:
        return name, "", False
    return name, skill_in(document, skill_path), True


def skill_in(document, path=None):
    """The skill of a parsed document: `riffle.skill`, else the value at the path, else ""."""
    measures = document.get("riffle")
    skill = _named(measures.get("skill")) if isinstance(measures, dict) else ""
    if skill or not path:
        return skill
    for name in path.split("."):
        document = document.get(name) if isinstance(document, dict) else None
    return _named(document)


def _named(value):
    """A skill's name: numbers are names too."""
    if isinstance(value, str):
        return value
    return "" if value is None or isinstance(value, (dict, list, bool)) else str(value)


def _text(name):
    try:
        return name.decode()
    except UnicodeDecodeError as error:
        raise Malformed(f"the id is no UTF-8: {error}") from None
