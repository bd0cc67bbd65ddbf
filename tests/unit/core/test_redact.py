"""No secret that stands in a known place appears in what TaskMesh shows."""

from __future__ import annotations

import json
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskmesh.core.redact import HIDDEN, address_shown, is_secret_name, redact, redacted

#: What a secret may be made of, where it stands in a text without quotes.
_PLAIN = string.ascii_letters + string.digits + "!$%*+-./:;<=>?@[]^_`{|}~()#,"
#: It begins and ends as no text around it does, so that its pieces can be told from that.
_MARK = "Zq9"
SECRETS = st.text(_PLAIN, min_size=4, max_size=30).map(lambda text: f"{_MARK}{text}{_MARK}")
URL_SECRETS = SECRETS.filter(lambda text: not any(mark in text for mark in (",", ";", "|")))
QUOTED = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), min_size=4, max_size=30).map(
    lambda text: f"{_MARK}{text}{_MARK}"
)
_PEM = "-----BEGIN RSA PRIVATE KEY-----"
NAMES = st.sampled_from(
    [
        "password",
        "key",
        "TASKMESH_KEY",
        "api_key",
        "x-api-key",
        "token",
        "access_token",
        "client_secret",
        "db.passwd",
    ]
)
AROUND = st.sampled_from(["", "a word before ", "(", "[", "x=1 ", "url: "])


@given(URL_SECRETS, AROUND, st.sampled_from(["redis", "rediss", "amqp", "https", "postgresql+psycopg"]))
def test_no_password_of_an_address_is_left(secret, before, scheme):
    told = redact(f"{before}{scheme}://user:{secret}@host:1/2 is away")
    assert _MARK not in told
    assert f"{scheme}://user:{HIDDEN}@host:1/2" in told
    assert _MARK not in address_shown(f"{scheme}://user:{secret}@host:1/2")


@given(SECRETS.filter(lambda text: "&" not in text), NAMES, AROUND)
def test_no_value_of_a_secret_name_is_left(secret, name, before):
    assert _MARK not in redact(f"{before}{name}={secret}")
    assert _MARK not in redact(f"{before}{name} = {secret} after")
    assert _MARK not in redact(f"redis://host?{name}={secret}&db=0")


@given(QUOTED, NAMES)
def test_no_quoted_value_is_left(secret, name):
    assert _MARK not in redact(f"{name}={secret!r}")
    assert _MARK not in redact(repr({name: secret, "other": 1}))
    assert _MARK not in redact(json.dumps({name: secret, "other": 1}))
    assert _MARK not in redact(json.dumps(json.dumps({name: secret})))
    assert _MARK not in redact(f"{name}={secret.encode()!r}")
    assert _MARK not in str(redacted("", {"deep": [{name: secret}]}))


@given(
    st.text(string.ascii_letters + string.digits + "._~+/-", min_size=8), st.sampled_from(["Bearer", "Basic"])
)
def test_no_authorization_is_left(text, kind):
    secret = f"{_MARK}{text}"
    assert _MARK not in redact(f"Authorization: {kind} {secret}")
    assert _MARK not in redact(str({"Authorization": f"{kind} {secret}"}))
    assert _MARK not in redact(f"Cookie: session={secret}; other={secret}\nnext")
    assert _MARK not in redact(f"sent bearer {secret} to it")


@pytest.mark.parametrize(
    "text",
    [
        "key " + "a-" * 500_000,
        "key " + "a." * 500_000,
        "a" * 1_000_000 + "://user:hunter2@host",
        "a://b:" * 150_000 + " hunter@ost",
        "key " + ";".join(f"a{i}={i}" for i in range(100_000)),
    ],
    ids=["dashes", "dots", "letters", "addresses", "fields"],
)
def test_a_long_line_takes_as_long_as_it_is_long(text):
    """Each of them would take hours if the rest of the line were looked at from each place in it."""
    assert "hunter2" not in redact(text)


def test_words_are_names_from_their_first_letter_to_their_last():
    assert redact("run --password=hunter2 --x-api-key=hunter2 1password=hunter2") == (
        f"run --password={HIDDEN} --x-api-key={HIDDEN} 1password={HIDDEN}"
    )
    assert redact("redis://a:x@y@b,redis://c:z@d") == f"redis://a:{HIDDEN}@b,redis://c:{HIDDEN}@d"


@given(st.text())
def test_what_is_redacted_stays_as_it_is(text):
    once = redact(text)
    assert redact(once) == once


@pytest.mark.parametrize(
    "text",
    [
        "unique key idempotency_key='order-5' is held",
        "KeyError: 'name'",
        "jwt.InvalidTokenError: Signature has expired",
        "if token == other: pass",
        "key: a word that explains",
        "app.tokens:mesh cannot be imported",
        "keyboard=qwerty, monkey=3",
        "total_tokens=512",
        "password=None",
        "give key= or TASKMESH_KEY, in key_file= for example",
        "expected amqp://user:password@host:5672/vhost",
        "http://host:8484/livez",
        "redis://host:6379/0 and redis://user@host",
        "mail from a@b.example: 5 sent",
    ],
)
def test_what_is_no_secret_is_left_as_it_is(text):
    assert redact(text) == text


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("redis://:a@b/c@h:1,redis://u:x@h2", "redis://:***@h:1,redis://u:***@h2"),
        ("nodes=['redis://u:p@a']", "nodes=['redis://u:***@a']"),
        ("password: hunter2 is wrong", "password: *** is wrong"),
        ("active 0123abcd 00112233445566778899aabbccddeeff", "active 0123abcd ***"),
        (f"{_PEM}\nMII\n-----END RSA PRIVATE KEY-----", f"{_PEM}***-----END RSA PRIVATE KEY-----"),
        ("f(key='a', name='b')", "f(key=***, name='b')"),
    ],
)  # fmt: skip
def test_what_is_around_a_secret_stays(text, told):
    assert redact(text) == told


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("redis://h?password=a@b", "redis://h?password=***"),
        ("redis://u:a://b@h", "redis://u:***@h"),
        ("sqs://KEY:x@", "sqs://KEY:***@"),
        ("my.brokers:It?token=x&folder=y", "my.brokers:It?token=***&folder=y"),
    ],
)
def test_an_address_is_shown_without_its_secrets(address, told):
    assert address_shown(address) == told


@pytest.mark.parametrize("name", ["key", "KEYY", "db_password", "Token", "client-secret", "credentials"])
def test_a_name_says_that_its_value_is_secret(name):
    assert is_secret_name(name)


def test_plain_data_keeps_its_numbers_and_nothing():
    given_ = {"total_tokens": 5, "password": None, "routing_key": "a", "list": [1, "token=x"], "flag": True}
    told = redacted("", given_)
    assert told == {**given_, "list": [1, "token=***"]}
