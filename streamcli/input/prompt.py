"""Make the prompt from arguments, files and stdin, by the rules of the man page."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from shlex import quote

from ..errors import StreamError, usage
from ..settings.settings import Settings
from .files import Files
from .stdin import NAMES, STDIN_HERE, STDIN_SHOWN, Stdin, has_stdin, readers_of
from .text import BOM, arguments_text, decode

# Stands for a `-` behind `--`: the character, not stdin. No argument of a process can hold a NUL,
# so nothing else looks like it.
LITERAL_DASH = "\0-"


def read_prompt(
    words: Sequence[str],
    settings: Settings,
    stdin: Stdin,
    files: Files,
    note: Callable[[str], None],
    *,
    typed: Collection[str] = (),
) -> str:
    """Return the whole prompt, from words, --file and stdin; usage errors.

    `typed` names the options that the command line gave.
    """
    prompt_of = prompt_maker(words, settings.replace)
    explicit = readers_of(words, settings)
    in_template = has_stdin(words)
    place = f"-I {settings.replace}" if settings.replace is not None else ""
    if in_template and not settings.file:  # a file would be filled in there
        place = STDIN_SHOWN
    here = "-" in words or bool(place)  # stdin is a part of the prompt
    piped = None
    if here or (not explicit and not settings.no_stdin and stdin.is_input):
        if place and stdin.is_nothing:
            raise usage(f"{place} needs stdin, and there is none", "pipe text into it")
        if place == STDIN_SHOWN and not stdin.is_input:
            note("the template wants a text: type it, and end it with ^D")
        if words and not here and stdin.is_begun:
            # In a `while read` loop stdin is the loop's own file: reading it eats the lines.
            note("stdin is a file that another program has begun to read: -n leaves it alone")
        piped = without_newline(decode(stdin.read().removeprefix(BOM), "stdin"))
    pieces = [without_newline(files.text(file)) for file in settings.file]
    if in_template:
        pieces = [prompt_of("\n\n".join(filter(None, (*pieces, piped))))]
    else:
        pieces.append(prompt_of(piped or ""))
    if not words and not settings.file and piped is None:
        raise no_prompt(settings.no_stdin)
    prompt = "\n\n".join(filter(None, pieces))
    if not prompt.strip():
        raise usage("the prompt is empty", 'stream "PROMPT", or pipe text into it')
    if piped is not None and not piped.strip() and stdin.is_input:
        note("stdin is empty, so the prompt is only the arguments: -r asks nothing then")
    fed = [piped or "", *(files.text(file) for file in settings.file if file in NAMES)]
    if "jobs" in typed and any("\n" in text.strip("\n") for text in fed):
        note("-j is for a batch, and this is one prompt: -L asks each line of stdin")
    _note_files(words, note)
    return prompt


def _note_files(words: Sequence[str], note: Callable[[str], None]) -> None:
    """Note a word that is the name of a file: the word is sent, not the contents of the file."""
    for word in words:
        if word != "-" and "\n" not in word and len(word) < 256 and os.path.isfile(word):
            note(f"{word} is a file: -f {quote(word)} sends what is in it")
            return


def prompt_maker(words: Sequence[str], replace: str | None = None) -> Callable[[str], str]:
    """Return the function that makes a prompt of the arguments and a text.

    The text is that of stdin or of a batch's item. It replaces `-` among the words, the `replace`
    of -I wherever it occurs, or {{stdin}} of a template; otherwise it stands before the words.
    """
    for word in words:
        try:
            arguments_text(word)
        except StreamError as error:
            if os.path.isfile(word):
                error.hint = f"it is the name of a file: -f {quote(word)}"
            raise
    in_template = has_stdin(words)
    if words.count("-") + (replace is not None) + in_template > 1:
        more = ", -I or {{stdin}}" if in_template else " or -I"
        what = f"stdin has one place only, and '-'{more} asks for it twice"
        raise usage(what, "leave one of them out")
    plain = [word.replace(LITERAL_DASH, "-") for word in words]
    whole = " ".join(plain)
    if replace is not None:
        if not replace:
            raise usage("-I needs a text to replace", "-I {}")
        if replace not in whole:
            what = f"-I {replace}: the arguments do not contain '{replace}'"
            raise usage(what, f"write {replace} where stdin goes")
        return lambda text: whole.replace(replace, text)
    if in_template:
        return lambda text: whole.replace(STDIN_HERE, text)
    at = words.index("-") if "-" in words else 0
    pieces = [" ".join(plain[:at]), " ".join(plain[at + 1 :] if "-" in words else plain)]
    before, after = pieces
    return lambda text: "\n\n".join(filter(None, (before, text, after)))


def has_prompt(words: Sequence[str], settings: Settings, stdin: Stdin) -> bool:
    """Return whether there is anything to make a prompt of, before anything is read."""
    return bool(words or settings.file or (not settings.no_stdin and stdin.is_input))


def no_prompt(no_stdin: bool) -> StreamError:
    """Return the usage error for a run without a prompt."""
    because = " (-n leaves stdin alone)" if no_stdin else ""
    hint = 'stream "PROMPT", or pipe text into it (stream --help)'
    return usage(f"no prompt{because}", hint)


def without_newline(text: str) -> str:
    """Drop one trailing newline, with its CR in files from other systems."""
    return text[:-1].removesuffix("\r") if text.endswith("\n") else text
