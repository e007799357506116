"""The client's requests for responses: the conversation's own, and those beside it."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.conversation import Conversation
from pipeline.errors import ReplyActiveError, TooManyAsidesError
from pipeline.languages import Language
from pipeline.lm.base import Message
from server.realtime.errors import ProtocolError
from server.realtime.items import Items
from server.realtime.parse import ResponseCancel, ResponseCreate, ResponseSettings
from server.realtime.responses import Asked
from server.realtime.telling import Telling
from server.realtime.written_items import InputItem, ItemReference


class ResponseRequests:
    def __init__(
        self, conversation: Conversation, items: Items, telling: Telling, languages: tuple[Language, ...]
    ) -> None:
        self._conversation = conversation
        self._items = items
        self._telling = telling
        self._languages = languages

    async def create(self, event: ResponseCreate) -> None:
        """Begin a response; its events come by themselves.

        Raises:
            ProtocolError: one is under way already, or what is asked of it cannot be had.
        """
        settings = event.response or ResponseSettings()
        try:
            session = self._telling.session.updated(settings)
        except ValueError as error:
            raise ProtocolError("invalid_value", str(error), param="response.tool_choice") from None
        asked = Asked(session, settings.metadata, aside=settings.conversation == "none")
        context = None if settings.input is None else self._context(settings.input)
        try:
            reply = await self._conversation.respond(
                session.conversation_settings(self._languages), context=context, aside=asked.aside
            )
        except ReplyActiveError:
            raise ProtocolError(
                "conversation_already_has_active_response",
                "a response is under way; wait for its response.done, or send response.cancel first",
            ) from None
        except TooManyAsidesError as error:
            raise ProtocolError("too_many_responses", str(error), param="response.conversation") from None
        # The task of the reply has not run yet, so nothing of it has been told.
        self._telling.expect(reply, asked)

    async def cancel(self, event: ResponseCancel) -> None:
        """End the response of that id, or the conversation's own.

        Raises:
            ProtocolError: it is not under way.
        """
        if event.response_id is None:
            reply = self._conversation.active_reply
        else:
            reply = self._telling.reply_of(event.response_id)
        if reply is None or reply not in self._conversation.active_replies:
            raise ProtocolError("response_cancel_not_active", "no such response is under way; nothing was cancelled")
        self._telling.cancel(reply)
        await self._conversation.cancel_reply(reply)

    def _context(self, written: Sequence[InputItem]) -> list[Message | int]:
        context: list[Message | int] = []
        for index, item in enumerate(written):
            if isinstance(item, ItemReference):
                referred = self._items.find(item.id, "item_reference_invalid_item_id", f"response.input.{index}.id")
                if referred.message is not None:
                    context.append(referred.message)
            else:
                context.append(item.message())
        return context
