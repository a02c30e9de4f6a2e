"""Which proxy is chosen: a table that curl itself confirms, and what we read beyond curl."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from streamcli.errors import StreamError
from streamcli.transport.proxies import Proxy, is_exception, parse, proxy_for

P = "http://127.0.0.1:9"
Q = "http://127.0.0.1:8"
DOCKER = "localhost,127.0.0.0/8,::1,fd07:b51a:cc66:f0::/64,*.orb.local,192.168.0.0/16"

# (variables, address, the variable that is used or None): curl is asked too.
LIKE_CURL: list[tuple[dict[str, str], str, str | None]] = [
    ({}, "http://h/", None),
    ({"http_proxy": P}, "http://h/", "http_proxy"),
    ({"http_proxy": P}, "https://h/", None),
    ({"HTTP_PROXY": P}, "http://h/", None),
    ({"HTTPS_PROXY": P}, "https://h/", "HTTPS_PROXY"),
    ({"HTTPS_PROXY": P}, "http://h/", None),
    ({"https_proxy": Q, "HTTPS_PROXY": P}, "https://h/", "https_proxy"),
    ({"https_proxy": "", "HTTPS_PROXY": P}, "https://h/", "HTTPS_PROXY"),
    ({"ALL_PROXY": P}, "http://h/", "ALL_PROXY"),
    ({"ALL_PROXY": P}, "https://h/", "ALL_PROXY"),
    ({"all_proxy": Q, "ALL_PROXY": P}, "https://h/", "all_proxy"),
    ({"ALL_PROXY": P, "HTTPS_PROXY": Q}, "https://h/", "HTTPS_PROXY"),
    ({"http_proxy": "", "ALL_PROXY": P}, "http://h/", "ALL_PROXY"),
    ({"ALL_PROXY": ""}, "http://h/", None),
    ({"http_proxy": "127.0.0.1:9"}, "http://h/", "http_proxy"),
    # What NO_PROXY leaves out
    ({"http_proxy": P, "NO_PROXY": "*"}, "http://h/", None),
    ({"http_proxy": P, "NO_PROXY": ""}, "http://h/", "http_proxy"),
    ({"http_proxy": P, "NO_PROXY": "x.de", "no_proxy": "h"}, "http://h/", None),
    ({"http_proxy": P, "NO_PROXY": "h", "no_proxy": "x.de"}, "http://h/", "http_proxy"),
    ({"http_proxy": P, "NO_PROXY": "h", "no_proxy": ""}, "http://h/", None),
    ({"ALL_PROXY": P, "NO_PROXY": "a.de,b.de"}, "https://b.de/", None),
    ({"ALL_PROXY": P, "NO_PROXY": "a.de, b.de"}, "https://b.de/", None),
    ({"ALL_PROXY": P, "NO_PROXY": "a.de,,b.de,"}, "https://b.de/", None),
    ({"ALL_PROXY": P, "NO_PROXY": "b.de"}, "https://www.b.de/", None),
    ({"ALL_PROXY": P, "NO_PROXY": ".b.de"}, "https://www.b.de/", None),
    ({"ALL_PROXY": P, "NO_PROXY": ".b.de"}, "https://b.de/", None),
    ({"ALL_PROXY": P, "NO_PROXY": "b.de"}, "https://notb.de/", "ALL_PROXY"),
    ({"ALL_PROXY": P, "NO_PROXY": "www.b.de"}, "https://b.de/", "ALL_PROXY"),
    ({"ALL_PROXY": P, "NO_PROXY": "B.De"}, "https://b.dE/", None),
    ({"ALL_PROXY": P, "NO_PROXY": "b.de."}, "https://b.de/", None),
    ({"ALL_PROXY": P, "NO_PROXY": "localhost"}, "http://localhost:1/", None),
    ({"ALL_PROXY": P, "NO_PROXY": "127.0.0.1"}, "http://127.0.0.1/", None),
    ({"ALL_PROXY": P, "NO_PROXY": "127.0.0.1"}, "http://127.0.0.2/", "ALL_PROXY"),
    ({"ALL_PROXY": P, "NO_PROXY": "10.0.0.0/8"}, "http://10.20.30.40/", None),
    ({"ALL_PROXY": P, "NO_PROXY": "10.0.0.0/8"}, "http://11.0.0.1/", "ALL_PROXY"),
    ({"ALL_PROXY": P, "NO_PROXY": "10.1.2.3/12"}, "http://10.15.0.1/", None),
    ({"ALL_PROXY": P, "NO_PROXY": "10.1.2.3/12"}, "http://10.16.0.1/", "ALL_PROXY"),
    ({"ALL_PROXY": P, "NO_PROXY": "10.0.0.0/99"}, "http://10.0.0.1/", "ALL_PROXY"),
    ({"ALL_PROXY": P, "NO_PROXY": "10.0.0"}, "http://10.0.0.1/", "ALL_PROXY"),
    ({"ALL_PROXY": P, "NO_PROXY": "::1"}, "http://[::1]/", None),
    ({"ALL_PROXY": P, "NO_PROXY": "::1"}, "http://[::2]/", "ALL_PROXY"),
    ({"ALL_PROXY": P, "NO_PROXY": "fd00::/8"}, "http://[fe80::1]/", "ALL_PROXY"),
    ({"ALL_PROXY": P, "NO_PROXY": DOCKER}, "https://api.openai.com/v1", "ALL_PROXY"),
    ({"ALL_PROXY": P, "NO_PROXY": DOCKER}, "http://127.0.0.1:11434/", None),
    ({"ALL_PROXY": P, "NO_PROXY": "[!,//,a b,%zz,/8,:,h"}, "http://h/", None),
    ({"ALL_PROXY": P, "NO_PROXY": "10.0.0.1"}, "http://ten.de/", "ALL_PROXY"),
]

# (value of NO_PROXY, host, port, whether it is left out): more than curl 7 reads.
BEYOND_CURL = [
    ("fd00::/8", "fd12::1", 80, True),  # curl 7.88 takes IPv6 addresses for names
    (DOCKER, "fd07:b51a:cc66:f0::5", 80, True),
    ("[::1]", "::1", 80, True),
    ("[::1]:8080", "::1", 8080, True),
    ("[::1]:8080", "::1", 80, False),
    ("[fd00::]/8", "fd12::1", 80, True),
    ("0:0:0:0:0:0:0:1", "::1", 80, True),
    ("fe80::/10", "fe80::1%eth0", 80, True),
    ("localhost:8080", "localhost", 8080, True),
    ("localhost:8080", "localhost", 80, False),
    ("10.0.0.1:443", "10.0.0.1", 443, True),
    ("10.0.0.1:443", "10.0.0.1", 80, False),
    ("10.0.0.0/8:443", "10.0.0.1", 443, True),
    ("h:", "h", 80, True),
    ("h:x", "h", 80, False),
    ("*.b.de", "www.b.de", 443, True),
    ("*.b.de", "notb.de", 443, False),
    ("a.de b.de\tc.de", "c.de", 443, True),
    ("a.de,*", "anything", 443, True),
    ("http://b.de", "b.de", 80, True),
    ("0.0.0.0/0", "1.2.3.4", 80, True),
    ("10.0.0.0/255.0.0.0", "10.9.9.9", 80, True),
    ("bücher.de", "www.xn--bcher-kva.de", 443, True),
    (".", "h", 80, False),
    ("", "h", 80, False),
    ("b.de", "b.de.", 443, True),
]


def split(url: str) -> tuple[str, str, int]:
    found = re.fullmatch(r"(https?)://(?:\[(.*)\]|([^:/]*))(?::(\d+))?/.*", url)
    assert found
    port = int(found[4] or {"http": 80, "https": 443}[found[1]])
    return found[1], (found[2] or found[3]).lower(), port


@pytest.mark.parametrize(("environ", "url", "variable"), LIKE_CURL)
def test_the_variable_that_is_used(environ: dict[str, str], url: str, variable: str | None) -> None:
    proxy = proxy_for(*split(url), environ)
    assert (proxy.variable if proxy else None) == variable
    if proxy is not None and variable is not None:
        assert environ[variable].endswith(proxy.place)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_agrees() -> None:
    """curl names the variable with -v. All direct connections are led to a closed port."""
    differ = []
    for environ, url, variable in LIKE_CURL:
        command = ["curl", "-qsv", "--connect-to", "::127.0.0.1:1", "--max-time", "20", url]
        run = subprocess.run(command, env=environ | {"PATH": "/usr/bin:/bin"}, capture_output=True)
        used = re.findall(rb"Uses proxy env variable (\w+) ==", run.stderr)
        names = [name.decode() for name in used if not name.lower().startswith(b"no_")]
        if names != ([variable] if variable else []):
            differ.append((environ, url, variable, names))
    assert differ == []


@pytest.mark.parametrize(("value", "host", "port", "expected"), BEYOND_CURL)
def test_entries_beyond_curl(value: str, host: str, port: int, expected: bool) -> None:
    assert is_exception(value, host, port) is expected


PROXIES = {
    "http://h:3128": ("http", "h", 3128, None),
    "h:3128": ("http", "h", 3128, None),
    "h": ("http", "h", 1080, None),
    "HTTP://h/": ("http", "h", 1080, None),
    "https://h": ("https", "h", 443, None),
    "http://[::1]:3128/x?y": ("http", "::1", 3128, None),
    "http://h:": ("http", "h", 1080, None),
    "socks://h:7890/": ("socks5h", "h", 7890, None),
    "socks5://h": ("socks5", "h", 1080, None),
    "socks5h://h:1": ("socks5h", "h", 1, None),
    "socks4://h": ("socks4", "h", 1080, None),
    "socks4a://h": ("socks4a", "h", 1080, None),
    "http://me:se%40cret@h:1": ("http", "h", 1, ("me", "se@cret")),
    "me:p@ss@h:1": ("http", "h", 1, ("me", "p@ss")),
    "http://me@h:1": ("http", "h", 1, ("me", "")),
    "http://me:%ff@h:1": ("http", "h", 1, ("me", "\udcff")),
    "http://bücher.de:1": ("http", "xn--bcher-kva.de", 1, None),
}


@pytest.mark.parametrize("value", PROXIES)
def test_the_value_of_a_variable(value: str) -> None:
    assert parse("all_proxy", value) == Proxy("all_proxy", *PROXIES[value])


@pytest.mark.parametrize(
    "value",
    [
        "http://",
        "http://me:hunter22@",
        "http://me:hunter22@h:x",
        "http://me:hunter22@h:0",
        "http://me:hunter22@h:65536",
        "http://me:hunter22@h:99999999999999999999",
        "http://me:hunter22@[::1",
        "http://me:hunter22@[h]",
        "http://me:hunter22@h h:1",
        "http://me:hunter22@a:b:c",
        "http://me:hunter22@\udcff\udcfe:1",
        f"http://me:hunter22@{'ü' * 100}:1",
        "ftp://me:hunter22@h",
        "://me:hunter22@h",
        "hunter22://h",
    ],
)
def test_a_value_that_is_not_a_proxy(value: str) -> None:
    """The message names the variable and quotes nothing: a password may stand anywhere."""
    environ = {"ALL_PROXY": value, "NO_PROXY": "direct.de"}
    assert proxy_for("https", "direct.de", 443, environ) is None
    with pytest.raises(StreamError) as error:
        proxy_for("https", "h", 443, environ)
    assert error.value.exit_code == 2
    assert "ALL_PROXY" in error.value.message
    assert "hunter22" not in f"{error.value.message} {error.value.hint}"


def test_a_scheme_that_is_neither_http_nor_https_has_no_proxy() -> None:
    assert proxy_for("ftp", "h", 21, {"ALL_PROXY": P}) is None
