"""Addresses are read as httpx reads them, whether that is needed for them or not."""

from __future__ import annotations

import subprocess
import sys

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamcli.errors import StreamError
from streamcli.transport.address import Address, address_of

PLAIN = [
    "http://127.0.0.1:8000/v1/chat/completions",
    "https://api.openai.com/v1/responses",
    "https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse",
    "https://x-y.openai.azure.com/openai/deployments/a_b/chat/completions?api-version=2024-10-21",
    "http://localhost:11434",
    "http://localhost:80/",
    "https://h:443/a",
    "http://h:443/a/",
    "http://h?",
    "http://h?a=1&b=2/3",
    "http://h/a..b/c.d",
]
ODD = [
    "http://[::1]:8080/v1",
    "http://h//a",
    "http://h/a/./b/../c",
    "http://h/..",
    "http://h/a b?q=é",
    "http://bücher.example/ü",
    "http://h/%41?x=%20#fragment",
    "http://user:pass%20word@h:8080/a",
    "http://h:/a",
    "http://h:080/a",
    "http://h:0/a",
    "HTTP://H/A",
    "http://h./a",
    "http://1234/a",
    "ftp://h/a",
    "h/a",
    "",
    "http://h/" + "a" * 3000,
]
REFUSED = ["http://256.1.1.1/", "http://1.2.3.04/", "http://h:x/", "http://h/\n", "http://[::z]/"]


def parts(url: str) -> tuple[object, ...] | None:
    """Return what is sent of an address; None if it is refused."""
    try:
        address = address_of(url)
    except StreamError:
        return None
    return (
        *(address.scheme, address.host, address.port, address.target),
        *(address.netloc, address.login),
    )


def parts_by_httpx(url: str) -> tuple[object, ...] | None:
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        return None
    login = (parsed.username, parsed.password) if parsed.userinfo else None
    sent = parsed.raw_host.decode(), parsed.port, parsed.raw_path.decode(), parsed.netloc.decode()
    return parsed.scheme, *sent, login


@pytest.mark.parametrize("url", PLAIN + ODD)
def test_an_address_is_read_as_httpx_reads_it(url: str) -> None:
    assert parts(url) == parts_by_httpx(url) is not None


@pytest.mark.parametrize("url", REFUSED)
def test_what_is_not_a_url_is_a_usage_error(url: str) -> None:
    with pytest.raises(StreamError, match="cannot be sent"):
        address_of(url)


@given(st.text("ah0.:/?=&%@-_~+é \\[]#,9", max_size=24))
def test_any_text_behind_a_scheme_is_read_as_httpx_reads_it(rest: str) -> None:
    for scheme in ("http://", "https://"):
        assert parts(scheme + rest) == parts_by_httpx(scheme + rest)


@given(st.from_regex(r"\A[a-z0-9.]{1,12}(:[0-9]{1,5})?(/[\w.:~-]{0,4}){0,4}\Z"))
def test_what_looks_plain_is_read_as_httpx_reads_it(rest: str) -> None:
    assert parts("https://" + rest) == parts_by_httpx("https://" + rest)


def test_plain_addresses_do_not_load_httpx() -> None:
    """It is a quarter of what a short prompt costs."""
    code = (
        "import sys\n"
        "from streamcli.transport.address import address_of\n"
        "import streamcli.transport.client\n"
        f"for url in {PLAIN!r}: address_of(url)\n"
        "assert 'httpx' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_netloc_has_brackets_around_an_ipv6_address() -> None:
    assert Address("http", "::1", 80, "/").netloc == "[::1]:80"
    assert Address("http", "::1", None, "/").netloc == "[::1]"
