"""The commands of a chat (/help): each is a method of Commands, by the name behind its slash."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from ..conversation import session_paths
from ..errors import Interrupted, usage
from ..input.text import arguments_text
from ..outcome import Outcome
from ..providers.choose import OF_ONE, named
from ..terminal.messages import usage_line, write_stderr
from ..terminal.sanitize import one_line, visible
from .chat_input import files_like
from .chat_state import ChatState

_TARGET = ("model", "provider", *OF_ONE)  # the options that choose the model, and where it is
HELP = """\
/model [MODEL]        show who answers, or ask another one
/system [TEXT|@FILE]  show the system prompt, or set it; - for none
/attach [PATH|URL]    show what goes with the next prompt, or add to it
/tools [FILE|COMMAND] show the tools, or add some; - for none
/retry                ask the last prompt again
/undo                 forget the last prompt and its answer
/save NAME|PATH       store the chat as a session
/usage                the tokens so far
/help                 this
^C stops an answer; twice at the prompt it leaves, as ^D does. A line that ends with \\ goes on in
the next one. //... is a prompt that begins with a slash."""


class Commands:
    """Runs the commands of a chat; their output goes to stderr."""

    def __init__(self, state: ChatState) -> None:
        self._state = state
        self._left: dict[str, dict[str, Any]] = {}  # the options before a /model, by its argument

    def run(self, line: str) -> None:
        """Run the command of a line that begins with a slash; StreamError if that fails."""
        name, _, rest = line[1:].partition(" ")
        if name not in NAMES:
            raise usage(f"there is no command /{name}", "/help lists them")
        getattr(self, name)(rest.strip())

    def model(self, name: str) -> None:
        """Ask another model: of the provider that answers now, if the name does not say.

        The name of one that answered before is that one again, with its provider and address.
        """
        state = self._state
        if name:
            left = state.endpoints
            values = {each: getattr(state.invocation.settings, each) for each in _TARGET}
            if name in self._left:
                state.renew(state.invocation.but(**self._left[name]))
            else:
                primary = left.endpoints[0].row.name
                state.renew(named(state.invocation, state.context, arguments_text(name), primary))
            self._left |= {left.label: values, left.endpoints[0].model: values}
        _show(f"{state.endpoints.label} answers")

    def system(self, text: str) -> None:
        state = self._state
        if text:
            state.renew(state.invocation.but(system=None if text == "-" else text))
            state.own_system = True
        endpoint = state.endpoints.endpoints[0]
        chat = endpoint.chat("")
        prompt = state.conversation.request(
            chat, endpoint.answerer, own_system=state.own_system
        ).system
        _show(f"the system prompt: {prompt}" if prompt else "there is no system prompt")

    def attach(self, where: str) -> None:
        pending = self._state.pending
        if where:
            pending.append(self._state.loaded(where))
        names = [attachment.name or attachment.url for attachment in pending]
        _show(f"with the next prompt: {', '.join(names) or 'nothing'}")

    def tools(self, where: str) -> None:
        state = self._state
        if where == "-":
            state.use_tools(())
        elif where:
            state.use_tools((*state.invocation.settings.tools, os.path.expanduser(where)))
        tools = () if state.context.tools is None else state.context.tools.tools
        _show(f"tools: {', '.join(tool.name for tool in tools) or 'none'}")

    def retry(self, rest: str) -> None:
        state = self._state
        conversation = state.conversation
        if state.unanswered:
            state.ask(state.unanswered)
            return
        before = conversation.entries
        conversation.entries, asked = conversation.without_last_turn()
        try:
            if asked and state.ask(asked):
                return
        except Interrupted:
            conversation.entries = before
            raise
        conversation.entries, state.unanswered = before, []
        if not asked:
            raise usage("nothing was asked yet", "type a prompt first")

    def undo(self, rest: str) -> None:
        state = self._state
        asked, state.unanswered = state.unanswered, []
        if not asked and not (asked := state.conversation.undo()):
            raise usage("nothing was asked yet", "type a prompt first")
        _show(f"forgotten: {one_line(asked[-1].text, 60)}")

    def save(self, name: str) -> None:
        if not name:
            raise usage("/save needs a name", "/save NAME")
        environ = self._state.context.environ
        path, label = session_paths.named_file(os.path.expanduser(name), environ)
        self._state.conversation.save_as(path, label)
        _show(f"stored as {label}: stream -c --chat goes on with it")

    def usage(self, rest: str) -> None:
        outcome = Outcome()
        outcome.usage = self._state.used
        turns = self._state.turns
        counted = "1 turn" if turns == 1 else f"{turns} turns"
        _show(f"{counted}, {usage_line(outcome)}" if turns else "no turn yet")

    def help(self, rest: str) -> None:
        _show(HELP)

    def complete(self, line: str, word: str) -> Sequence[str]:
        """Return the words that `word`, at the end of `line`, may be completed to."""
        name, space, _ = line.partition(" ")
        if not name.startswith("/"):
            return []
        if not space:
            return [f"/{each} " for each in NAMES if f"/{each}".startswith(word)]
        if name in ("/attach", "/tools", "/save"):
            return files_like(word)
        if name == "/model":
            context = self._state.context
            models = (*context.aliases, *(f"{row.name}:" for row in context.providers.rows))
            return [each for each in models if each.startswith(word)]
        return []


NAMES = ("model", "system", "attach", "tools", "retry", "undo", "save", "usage", "help")


def _show(text: str) -> None:
    write_stderr(f"{visible(text)}\n".encode())
