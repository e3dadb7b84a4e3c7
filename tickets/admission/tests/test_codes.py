"""The format of codes: the vectors, the verifier of docs/tickets.md, and texts that are no codes."""

import json
import random
import re
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.conf import settings
from hypothesis import given
from hypothesis import strategies as st

from tickets.admission import codes
from tickets.admission.tests.vectors import VECTORS

DOCUMENT = (settings.BASE_DIR / "docs/tickets.md").read_text()


def documented_verifier() -> Any:
    """Return the function of the document, run without changes."""
    [source] = re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)
    names: dict[str, Any] = {}
    exec(source, names)  # noqa: S102  (our own document)
    body = [
        line for line in source.splitlines() if line.strip() and not line.startswith(("from", "ALPHABET"))
    ]
    assert len(body) <= 20
    return names["verify"]


def keys() -> dict[int, bytes]:
    return {vector["content"]["key"]: bytes.fromhex(vector["public_key"]) for vector in VECTORS}


def said(vector: dict[str, Any]) -> tuple[int, int, int]:
    return tuple(vector["content"][name] for name in ("event", "ticket", "issue"))


@pytest.mark.parametrize("vector", VECTORS)
def test_signing_and_reading_give_the_vectors(vector: dict[str, Any]) -> None:
    key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(vector["seed"]))
    content = codes.Content(**vector["content"])

    assert key.public_key().public_bytes_raw().hex() == vector["public_key"]
    assert codes.code_sign(content, key) == vector["code"]
    read, raw = codes.code_read(vector["code"])
    assert read == content
    assert codes.is_signed(raw, bytes.fromhex(vector["public_key"]))


@pytest.mark.parametrize("vector", VECTORS)
def test_the_documented_verifier_verifies(vector: dict[str, Any]) -> None:
    assert documented_verifier()(vector["code"], keys()) == said(vector)


def test_the_document_has_the_first_vector() -> None:
    [shown] = re.findall(r"```json\n(.*?)```", DOCUMENT, re.DOTALL)

    assert json.loads(shown) == VECTORS[0]


@pytest.mark.slow
def test_ten_thousand_forged_codes_are_refused() -> None:
    verify, draw = documented_verifier(), random.Random(7)  # noqa: S311  (no secret)
    for number in range(10_000):
        vector = VECTORS[number % len(VECTORS)]
        code = list(vector["code"])
        at = draw.randrange(len(code))
        code[at] = draw.choice(codes.ALPHABET.replace(code[at], ""))
        forged = "".join(code)

        assert verify(forged, keys()) is None
        try:
            content, raw = codes.code_read(forged)
        except codes.NotACode:
            continue
        assert content.key not in keys() or not codes.is_signed(raw, keys()[content.key])


def test_control_a_verifier_that_checks_no_signature_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codes, "is_signed", lambda _raw, _key: True)
    with pytest.raises(AssertionError):
        test_ten_thousand_forged_codes_are_refused()


def test_a_code_of_another_key_is_refused() -> None:
    swapped = {key: bytes.fromhex(VECTORS[0]["public_key"]) for key in keys()}

    assert documented_verifier()(VECTORS[1]["code"], swapped) is None


@given(st.binary(max_size=200))
def test_base45_reads_what_it_wrote(raw: bytes) -> None:
    assert codes.base45_read(codes.base45(raw)) == raw


@given(st.text(max_size=200) | st.text(alphabet=codes.ALPHABET, min_size=131, max_size=131))
def test_a_text_that_is_no_code_is_refused_without_another_error(text: str) -> None:
    try:
        codes.code_read(text)
    except codes.NotACode:
        return
    assert len(text) == codes.LENGTH


@pytest.mark.parametrize("text", ["", "A", ":::", "::", "abc", "AB\N{FULLWIDTH DIGIT ONE}"])
def test_a_text_that_is_no_base45_is_refused(text: str) -> None:
    if text:
        with pytest.raises(codes.NotACode):
            codes.base45_read(text)
    else:
        assert codes.base45_read(text) == b""


@given(st.binary(min_size=codes.SIGNATURE, max_size=codes.SIGNATURE))
def test_a_code_begins_and_ends_with_no_space(signature: bytes) -> None:
    code = codes.base45(codes.LAYOUT.pack(1, 5, 1, 1, 1) + signature)

    assert code == code.strip()
