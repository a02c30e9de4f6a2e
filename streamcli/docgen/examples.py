"""The manual's examples; tests/test_docs.py runs every one of them as it stands here."""

from __future__ import annotations


class Example:
    """What it does, the command, and the files that are shown above it (name to text)."""

    def __init__(self, what: str, command: str, files: dict[str, str] | None = None) -> None:
        self.what = what
        self.command = command
        self.files = files or {}

    @property
    def shown(self) -> str:
        """The files, each under its name, and the command."""
        files = [f"# {name}\n{text}\n" for name, text in self.files.items()]
        return "".join([*files, self.command])


# Lines of up to 68 characters: in the manual they are indented, and a terminal has 80.
EXAMPLES = (
    Example(
        "A commit message for what is staged",
        """\
git diff --staged |
    stream -m openai:gpt-5-mini "Write the commit message."
""",
    ),
    Example(
        "A review by instructions that are kept in a file",
        "stream -s @reviewer.txt -f patch.diff > review.md\n",
    ),
    Example(
        "What went wrong last night, from a log",
        'grep ERROR app.log | stream "What failed, and what was first?"\n',
    ),
    Example(
        "The records, for the next tool",
        """\
stream --jsonl "Why is the sky blue?" |
    jq -r 'select(.type == "delta") | .text'
""",
    ),
    Example(
        "One record with the whole answer: its text and its timings",
        "stream --json \"Why is the sky blue?\" | jq '{text, timings}'\n",
    ),
    Example(
        "The text into one file, its records into another, and somebody who watches them",
        """\
stream --events story.jsonl "Tell me a story" > story.txt &
tail -n +1 -F story.jsonl |
    jq --unbuffered -c 'select(.type == "delta") | [.t_ms, .text]'
""",
    ),
    Example(
        "Many prompts, one a line; after ^C or a crash the same command asks what is missing",
        """\
stream -L --json --resume out.jsonl < prompts.txt >> out.jsonl
""",
    ),
    Example(
        "An answer for each line, in the order of the lines, 16 asked at the same time",
        """\
stream -L -j 16 "A rhyme on this name:" < names.txt > rhymes.txt
""",
    ),
    Example(
        "Requests, each with an id that its record has too",
        """\
jq -Rc '{id: input_line_number, prompt: .}' prompts.txt |
    stream --requests --json | jq -r '[.id, .text] | @tsv'
""",
    ),
    Example(
        "The same question to two models; whoever speaks first; and one for when the other is down",
        """\
fast=groq:llama-3.3-70b-versatile
stream -m openai:gpt-5-mini -m $fast "Why is the sky blue?"
stream --race -m openai:gpt-5-mini -m $fast "Why is the sky blue?"
stream -m openai:gpt-5-mini --fallback $fast "Why is the sky blue?"
""",
    ),
    Example(
        "How long a server takes when 20 ask at the same time",
        """\
stream --repeat 100 -j 20 --jsonl "Tell me a joke" |
    tail -n 1 | jq -c '[.prompts, .failed, .percentiles.ttft_ms]'
""",
    ),
    Example(
        "A process for each prompt under xargs(1); writers of one file never mix their lines",
        """\
tr '\\n' '\\0' < prompts.txt |
    xargs -0 -P 4 -n 1 stream --json -- >> all.jsonl
""",
    ),
    Example(
        "A process for 500 requests under GNU parallel(1)",
        """\
parallel --pipe -N500 stream --requests --json -j 16 \\
    < requests.jsonl > answers.jsonl
""",
    ),
    Example(
        "On other machines; if one dies, the same without its name finishes the job",
        """\
parallel --pipe -N500 --line-buffer -S node1,node2 \\
    --basefile answers.jsonl --cleanup \\
    stream --requests --json --resume answers.jsonl \\
    < requests.jsonl >> answers.jsonl
""",
    ),
    Example(
        "An array of Slurm, whose tasks share the requests out; one that is requeued goes on",
        "sbatch job.sh\n",
        {
            "job.sh": """\
#!/bin/bash
#SBATCH --array=1-10 --requeue
out=answers.$SLURM_ARRAY_TASK_ID.jsonl
split -n r/$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT \\
    requests.jsonl |
    stream --requests --json --resume $out >> $out
"""
        },
    ),
    Example(
        "A loop that reads names; -n leaves the loop its stdin",
        """\
while IFS= read -r name || [ -n "$name" ]; do
    stream -n "A pun on $name"; echo
done < names.txt > puns.txt
""",
    ),
    Example(
        "A rule for make(1): the report is never half a report",
        "make report.md\n",
        {"Makefile": 'report.md: notes.txt ; stream -O $@ "Make it a report." < $<\n'},
    ),
    Example(
        "In a script: a cut answer will do, everything else is an error",
        """\
set -e
summary=$(stream --max-tokens 300 Summarize. < notes.txt) ||
    case $? in
        10) echo "the summary was cut" >&2 ;;
        *) exit 1 ;;
    esac
printf '%s\\n' "$summary"
""",
    ),
    Example(
        "The same, said to `stream`",
        """\
stream --accept length --max-tokens 300 Summarize. \\
    < notes.txt > summary.txt
""",
    ),
    Example(
        "The request as a curl(1) command; the key stays in its variable",
        'stream -m openai:gpt-5-mini --dry-run=curl "Hello" > request.sh\n',
    ),
    Example(
        "What curl(1) got from a provider, as records",
        """\
curl -sN -H "Content-Type: application/json" -d @body.json \\
    "$OPENAI_BASE_URL/chat/completions" |
    stream --decode --json | jq -c '[.status, .usage]'
""",
        {
            "body.json": """\
{
  "model": "gpt-5-mini",
  "stream": true,
  "messages": [{"role": "user", "content": "Hello"}]
}
"""
        },
    ),
    Example(
        "Keep an answer with its times, and look at it again without the network",
        """\
stream --record story.cassette "Tell me a story" > story.txt
stream --replay story.cassette --speed instant --json > story.json
""",
    ),
    Example(
        "A short name for a model, and a server of one's own",
        """\
stream -m fast "Hello"
stream -m ours:qwen3 "Hello"
""",
        {
            "config.toml": """\
[alias]
fast = "openai:gpt-5-mini"

[provider.ours]
base_url = "http://127.0.0.1:8000/v1"
"""
        },
    ),
    Example(
        "Is the server up, is the key good, and what models are there",
        """\
stream --check=ollama
stream -p ollama --list-models
""",
    ),
)
