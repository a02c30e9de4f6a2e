"""Requests through real proxies on loopback, and how their refusals are told."""

from __future__ import annotations

import base64
import os
import subprocess
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from conftest import COMMAND, Stream
from faultserver import Conn, FaultServer
from proxyserver import ProxyServer

MODEL = ("-m", "vllm:m", "--max-retries", "0")
HELLO = "Hello world"
LOGIN = "me:hunter22"


def place(server: FaultServer) -> tuple[str, int]:
    parts = urlsplit(server.origin)
    assert parts.port
    return "127.0.0.1", parts.port


def far(server: FaultServer, scheme: str = "http") -> str:
    """Return an address that only a proxy can reach."""
    return f"{scheme}://far.invalid:{place(server)[1]}/ok/v1"


@pytest.fixture
def socksio() -> None:
    pytest.importorskip("socksio")


@pytest.mark.parametrize("login", ["", "me:hunter22@"])
def test_http_is_sent_to_the_proxy_whole(stream: Stream, server: FaultServer, login: str) -> None:
    def play(conn: Conn) -> None:
        conn.open_at_once("via ", conn.request.path)
        conn.finish()
        conn.done()

    server.script("http:", play)
    env = {"http_proxy": f"http://{login}{urlsplit(server.origin).netloc}"}
    run = stream(*MODEL, "--base-url", "http://far.invalid:99/v1", "hi", env=env)
    assert (run.returncode, run.text) == (0, "via http://far.invalid:99/v1/chat/completions")
    (request,) = server.requests
    assert request.headers["host"] == "far.invalid:99"
    expected = f"Basic {base64.b64encode(LOGIN.encode()).decode()}" if login else None
    assert request.headers.get("proxy-authorization") == expected


def test_https_goes_through_a_tunnel(stream: Stream, tls_server: FaultServer) -> None:
    with ProxyServer(place(tls_server)) as proxy:
        env = {
            "HTTPS_PROXY": f"http://{LOGIN}@127.0.0.1:{proxy.port}",
            "SSL_CERT_FILE": str(tls_server.ca_file),
        }
        url = f"https://127.0.0.1:{place(tls_server)[1]}/ok/v1"
        run = stream(*MODEL, "--base-url", url, "hi", env=env)
        assert (run.returncode, run.text, run.stderr) == (0, HELLO, "")
        login = f"Basic {base64.b64encode(LOGIN.encode()).decode()}"
        assert proxy.asked == [("CONNECT", "127.0.0.1", place(tls_server)[1], login)]
    assert "proxy-authorization" not in tls_server.requests[0].headers


def test_a_tunnel_to_an_ipv6_address_names_it_in_brackets(
    stream: Stream, tls_server: FaultServer
) -> None:
    with ProxyServer(place(tls_server)) as proxy:
        env = {"https_proxy": f"127.0.0.1:{proxy.port}"}
        run = stream(*MODEL, "--base-url", "https://[::1]:4433/v1", "hi", env=env)
        assert proxy.asked == [("CONNECT", "[::1]", 4433, "")]
    assert run.returncode == 7  # the certificate is another one


def test_a_certificate_behind_a_tunnel_is_the_servers(
    stream: Stream, tls_server: FaultServer
) -> None:
    with ProxyServer(place(tls_server)) as proxy:
        env = {"https_proxy": f"127.0.0.1:{proxy.port}"}
        url = f"https://localhost:{place(tls_server)[1]}/ok/v1"
        run = stream(*MODEL, "--base-url", url, "hi", env=env)
    assert run.returncode == 7
    assert "the certificate of localhost:" in run.stderr
    assert "proxy" not in run.stderr


SOCKS = {
    "socks4a": ("4a", "far.invalid", "me"),
    "socks5h": ("5", "far.invalid", LOGIN),
    "socks": ("5", "far.invalid", LOGIN),
}


@pytest.mark.usefixtures("socksio")
@pytest.mark.parametrize("scheme", SOCKS)
def test_socks_proxies_that_look_the_name_up(
    stream: Stream, server: FaultServer, scheme: str
) -> None:
    with ProxyServer(place(server)) as proxy:
        env = {"ALL_PROXY": f"{scheme}://{LOGIN}@127.0.0.1:{proxy.port}/"}
        run = stream(*MODEL, "--base-url", far(server), "hi", env=env)
        assert (run.returncode, run.text, run.stderr) == (0, HELLO, "")
        kind, host, login = SOCKS[scheme]
        assert proxy.asked == [(kind, host, place(server)[1], login)]


@pytest.mark.usefixtures("socksio")
@pytest.mark.parametrize(("scheme", "kind"), [("socks4", "4"), ("socks5", "5")])
def test_socks_proxies_that_get_an_address(
    stream: Stream, server: FaultServer, scheme: str, kind: str
) -> None:
    with ProxyServer(place(server)) as proxy:
        env = {"ALL_PROXY": f"{scheme}://127.0.0.1:{proxy.port}"}
        port = place(server)[1]
        run = stream(*MODEL, "--base-url", f"http://localhost:{port}/ok/v1", "hi", env=env)
        assert (run.returncode, run.text) == (0, HELLO)
        assert proxy.asked in ([(kind, "127.0.0.1", port, "")], [(kind, "::1", port, "")])
        run = stream(*MODEL, "--base-url", far(server), "hi", env=env)
        assert run.returncode == 7
        assert "the host far.invalid was not found" in run.stderr


@pytest.mark.usefixtures("socksio")
def test_a_batch_keeps_its_connection_through_socks(stream: Stream, server: FaultServer) -> None:
    with ProxyServer(place(server)) as proxy:
        env = {"ALL_PROXY": f"socks5h://127.0.0.1:{proxy.port}"}
        run = stream(*MODEL, "--base-url", far(server), "-L", "-j1", stdin=b"a\n" * 20, env=env)
        assert (run.returncode, run.text) == (0, f"{HELLO}\n" * 20)
        # Where a busy machine brings the end of a body late, that connection is given up.
        assert len(proxy.asked) <= 10


REFUSALS = [
    ("socks5h", b"\x05\x05\x00\x01" + bytes(6), "connection refused"),
    ("socks5h", b"\x05\x02", "not allowed by its rules"),
    ("socks5h", b"\x05\x77\x00\x01" + bytes(6), "code 119"),
    ("socks4a", b"\x00\x5b" + bytes(6), "it refused"),
    ("socks4a", b"HTTP/1.1 400 Bad Request\r\n\r\n", "does not speak SOCKS 4"),
    ("http", b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", "refused: 403 Forbidden"),
    ("http", b"HTTP/1.1 407 Who Are You\r\nContent-Length: 0\r\n\r\n", "wants a login"),
]


@pytest.mark.usefixtures("socksio")
@pytest.mark.parametrize(("scheme", "reply", "why"), REFUSALS)
def test_a_proxy_that_refuses(
    stream: Stream, server: FaultServer, scheme: str, reply: bytes, why: str
) -> None:
    with ProxyServer(place(server), reply=reply) as proxy:
        env = {"https_proxy": f"{scheme}://127.0.0.1:{proxy.port}"}
        run = stream(*MODEL, "--base-url", far(server, "https"), "--json", "hi", env=env)
    assert run.returncode == 7
    assert run.records[-1]["error"]["kind"] == "proxy"
    assert why in run.stderr
    assert "https_proxy" in run.stderr


@pytest.mark.usefixtures("socksio")
@pytest.mark.parametrize("reply", [b"", b"\x05", b"\x05\x00\x00"])
def test_a_socks_proxy_that_hangs_up(stream: Stream, server: FaultServer, reply: bytes) -> None:
    with ProxyServer(place(server), reply=reply) as proxy:
        env = {"ALL_PROXY": f"socks5h://127.0.0.1:{proxy.port}"}
        run = stream(*MODEL, "--base-url", far(server), "hi", env=env)
    assert run.returncode == 7
    assert "ALL_PROXY" in run.stderr


def test_an_http_proxy_that_wants_a_login(stream: Stream, server: FaultServer) -> None:
    server.script("http:", lambda conn: conn.reply(407, b"who?"))
    env = {"http_proxy": f"http://me:hunter22@{urlsplit(server.origin).netloc}"}
    run = stream(*MODEL, "--base-url", "http://far.invalid/v1", "hi", env=env)
    assert run.returncode == 7
    assert "http_proxy does not accept its user and password" in run.stderr
    assert "hunter22" not in run.stderr


@pytest.mark.parametrize("scheme", ["http", "socks5h"])
def test_a_login_may_be_any_bytes(stream: Stream, server: FaultServer, scheme: str) -> None:
    """Percent-encoded, or as they are in the environment."""
    for login in ("m%FFe:%e9", b"m\xffe:\xe9".decode("utf-8", "surrogateescape")):
        if scheme == "http":
            env = {"http_proxy": f"http://{login}@{urlsplit(server.origin).netloc}"}
            server.script("http:", lambda conn: conn.reply(400, {"error": {"message": "no"}}))
            run = stream(*MODEL, "--base-url", "http://far.invalid/v1", "hi", env=env)
            assert run.returncode == 22
            given = server.requests[-1].headers["proxy-authorization"].removeprefix("Basic ")
            assert base64.b64decode(given) == b"m\xffe:\xe9"
            continue
        pytest.importorskip("socksio")
        with ProxyServer(place(server)) as proxy:
            env = {"ALL_PROXY": f"socks5h://{login}@127.0.0.1:{proxy.port}"}
            run = stream(*MODEL, "--base-url", far(server), "hi", env=env)
        assert (run.returncode, run.text, run.stderr) == (0, HELLO, "")
        assert proxy.asked[0][3].encode(errors="surrogateescape") == b"m\xffe:\xe9"


def test_a_proxy_that_does_not_speak_tls(stream: Stream, server: FaultServer) -> None:
    """It stands on the same host as the server, and is named all the same."""
    env = {"http_proxy": f"https://{urlsplit(server.origin).netloc}"}
    run = stream(*MODEL, "--base-url", "http://127.0.0.1:9/v1", "hi", env=env)
    assert run.returncode == 7
    assert "the proxy of http_proxy" in run.stderr
    assert "NO_PROXY=127.0.0.1" in run.stderr


@pytest.mark.parametrize("option", ["--debug", "--dry-run", "--dry-run=curl", "--record=x.rec"])
def test_the_proxys_password_is_shown_nowhere(
    stream: Stream, server: FaultServer, option: str
) -> None:
    env = {"http_proxy": f"http://{LOGIN}@127.0.0.1:1"}
    run = stream(*MODEL, "--base-url", far(server), option, "--json", "hi", env=env)
    assert "hunter22" not in run.text + run.stderr


def test_an_entry_that_nobody_can_read_is_skipped(stream: Stream, server: FaultServer) -> None:
    """OrbStack writes this into every container."""
    env = {"NO_PROXY": "localhost,127.0.0.0/8,fd07:b51a:cc66:f0::/64", "http_proxy": "http://[::1"}
    run = stream(*MODEL, "--base-url", server.url("ok") + "/v1", "hi", env=env)
    assert (run.returncode, run.text, run.stderr) == (0, HELLO, "")


def test_a_variable_that_this_address_does_not_need(stream: Stream, server: FaultServer) -> None:
    env = {
        "HTTPS_PROXY": "socks5://127.0.0.1:1",
        "all_proxy": "nonsense://",
        "no_proxy": "127.0.0.1",
    }
    run = stream(*MODEL, "--base-url", server.url("ok") + "/v1", "hi", env=env)
    assert (run.returncode, run.text, run.stderr) == (0, HELLO, "")


def test_socks_without_its_package(
    server: FaultServer, child_env: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "socksio.py").write_text("raise ImportError('not installed')\n")
    path = os.pathsep.join((str(tmp_path), child_env["PYTHONPATH"]))
    env = child_env | {"all_proxy": "socks://127.0.0.1:1", "PYTHONPATH": path}
    command = [*COMMAND, *MODEL, "--base-url", far(server), "-n", "hi"]
    run = subprocess.run(command, env=env, capture_output=True, text=True)
    assert run.returncode == 2
    assert "all_proxy names a SOCKS proxy" in run.stderr
    assert "streamcli[socks]" in run.stderr


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
@pytest.mark.parametrize("content", [None, "not a certificate\n"])
def test_a_ca_file_that_cannot_be_used(
    stream: Stream, tls_server: FaultServer, tmp_path: Path, variable: str, content: str | None
) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    run = stream(*MODEL, "--base-url", tls_server.url("ok"), "hi", env={variable: str(path)})
    assert run.returncode == 7
    assert f"{variable} names {path}, which cannot be used" in run.stderr
    assert "unset it" in run.stderr


def test_a_ca_folder_that_is_not_there(stream: Stream, tls_server: FaultServer) -> None:
    env = {"SSL_CERT_DIR": "/no/such/folder"}
    run = stream(*MODEL, "--base-url", tls_server.url("ok"), "hi", env=env)
    assert run.returncode == 7
    assert "SSL_CERT_DIR names /no/such/folder" in run.stderr


def test_a_bundle_that_does_not_know_the_server(stream: Stream, tls_server: FaultServer) -> None:
    import certifi

    env = {"REQUESTS_CA_BUNDLE": certifi.where()}
    run = stream(*MODEL, "--base-url", tls_server.url("ok"), "hi", env=env)
    assert run.returncode == 7
    assert f"check REQUESTS_CA_BUNDLE ({certifi.where()})" in run.stderr


def test_a_bad_ca_file_does_not_matter_for_http(stream: Stream, server: FaultServer) -> None:
    env = {"SSL_CERT_FILE": "/no/such/file"}
    run = stream(*MODEL, "--base-url", server.url("ok") + "/v1", "hi", env=env)
    assert (run.returncode, run.text) == (0, HELLO)


@pytest.mark.parametrize("host", ["a..b", "a" * 64])
def test_a_name_that_no_host_can_have(stream: Stream, host: str) -> None:
    args = (*MODEL, "--max-retries", "0", "hi", "--base-url")
    run = stream(*args, f"http://{host}/v1")
    said = f"stream: the host {host} was not found (no host can have that name): check --base-url\n"
    assert (run.returncode, run.stderr) == (7, said)
    if find_spec("socksio") is not None:
        run = stream(*args, f"http://{host}/v1", env={"ALL_PROXY": "socks5://127.0.0.1:1"})
        assert (run.returncode, run.stderr) == (7, said)
    run = stream(*args, "http://far.invalid/v1", env={"ALL_PROXY": f"http://{host}:1"})
    assert run.returncode == 7
    assert "the proxy of ALL_PROXY (no host can have that name): check ALL_PROXY" in run.stderr
