"""`stream`: language models in a pipeline, as curl is for HTTP.

Where things are; imports go downward only (tests/test_layers.py):

    values     events errors chat outcome     what flows, went wrong, is asked, and how it ended
    wire/      chunked framing jsonbody ...   bytes in, values out, for any chunking; no I/O
    protocols/ NAME.py                        one wire format a file: request, refusal, Decoder
    parts/     NAME.py                        what protocols are made of, or share
    policy     retry think meter verdict      when to ask again, how to judge, what to measure
               refusals splice sniff          errors in every shape, going on, which protocol it is
    flow       turn                           one prompt: ask, decode, stamp with time
    edges      transport recording replaying  each touches one outside thing: the network, files,
               terminal prompt sinks/ voice   the terminal and signals, stdin, stdout, stderr,
               local engine weights attach    the local engine, files that go along,
               matching ledger render         the schema library, what a batch has done, and shows
    shell      options config keys settings   the option table, configuration, whom to ask
               requestlines                   a line of --requests
               providers models sources       the rows, their models, where an answer comes from
               outputs ask inspecting cli     where it goes; one prompt, whole; other modes; main
               docgen docs/                   the documents made from the tables
"""

__version__ = "0.1.0"
