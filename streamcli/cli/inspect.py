"""The modes that inspect: --check, --dry-run, and the lists."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from ..errors import StreamError, usage
from ..providers.context import Context, context_of, messages_of
from ..request import HttpRequest
from ..secrets import is_secret, redact, redact_headers
from ..settings.settings import Invocation
from ..terminal.fds import is_terminal
from ..terminal.sanitize import visible
from ..terminal.signals import Signals
from .lists import as_json, list_models, list_providers, list_templates, show

if TYPE_CHECKING:
    from ..providers.resolve import Choice


def inspect(invocation: Invocation, signals: Signals, closed: set[int]) -> int:
    """Run the mode that was given; return its exit status."""
    settings = invocation.settings
    messages = messages_of(settings)
    try:
        if 1 in closed:
            raise StreamError("write", "stdout is closed", "give it a place to write to")
        context = context_of(
            invocation, messages, environ=os.environ, clock=time.monotonic, closed_fds=closed
        )
        modes = settings.inspections
        if len(modes) > 1:
            names = " and ".join("--" + mode.replace("_", "-") for mode in modes)
            raise usage(f"{names} exclude each other", "give one of them")
        if inputs := settings.batch_inputs:
            mode = modes[0].replace("_", "-")
            raise usage(f"--{mode} and --{inputs[0]} exclude each other")
        if settings.format == "jsonl" and modes != ["dry_run"]:
            invocation = invocation.but(format="json")  # one object a line either way
        if modes == ["list_providers"]:
            return list_providers(invocation, context)
        if modes == ["list_models"]:
            return list_models(invocation, context)
        if modes == ["list_sessions"]:
            from .list_sessions import list_sessions

            return list_sessions(invocation.settings, context)
        if modes == ["list_templates"]:
            return list_templates(invocation, context)
        if modes == ["check"]:
            return check(invocation, context, signals, closed)
        return dry_run(invocation, context)
    except StreamError as error:
        messages.error(error.message, error.hint)
        return error.exit_code


# --check


def check(invocation: Invocation, context: Context, signals: Signals, closed: set[int]) -> int:
    """Ask for one token; without a model, for the list of models; of an agent, for its card.

    An agent might act on a question.
    """
    from ..providers.list_models import chosen, lists, models_of

    settings = invocation.settings
    if not settings.check:
        raise usage("--check= names no provider", "--check=NAME, or --check -m PROVIDER:MODEL")
    if settings.check != "*":
        context.providers.row(settings.check)
        invocation = invocation.but(provider=settings.check)
        settings = invocation.settings
    given = invocation.given
    no_model = not settings.model or ("provider" in given and "model" not in given)
    name = settings.provider or "".join(settings.model[:1]).partition(":")[0]
    row = context.providers.get(name)
    what = lists(row.protocol) if row else ""
    enough = no_model and row and row.needs_model and not row.defaults
    if row is not None and (what in ("skills", "status") or (what and enough)):
        began = time.monotonic()
        count = len(models_of(chosen(invocation, context)))
        took = (time.monotonic() - began) * 1000
        listed = {} if what == "status" else {what: count}
        if settings.format == "json":
            show(as_json({"provider": row.name, **listed, "duration_ms": round(took, 1)}))
        else:
            works = "its card is there" if what == "skills" else "key and address work"
            counted = "".join(f", {count} {what}" for what, count in listed.items())
            show(f"{row.name}: {works}{counted} ({took:.0f} ms)")
        return 0
    from .single import Single

    probe = invocation.but(
        file=(),
        replace=None,
        no_stdin=True,
        output=None,
        events=None,
        tools=(),
        mcp=(),
        tool_choice=None,
        session=None,
        continue_last=False,
        history=False,
        max_tokens=_least(invocation, context),
        accept=("length",),
        reasoning="only",
    )
    ask = Single(probe.asking("Say yes."), signals, closed)
    if settings.format == "json":
        return ask.run()
    ask.silent = True
    code = ask.run()
    if code == 0:
        timings = ask.outcome.timings()
        model = ask.outcome.model or "its model"
        ttft = timings["ttft_ms"] or timings["duration_ms"]
        show(f"{ask.provider}: {visible(model)} answers, first token after {ttft:.0f} ms")
    return code


def _least(invocation: Invocation, context: Context) -> int | None:
    """Return a limit of one token; None where the protocol cannot carry a limit."""
    from ..messages import ChatRequest, Message
    from ..protocols._contract import get
    from ..providers import resolve

    try:
        choice = resolve.choose(invocation, context, with_key=False)
    except StreamError:
        return 1  # the probe reports it
    chat = ChatRequest(choice.model, [Message("user", "hi")], max_tokens=1)
    try:
        get(choice.target.protocol).request(chat, choice.target)
    except StreamError:
        return None
    return 1


# --dry-run


def dry_run(invocation: Invocation, context: Context) -> int:
    """Print the request, after the ones that would be sent before it."""
    from ..input.chat_options import chat_of
    from ..input.prompt import gather
    from ..protocols._contract import Keeper, get
    from ..providers import resolve

    settings = invocation.settings
    if settings.converses:
        from ..conversation.opening import open_conversation, with_last_model

        invocation = with_last_model(invocation, context.environ, context.providers)
    choice = resolve.choose(invocation, context, with_key=False)
    note = context.messages.note
    prompt = gather(invocation.words, settings, context.stdin, context.files, note)
    if choice.row.name == "local":
        choice.target.base_url = "http://127.0.0.1:PORT/v1"
    tools = () if context.tools is None else context.tools.tools
    chat = chat_of(choice.settings, choice.model, prompt, context.files, choice.wishes, tools)
    protocol = get(choice.target.protocol)
    if settings.converses and not isinstance(protocol, Keeper):
        earlier = open_conversation(settings, context.environ, note)
        who = choice.target.provider, choice.model
        chat = earlier.request(chat, who, own_system="system" in invocation.typed)
    requests = [protocol.request(chat, choice.target)]
    if isinstance(protocol, Keeper):
        from ..providers.endpoint import added

        requests[:0] = protocol.before(chat, choice.target, added(protocol, chat.options, context))
    requests = [_hidden(request, choice) for request in requests]
    if settings.dry_run == "curl":
        shown = "\n".join(curl(request, choice) for request in requests)
    else:
        shown = "\n\n".join(http(request) for request in requests)
    show(visible(shown) if is_terminal(1) else shown)
    return 0


def _hidden(request: HttpRequest, choice: Choice) -> HttpRequest:
    """Return the request without secrets; the key's source is where the key would be.

    Values of the address's query stay unless their name is secret: the command is to be pasted.
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
    head = [f"{request.method} {request.url}"]
    head += [f"{name}: {value}" for name, value in request.headers]
    return "\n".join((*head, "", request.body.decode()))


def curl(request: HttpRequest, choice: Choice) -> str:
    """Return the request as a command to paste, with the key's source in place of the key."""
    import shlex

    words = ["curl -sSN"]
    if request.unix_socket:
        words.append(f"--unix-socket {shlex.quote(request.unix_socket)}")
    words.append(shlex.quote(request.url))
    for name, value in request.headers:
        source = choice.key_source
        if source and value.endswith(source):
            words.append(f'-H "{name}: {value}"')
        else:
            words.append(f"-H {shlex.quote(f'{name}: {value}')}")
    if request.method != "GET":
        words.append(f"--data-binary {shlex.quote(request.body.decode())}")
    return " \\\n  ".join(words)
