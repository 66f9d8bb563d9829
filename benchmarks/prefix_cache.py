"""Time to the first token at turn five of a chat, with the prefix cache and without it.

    python benchmarks/prefix_cache.py [--quick]

The same worker reads the same prompt of about 1,500 tokens twice: once as the fifth turn of a chat whose first four
turns it has answered, and once with another number at the very start of the system prompt, so that nothing of it is
known. Each round is a new chat and its double. Questions and answers are about equally long. What was really taken
from the cache is the worker's own count, shown beside it. The gain depends on how much of the prompt is new: a long
last question is read in full by both.
"""

from __future__ import annotations

import random
from typing import NamedTuple

from _measure import arguments, medians, table, verdict
from _stage import model_home

from osaurus_nb import Client
from osaurus_nb.messages import Message, system, user
from osaurus_nb.reply import Reply

GOAL = 4.0
TURNS = 5
ANSWER_TOKENS = 150
_TEXT = (
    "The keeper of the northern lighthouse wrote down the weather every morning before the tide turned and the gulls "
    "came back to the rocks below the old stone tower where nobody but her had lived for many years"
)


class Figure(NamedTuple):
    """One first token."""

    seconds: float
    prompt_tokens: int
    cached_tokens: int


def question(number: int, words: int) -> str:
    """So many words, the same for each number."""
    pick, known = random.Random(number), _TEXT.split()
    return f"Part {number}. " + " ".join(pick.choice(known) for _ in range(words)) + ". Tell it at length."


class Chat:
    """A chat with a number of its own at its very start."""

    def __init__(self, client: Client, words: int, answer: int) -> None:
        self._client = client
        self._words = words
        self._answer = answer
        self._salts = iter(random.SystemRandom().sample(range(10_000, 100_000), 1000))  # all of five digits
        self._last: list[Message] = []

    def fifth_turn(self) -> Figure:
        """Hold the whole chat; the first token of its last answer."""
        messages = [self._beginning()]
        for number in range(1, TURNS + 1):
            messages.append(user(question(number, self._words)))
            self._last = list(messages)
            reply = self._ask(messages)
            messages += reply.messages
        return _figure(reply)

    def unknown(self) -> Figure:
        """The last chat's fifth prompt, with another number before it."""
        return _figure(self._ask([self._beginning(), *self._last[1:]]))

    def _beginning(self) -> Message:
        return system(f"{next(self._salts)} is the number of this chat. You are a helpful assistant.")

    def _ask(self, messages: list[Message]) -> Reply:
        return self._client.chat(messages, temperature=0, max_tokens=self._answer)


def _figure(reply: Reply) -> Figure:
    assert reply.usage is not None
    assert reply.timings is not None
    assert reply.timings.first_token is not None
    return Figure(reply.timings.first_token, reply.usage.total_input, reply.usage.cache_read_input_tokens)


def main() -> None:
    given = arguments(__doc__, rounds=3)
    with model_home() as model, Client(embedded=True, model=model.id) as client:
        client.chat("Hello.", max_tokens=2)  # the worker starts and loads
        chat = Chat(client, words=40 if given.quick else 145, answer=20 if given.quick else ANSWER_TOKENS)
        pairs = [(chat.fifth_turn(), chat.unknown()) for _ in range(given.rounds)]
    known, unknown = zip(*pairs, strict=True)
    rows = {"with the prefix cache": medians(known), "without": medians(unknown)}
    table(f"First token at turn {TURNS}", ["seconds", "prompt tokens", "from the cache"], rows)
    with_cache, without = (row[0] for row in rows.values())
    verdict("sooner by", without / with_cache, GOAL, unit=" times", at_least=True)


if __name__ == "__main__":
    main()
