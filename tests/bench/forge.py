"""Write a journal of finished prompts, as `stream --json` would have written it.

    python forge.py FILE COUNT < RECORD

RECORD is the `end` record of the prompt 1; FILE gets one for each of the prompts 1, 2, 3, ...
"""

import json
import sys

import orjson

from streamcli.messages import ChatRequest, Message
from streamcli.output.records import prompt_hash


def hash_of(number: int) -> str:
    chat = ChatRequest("m", [Message("user", str(number))])
    return prompt_hash({"provider": "vllm", **chat.canonical()})


def main() -> None:
    record = json.load(sys.stdin)
    if record["prompt_hash"] != hash_of(1):
        sys.exit("forge.py: prompts have other hashes than the one that was given")
    record["text"] = "word " * 40
    with open(sys.argv[1], "wb") as file:
        for number in range(1, int(sys.argv[2]) + 1):
            record["index"], record["prompt_hash"] = number - 1, hash_of(number)
            file.write(orjson.dumps(record) + b"\n")


if __name__ == "__main__":
    main()
