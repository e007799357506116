"""What a conversation refuses its caller."""

from __future__ import annotations


class ConversationError(RuntimeError):
    """Something a caller asked for that cannot be done now."""


class NothingToCommitError(ConversationError):
    """There is no audio since the last turn, or too little to be speech."""


class ReplyActiveError(ConversationError):
    """A reply is under way; cancel it or wait for its end."""


class AudioBufferFullError(ConversationError):
    """More uncommitted audio than a turn may hold."""


class TooManyAsidesError(ConversationError):
    """As many replies beside the conversation are under way as may be."""
