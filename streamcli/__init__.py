"""`stream`: language models in a pipeline, as curl is for HTTP.

The rooms, low to high; a room imports from itself and from those before it (tests/test_layers.py):

    errors events messages request timings outcome   values: what can go wrong, happen, be asked
    wire/        bytes to JSON values, for any chunking; no I/O
    protocols/   one wire format a file: request, refusal, decoder; shared/: what several use
    transport/   the network, and recordings of it
    answer/      one question, one answer: turn, retry, fallback, race, continuation
    terminal/    terminals, signals, messages on stderr; the only room that imports rich
    settings/    the option table and the configuration file
    input/       prompts, attachments and batch items in
    output/      text, files and records out
    tools/       programs that a model may call
    providers/   a row each, keys, and who is asked; providers/local: the local engine
    batch/       many questions
    cli/         the command: parsing, one prompt, the modes that inspect
    docgen/      the documents that are made from the tables
"""

__version__ = "0.1.0"
