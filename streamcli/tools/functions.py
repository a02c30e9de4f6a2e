"""Python functions as tools: make their schema from the signature, and run their calls."""

from __future__ import annotations

import enum
import inspect
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import orjson

from ..answer.schema_check import Schema
from ..errors import usage
from ..events import ToolCall, ToolResult
from ..messages import Tool
from ..settings.option_types import ToolChoice
from ..settings.settings import Settings
from ..wire.lenient_json import whole

_TYPES: dict[Any, dict[str, Any]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    type(None): {"type": "null"},
    dict: {"type": "object"},
    list: {"type": "array"},
    Any: {},
}

Call = Callable[[Callable[..., Any], dict[str, Any]], Any]


class FunctionTool(Tool):
    """A tool that a function answers; `function` is None if the caller answers its calls."""

    __slots__ = ("function", "schema")

    def __init__(
        self,
        name: str,
        description: str,
        parameters: dict[str, Any],
        function: Callable[..., Any] | None = None,
    ) -> None:
        super().__init__(name, description, parameters)
        self.function = function
        self.schema = Schema(parameters, f"the schema of {name}")


def tool_of(function: Callable[..., Any] | Tool) -> FunctionTool:
    """Return a function as a tool.

    The tool's name and description are the function's name and docstring. Its parameters are those
    of the function, whose annotations may be str, int, float, bool, list, dict, Literal, Enum,
    Optional and unions of these. Raise TypeError for others. The calls of a `Tool` end the turn,
    for the caller to answer.
    """
    if isinstance(function, FunctionTool):
        return function
    if isinstance(function, Tool):
        return FunctionTool(function.name, function.description, function.parameters)
    name = getattr(function, "__name__", "")
    if not callable(function) or not name.isidentifier():
        raise TypeError(f"a tool has to be a function with a name, or a Tool, not {function!r}")
    hints = typing.get_type_hints(function, include_extras=True)
    properties: dict[str, Any] = {}
    required = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise TypeError(
                f"the tool {name} has the parameter {parameter}, which JSON cannot fill"
            )
        where = f"{name}({parameter.name})"
        properties[parameter.name] = _schema_of(hints.get(parameter.name, Any), where)
        if parameter.default is parameter.empty:
            required.append(parameter.name)
    schema = {"type": "object", "properties": properties, "required": required}
    description = inspect.getdoc(function) or ""
    return FunctionTool(name, description, {**schema, "additionalProperties": False}, function)


def tools_of(
    functions: Iterable[Callable[..., Any] | Tool], *, awaits: bool = True
) -> list[FunctionTool]:
    """Return functions as tools; raise TypeError for one that cannot be a tool.

    With `awaits` coroutine functions can.
    """
    tools = [tool_of(function) for function in functions]
    for tool in tools:
        if not awaits and inspect.iscoroutinefunction(tool.function):
            raise TypeError(f"the tool {tool.name} is a coroutine function: astream takes those")
    if len({tool.name for tool in tools}) < len(tools):
        raise TypeError("two tools have the same name")
    return tools


def _schema_of(kind: Any, where: str) -> dict[str, Any]:
    if kind in _TYPES:
        return dict(_TYPES[kind])
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Annotated:
        schema = _schema_of(arguments[0], where)
        texts = [text for text in arguments[1:] if isinstance(text, str)]
        return {**schema, "description": texts[0]} if texts else schema
    if origin is typing.Literal:
        return {"enum": list(arguments)}
    if origin in (typing.Union, types.UnionType):
        return {"anyOf": [_schema_of(each, where) for each in arguments]}
    if origin in (list, Sequence, Iterable):
        return {"type": "array", "items": _schema_of(arguments[0], where)}
    if origin is dict and arguments[0] is str:
        return {"type": "object", "additionalProperties": _schema_of(arguments[1], where)}
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return {"enum": [member.value for member in kind]}
    raise TypeError(f"the type of {where} has no JSON Schema: {kind}")


class FunctionTools:
    """The functions of a run as its tools, with the interface of tools/toolbox.Toolbox.

    The calls of a round run one after the other, in the thread that reads the answer. `call` calls
    a function, if given.
    """

    has_commands = True

    def __init__(
        self,
        functions: Sequence[Callable[..., Any] | Tool],
        settings: Settings,
        call: Call | None = None,
        *,
        clock: Callable[[], float],
    ) -> None:
        """Raise TypeError for a function that cannot be a tool, a usage error for tool_choice."""
        tools = tools_of(functions)
        self.tools: tuple[Tool, ...] = tuple(tools)
        self.max_rounds = settings.max_rounds
        self._by_name = {tool.name: tool for tool in tools}
        self._call = call or _called
        self._clock = clock
        choice, choices = settings.tool_choice, (*ToolChoice.choices, *self._by_name)
        if choice is not None and choice not in choices:
            raise usage(f"tool_choice {choice!r}: there is no such tool", ", ".join(choices))

    def runner(self) -> FunctionTools:
        return self

    def check(self, tool: Tool, arguments: dict[str, Any]) -> str:
        return self._by_name[tool.name].schema.problem(arguments)

    def allows(self, call: ToolCall) -> bool:
        return True

    def trace(self, call: ToolCall, result: ToolResult) -> None:
        pass  # events() has both

    def runs(self, name: str) -> bool:
        return self._by_name[name].function is not None

    def run(self, calls: Sequence[ToolCall]) -> Iterator[ToolResult]:
        for call in calls:
            began = self._clock()
            output, is_error = self._output(call)
            duration_ms = round((self._clock() - began) * 1000, 3)
            yield ToolResult(call.id, call.name, output, is_error, duration_ms)

    def _output(self, call: ToolCall) -> tuple[str, bool]:
        """Return the result of the function as text; or its exception, and True."""
        function = self._by_name[call.name].function
        assert function is not None
        try:
            result = self._call(function, orjson.loads(call.arguments or "{}"))
            if isinstance(result, str):
                return whole(result), False
            return orjson.dumps(result, default=str, option=orjson.OPT_NON_STR_KEYS).decode(), False
        except Exception as error:
            return whole(f"{type(error).__name__}: {error}"), True

    def stop(self) -> None:
        pass  # they run in the thread that would stop them

    def close(self) -> None:
        pass


def _called(function: Callable[..., Any], arguments: dict[str, Any]) -> Any:
    return function(**arguments)
