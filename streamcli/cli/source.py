"""Where the answer to one prompt comes from: the network, a recording, or a chat's endpoints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from ..errors import StreamError
from ..events import Failed, Finished

if TYPE_CHECKING:
    from ..answer.answer_stream import AnswerStream
    from ..answer.schema_check import Matching
    from ..providers.endpoint import Endpoint


class Source(Protocol):
    """The source of one answer.

    `endpoints`, and `matching` (the check against a schema), are known once `prepare` returned.
    """

    @property
    def endpoints(self) -> Sequence[Endpoint]: ...
    @property
    def matching(self) -> Matching | None: ...
    def prepare(self) -> AnswerStream:
        """Return the stream of the answer; StreamError where something is missing."""

    def saving(self, stream: AnswerStream) -> AnswerStream:
        """Return the stream, which saves its turn if the prompt is one of a conversation."""

    def close(self, end: Finished | Failed | None) -> StreamError | None:
        """Close what was opened; return an error that is not in `end`, the end of the answer."""
