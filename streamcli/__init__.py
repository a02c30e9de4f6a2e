"""`stream`: language models in a pipeline, as curl is for HTTP.

Where things are; imports go downward only (tests/test_layers.py):

    values     events errors chat outcome     what flows, went wrong, is asked, and how it ended
    wire/      chunked framing jsonbody ...   bytes in, values out, for any chunking; no I/O
    protocols/ NAME.py                        one wire format a file: request, refusal, Decoder
    parts/     NAME.py                        what protocols are made of, or share
    policy     retry think meter verdict      when to ask again, how to judge, what to measure
               refusals splice sniff          errors in every shape, going on, which protocol it is
               pacing summary                 when a batch asks and stops, what it came to
    flow       turn relay race                one prompt: ask, decode, stamp with time; of several
               tasks taskqueue batch          many prompts: threads that ask, one that hears
    edges      transport recording replaying  each touches one outside thing: the network, files,
               terminal prompt sinks/ voice   the terminal and signals, stdin, stdout, stderr,
               local engine weights attach    the local engine, files that go along,
               matching ledger journal        the schema library, what a batch has done, by FILE,
               render                         what is drawn on a terminal
    shell      options config keys settings   the option table, configuration, whom to ask
               providers models peers         the rows, their models, one of them for many prompts
               sources outputs delivery ask   one prompt: from where, to where, its verdict, whole
               items requestlines lanes       a batch: its input, a line of JSON, whom it asks,
               prompts workers outlets        its tasks, its threads' clients, its outputs,
               commentary batching            what it says, and all of it together
               inspecting cli                 other modes; main
               docgen docs/                   the documents made from the tables
"""

__version__ = "0.1.0"
