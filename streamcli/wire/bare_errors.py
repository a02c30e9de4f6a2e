"""Find an error in a value that the protocol read nothing from, in any spelling. Pure.

Gateways and clouds write errors in shapes of their own: `{"RetCode": 172, "Message"}` (UCloud),
`{"header": {"code": 10013, "message"}}` (Spark), `{"Response": {"Error": {"Code", "Message"}}}`
(Tencent). A value that gave an event, or that is a keepalive, is not searched.
"""

from __future__ import annotations

import re
from typing import Any

from .error_report import http_status_of
from .error_shapes import (
    MESSAGE_NAMES,
    SUCCESS_CODES,
    SUCCESS_MESSAGES,
    error_in,
    is_error_event,
    reports_success,
)

# Names of fields that hold an error, normalized: lower case, without punctuation.
_ERROR_NAMES = (
    *("error", "err", "errors", "errormessage", "errormsg", "errmsg", "errorcode", "errcode"),
    *("errortype", "errordescription", "exception", "fault", "failure", "errno", "errornumber"),
    *("errorinfo", "errordetail", "errordetails", "errordata", "traceback", "stacktrace"),
)
# Names of fields whose code says success or failure, normalized too.
_RESULT_NAMES = ("code", "retcode", "returncode", "resultcode", "respcode", "statuscode", "ret")
_ENVELOPES = (
    *("data", "response", "result", "output", "body", "payload", "header", "meta", "status"),
)


def bare_error(value: dict[str, Any], event: str = "message", depth: int = 2) -> Any | None:
    """Return the error in a value that the protocol read nothing from; None if there is none.

    It accepts more than `error_in`: names in any spelling (`Error`, `errMsg`, `RetCode`), a status
    of 400 and more, a word for failure, an error in an envelope (`{"data": {"error"}}`), and empty
    fields of an answer beside it. `depth` limits the envelopes in each other.
    """
    bare = {name: each for name, each in value.items() if each or each is False}
    plain = {re.sub(r"[^a-z]", "", name.lower()): each for name, each in bare.items()}
    said = next((each for name in MESSAGE_NAMES if type(each := plain.get(name)) is str), "")
    if not reports_success(value, said) and (found := error_in(bare, event)) is not None:
        return found
    named = (plain[name] for name in _ERROR_NAMES if plain.get(name))
    if any(str(each).lower() not in SUCCESS_CODES for each in named):
        return value
    if any(str(plain.get(name)).lower() in ("false", "fail") for name in ("success", "ok")):
        return value
    kinds = (plain.get(name) for name in ("type", "event", "status", "object", "kind", "state"))
    if any(isinstance(kind, str) and is_error_event(kind) for kind in kinds):
        return value
    if http_status_of(bare) is not None:
        return value
    codes = [plain[name] for name in _RESULT_NAMES if type(plain.get(name)) in (int, str)]
    bad = [code for code in codes if str(code).lower() not in SUCCESS_CODES]
    if bad and (said or "code" not in plain) and said.lower() not in SUCCESS_MESSAGES:
        return value
    for name, inner in bare.items():
        envelope = depth and (name.lower() in _ENVELOPES or name.endswith("Metadata"))
        if not envelope or type(inner) is not dict or len(bare) > 3:
            continue
        if (found := bare_error(inner, event, depth - 1)) is not None:
            return found
    for name in ("id", "object", "created", "model", "timestamp"):
        bare.pop(name, None)
    return None if reports_success(value, said) else error_in(bare, event)
