"""What a client is told when it sends what cannot be served."""

from __future__ import annotations

from server.realtime.part import JsonObject


class ProtocolError(Exception):
    """What a client sent cannot be served. The connection lives; the client is told by an `error` event.

    Attributes:
        code: the error's name, for programs.
        message: what was wrong and what to do, for people.
        param: the path of the offending field, where there is one.
        event_id: the client's own id of the event, echoed.
    """

    def __init__(self, code: str, message: str, *, param: str | None = None, event_id: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.param = param
        self.event_id = event_id

    def told(self) -> JsonObject:
        return {
            "type": "error",
            "error": {
                "type": "invalid_request_error",
                "code": self.code,
                "message": self.message,
                "param": self.param,
                "event_id": self.event_id,
            },
        }
