"""--report against a jq program that works out the same figures of each model. Standalone.

python tests/bench/report_records.py [--records N] [--runs N] [--ours-only]

Two files of N records: `events`, as --events writes them (32 deltas a request), and `ends`, end
records only. The percentiles of both programs are compared before time is taken. Runs are paired;
a ratio is that of the medians. Then the memory at N records is compared with that at a tenth.
"""

import argparse
import json
import math
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import measure

ROOT = Path(__file__).resolve().parents[2]
REPORT = [sys.executable, "-m", "streamcli", "--no-config", "--report", "--json"]
DELTAS = 32
METRICS = ("ttft_ms", "ttfo_ms", "duration_ms", "queue_ms", "tokens_per_second", "icl_ms")
JQ = r"""
def at($q): .[([length * $q | ceil, 1] | max) - 1];
def four: if length == 0 then null else
  sort | {p50: at(0.5), p90: at(0.9), p99: at(0.99), max: .[-1]} end;
def known(f): map(f | values);
def total(f): known(f) | add;
# What --report does with an answer of which only the percentiles of its gaps are known.
def bounds: (.chunks - 1) as $n | select($n > 0 and .icl_ms) | .icl_ms as $g
  | ([$n * 0.5 | ceil, $n - 1] | min) as $a | ([$n * 0.9 | ceil, $n - 1] | min) as $b
  | ([$n * 0.99 | ceil, $n - 1] | min) as $c
  | [$g.p50, $a], [$g.p90, $b - $a], [$g.p99, $c - $b], [$g.max, $n - $c];
def weighted: if length == 0 then null else
  sort as $s | ($s | map(.[1]) | add) as $n
  | ([0.5, 0.9, 0.99 | [. * $n | ceil, 1] | max] + [infinite]) as $ranks
  | reduce $s[] as $e ({sum: 0, at: []};
      .sum += $e[1] | if .sum < $ranks[.at | length] then .
        else until(.sum < $ranks[.at | length]; .at += [$e[0]]) end)
  | {p50: .at[0], p90: .at[1], p99: .at[2], max: $s[-1][0]} end;
[foreach inputs as $r ({last: {}, gaps: {}, asked: {}, out: null};
   $r.request_id as $id | .out = null |
   if $r.type == "delta" then
     (if .last[$id] then .gaps[$id] += [$r.t_ms - .last[$id]] else . end) | .last[$id] = $r.t_ms
   elif $r.type == "start" then .asked[$id] //= "\($r.provider):\($r.model)"
   elif $r.type == "end" then
     .out = ($r | {status, exit_code, usage, timings, cost})
       + {model: (.asked[$id] // "\($r.provider):\($r.model)"), gaps: .gaps[$id]}
     | del(.last[$id], .gaps[$id], .asked[$id])
   else . end;
   .out | values)]
| group_by(.model)
| map((map(select(.exit_code == 0).timings)) as $ok
  | {model: .[0].model, n: length, goodput: (($ok | length) / length),
     statuses: (group_by(.status) | map({(.[0].status): length}) | add),
     usage: {input_tokens: total(.usage.input_tokens), output_tokens: total(.usage.output_tokens),
       reasoning_tokens: total(.usage.reasoning_tokens), total_tokens: total(.usage.total_tokens),
       cache_read_tokens: total(.usage.cache_read_tokens),
       cache_write_tokens: total(.usage.cache_write_tokens)},
     cost: total(.cost),
     icl_ms: (if any(.gaps) then map(.gaps[]?) | four else map(.timings | bounds) | weighted end),
     queue_ms: (known(.timings.queue_ms) | four),
     ttft_ms: ($ok | known(.ttft_ms) | four), ttfo_ms: ($ok | known(.ttfo_ms) | four),
     duration_ms: ($ok | known(.duration_ms) | four),
     tokens_per_second: ($ok | known(.tokens_per_second) | four)})
"""


def lines(number: int, *, deltas: bool) -> Iterator[bytes]:
    """Yield the records of a request, as the command writes them."""
    gaps = [random.lognormvariate(2.4, 0.5) for _ in range(DELTAS - 1)]
    ttft = random.lognormvariate(5.2, 0.4)
    times = [ttft]
    for gap in gaps:
        times.append(times[-1] + gap)
    gaps.sort()
    id, failed = f"01KC{number:022d}", random.random() < 0.01
    ts = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(1_790_000_000 + number // 10))
    source = {"provider": "vllm", "protocol": "openai-chat", "model": "qwen"}
    schema = {"schema": "stream.records/1", "ts": ts, **source}
    head: dict[str, Any] = {"request_id": id, "index": number}
    if deltas:
        start = {"type": "start", **head, "t_ms": 0.0, **schema, "attempt": 1, "round": 1}
        yield _line(start)
        for seq, at in enumerate(times):
            delta = {"seq": seq, "channel": "text", "text": " word"}
            yield _line({"type": "delta", **head, "t_ms": round(at, 1), **delta})
    yield _line(
        {
            **{"type": "end", **head, "t_ms": round(times[-1], 1), **schema},
            **{"response_id": f"chatcmpl-{number:024x}", "prompt_hash": f"{number:032x}"},
            **{"occurrence": 0, "status": "timeout" if failed else "complete"},
            **{"complete": not failed, "evidence": ["finish_reason", "marker"]},
            **{"finish_reason": "stop", "provider_finish_reason": "stop"},
            **{"exit_code": 28 if failed else 0, "error": None},
            "usage": {
                **{"input_tokens": 12, "output_tokens": DELTAS, "reasoning_tokens": None},
                **{"cache_read_tokens": 0, "cache_write_tokens": None, "total_tokens": 12 + DELTAS},
            },
            "timings": {
                **{"headers_ms": round(ttft * 0.9, 1), "ttft_ms": round(ttft, 1)},
                **{"ttfo_ms": round(ttft, 1), "duration_ms": round(times[-1], 1)},
                "tokens_per_second": round((DELTAS - 1) / (times[-1] - ttft) * 1000, 1),
                "chunks": DELTAS,
                "icl_ms": {
                    "mean": round(sum(gaps) / len(gaps), 3),
                    **{f"p{q}": round(gaps[math.ceil(q / 100 * 31) - 1], 3) for q in (50, 90, 99)},
                    "max": round(gaps[-1], 3),
                },
                "queue_ms": round(random.expovariate(0.1), 1),
            },
            **{"attempts": 1, "rounds": 1, "chars": 5 * DELTAS, "cost": None},
        }
    )


def _line(record: dict[str, Any]) -> bytes:
    return json.dumps(record, separators=(",", ":")).encode() + b"\n"


def write(path: Path, records: int, *, deltas: bool) -> None:
    random.seed(1)
    with open(path, "wb") as file:
        for number in range(records // (DELTAS + 2) if deltas else records):
            file.writelines(lines(number, deltas=deltas))


def compare(ours: bytes, theirs: bytes) -> None:
    """Raise Cannot unless both found the same, within 1 %."""
    (group,) = json.loads(ours)["groups"]
    (found,) = json.loads(theirs)
    for name in ("n", "goodput", "statuses", "usage", "cost"):
        if group[name] != found[name] and abs(group[name] - found[name]) > 1e-6:
            raise measure.Cannot(f"{name} is {found[name]}, not {group[name]}")
    for metric in METRICS:
        for name, value in found[metric].items():
            figure = group["percentiles"][metric][name]
            if abs(figure - value) > 0.0101 * value:
                raise measure.Cannot(f"{metric}.{name} is {value}, not {figure}")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--records", type=int, default=200_000)
    options.add_argument("--runs", type=int, default=3)
    options.add_argument("--ours-only", action="store_true", help="without jq, which takes minutes")
    given = options.parse_args()
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    deadline = time.monotonic() + 3600
    with tempfile.TemporaryDirectory() as folder:
        for name, deltas in (("events", True), ("ends", False)):
            path, tenth = Path(folder) / name, Path(folder) / f"{name}.tenth"
            write(path, given.records, deltas=deltas)
            write(tenth, given.records // 10, deltas=deltas)
            ours = [*REPORT, str(path)]
            commands: dict[str, measure.Command] = {"stream": ours}
            if not given.ours_only:
                commands["jq"] = ["jq", "-nc", JQ, str(path)]
                found = [measure.output(each, env, deadline) for each in commands.values()]
                compare(found[0], found[1])
            runs = measure.paired(
                {**commands, "a tenth": [*REPORT, str(tenth)]}, given.runs, env, deadline
            )
            cpu = {each: measure.median([run.cpu for run in ran]) for each, ran in runs.items()}
            peak = {each: max(run.peak for run in ran) for each, ran in runs.items()}
            print(f"{name}: {given.records} records, {path.stat().st_size >> 20} MiB")
            for each in runs:
                print(f"  {each:8} CPU {cpu[each]:7.2f} s   peak {peak[each]:7.1f} MiB")
            if "jq" in cpu:
                print(f"  jq / stream: {cpu['jq'] / cpu['stream']:.1f} x")
            print(f"  memory beyond that of a tenth: {peak['stream'] - peak['a tenth']:+.1f} MiB")


if __name__ == "__main__":
    main()
