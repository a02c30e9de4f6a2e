"""The mode --dry-run: print the request as HTTP or as a curl command, without secrets."""

from __future__ import annotations

from shlex import quote

from ..input.chat_options import chat_of
from ..input.prompt import read_prompt
from ..protocols._contract import Keeper, get
from ..providers import resolve
from ..providers.context import Context
from ..providers.resolve import Choice
from ..request import HttpRequest
from ..secrets import is_secret, redact, redact_headers
from ..settings.invocation import Invocation
from ..terminal.fds import is_terminal
from ..terminal.sanitize import visible
from .lists import show


def dry_run(invocation: Invocation, context: Context) -> int:
    """Print the request, after the setup requests that would be sent before it; return 0."""
    requests, choice = _requests(invocation, context)
    requests = [_without_secrets(request, choice) for request in requests]
    if invocation.settings.dry_run == "curl":
        shown = "\n".join(curl(request, choice) for request in requests)
    else:
        shown = "\n\n".join(http(request) for request in requests)
    show(visible(shown) if is_terminal(1) else shown)
    return 0


def _requests(invocation: Invocation, context: Context) -> tuple[list[HttpRequest], Choice]:
    """Return the requests in their order, and the endpoint that they go to."""
    settings = invocation.settings
    if settings.converses:
        from ..conversation.opening import open_conversation, with_last_model

        invocation = with_last_model(invocation, context.environ, context.providers)
    choice = resolve.choose(invocation, context, with_key=False)
    note = context.messages.note
    prompt = read_prompt(invocation.words, settings, context.stdin, context.files, note)
    if choice.row.name == "local":
        choice.target.base_url = "http://127.0.0.1:PORT/v1"
    tools = () if context.tools is None else context.tools.tools
    chat = chat_of(choice.settings, choice.model, prompt, context.files, choice.wishes, tools)
    protocol = get(choice.target.protocol)
    if settings.converses and not isinstance(protocol, Keeper):
        conversation = open_conversation(settings, context.environ, note)
        answerer = choice.target.provider, choice.model
        chat = conversation.request(chat, answerer, own_system="system" in invocation.typed)
    requests = [protocol.request(chat, choice.target)]
    if isinstance(protocol, Keeper):
        from ..providers.endpoint import added

        requests[:0] = protocol.before(chat, choice.target, added(protocol, chat.options, context))
    return requests, choice


def _without_secrets(request: HttpRequest, choice: Choice) -> HttpRequest:
    """Return the request without secrets, and with the key's source in place of the key.

    A value in the query of the address stays unless its name is secret, so that the pasted command
    works.
    """
    target, source = choice.target, choice.key_source
    fields = (field.partition("=") for field in target.base_url.partition("?")[2].split("&"))
    plain = {value for name, _, value in fields if not is_secret(name)}
    hidden = [secret for secret in target.secrets if secret not in plain]

    def hide(text: str) -> str:
        return redact(text, hidden)

    headers = [
        (name, value) if source and value.endswith(source) else shown
        for (name, value), shown in zip(
            request.headers, redact_headers(request.headers, hide), strict=True
        )
    ]
    body = hide(request.body.decode()).encode()
    return HttpRequest(request.method, hide(request.url), headers, body, request.unix_socket)


def http(request: HttpRequest) -> str:
    """Return the request as HTTP shows it: request line, headers, a blank line, body."""
    head = [f"{request.method} {request.url}"]
    head += [f"{name}: {value}" for name, value in request.headers]
    return "\n".join((*head, "", request.body.decode()))


def curl(request: HttpRequest, choice: Choice) -> str:
    """Return the request as a curl command to paste.

    Every word is quoted for the shell. The key's source, such as $NAME, is in double quotes, so
    that the shell puts the key in its place.
    """
    words = ["curl -sSN"]
    if request.unix_socket:
        words.append(f"--unix-socket {quote(request.unix_socket)}")
    words.append(quote(request.url))
    for name, value in request.headers:
        source = choice.key_source
        if source and value.endswith(source):
            words.append(f'-H "{name}: {value}"')
        else:
            words.append(f"-H {quote(f'{name}: {value}')}")
    if request.method != "GET":
        words.append(f"--data-binary {quote(request.body.decode())}")
    return " \\\n  ".join(words)
