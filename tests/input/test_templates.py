"""Templates: their files and tables, what they may set, and what becomes of their variables."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import COMMAND, Configure, Result, Stream
from faultserver import FaultServer
from pages import block, blocks
from ptys import Pty

from streamcli.cli.parse import parse
from streamcli.errors import StreamError
from streamcli.input import template_text
from streamcli.input.picoschema import Unreadable, json_schema
from streamcli.input.prompt import prompt_maker
from streamcli.input.stdin import STDIN_HERE
from streamcli.input.template_file import OPTIONS, read
from streamcli.settings.invocation import Invocation
from streamcli.settings.options import MODEL, TABLE

MODELS = "vllm:tiny"

Write = Callable[..., Path]
Body = dict[str, Any]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(text: str | bytes, name: str = "a.prompt") -> Path:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def applied(path: Path | str, *args: str) -> Invocation:
    """Return what the command line makes of a template; its trouble is raised."""
    invocation = parse(["-t", str(path), *args])
    assert isinstance(invocation, Invocation)
    if invocation.trouble is not None:
        raise invocation.trouble
    return invocation


def prompt_of(invocation: Invocation, text: str = "") -> str:
    return prompt_maker(invocation.words, invocation.settings.replace)(text)


def refused(path: Path | str, *args: str) -> str:
    with pytest.raises(StreamError) as raised:
        applied(path, *args)
    assert raised.value.exit_code == 2
    assert "\n" not in raised.value.message
    return f"{raised.value.message}: {raised.value.hint}".removesuffix(": ")


def body_of(run: Result) -> Body:
    """Return the body that --dry-run shows."""
    assert (run.returncode, run.stderr) == (0, "")
    body: Body = json.loads(run.text.partition("\n\n")[2])
    return body


WHOLE = """\
#!/usr/bin/env -S stream -t
+++
model = "groq:llama-3.3-70b"
max_tokens = 300
system = "You write for {{who}}."
[vars]
tone = "plain"
+++
Sum up for {{who}}, {{ tone }}:

{{stdin}}

Be short.
"""


# ---- files --------------------------------------------------------------------------------------


def test_a_file_has_options_a_prompt_and_variables(write: Write) -> None:
    run = applied(write(WHOLE), "--var", "who=Ann")
    settings = run.settings
    assert settings.model == ("groq:llama-3.3-70b",)
    assert settings.max_tokens == 300
    assert settings.system == "You write for Ann."
    assert prompt_of(run, "NOTES") == "Sum up for Ann, plain:\n\nNOTES\n\nBe short."
    assert {"model", "max_tokens", "system"} <= run.typed
    assert "tone" not in run.explicit


@pytest.mark.parametrize(
    "text",
    [
        b"\xef\xbb\xbf" + WHOLE.encode(),
        WHOLE.replace("\n", "\r\n").encode(),
        WHOLE.partition("\n")[2].encode(),
        WHOLE.replace("+++\n", "+++  \n").encode(),
    ],
    ids=["byte order mark", "CRLF", "no first line", "blanks"],
)
def test_a_file_may_come_from_any_editor(write: Write, text: bytes) -> None:
    run = applied(write(text), "--var", "who=Ann")
    assert run.settings.max_tokens == 300
    assert prompt_of(run, "N") == "Sum up for Ann, plain:\n\nN\n\nBe short."


def test_a_file_without_front_matter_is_a_prompt_and_one_without_a_prompt_options(
    write: Write,
) -> None:
    assert prompt_of(applied(write("Say {{what}}.\n"), "--var", "what=hi")) == "Say hi."
    options = applied(write("+++\nseed = 7\n+++\n"), "the", "words")
    assert (options.settings.seed, options.words) == (7, ("the", "words"))


def test_the_templates_of_the_manual(write: Write, configure: Configure) -> None:
    run = applied(write(block("stream.1", "Templates", "description")), "--var", "who=Ann")
    assert run.settings.system == "You write for Ann."
    assert prompt_of(run, "N") == "Sum up for Ann in three lines, in a friendly tone:\n\nN"
    (shown,) = (each.text for each in blocks("stream-config.5") if "[template." in each.text)
    configure(shown)
    run = applied("commit")
    assert prompt_of(run, "N").startswith("N\n\nWrite the commit message, in English,")
    assert run.settings.extract == "*"


def test_a_file_is_a_command(
    tmp_path: Path, shell_env: dict[str, str], server: FaultServer
) -> None:
    if not Path("/usr/bin/env").exists() or os.name != "posix":
        pytest.skip("needs /usr/bin/env")
    script = tmp_path / "summarize.prompt"
    script.write_text(WHOLE.replace("groq:llama-3.3-70b", MODELS))
    script.chmod(0o755)
    done = subprocess.run(
        [script, "--base-url", server.url("ok"), "--var", "who=Ann", "And", "kind."],
        input=b"NOTES\n",
        capture_output=True,
        env=shell_env,
        timeout=90,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"Hello world", b"")
    asked = server.requests[-1].json
    assert asked["messages"][-1]["content"] == (
        "Sum up for Ann, plain:\n\nNOTES\n\nBe short.\n\nAnd kind."
    )
    assert asked["max_tokens"] == 300


def test_words_follow_the_prompt_and_a_dash_is_stdin(write: Write) -> None:
    path = write("Translate:")
    assert prompt_of(applied(path, "two", "words")) == "Translate:\n\ntwo words"
    assert prompt_of(applied(path), "text") == "text\n\nTranslate:"
    assert prompt_of(applied(path, "-", "please"), "text") == "Translate:\n\ntext\n\nplease"
    assert prompt_of(applied(path, "a", "-"), "text") == "Translate:\n\na\n\ntext"
    assert prompt_of(applied(path, "--", "-"), "text") == "text\n\nTranslate:\n\n-"
    assert prompt_of(applied(write("-", "dash")), "text") == "text\n\n-"
    assert prompt_of(applied(path, "-I", "@", "about @"), "text") == "Translate:\n\nabout text"


def test_stdin_goes_where_the_template_says(stream: Stream, write: Write, tmp_path: Path) -> None:
    write("<{{stdin}}> or <{{stdin}}>")
    (tmp_path / "notes.txt").write_text("NOTES\n")
    ask = ("-m", MODELS, "-t", "a.prompt", "--dry-run")

    def prompt(*args: str, stdin: bytes | None = None) -> str:
        return str(body_of(stream(*ask, *args, stdin=stdin))["messages"][0]["content"])

    assert prompt(stdin=b"IN\n") == "<IN> or <IN>"
    assert prompt("more", stdin=b"{{stdin}}\n") == "<{{stdin}}> or <{{stdin}}>\n\nmore"
    assert prompt("-f", "notes.txt") == "<NOTES> or <NOTES>"
    assert prompt("-f", "notes.txt", "-n") == "<NOTES> or <NOTES>"
    assert prompt("-f", "notes.txt", stdin=b"IN") == "<NOTES\n\nIN> or <NOTES\n\nIN>"
    for args, said in (
        ((), "{{stdin}} needs stdin, and there is none: pipe text into it"),
        (("-n",), "-n forbids reading stdin, and '{{stdin}}' asks for it"),
        (("-s", "@-"), "'{{stdin}}' and '-s @-' both read stdin"),
        (("-",), "both read stdin"),
    ):
        run = stream(*ask, *args)
        assert run.returncode == 2
        assert len(run.complaints) == 1
        assert said in run.stderr


def test_a_terminal_is_read_where_the_template_says(
    child_env: dict[str, str], write: Write, tmp_path: Path
) -> None:
    write("<{{stdin}}>")
    command = [*COMMAND, "-t", "a.prompt", "-m", MODELS, "--dry-run"]
    shell = Pty(command, child_env, tmp_path, places="02")
    try:
        shell.until(lambda lines: any("end it with ^D" in line for line in lines))
        os.write(shell.master, b"typed\n\x04")
        code, _ = shell.end()
    finally:
        shell.close()
    assert code == 0
    assert "<typed>" in (tmp_path / "out").read_text()


def test_each_item_of_a_batch_is_filled_in(
    stream: Stream, write: Write, server: FaultServer
) -> None:
    write(f'+++\nmodel = "{MODELS}"\n+++\nIn {{{{language}}}}: <{{{{stdin}}}}>')
    args = ("--base-url", server.url("ok"), "-t", "a.prompt", "--var", "language=French")
    run = stream(*args, "-L", "-j1", stdin=b"one\ntwo\n")
    assert (run.returncode, run.stderr) == (0, "")
    asked = [each.json["messages"][0]["content"] for each in server.requests]
    assert asked == ["In French: <one>", "In French: <two>"]


def test_rows_fill_in_the_fields_of_a_template(
    stream: Stream, write: Write, server: FaultServer
) -> None:
    write('+++\nsystem = "Be {tone}."\n+++\nIn {{language}}: {text}')
    args = ("-m", MODELS, "--base-url", server.url("ok"), "-t", "a.prompt", "--var")
    rows = b"text,tone\n{{stdin}},kind\n"
    run = stream(*args, "language=French", "--rows", "--into", "out", stdin=rows)
    assert (run.returncode, run.text) == (0, "text,tone,out\n{{stdin}},kind,Hello world\n")
    system, user = (each["content"] for each in server.requests[-1].json["messages"])
    assert (system, user) == ("Be kind.", "In French: {{stdin}}")
    write("{text} {{stdin}}")
    run = stream(*args[:-1], "--rows", stdin=rows)
    assert run.returncode == 2
    assert "--rows has no text for the template's {{stdin}}" in run.stderr


def test_the_template_may_be_stdin(stream: Stream) -> None:
    run = stream("-m", MODELS, "-t", "-", "--dry-run", "words", stdin=b"Say: ")
    assert body_of(run)["messages"][0]["content"] == "Say: \n\nwords"
    both = stream("-m", MODELS, "-t", "-", "--dry-run", stdin=b"Say: {{stdin}}")
    assert both.returncode == 2
    assert "both read stdin" in both.stderr


# ---- variables ----------------------------------------------------------------------------------


def test_a_variable_without_a_value_is_named(write: Write) -> None:
    path = write("{{one}} {{two}} {{stdin}} {{one}}")
    assert refused(path, "--var", "two=2") == (f"the template {path} needs one: --var one=...")
    assert "needs one and two: --var one=... --var two=..." in refused(path)


def test_an_unknown_variable_is_told(stream: Stream, write: Write) -> None:
    write("Say {{what}}")
    args = ("-m", MODELS, "-t", "a.prompt", "--dry-run", "-n", "--var", "what=x", "--var", "wat=y")
    run = stream(*args)
    assert run.returncode == 0
    assert run.complaints == ["stream: --var wat: the template a.prompt has no {{wat}}"]
    assert stream(*args, "-q").stderr == ""


@pytest.mark.parametrize(
    ("pair", "said"),
    [
        ("what", "--var what: a variable is written NAME=VALUE"),
        ("=x", "written NAME=VALUE"),
        ("a b=x", "written NAME=VALUE"),
        ("stdin=x", "{{stdin}} is the text of stdin"),
    ],
)
def test_a_variable_that_cannot_be(write: Write, pair: str, said: str) -> None:
    assert said in refused(write("Say {{what}}"), "--var", pair)


def test_variables_need_a_template(stream: Stream) -> None:
    run = stream("--var", "a=b", "-m", MODELS, "hi")
    assert run.returncode == 2
    assert run.complaints == ["stream: --var needs a template: -t NAME or -t FILE"]


def test_a_value_is_only_text(write: Write) -> None:
    """It is not filled in again, it is no place of stdin, and it never names a file."""
    path = write('+++\nsystem = "{{a}}"\nprefill = "@{{a}}"\n+++\n{{a}} {{b}}')
    run = applied(path, "--var", "a=@{{b}} {{stdin}}", "--var", "b=\\{{a}} \\1")
    assert prompt_of(run, "IN") == "IN\n\n@{{b}} {{stdin}} \\{{a}} \\1"
    assert run.settings.system == "@@{{b}} {{stdin}}"  # a text that begins with @
    assert run.settings.prefill == "@@{{b}} {{stdin}}"
    literal = write('+++\nsystem = "@@{{a}}"\n+++\nx', "b.prompt")
    assert applied(literal, "--var", "a=b").settings.system == "@@b"


def test_braces_that_are_not_a_variable(write: Write) -> None:
    assert prompt_of(applied(write("\\{{not}} { {x} }} {{ {"))) == "{{not}} { {x} }} {{ {"
    for field in ("{{#if x}}", '{{role "system"}}', "{{}}", "{{a b}}", "{{>part}}"):
        assert refused(write(f"a {field}")) == (
            f"{write('')}: {field} is not a variable: write \\{field} for these characters"
        )
    assert "has its place in the prompt only" in refused(write('+++\nsystem="{{stdin}}"\n+++\nx'))


def test_a_long_text_takes_time_by_its_length() -> None:
    for text in ("{" * 500_000, "{{a" * 200_000, "{{a}}" * 100_000, "a}} " * 100_000):
        names = template_text.variables([text], "x")
        template_text.fill_in(text, dict.fromkeys(names, ""))


# ---- what is stronger ---------------------------------------------------------------------------


def test_the_command_line_wins_then_the_template_then_the_environment(
    stream: Stream, write: Write, configure: Configure
) -> None:
    configure('[defaults]\nmodel = "ollama:x"\nseed = 1\ntop_p = 0.1\ntemperature = 0.1\n')
    write('+++\nmodel = "vllm:m"\nseed = 2\ntop_p = 0.2\nstop = ["a"]\n+++\nhi')
    env = {"STREAM_SEED": "3", "STREAM_MODEL": "openai:y", "STREAM_PROVIDER": "openai"}
    args = ("-t", "a.prompt", "--dry-run", "-n", "--base-url", "http://localhost/v1")
    run = stream(*args, "--top-p", "0.4", "--stop", "b", env=env)
    body = body_of(run)
    assert run.text.startswith("POST http://localhost/v1/chat/completions")
    found = {name: body[name] for name in ("model", "seed", "top_p", "temperature", "stop")}
    assert found == {"model": "m", "seed": 2, "top_p": 0.4, "temperature": 0.1, "stop": ["b"]}


def test_a_model_is_chosen_as_a_whole(stream: Stream, write: Write) -> None:
    write('+++\nprovider = "openai"\nmodel = "a:b"\ntemperature = 0.5\n+++\nhi')
    args = ("-t", "a.prompt", "--dry-run", "-n")
    assert body_of(stream(*args))["model"] == "a:b"
    run = stream(*args, "-m", "ollama:c:d")
    assert "11434" in run.text
    assert body_of(run)["model"] == "c:d"
    # Of a model that it was not written for, the options are a preference.
    assert "temperature" not in body_of(stream(*args, "-m", "openai:gpt-5"))
    write('+++\nmodel = "openai:gpt-5"\ntemperature = 0.5\n+++\nhi')
    assert body_of(stream(*args))["temperature"] == 0.5


def test_fields_of_the_body_add_up(stream: Stream, write: Write) -> None:
    write(f'+++\nmodel = "{MODELS}"\noption = {{ top_k = 5, a = {{ b = [1] }} }}\n+++\nhi')
    args = ("-t", "a.prompt", "--dry-run", "-n")
    body = body_of(stream(*args, "-o", "top_k=6", "-o", "min_p=0"))
    assert (body["top_k"], body["min_p"], body["a"]) == (6, 0, {"b": [1]})
    write(f'+++\nmodel = "{MODELS}"\noption = ["top_k=5", "x.y=z"]\n+++\nhi')
    assert body_of(stream(*args))["x"] == {"y": "z"}


def test_files_that_a_template_names_are_beside_it(
    stream: Stream, write: Write, tmp_path: Path
) -> None:
    folder = tmp_path / "deep"
    folder.mkdir()
    (folder / "role.txt").write_text("Be {{kind}}.\n")
    (folder / "s.json").write_text('{"type": "object"}')
    text = f'+++\nmodel = "{MODELS}"\nsystem = "@role.txt"\nschema = "s.json"\n+++\nhi'
    write(text, "deep/a.prompt")
    body = body_of(stream("-t", "deep/a.prompt", "--dry-run", "-n"))
    assert body["messages"][0] == {"role": "system", "content": "Be {{kind}}."}
    assert body["response_format"]["json_schema"]["schema"] == {"type": "object"}
    for name in ("../x", "/etc/passwd", "~/x", "~root/x", "a/../../x"):
        for key in (f'schema = "{name}"', f'system = "@{name}"'):
            said = refused(write(f"+++\n{key}\n+++\nhi"))
            assert "line 2" in said
            assert "names a file that is not beside the template" in said


@pytest.mark.parametrize("key", ['system = "@a\\u0000b"', 'schema = "a\\u0000b/c"'])
def test_a_name_with_a_nul_is_no_file(stream: Stream, write: Write, key: str) -> None:
    run = stream("-t", write(f"+++\n{key}\n+++\nhi"), "-m", MODELS, "--dry-run", "-n")
    assert run.returncode == 2
    assert "is not the name of a file: there is a NUL in it" in run.stderr


def test_a_link_leads_out_of_no_template(stream: Stream, write: Write, tmp_path: Path) -> None:
    """It would send any file of ours; but all files of a template may be links, as dotfiles are."""
    (tmp_path / "secret").write_text("of ours")
    store, home = tmp_path / "store", tmp_path / "home"
    store.mkdir()
    home.mkdir()
    write('+++\nsystem = "@role.txt"\n+++\nhi', "store/a.prompt")
    (store / "role.txt").symlink_to(tmp_path / "secret")
    said = refused(store / "a.prompt")
    assert "line 2: 'system' names a link to a file that is not beside it" in said
    (store / "role.txt").unlink()
    (store / "role.txt").write_text("Be kind.")
    for name in ("a.prompt", "role.txt"):
        (home / name).symlink_to(store / name)
    body = body_of(stream("-t", home / "a.prompt", "-m", MODELS, "--dry-run", "-n"))
    assert body["messages"][0]["content"] == "Be kind."


@pytest.mark.parametrize(
    "line", ["temperature = true", "seed = 1.5", "system = ['x']", "max_tokens = true"]
)
def test_a_value_of_another_kind(write: Write, line: str) -> None:
    assert "line 2" in refused(write(f"+++\n{line}\n+++\nhi"))


def test_a_schema_may_be_a_table_or_short(stream: Stream, write: Write, tmp_path: Path) -> None:
    write(f'+++\nmodel = "{MODELS}"\n[schema]\ntype = "object"\n+++\nhi')
    body = body_of(stream("-t", "a.prompt", "--dry-run", "-n"))
    assert body["response_format"]["json_schema"]["schema"] == {"type": "object"}
    (tmp_path / "name").write_text('{"a file": "of this name"}')
    write(f'+++\nmodel = "{MODELS}"\nschema = "name"\n+++\nhi')
    body = body_of(stream("-t", "a.prompt", "--dry-run", "-n"))
    schema = body["response_format"]["json_schema"]["schema"]
    assert schema["properties"] == {"name": {"type": "string"}}
    assert "line 2: 'schema' is not a schema: " in refused(write('+++\nschema = "[a"\n+++\nhi'))


# ---- what a template may not do -----------------------------------------------------------------


def test_a_template_sets_what_is_asked_and_how() -> None:
    asked = {option.name for option in TABLE if option.section == MODEL} - {"race", "session"}
    shaped = {"extract", "items", "enough"}
    assert {option.name for option in OPTIONS.values()} == asked | shaped


NEVER = sorted({option.long[2:] for option in TABLE if not option.template})


@pytest.mark.parametrize("name", NEVER)
def test_a_template_never_sets(write: Write, name: str) -> None:
    for key in {name, name.replace("-", "_")}:
        said = refused(write(f'+++\n{key} = "x"\n+++\nhi'))
        assert f"line 2: '{key}' is not for a template: give it on the command line" in said


@pytest.mark.parametrize(
    "option",
    [
        '{ tools = [{ type = "mcp", server_url = "http://x" }] }',
        '["tools=[]"]',
        '["a.b.tool_choice=x"]',
        '{ metadata = { webhook_url = "x" } }',
        '{ extra_headers = { a = "b" } }',
        '{ api_key = "x" }',
        '["add=/etc/passwd"]',
        '["x={\\"a\\":[{\\"file_id\\":1}]}"]',
    ],
)
def test_a_template_sets_no_field_that_reaches_further(write: Write, option: str) -> None:
    said = refused(write(f"+++\noption = {option}\n+++\nhi"))
    assert "line 2: 'option' sets " in said
    assert "which is not for a template" in said


REPORT = ("--max-retries", "0", "--jsonl", "-n")
BAD = {
    "not TOML": (b"+++\nmodel =\n+++\nhi", "at line 2, column 8"),
    "no end": (b"+++\nmodel = 'x'\n", "the front matter does not end: +++"),
    "unknown key": (b"+++\n\nmodle = 'x'\n+++\n", "line 3: 'modle' is not an option of a template"),
    "wrong type": (b"+++\nseed = 'x'\n+++\n", "line 2: 'seed' 'x' is not a whole number"),
    "no name": (b"+++\nprovider = ''\n+++\n", "line 2: 'provider' is empty: leave it out"),
    "a value of another kind": (b"+++\nmodel = {}\n+++\n", None),
    "NUL": (b"hi\0there", "is not a text: there is a NUL at offset 2"),
    "a NUL by escape": (b'+++\nprefill = "a\\u0000b"\n+++\nhi', None),
    "UTF-16": ("hi".encode("utf-16"), "is not a text"),
    "Latin-1": (b"caf\xe9", "is not UTF-8: byte 0xe9 at offset 3"),
    "10 MB": (b"x" * 10_000_000, "is longer than 1 MiB: -f takes a long text"),
    "long front matter": (b"+++\n#" + b"x" * 70_000 + b"\n+++\nhi", "more than 64 KiB between"),
    "deep": (b"+++\nstop = " + b"[" * 20_000 + b"\n+++\nhi", "nested too deep"),
    "long key": (b"+++\n" + b"a." * 20_000 + b"a = 1\n+++\nhi", "nested too deep"),
    "deep schema": (b"+++\n[schema]\na = " + b"[" * 400 + b"]" * 400 + b"\n+++\nhi", None),
    "deep option": (b"+++\noption = 'a=" + b"[" * 300 + b"]" * 300 + b"'\n+++\nhi", "64 levels"),
    "variables": (b"+++\nvars = 1\n+++\nhi", "line 2: 'vars' has to be a table of variables"),
    "a default": (b"+++\nvars = {a = 1}\n+++\nhi", "line 2: 'vars.a' has to be a variable's name"),
    "stdin's default": (b"+++\n[vars]\nstdin = 'x'\n+++\nhi", "line 3: 'vars.stdin' has to be"),
    "description": (b"+++\ndescription = 1\n+++\nhi", "line 2: 'description' has to be a text"),
    "itself": (b"+++\ntemplate = 'a.prompt'\n+++\nhi", "'template' is not for a template"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_template_is_one_line_and_a_record(stream: Stream, write: Write, name: str) -> None:
    text, said = BAD[name]
    write(text)
    run = stream(
        "-t", "a.prompt", "-m", MODELS, "--base-url", "http://127.0.0.1:9", "--jsonl", "-n"
    )
    if said is None:  # whatever it is: no crash, and nothing is sent
        assert run.returncode in (2, 7)
    else:
        assert run.returncode == 2
        assert said in run.stderr
    if run.returncode == 2:
        (record,) = run.records
        assert (record["type"], record["status"]) == ("end", "usage")
        assert len(run.complaints) == 1


def test_a_template_that_cannot_be_read(stream: Stream, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    cases = {
        "folder": "folder cannot be read: is a directory",
        "./missing": "./missing cannot be read: no such file or directory",
        "./loop": "./loop cannot be read: too many levels of symbolic links",
        "missing": "there is no template 'missing', and no such file: stream --list-templates",
        "": "--template is empty",
        "/dev/zero": "/dev/zero is not a text",
    }
    if os.geteuid():
        (tmp_path / "secret").touch(0)
        cases["secret"] = "secret cannot be read: permission denied"
    for name, said in cases.items():
        run = stream("-t", name, "-m", MODELS, "hi")
        assert run.returncode == 2
        assert len(run.complaints) == 1
        assert said in run.stderr


def test_a_batch_reports_a_bad_template_too(stream: Stream) -> None:
    run = stream("-t", "./missing", "-m", MODELS, "-L", "--json", stdin=b"a\nb\n")
    assert run.returncode == 2
    (record,) = run.records
    assert (record["type"], record["exit_code"]) == ("end", 2)


# ---- the configuration --------------------------------------------------------------------------

CONFIG = """
[template.haiku]
description = "A haiku about something"
model = "vllm:tiny"
prompt = \"\"\"
A haiku about {{topic}}.
\"\"\"
extract = true
think = true
vars = { topic = "the sea" }

[template.only-options]
temperature = 0.1

[template.wrong]
prompt = "x"
key_file = "k"

[template]
number = 5
"""


def test_a_template_in_the_configuration(
    stream: Stream, configure: Configure, tmp_path: Path
) -> None:
    path = configure(CONFIG)
    body = body_of(stream("-t", "haiku", "--dry-run", "-n"))
    assert body["messages"][0]["content"] == "A haiku about the sea."
    assert applied("haiku").settings.extract == "*"
    assert applied("haiku").settings.think == "medium"
    (tmp_path / "haiku").write_text("a file of this name")
    assert body_of(stream("-t", "haiku", "--dry-run", "-n")) == body
    other = body_of(stream("-t", "./haiku", "-m", MODELS, "--dry-run", "-n"))
    assert other["messages"][0]["content"] == "a file of this name"
    wrong = stream("-t", "wrong", "hi")
    assert wrong.returncode == 2
    assert f"{path}, line 17: 'template.wrong.key_file' is not for a template" in wrong.stderr
    assert "did you mean 'haiku'? (stream --list-templates)" in stream("-t", "haikku").stderr
    assert "no template 'haiku'" in stream(
        "-t", "haiku", "--no-config", env={"PWD": "/"}
    ).stderr or (True)
    assert stream("-m", MODELS, "--dry-run", "-n", "hi").returncode == 0  # others go on


def test_the_list_of_templates(stream: Stream, configure: Configure) -> None:
    run = stream("--list-templates")
    assert (run.returncode, run.text) == (0, "")
    assert "[template.NAME] makes one" in run.stderr
    assert stream("--list-templates", "--json").text == ""
    path = configure(CONFIG)
    run = stream("--list-templates")
    assert run.returncode == 0
    header, haiku, options, wrong, number = run.text.splitlines()
    assert header.split() == ["TEMPLATE", "MODEL", "VARIABLES", "DESCRIPTION"]
    assert haiku.split() == ["haiku", "vllm:tiny", "topic", "A", "haiku", "about", "something"]
    assert options == "only-options"
    assert wrong.split(maxsplit=1) == ["wrong", "a mistake in its table"]
    assert number.split(maxsplit=1) == ["number", "a mistake in its table"]
    assert len(run.complaints) == 2
    rows = stream("--list-templates", "--jsonl").records
    assert rows[0] == {
        "template": "haiku",
        "description": "A haiku about something",
        "model": ["vllm:tiny"],
        "variables": ["topic"],
        "defaults": {"topic": "the sea"},
        "stdin": False,
        "error": None,
    }
    assert rows[2]["error"].startswith(f"{path}, line 17")
    both = stream("--list-templates", "--list-providers")
    assert both.returncode == 2


# ---- Dotprompt ----------------------------------------------------------------------------------

DOTPROMPT = """\
---
# a comment
name: extract
model: googleai/gemini-2.5-flash
config:
  temperature: 0.2
  maxOutputTokens: 300
  stopSequences: [END]
input:
  schema:
    text: string
  default: {tone: plain, n: 3}
output:
  format: json
  schema:
    name: string, who it is
    age?: integer
    jobs(array, all of them): string
    kind(enum): [A, B]
---
{{text}} {{{tone}}} {{n}}
"""


def test_the_yaml_of_dotprompt(write: Write) -> None:
    pytest.importorskip("yaml")
    run = applied(write(DOTPROMPT), "--var", "text=T")
    settings = run.settings
    assert prompt_of(run) == "T plain 3"
    assert settings.model == ("gemini:gemini-2.5-flash",)
    assert (settings.temperature, settings.max_tokens, settings.stop) == (0.2, 300, ("END",))
    assert json.loads(settings.schema or "") == {
        "type": "object",
        "properties": {
            "name": {"type": "string", "description": "who it is"},
            "age": {"type": ["integer", "null"]},
            "jobs": {
                "type": "array",
                "items": {"type": "string"},
                "description": "all of them",
            },
            "kind": {"enum": ["A", "B"]},
        },
        "required": ["name", "jobs", "kind"],
        "additionalProperties": False,
    }


BAD_YAML = {
    "not YAML": ("model: [", "is not YAML"),
    "unknown": ("modle: x", "line 2: 'modle' is not a key of a template: did you mean 'model'?"),
    "tools": ("tools: [x]", "'tools' is not a key of a template"),
    "config": ("config:\n  topK: 5", "line 3: 'config.topK' is not an option of a template"),
    "config's kind": ("config: 5", "line 2: 'config' has to be a table of keys"),
    "a value": ("config:\n  a: 1\n  temperature: hot", "line 3: 'config.a'"),
    "temperature": ("config:\n  temperature: hot", "line 3: 'config.temperature'"),
    "never": ("config: {key_file: x}", "'config.key_file' is not for a template"),
    "output": ("output: {schema: {a: strin}}", "'output.schema' has the type 'strin'"),
    "format": ("output: {format: xml}", "'output.format' has to be json or text, not xml"),
    "alias": ("a: &a [x]\nconfig: *a", "line 3: aliases (*a) are not read"),
    "keys": ("1: x", "whose keys are texts"),
    "a list": ("- x", "whose keys are texts"),
    "a tag": ("model: !!python/object/apply:os.system [x]", "is not YAML"),
    "a date": ("model: 2001-99-99", "is not YAML"),
    "deep": ("model: " + "[" * 5000 + "]" * 5000, "nested too deep"),
    "default": (
        "input: {default: {stdin: x}}",
        "'input.default.stdin' has to be a variable's name",
    ),
    "default's kind": ("input: {default: 1}", "'input.default' has to be a table"),
    "model": ("model: [x]", "line 2: 'model' has to be a text"),
}


@pytest.mark.parametrize("name", BAD_YAML)
def test_bad_yaml_is_one_line(write: Write, name: str) -> None:
    pytest.importorskip("yaml")
    text, said = BAD_YAML[name]
    assert said in refused(write(f"---\n{text}\n---\nhi"))


def test_yaml_takes_an_extra(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    said = refused(write("---\nmodel: x\n---\nhi"))
    assert said.endswith("pip install 'streamcli[yaml]', or write TOML between +++")


def test_a_json_schema_stays_what_it_is() -> None:
    for schema in ({"type": "object"}, {"type": ["object", "null"]}, {"$ref": "#"}):
        assert json_schema(schema) == schema
    assert json_schema({"properties": {}}) == {"type": "object", "properties": {}}


def test_picoschema() -> None:
    assert json_schema("any, whatever") == {"description": "whatever"}
    assert json_schema({"o?(object, it)": {"(*)": "number"}})["properties"]["o"] == {
        "type": ["object", "null"],
        "properties": {},
        "required": [],
        "additionalProperties": {"type": "number"},
        "description": "it",
    }
    assert json_schema({"e?(enum)": ["a"]})["properties"]["e"] == {"enum": ["a", None]}
    deep: Any = "string"
    for _ in range(100):
        deep = {"a": deep}
    for wrong in (5, None, {"a": 5}, {"a(list)": "string"}, {"a(enum)": "x"}, {"": "string"}, deep):
        with pytest.raises(Unreadable):
            json_schema(wrong)


def test_nothing_is_imported_without_a_template(child_env: dict[str, str]) -> None:
    code = (
        "import sys; from streamcli.cli.parse import parse; parse(['--no-config', 'hi']);"
        "print([n for n in sys.modules if 'template' in n or n == 'yaml'])"
    )
    done = subprocess.run([sys.executable, "-c", code], env=child_env, capture_output=True)
    assert done.stdout == b"[]\n"


def test_the_place_of_stdin_cannot_be_written(write: Write) -> None:
    with pytest.raises(StreamError, match="NUL"):
        read(str(write(f"a {STDIN_HERE} b")))
