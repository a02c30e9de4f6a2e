"""The option table: a row for each option, from which help, manual and completions are made.

To add an option, add a row here and a field of the same name to Settings (settings.py). `help` is
its line in `--help` (60 columns at most), `details` is what the manual adds.
"""

from __future__ import annotations

import os

import click

from ..errors import ACCEPTABLE
from .formats import FORMATS
from .option_types import (
    FILE,
    MODEL_NAME,
    PROVIDER,
    SESSION,
    TEMPLATE,
    TOPICS,
    Buffering,
    EnoughOf,
    Names,
    Opt,
    Patterns,
    ToolChoice,
    Topic,
)
from .quantities import Count, Halt, Number, PerSecond, Rate, Seconds, Size, Speed, Tolerance

PROMPT = "The prompt"
MODEL = "Choosing the model"
TOOLS = "Tools"
CONVERSATIONS = "Conversations"
OUTPUT = "Output"
BATCH = "Batch"
NETWORK = "Network"
INSPECT = "Recording and inspecting"
OTHER = "Other"
SECTIONS = (PROMPT, MODEL, TOOLS, CONVERSATIONS, OUTPUT, BATCH, NETWORK, INSPECT, OTHER)


def _protocols() -> list[str]:
    """Return the names of the files in protocols/: a new file there is a new protocol."""
    folder = os.path.join(os.path.dirname(os.path.dirname(__file__)), "protocols")
    try:
        files = os.listdir(folder)
    except NotADirectoryError:  # the package is in a zipapp
        from pkgutil import iter_modules

        files = [f"{module.name}.py" for module in iter_modules([folder]) if not module.ispkg]
    names = [name[:-3] for name in files if name.endswith(".py") and not name.startswith("_")]
    return sorted(name.replace("_", "-") for name in names)


PROTOCOLS = tuple(_protocols())
REASONING = ("hide", "stderr", "stdout", "only", "raw")
WHEN = ("auto", "always", "never")
EFFORTS = ("none", "low", "medium", "high", "max")

TABLE: tuple[Opt, ...] = (
    # The prompt
    Opt(
        "-f",
        "--file",
        value=FILE,
        env=False,
        config=False,
        section=PROMPT,
        multiple=True,
        metavar="FILE",
        help="Read the prompt from FILE; repeatable.",
        details="The file's text (one trailing newline dropped) comes first, then stdin, then the "
        "arguments, with a blank line between. '-' is stdin.",
    ),
    Opt(
        "-n",
        "--no-stdin",
        config=False,
        section=PROMPT,
        is_flag=True,
        help="Never read stdin (for 'while read' loops).",
        details="Without it stdin is read when it is a pipe, a regular file or a socket, and not "
        "when it is a terminal, /dev/null or closed.",
    ),
    Opt(
        "-r",
        "--no-run-if-empty",
        config=False,
        section=PROMPT,
        is_flag=True,
        help="Ask nothing if stdin is empty, and exit 0.",
        details='As xargs does: `git diff --staged | stream -r "Sum up:"` costs nothing where '
        "nothing is staged. Without it an empty stdin is noted, and the arguments are the prompt.",
    ),
    Opt(
        "-I",
        "--replace",
        env=False,
        config=False,
        section=PROMPT,
        metavar="REPL",
        help="Replace REPL in the arguments by stdin.",
        details="As xargs does; one trailing newline of stdin is dropped.",
    ),
    Opt(
        "-a",
        "--attach",
        section=PROMPT,
        value=FILE,
        env=False,
        config=False,
        multiple=True,
        metavar="PATH|URL",
        help="An image, PDF, audio or text file; repeatable.",
        details="Told apart by content, sent in the provider's own form. What a provider cannot "
        "carry is an error before anything is sent.",
    ),
    Opt(
        "-t",
        "--template",
        section=PROMPT,
        value=TEMPLATE,
        env=False,
        config=False,
        metavar="NAME|FILE",
        help="The prompt, with its options, from a template.",
        details="A table [template.NAME] of the configuration, or a file. See TEMPLATES.",
    ),
    Opt(
        "--var",
        section=PROMPT,
        env=False,
        config=False,
        multiple=True,
        metavar="NAME=VALUE",
        help="A value for {{NAME}} in the template; repeatable.",
        details="A variable of the template that has no value is exit status 2.",
    ),
    # Choosing the model
    Opt(
        "-m",
        "--model",
        template=True,
        value=MODEL_NAME,
        section=MODEL,
        multiple=True,
        metavar="[PROVIDER:]MODEL",
        help="The model to ask; several: ask each of them.",
        details="The part before the first ':' is a provider only if it is the name of one and "
        "--provider is not given: Ollama's tags contain colons. With several models every prompt "
        "goes to each of them; each text begins with '==> MODEL <==', each record has a 'target'. "
        "On a terminal the answers to one prompt stream side by side, see stream-batch(7).",
    ),
    Opt(
        "--fallback",
        template=True,
        value=MODEL_NAME,
        section=MODEL,
        multiple=True,
        metavar="MODEL",
        help="Ask this model if the one before gave nothing.",
        details="Repeatable: one after the other, each only while nothing was delivered. Options "
        "for one provider (--base-url, --key-file, --header) do not apply to another.",
    ),
    Opt(
        "--race",
        section=MODEL,
        config=False,
        is_flag=True,
        help="Ask every --model at once; the first token wins.",
        details="The first model with visible text gives the answer; the others are cancelled.",
    ),
    Opt(
        "-p",
        "--provider",
        template=True,
        value=PROVIDER,
        section=MODEL,
        metavar="NAME",
        help="The provider; --model is then taken literally.",
    ),
    Opt(
        "-s",
        "--system",
        template=True,
        section=MODEL,
        metavar="TEXT|@FILE",
        help="The system prompt, or the file that holds it.",
        details="A text that begins with '@' is written '@@...'.",
    ),
    Opt(
        "--temperature",
        template=True,
        section=MODEL,
        type=Number(min=0),
        metavar="N",
        help="Sampling temperature, 0 and up.",
    ),
    Opt(
        "--top-p",
        template=True,
        section=MODEL,
        type=Number(min=0, max=1),
        metavar="N",
        help="Nucleus sampling, 0 to 1.",
    ),
    Opt(
        "--max-tokens",
        template=True,
        section=MODEL,
        type=Count(min=1, max=2**63 - 1),
        metavar="N",
        help="Cut the answer at N tokens (exit status 10).",
        details="Every count may be in thousands or millions: 2k, 1M.",
    ),
    Opt(
        "--stop",
        template=True,
        section=MODEL,
        multiple=True,
        metavar="TEXT",
        help="End the answer where TEXT would come; repeatable.",
    ),
    Opt(
        "--seed",
        template=True,
        section=MODEL,
        type=Count(min=-(2**63), max=2**63 - 1),
        metavar="N",
        help="Seed for repeatable sampling.",
    ),
    Opt(
        "--frequency-penalty",
        template=True,
        section=MODEL,
        type=Number(min=-2, max=2),
        metavar="N",
        help="Penalty for repeated tokens, by count; -2 to 2.",
    ),
    Opt(
        "--presence-penalty",
        template=True,
        section=MODEL,
        type=Number(min=-2, max=2),
        metavar="N",
        help="Penalty for any repeated token; -2 to 2.",
    ),
    Opt(
        "--think",
        template=True,
        section=MODEL,
        bare="medium",
        type=click.Choice(EFFORTS),
        help="Effort of reasoning (--think alone: medium).",
        details="It becomes what the provider has: an effort, a budget of tokens or a switch.",
    ),
    Opt(
        "--schema",
        template=True,
        section=MODEL,
        value=FILE,
        env=False,
        config=False,
        metavar="SHORT|JSON|FILE",
        help="The fields, or a JSON Schema, that the answer has.",
        details="SHORT names the fields, parted by commas or new lines: 'name, age int, tags "
        "[]str, kind enum(a|b), bio?: a short text'. The types are str (the default), int, float, "
        "bool and enum(...); '?' allows null; '[...]' around it makes a list. JSON begins with "
        "'{'; the name of a file is a file with either of them. The provider gets the schema in "
        "its own form (a list within an object, which is taken off again as the answer streams), "
        "and the answer is checked: one that does not match is exit status 12.",
    ),
    Opt(
        "--schema-retries",
        template=True,
        section=MODEL,
        type=Count(min=0, max=100),
        default=0,
        metavar="N",
        help="Ask again, N times, if the schema is not matched.",
        details="The model gets its answer back with the fault. Nothing of an answer is written "
        "before it is checked, whatever the format, and then all of it at once.",
    ),
    Opt(
        "--prefill",
        template=True,
        section=MODEL,
        metavar="TEXT",
        help="The beginning of the answer; the model continues it.",
        details="Some models cannot. The answer does not repeat the beginning. --schema and "
        "--prefill exclude each other.",
    ),
    Opt(
        "-o",
        "--option",
        template=True,
        section=MODEL,
        multiple=True,
        metavar="KEY=VALUE",
        help="Any field of the request's body; repeatable.",
        details="VALUE is JSON if it parses as JSON, else a string. Dots in KEY nest: "
        "'-o reasoning.effort=low'. It overrides what other options set.",
    ),
    # Tools
    Opt(
        "--tools",
        section=TOOLS,
        value=FILE,
        env=False,
        config=False,
        multiple=True,
        metavar="FILE|COMMAND",
        help="Programs that the model may call; repeatable.",
        details="FILE is TOML or JSON with one tool or several; COMMAND is an executable that "
        "answers --schema. See TOOLS.",
    ),
    Opt(
        "--mcp",
        section=TOOLS,
        value=FILE,
        env=False,
        config=False,
        multiple=True,
        metavar="FILE[:NAME]|COMMAND|URL",
        help="A server of tools by MCP; repeatable.",
        details="NAME is a server in FILE, which is JSON with mcpServers, as in .mcp.json, or "
        "servers; without it, the only one there. COMMAND is split into words as a shell does it, "
        "and speaks on stdin and stdout. No server is found by itself. See MCP SERVERS.",
    ),
    Opt(
        "--mcp-allow",
        section=TOOLS,
        env=False,
        config=False,
        type=Patterns(),
        metavar="NAME,...",
        help="Offer only these tools of MCP servers.",
        details="A NAME may have * and ?, as a file name in a shell.",
    ),
    Opt(
        "--tool-choice",
        section=TOOLS,
        env=False,
        config=False,
        type=ToolChoice(),
        metavar="auto|none|required|NAME",
        help="Whether the model has to call a tool, or which one.",
        details="required and NAME hold for the first request only; otherwise the model would call "
        "tools for ever.",
    ),
    Opt(
        "--max-rounds",
        section=TOOLS,
        type=Count(min=1),
        default=8,
        metavar="N",
        help="Requests for one prompt with tools (default: 8).",
        details="If the model still calls tools in the last one, the exit status is 13.",
    ),
    Opt(
        "--confirm",
        section=TOOLS,
        is_flag=True,
        help="Ask on the terminal before each call of a tool.",
        details="Without a terminal it is an error. A call that is not allowed is an error to the "
        "model, which may go on without it.",
    ),
    # Conversations
    Opt(
        "--session",
        section=CONVERSATIONS,
        config=False,
        metavar="NAME|PATH",
        value=SESSION,
        help="The conversation that the prompt goes on with.",
        details="Its messages go before the prompt, and the prompt and its answer are added. It is "
        "begun if it is not there; with a slash it is the path of its file. A system prompt "
        "holds until another one is typed. Of an answer that broke off, the text so far is "
        "kept. With -L each line is a turn. Honcho keeps conversations itself: there NAME is "
        "its session.",
    ),
    Opt(
        "-c",
        "--continue",
        "continue_last",
        section=CONVERSATIONS,
        env=False,
        config=False,
        is_flag=True,
        help="Go on with the session that was used last.",
    ),
    Opt(
        "--history",
        section=CONVERSATIONS,
        is_flag=True,
        help="Begin a session with each prompt, for --continue.",
        details="For the configuration: history = true below [defaults] keeps every single answer. "
        "A batch is not kept.",
    ),
    Opt(
        "--chat",
        section=CONVERSATIONS,
        env=False,
        config=False,
        is_flag=True,
        help="Chat on the terminal; /help lists its commands.",
        details="The first prompt is that of the arguments and files, if there are any. ^C stops "
        "an answer, and keeps what came of it; twice at the prompt it leaves, as ^D does. A line "
        "that ends with a backslash goes on in the next one, and what is pasted is one prompt. "
        "The chat is stored if --session, -c or --history is given, or by /save. With stdin a "
        "pipe or a file each line is a turn, as with -L, and stdout has the answers alone.",
    ),
    # Output
    Opt(
        "--format",
        terminal_only=True,
        section=OUTPUT,
        type=click.Choice([row.name for row in FORMATS]),
        default="text",
        help="The output format (default: text).",
        details=" ".join(f"{row.name}: {row.details}." for row in FORMATS),
    ),
    Opt(
        "--jsonl",
        "format",
        env=False,
        config=False,
        section=OUTPUT,
        flag_value="jsonl",
        help="Short for --format jsonl.",
    ),
    Opt(
        "--json",
        "format",
        env=False,
        config=False,
        section=OUTPUT,
        flag_value="json",
        help="Short for --format json.",
    ),
    Opt(
        "--md",
        "format",
        env=False,
        config=False,
        section=OUTPUT,
        flag_value="markdown",
        help="Short for --format markdown.",
        details="See Markdown below.",
    ),
    Opt(
        "--events",
        value=FILE,
        env=False,
        config=False,
        section=OUTPUT,
        metavar="FILE|FD",
        help="Also write records to FILE (appended) or FD.",
        details="- is stdout, where the text goes into the file of -O.",
    ),
    Opt(
        "-O",
        "--output",
        value=FILE,
        env=False,
        config=False,
        section=OUTPUT,
        metavar="FILE",
        help="Write the text to FILE; it appears on exit 0 only.",
        details="It is written beside FILE and renamed, so a make target is never half an answer. "
        "With --jsonl or --json the records still go to stdout. - is stdout.",
    ),
    Opt(
        "--reasoning",
        terminal_only=True,
        section=OUTPUT,
        type=click.Choice(REASONING),
        help="Where the model's reasoning goes.",
        details="Default: stderr, dimmed, if stdout and stderr are terminals, else hide. stdout: "
        "before the text, a blank line between. only: reasoning instead of the text. raw: an "
        "inline <think> block stays in the text; otherwise it is split out if it opens the "
        "answer. In helpingai's text every <think> and <ser> block is split out. If you give "
        "hide yourself, the provider is also asked to leave the reasoning out, where it can: "
        "records then lack it.",
    ),
    Opt(
        "-x",
        "--extract",
        template=True,
        env=False,
        config=False,
        section=OUTPUT,
        bare="*",
        metavar="LANG",
        help="Only the first fenced code block (of LANG).",
        details="It is written as it streams, without its fences and their indentation. No such "
        "block is exit status 12, a block without an end 18.",
    ),
    Opt(
        "--items",
        template=True,
        env=False,
        config=False,
        section=OUTPUT,
        bare="*",
        metavar="PATH",
        help="Each element of a JSON array as a line of its own.",
        details="Written the moment it closes. PATH is the place, as in data.items; without it, "
        "the root, or the one array in the root object. The line is what the model wrote, without "
        "its line breaks. Text and a fence around the JSON are skipped. An array without an "
        "end is exit status 18, none at all, or an element that is not JSON, 12. "
        "Behind --extract it reads the block.",
    ),
    Opt(
        "--enough",
        template=True,
        env=False,
        config=False,
        section=OUTPUT,
        type=EnoughOf(),
        metavar="REGEX|Nlines|Nitems",
        help="Cancel the request once the text has this.",
        details="The text ends there, and the exit status is 0. Nitems are elements of the "
        "array of --items. In REGEX, which is Python's, ^ and $ are the ends of a line. "
        "Each delta is searched together with the 1000 characters before it. A match "
        "that more text could lengthen or undo waits for that text.",
    ),
    Opt(
        "--buffer",
        terminal_only=True,
        section=OUTPUT,
        type=Buffering(),
        default="chunk",
        metavar="chunk|line|sentence|paragraph|N",
        help="Hold the text until such a part is whole.",
        details="N is a number of chunks. The end of the answer is written in any case. Records "
        "are not held.",
    ),
    Opt(
        "--pace",
        terminal_only=True,
        section=OUTPUT,
        type=PerSecond(min=0, min_open=True),
        metavar="CPS",
        help="Write the text at so many characters a second.",
        details="A model that is faster waits. For one prompt, not for a batch.",
    ),
    Opt(
        "--sanitize",
        terminal_only=True,
        section=OUTPUT,
        type=click.Choice(WHEN),
        default="auto",
        help="Make control characters visible.",
        details="auto: when stdout is a terminal. C0 controls except newline and tab, DEL, C1, "
        "escape sequences, bidi overrides, tag characters and U+200B are shown in visible form.",
    ),
    Opt(
        "--accept",
        section=OUTPUT,
        type=Names(ACCEPTABLE),
        metavar="VERDICT,...",
        help="Exit 0 for these verdicts too, such as length.",
        details=f"Any of {', '.join(ACCEPTABLE)}. The status in the record stays what it was.",
    ),
    Opt(
        "--with-prompt",
        section=OUTPUT,
        is_flag=True,
        help="Put the prompt into its end record.",
        details="As `prompt`: the text that was asked, without the system prompt and attachments.",
    ),
    Opt(
        "--progress",
        terminal_only=True,
        section=OUTPUT,
        type=click.Choice(WHEN),
        default="auto",
        help="Show the progress of a batch on stderr.",
        details="auto: if stderr is a terminal, and stdout is not one that text goes to. always: "
        "below the text too, and without a terminal a plain line every ten seconds. With "
        "several models each has a bar. A + behind the cost means that some answers' cost is "
        "unknown. While one prompt waits for its first token, or for tools, a terminal shows "
        "the seconds, and a batch whose answers go to the terminal does so between them; "
        "`never` and -q turn that off too.",
    ),
    Opt(
        "-u",
        "--usage",
        section=OUTPUT,
        is_flag=True,
        help="Print token counts on stderr at the end.",
    ),
    Opt(
        "--stats",
        section=OUTPUT,
        is_flag=True,
        help="Print a table of timings on stderr at the end.",
        details="Usage and cost are in it too. The rows have the names of the end record's fields, "
        "for a batch those of the summary record and a column for each -m; - is unknown. Into a "
        "file each row is a line: name, value. The bars are a histogram of the gaps between "
        "chunks: each stands for the same ratio of times. An answer that failed or was interrupted "
        "has its table too, also with -q.",
    ),
    Opt(
        "--color",
        terminal_only=True,
        section=OUTPUT,
        type=click.Choice(WHEN),
        default="auto",
        help="Dim the reasoning on stderr, color --md.",
        details="auto: if stderr, or stdout for --md, is a terminal and NO_COLOR is not set. "
        "Without colors, --md still has bold and the like on a terminal.",
    ),
    Opt("-q", "--quiet", section=OUTPUT, is_flag=True, help="Print errors only, no notes."),
    Opt(
        "-v",
        "--verbose",
        section=OUTPUT,
        is_flag=True,
        help="Print more notes on stderr.",
        details="An error begins with the prompt or the file that it is about.",
    ),
    Opt(
        "--debug",
        section=OUTPUT,
        is_flag=True,
        help="Print requests, replies, tracebacks; no secrets.",
    ),
    # Batch
    Opt(
        "-L",
        "--lines",
        section=BATCH,
        env=False,
        config=False,
        is_flag=True,
        help="Each line of stdin (or --file) is a prompt.",
        details="Blank lines are skipped, but count in a record's index. The arguments apply to "
        "each prompt. stdin is read as it arrives: 'tail -f prompts | stream -L' works.",
    ),
    Opt(
        "-0",
        "--null",
        section=BATCH,
        env=False,
        config=False,
        is_flag=True,
        help="Like --lines, with NUL instead of a newline.",
    ),
    Opt(
        "--requests",
        section=BATCH,
        env=False,
        config=False,
        is_flag=True,
        help="Each line of stdin is a request in JSON.",
        details='{"prompt":...} or {"messages":[...]}, an id, and of the options model, system, '
        "sampling, stop, schema and think; or a line of an OpenAI batch file (custom_id, body). "
        "A bad line fails alone, with its number; the rest of the batch goes on.",
    ),
    Opt(
        "--files",
        section=BATCH,
        env=False,
        config=False,
        is_flag=True,
        help="Each line names a file whose text is a prompt.",
        details="With -0 the names end with NUL, as 'find -print0' writes them. Records have the "
        "name as `source`; -O takes {name}, {stem} and {path}, and folders that are missing are "
        "made. A file that cannot be read fails alone.",
    ),
    Opt(
        "--rows",
        section=BATCH,
        env=False,
        config=False,
        bare="auto",
        type=click.Choice(("auto", "jsonl", "csv", "tsv")),
        help="Each row of stdin fills in {field} in the prompt.",
        details="In the words, -s and --prefill. stdin, or -f, is a CSV with a header, or objects, "
        "one a line; --rows alone looks at its first line. A field that no row has is exit status "
        "2; {{ and }} are braces.",
    ),
    Opt(
        "--into",
        section=BATCH,
        env=False,
        config=False,
        metavar="FIELD",
        help="Write the rows of --rows, with the answer in FIELD.",
        details="Other fields stay as they are, and the rows in their order. With --schema it is "
        "the value, and '*' gives each field of the schema its own. FIELD is empty where a prompt "
        "failed.",
    ),
    Opt(
        "--force",
        section=BATCH,
        env=False,
        config=False,
        is_flag=True,
        help="Let --into replace a field that is there already.",
    ),
    Opt(
        "-j",
        "--jobs",
        section=BATCH,
        type=Count(min=1, max=10_000),
        default=4,
        metavar="N",
        help="Ask N prompts at the same time (default: 4).",
    ),
    Opt(
        "-k",
        "--keep-order",
        section=BATCH,
        is_flag=True,
        help="Write in the order of the prompts (text always).",
        details="The first unfinished answer streams live; those behind it wait, on disk beyond "
        "64 MiB.",
    ),
    Opt(
        "--resume",
        section=BATCH,
        value=FILE,
        env=False,
        config=False,
        multiple=True,
        metavar="FILE",
        help="Skip prompts complete in these records; repeatable.",
        details="The records are the journal: 'stream -L --json --resume out.jsonl < prompts >> "
        "out.jsonl', started again after any death, finishes the job. Prompts are matched by their "
        "hash; each of several equal ones counts.",
    ),
    Opt(
        "--reuse",
        section=BATCH,
        value=FILE,
        env=False,
        config=False,
        multiple=True,
        metavar="FILE",
        help="Take answers from these records; repeatable.",
        details="A prompt whose answer FILE has is not asked, and its answer is written as if it "
        "had been: for one prompt or many, in any format. Prompts are matched by their hash, so "
        "another model or option asks again, and so does an answer that was cut. 'stream --events "
        "J --reuse J' asks everything once.",
    ),
    Opt(
        "--halt",
        section=BATCH,
        type=Halt(),
        default="never",
        metavar="WHEN",
        help="Stop a batch: soon,fail=3; 10%; cost=5; tokens=2M.",
        details="soon: start nothing more. now: also cancel what runs. N%: soon, at that share of "
        "failures, once ten prompts are over. cost=N, tokens=N: soon, once the answers have cost "
        "N, by the prices in the configuration, or used N tokens. The exit status is 20 if "
        "anything was left undone.",
    ),
    Opt(
        "--rate",
        section=BATCH,
        type=Rate(),
        metavar="N/s|N/m|N/h[,poisson]",
        help="Start N requests a second, minute or hour.",
        details="This is a schedule: a request that starts late, because all -j are busy, does not "
        "shift those behind it, and queue_ms in its record says how late it was. With poisson "
        "they start at random times, as if many people asked.",
    ),
    Opt(
        "--repeat",
        section=BATCH,
        env=False,
        config=False,
        type=Count(min=1),
        metavar="N",
        help="Ask each prompt N times.",
    ),
    Opt(
        "--print0",
        section=BATCH,
        env=False,
        config=False,
        is_flag=True,
        help="End each text with NUL instead of a newline.",
        details="For 'xargs -0'. The text is then exactly the model's.",
    ),
    # Network
    Opt(
        "--base-url",
        config=False,
        section=NETWORK,
        metavar="URL",
        help="The address of the provider's API.",
        details="With or without a slash at its end, or with the full path of the operation; no "
        "/v1 is added. Without --provider it is a Chat Completions server, and only the key of "
        "--key-file is sent to it.",
    ),
    Opt(
        "-H",
        "--header",
        section=NETWORK,
        multiple=True,
        metavar="NAME:VALUE|@FILE",
        help="Add a header, or a file of them; repeatable.",
        details="Other users can read arguments on most systems: put secrets into a file.",
    ),
    Opt(
        "--key-file",
        value=FILE,
        env=False,
        config=False,
        section=NETWORK,
        metavar="FILE",
        help="Read the key from FILE, not from its variable.",
        details="There is no --key: arguments are public. A file that others can write is "
        "refused, one that others can read gets a note.",
    ),
    Opt(
        "--connect-timeout",
        section=NETWORK,
        type=Seconds(),
        default=10.0,
        metavar="TIME",
        help="Time to connect (default: 10; 0: no limit).",
        details="Every time is a number of seconds, or has a unit: 500ms, 90s, 2m, 1h.",
    ),
    Opt(
        "--first-timeout",
        section=NETWORK,
        type=Seconds(),
        default=300.0,
        metavar="TIME",
        help="Time to the first event (default: 300).",
    ),
    Opt(
        "--idle-timeout",
        section=NETWORK,
        type=Seconds(),
        default=60.0,
        metavar="TIME",
        help="Time between events other than pings (default: 60).",
        details="Time blocked on stdout or stopped by ^Z does not count either.",
    ),
    Opt(
        "--timeout",
        section=NETWORK,
        type=Seconds(),
        metavar="TIME",
        help="Time for the whole prompt (default: no limit).",
    ),
    Opt(
        "--max-retries",
        section=NETWORK,
        type=Count(min=0),
        default=3,
        metavar="N",
        help="Retries while nothing was delivered (default: 3).",
        details="After a lost or refused connection, 408, 425, 429, 5xx except 501 and 505, or an "
        "overload reported in the stream. A server's x-should-retry header decides.",
    ),
    Opt(
        "--max-wait",
        section=NETWORK,
        type=Seconds(),
        default=120.0,
        metavar="TIME",
        help="Longest wait a server may ask for (default: 120).",
        details="A longer retry-after fails at once and names the wait.",
    ),
    Opt(
        "--max-event-size",
        section=NETWORK,
        type=Size(),
        default=16 << 20,
        metavar="SIZE",
        help="Largest event, with K, M or G (default: 16M).",
    ),
    Opt(
        "--on-drop",
        section=NETWORK,
        type=click.Choice(("fail", "continue")),
        default="fail",
        help="When an answer breaks off: fail, or continue it.",
        details="continue asks for the rest (it attaches to a background response again; elsewhere "
        "it sends the text so far as the beginning of the answer) and joins it without repeating "
        "or losing a character. Where the provider cannot, the answer fails as usual.",
    ),
    Opt(
        "--no-stream",
        section=NETWORK,
        is_flag=True,
        help="Ask for the whole answer at once.",
    ),
    Opt(
        "--unix-socket",
        value=FILE,
        section=NETWORK,
        metavar="PATH",
        help="Connect through this socket instead of TCP.",
    ),
    # Recording and inspecting
    Opt(
        "--record",
        section=INSPECT,
        value=FILE,
        env=False,
        config=False,
        metavar="FILE",
        help="Save the bytes of the answer with their times.",
        details="JSON Lines: the request without secrets, status, headers, and each read with its "
        "time. --replay plays it. - is stdout, where the text goes into the file of -O.",
    ),
    Opt(
        "--replay",
        section=INSPECT,
        value=FILE,
        env=False,
        config=False,
        metavar="FILE",
        help="Answer from a recording instead of the network.",
        details="Verdict, timings and formats come out as they did then.",
    ),
    Opt(
        "--speed",
        section=INSPECT,
        env=False,
        config=False,
        type=Speed(),
        metavar="X|instant",
        help="Speed of --replay: 2 is twice as fast as it was.",
    ),
    Opt(
        "--decode",
        section=INSPECT,
        env=False,
        config=False,
        bare="auto",
        type=click.Choice(("auto", *PROTOCOLS)),
        metavar="PROTOCOL",
        help="Read a provider's raw bytes on stdin; no network.",
        details=f"One of {', '.join(PROTOCOLS)}. Without one, or with auto, it is found from the "
        "bytes.",
    ),
    Opt(
        "--dry-run",
        section=INSPECT,
        env=False,
        config=False,
        bare="http",
        type=click.Choice(("http", "curl")),
        help="Print the request, or a curl command; send nothing.",
        details="The key is shown as its variable, so the curl command works when pasted. Other "
        "secrets are hidden.",
    ),
    Opt(
        "--report",
        section=INSPECT,
        env=False,
        config=False,
        bare="text",
        type=click.Choice(("text", "md", "svg")),
        help="Percentiles of the records in files, or on stdin.",
        details="The words are files of records (-: stdin), in any number and mixture of --jsonl, "
        "--json and --events. A table with a row for each model, and below it latencies, "
        "throughput, tokens, cost and verdicts of each; --json: the same for a program. md: "
        "tables in Markdown, for a pull request; svg: a picture. -O writes it to a file. See "
        "--help=report.",
    ),
    Opt(
        "--by",
        section=INSPECT,
        env=False,
        config=False,
        metavar="FIELD",
        help="Group --report by this field of the records.",
        details="Such as provider, status, source, id or error.kind; without it, the model that "
        "was asked.",
    ),
    Opt(
        "--adjusted",
        section=INSPECT,
        env=False,
        config=False,
        is_flag=True,
        help="In --report, failed requests are infinitely slow.",
        details="In the percentiles of TTFT, TTFO and duration. Without it these are of the "
        "requests that were answered.",
    ),
    Opt(
        "--slo",
        section=INSPECT,
        env=False,
        config=False,
        multiple=True,
        metavar="SLO",
        help="Exit 29 if missed: 'ttft_ms.p99<500', ttft:500.",
        details="Repeatable. It is judged at the end of a batch, for each model; one prompt is "
        "a batch of one. FIGURE.STATISTIC bounds a statistic of all prompts. FIGURE "
        "alone, or NAME:BOUND, bounds each prompt: all have to keep it, or the share "
        "that 'goodput>0.95' names. --help=batch lists the figures.",
    ),
    Opt(
        "--against",
        section=INSPECT,
        env=False,
        config=False,
        multiple=True,
        value=FILE,
        metavar="FILE",
        help="Compare --report to that of FILE; exit 29 if worse.",
        details="Repeatable: the files are one run. A figure is worse only if the difference is "
        "larger than --tolerance and larger than chance explains, with 95 % confidence for "
        "all figures together.",
    ),
    Opt(
        "--tolerance",
        section=INSPECT,
        env=False,
        config=False,
        type=Tolerance(),
        metavar="N%|TIME",
        help="How much worse than --against is fine: 5%, 20ms.",
        details="The default is 5%. Goodput may fall by one percentage point at most.",
    ),
    Opt(
        "--check",
        section=INSPECT,
        env=False,
        config=False,
        bare="*",
        value=PROVIDER,
        metavar="PROVIDER",
        help="Ask for one token: tests address, key, latency.",
        details="The provider of --model, or the one named. The exit status is the probe's.",
    ),
    Opt(
        "--list-models",
        section=INSPECT,
        env=False,
        config=False,
        is_flag=True,
        help="List the provider's models, one a line (or --json).",
    ),
    Opt(
        "--list-providers",
        section=INSPECT,
        env=False,
        config=False,
        is_flag=True,
        help="List providers and their set-up (or --json).",
    ),
    Opt(
        "--list-templates",
        section=INSPECT,
        env=False,
        config=False,
        is_flag=True,
        help="List the configuration's templates (or --json).",
    ),
    Opt(
        "--list-sessions",
        section=INSPECT,
        env=False,
        config=False,
        is_flag=True,
        help="List stored sessions, the last first (or --json).",
    ),
    # Other
    Opt(
        "--no-config",
        section=OTHER,
        config=False,
        is_flag=True,
        help="Ignore the configuration file.",
    ),
    Opt(
        "-V",
        "--version",
        section=OTHER,
        env=False,
        config=False,
        is_flag=True,
        help="Print the version and exit.",
    ),
    Opt(
        "-h",
        "--help",
        section=OTHER,
        env=False,
        config=False,
        bare="*",
        type=Topic(),
        metavar="TOPIC",
        help="Print this help, or a page of the manual.",
        details=f"TOPIC is one of {', '.join(TOPICS)}. On a terminal the page is shown by the "
        "command in PAGER, or less.",
    ),
)
