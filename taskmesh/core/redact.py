"""What must not be read by others, taken out of texts: passwords, keys, tokens.

Everything that TaskMesh shows passes here: logs, messages of errors, `taskmesh config`, `doctor`. It goes by what
surrounds a secret (a name before it, an address around it), for nobody knows secrets by their looks: one that stands in
a text all alone is not found.
"""

from __future__ import annotations

import re
from math import isfinite
from typing import Any

from taskmesh.core.printable import shown

#: Stands for what was taken out.
HIDDEN = "***"
#: Data is looked through so deep; what is deeper is shown as one text.
DEPTH_MAX = 6

_WORDS = r"passw|passphrase|(?<![a-z])pwd|secret|token|credential|signature|authorization|cookie|private_?key|apikey"
#: Any of these in the name of a setting, or of a field in an address, says that its value is nobody's business.
_OF_A_SETTING = re.compile(_WORDS + "|key", re.IGNORECASE)
#: In running text `key` must stand for itself, or end the name: not in `keyboard=`.
_OF_A_TEXT = re.compile(_WORDS + r"|(?<![a-z])keys?$", re.IGNORECASE)
#: After a colon, as in a sentence, the name must end like this.
_ENDS = re.compile(
    r"(?:passw(?:or)?d|passphrase|pwd|secret|token|credentials?|apikey|private_?key)$", re.IGNORECASE
)
#: Keys that open nothing.
_HARMLESS = re.compile(
    r"(?:^|[_.-])(?:idempotency|unique|sequence|primary|foreign|routing|partition|sort|cache|public)_?keys?$",
    re.IGNORECASE,
)
#: A number of tokens is a price, not a secret.
_COUNTED = re.compile(r"tokens$", re.IGNORECASE)

#: A text without any of it holds nothing that would be found below: most lines of a log.
_SUSPECT = re.compile(
    r"@|passw|passphrase|pwd|secret|token|credential|signature|author|cookie|key|bearer|active|accepted|retired",
    re.IGNORECASE,
)
_PEM = re.compile(r"(-----BEGIN [A-Z ]*PRIVATE KEY-----).*?(-----END|\Z)", re.DOTALL)
_KEY_FILE = re.compile(r"\b(active|accepted|retired)([ \t]+[0-9a-f]{8}[ \t]+)[0-9A-Fa-f]{16,}")
_HEADER = re.compile(
    r"""\b((?:proxy-)?authorization|(?:set-)?cookie)(\\?["']?\s*[=:]\s*)(?![=:])"""
    r"""(?:b?"(?:[^"\\]|\\.)*"|b?'(?:[^'\\]|\\.)*'|[^\r\n]+)""",
    re.IGNORECASE,
)
_BEARER = re.compile(r"\b(bearer)(\s+)[\w.~+/\-]{8,}=*", re.IGNORECASE)
# In front of a password in an address, and of the next address of a list.
_LOGIN = re.compile(r"""[a-z0-9+.\-]://[^\s:/@?#"'<>]*+:""", re.IGNORECASE)
_NEXT_ADDRESS = re.compile(r"\s|[,;|]\s*[a-z][a-z0-9+.\-]*+://", re.IGNORECASE)
#: A password is no longer than this.
_PASSWORD_MAX = 4096
#: In `amqp://user:password@host`, which explains what is wanted, it stays.
_EXPLAINS = "password@"
_NAME = re.compile(
    # the whole word at once: a long one that is tried from each of its parts would take minutes
    r"""(?<![\w.\-])(?P<name>[\w.\-]++)(?P<quote>\\?["']\]?)?(?P<between>=(?=[^\s=])|\s+=\s+|\s*:(?![:=/])\s*)"""
)
# in quotes, in quotes of JSON within JSON, in none
_VALUE = re.compile(
    r"""b?"(?:[^"\\]|\\.)*"|b?'(?:[^'\\]|\\.)*'|\\"(?:[^"\\]|\\\\\\["\\]|\\\\[a-z])*\\"|[^\s&]*[^\s&,;)\]}>'"]"""
)
_NOTHING = frozenset({"None", "null", "True", "False", "true", "false", '""', "''"})


def is_secret_name(name: str) -> bool:
    """Tell whether a setting, a variable or a field of this name holds what nobody else may read."""
    return _OF_A_SETTING.search(name) is not None


def redact(text: str) -> str:
    """Return a text without the secrets that can be found in it.

    Passwords in addresses, what follows `password=`, `"token":` and other such names, headers of authorization, private
    keys.
    """
    if _SUSPECT.search(text) is None:
        return text
    if "PRIVATE KEY" in text:
        text = _PEM.sub(rf"\1{HIDDEN}\2", text)
    text = _KEY_FILE.sub(rf"\1\2{HIDDEN}", text)
    text = _HEADER.sub(rf"\1\2{HIDDEN}", text)
    text = _BEARER.sub(rf"\1\2{HIDDEN}", text)
    if "://" in text:
        text = _without_logins(text)
    return _without_named(text)


def redacted(name: str, value: Any, depth: int = DEPTH_MAX) -> Any:
    """Return a value that stands under a name without secrets, and as JSON can say it.

    Args:
        name: The name; empty for none.
        value: Anything; what JSON does not know is shown as Python shows it.
        depth: How deep it may be nested; what lies deeper is not looked at.
    """
    if value is None or isinstance(value, bool):
        return value
    if is_secret_name(name) and not _HARMLESS.search(name):
        is_count = isinstance(value, int | float) and _COUNTED.search(name) is not None
        return value if is_count else HIDDEN
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, int) or (isinstance(value, float) and isfinite(value)):
        return value
    if depth and isinstance(value, dict):
        return {
            text: redacted(text, item, depth - 1) for text, item in ((str(key), value[key]) for key in value)
        }
    if depth and isinstance(value, list | tuple):
        return [redacted("", item, depth - 1) for item in value]
    return redact(shown(value))


def address_shown(address: str) -> str:
    """Return one address, of a node or of a broker, without its password and without secrets among its fields.

    More is known here than of an address in a text: where it begins and ends.
    """
    before, at, host = address.rpartition("@")
    if at:
        # the first one: a password may hold anything
        scheme, separator, login = before.partition("://") if "://" in before else ("", "", before)
        user, colon, _ = login.partition(":")
        if not colon and "?" in user:
            return _fields_shown(address)  # the '@' stands in a field
        address = f"{scheme}{separator}{user}{f':{HIDDEN}' if colon else ''}@{host}"
    return _fields_shown(address)


def _fields_shown(address: str) -> str:
    head, mark, query = address.partition("?")
    if not mark:
        return address
    fields = (field.partition("=") for field in query.split("&"))
    return f"{head}?" + "&".join(
        f"{name}{equals}{HIDDEN if equals and is_secret_name(name) else value}"
        for name, equals, value in fields
    )


def _without_logins(text: str) -> str:
    """Return a text without the passwords of addresses in it.

    A password may hold anything, also '@': it goes up to the last one before the next address, or before a space.
    """
    parts: list[str] = []
    at = 0
    found = _LOGIN.search(text)
    while found is not None:
        start = end = found.end()
        last = start + 1 + _PASSWORD_MAX
        # which is fast where there is none, however many addresses there are
        if text.find("@", start + 1, last) >= 0 and text[start : start + len(_EXPLAINS)].lower() != _EXPLAINS:
            following = _NEXT_ADDRESS.search(text, start, last)
            until = text.rfind("@", start + 1, following.start() if following else last)
            if until >= 0:
                parts += text[at:start], HIDDEN
                at = end = until
        found = _LOGIN.search(text, end)
    return "".join((*parts, text[at:])) if parts else text


def _without_named(text: str) -> str:
    """Return a text without what follows secret names."""
    parts: list[str] = []
    at = 0
    found = _NAME.search(text)
    while found is not None:
        end = found.end()
        # the name first: what follows a harmless one may be the whole of a long line
        value = _VALUE.match(text, end) if _is_named_secret(found) else None
        if value is not None and not _tells_nothing(found["name"], value.group()):
            parts += text[at:end], HIDDEN
            at = end = value.end()
        found = _NAME.search(text, end)
    return "".join((*parts, text[at:])) if parts else text


def _is_named_secret(found: re.Match[str]) -> bool:
    """Tell whether what follows a name should be a secret."""
    name, between = found["name"], found["between"]
    if _OF_A_TEXT.search(name) is None or _HARMLESS.search(name):
        return False
    if "=" in between or found["quote"]:
        return True
    # `InvalidTokenError: Signature has expired`, `key: a word that explains`, and `app.tokens:mesh` are no secrets
    return between[-1:].isspace() and _ENDS.search(name) is not None


def _tells_nothing(name: str, value: str) -> bool:
    return value in _NOTHING or (value.isdigit() and _COUNTED.search(name) is not None)
