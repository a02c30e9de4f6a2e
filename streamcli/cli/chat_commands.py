"""The commands of a chat: each a method of Commands, by the name behind its slash."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from ..conversation import place
from ..errors import Interrupted, usage
from ..input.text import arguments_text
from ..outcome import Outcome
from ..providers.choose import OF_ONE, named
from ..terminal.messages import usage_line, write_stderr
from ..terminal.sanitize import one_line, visible
from .chat_lines import files_like
from .chat_talk import Talk

_WHO = ("model", "provider", *OF_ONE)  # the options that say who answers, and where
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
    """Obeys commands in a Talk; what they say goes to stderr."""

    def __init__(self, talk: Talk) -> None:
        self._talk = talk
        self._left: dict[str, dict[str, Any]] = {}  # who answered before, by the name of /model

    def obey(self, line: str) -> None:
        """Run the command of a line that begins with a slash; StreamError says why not."""
        name, _, rest = line[1:].partition(" ")
        if name not in NAMES:
            raise usage(f"there is no command /{name}", "/help lists them")
        getattr(self, name)(rest.strip())

    def model(self, name: str) -> None:
        """Ask another model: of the provider that answers now, if the name does not say.

        The name of one that answered before is that one again, with its provider and address.
        """
        talk = self._talk
        if name:
            left = talk.partner
            values = {each: getattr(talk.invocation.settings, each) for each in _WHO}
            if name in self._left:
                talk.renew(talk.invocation.but(**self._left[name]))
            else:
                primary = left.endpoints[0].row.name
                talk.renew(named(talk.invocation, talk.context, arguments_text(name), primary))
            self._left |= {left.label: values, left.endpoints[0].model: values}
        _show(f"{talk.partner.label} answers")

    def system(self, text: str) -> None:
        talk = self._talk
        if text:
            talk.renew(talk.invocation.but(system=None if text == "-" else text))
            talk.own_system = True
        endpoint = talk.partner.endpoints[0]
        chat = endpoint.chat("")
        said = talk.conversation.request(chat, endpoint.who, own_system=talk.own_system).system
        _show(f"the system prompt: {said}" if said else "there is no system prompt")

    def attach(self, where: str) -> None:
        pending = self._talk.pending
        if where:
            pending.append(self._talk.loaded(where))
        names = [attachment.name or attachment.url for attachment in pending]
        _show(f"with the next prompt: {', '.join(names) or 'nothing'}")

    def tools(self, where: str) -> None:
        talk = self._talk
        if where == "-":
            talk.use_tools(())
        elif where:
            talk.use_tools((*talk.invocation.settings.tools, os.path.expanduser(where)))
        tools = () if talk.context.tools is None else talk.context.tools.tools
        _show(f"tools: {', '.join(tool.name for tool in tools) or 'none'}")

    def retry(self, rest: str) -> None:
        talk = self._talk
        conversation = talk.conversation
        if talk.unanswered:
            talk.ask(talk.unanswered)
            return
        before = conversation.entries
        conversation.entries, asked = conversation.without_last_turn()
        try:
            if asked and talk.ask(asked):
                return
        except Interrupted:
            conversation.entries = before
            raise
        conversation.entries, talk.unanswered = before, []
        if not asked:
            raise usage("nothing was asked yet", "type a prompt first")

    def undo(self, rest: str) -> None:
        talk = self._talk
        asked, talk.unanswered = talk.unanswered, []
        if not asked and not (asked := talk.conversation.undo()):
            raise usage("nothing was asked yet", "type a prompt first")
        _show(f"forgotten: {one_line(asked[-1].text, 60)}")

    def save(self, name: str) -> None:
        if not name:
            raise usage("/save needs a name", "/save NAME")
        environ = self._talk.context.environ
        path = place.path_of(os.path.expanduser(name), environ)
        label = place.label_of(path, environ)
        place.make_folder(path, environ)
        self._talk.conversation.save_as(path, label)
        _show(f"stored as {label}: stream -c --chat goes on with it")

    def usage(self, rest: str) -> None:
        outcome = Outcome()
        outcome.usage = self._talk.used
        turns = self._talk.turns
        counted = "1 turn" if turns == 1 else f"{turns} turns"
        _show(f"{counted}, {usage_line(outcome)}" if turns else "no turn yet")

    def help(self, rest: str) -> None:
        _show(HELP)

    def complete(self, line: str, word: str) -> Sequence[str]:
        """Return what `word` at the end of `line` may become."""
        name, space, _ = line.partition(" ")
        if not name.startswith("/"):
            return []
        if not space:
            return [f"/{each} " for each in NAMES if f"/{each}".startswith(word)]
        if name in ("/attach", "/tools", "/save"):
            return files_like(word)
        if name == "/model":
            context = self._talk.context
            models = (*context.aliases, *(f"{row.name}:" for row in context.providers.rows))
            return [each for each in models if each.startswith(word)]
        return []


NAMES = ("model", "system", "attach", "tools", "retry", "undo", "save", "usage", "help")


def _show(text: str) -> None:
    write_stderr(f"{visible(text)}\n".encode())
