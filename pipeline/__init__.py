"""The cascade: voice activity, end of turn, speech to text, language model, text to speech. No sockets, no files.

Embedding it takes four lines:

    engine = await Engine.load(load_profile("embedded"), WeightStore())
    async with Conversation(engine) as conversation:
        await conversation.feed(samples_16k)
        async for event in conversation.events(): ...
"""

from pipeline.conversation import Conversation
from pipeline.engine import Engine
from pipeline.languages import Language
from pipeline.profiles import load_profile
from pipeline.settings import ConversationSettings
from pipeline.weights import WeightStore

__all__ = ["Conversation", "ConversationSettings", "Engine", "Language", "WeightStore", "load_profile"]
