"""The mailbox against a model of it: first in, first out, once each, whatever is cancelled or batched meanwhile."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from actorrl.actor.mailbox import Envelope, Mailbox

METHOD = st.sampled_from(("plain", "rows", "pairs", "rows"))
ONE_IN_FOUR = st.sampled_from((False, False, False, True))


@dataclass
class Sent:
    """One envelope as the model knows it."""

    envelope: Envelope
    cancelled: bool = False


class MailboxModel(RuleBasedStateMachine):
    """Puts, takes, cancels, closes and drains a mailbox, beside a plain list that does the same."""

    @initialize(batched=st.fixed_dictionaries({}, optional={"rows": st.integers(1, 4), "pairs": st.just(2)}))
    def begin(self, batched: dict[str, int]) -> None:
        self.mailbox = Mailbox()
        self.batched = batched
        self.queue: list[Sent] = []
        self.taken: list[Envelope] = []
        self.withdrawn: list[Envelope] = []
        self.accepted: list[Envelope] = []
        self.numbers = 0
        self.closed = False

    @rule(calls=st.lists(st.tuples(st.integers(0, 2), METHOD, ONE_IN_FOUR, ONE_IN_FOUR), min_size=1, max_size=8))
    def put(self, calls: list[tuple[int, str, bool, bool]]) -> None:
        for sender, method, function, tell in calls:
            self.numbers += 1
            envelope = Envelope(sender, 0 if tell else self.numbers, method, function, self.numbers)

            assert self.mailbox.put(envelope) is not self.closed
            if not self.closed:
                self.queue.append(Sent(envelope))
                self.accepted.append(envelope)

    @rule()
    def take(self) -> None:
        run = self.mailbox.take(self.batched)

        live = [sent for sent in self.queue if not sent.cancelled]
        assert run == [sent.envelope for sent in live[: len(run)]], "first in, first out, and no cancelled one"
        assert bool(run) == bool(live), "something is taken whenever something is there"
        if run:
            self.check_batch(run, live)
            last = self.queue.index(live[len(run) - 1])
            del self.queue[: last + 1]
            full = len(run) == (1 if run[0].function else self.batched.get(run[0].method, 1))
            while self.queue and self.queue[0].cancelled and not full:
                del self.queue[0]  # a batch that has room looks past them
        else:
            self.queue.clear()
        self.taken += run
        for sender in range(3):
            gone = [one for one in self.accepted if one.sender == sender and not self.waits(one)]
            assert self.mailbox.taken(sender) == len(gone), "what has left the queue is counted for its sender"

    def waits(self, envelope: Envelope) -> bool:
        return any(sent.envelope == envelope for sent in self.queue)

    def check_batch(self, run: list[Envelope], live: list[Sent]) -> None:
        first = run[0]
        most = 1 if first.function else self.batched.get(first.method, 1)
        assert len(run) <= most
        assert all(envelope.method == first.method for envelope in run)
        if most > 1:
            assert not any(envelope.function for envelope in run)
        if len(run) < min(most, len(live)):
            following = live[len(run)].envelope
            assert following.function or following.method != first.method, "a batch ends early only at another message"

    @precondition(lambda self: any(sent.envelope.call_id for sent in self.queue))
    @rule(data=st.data())
    def cancel_one_that_waits(self, data: st.DataObject) -> None:
        sent = data.draw(st.sampled_from([sent for sent in self.queue if sent.envelope.call_id]))

        assert self.mailbox.cancel(sent.envelope.sender, sent.envelope.call_id) is not sent.cancelled
        if not sent.cancelled:
            self.withdrawn.append(sent.envelope)
        sent.cancelled = True

    @precondition(lambda self: self.taken)
    @rule(data=st.data())
    def cancel_one_that_was_taken(self, data: st.DataObject) -> None:
        envelope = data.draw(st.sampled_from(self.taken))

        assert not self.mailbox.cancel(envelope.sender, envelope.call_id)

    @rule(sender=st.integers(0, 2))
    def cancel_one_that_was_never_sent(self, sender: int) -> None:
        assert not self.mailbox.cancel(sender, 10**9)

    @rule()
    def cancel_a_tell(self) -> None:
        assert not self.mailbox.cancel(0, 0), "tells have no number and are never withdrawn"

    @rule(method=METHOD)
    def look_ahead(self, method: str) -> None:
        live = [sent.envelope for sent in self.queue if not sent.cancelled]
        expected = (live[0].method == method and not live[0].function) if live else None

        assert self.mailbox.joinable(method) is expected

    @precondition(lambda self: self.numbers > 20)
    @rule()
    def close(self) -> None:
        self.mailbox.close()
        self.closed = True

    @precondition(lambda self: self.numbers > 20)
    @rule()
    def drain(self) -> None:
        left = self.mailbox.drain()

        assert left == [sent.envelope for sent in self.queue if not sent.cancelled]
        assert len(self.mailbox) == 0
        assert self.mailbox.take(self.batched) == []
        self.taken += left
        self.queue.clear()
        self.closed = True

    @invariant()
    def nothing_is_lost_or_doubled(self) -> None:
        if not hasattr(self, "mailbox"):
            return
        waiting = [sent.envelope for sent in self.queue if not sent.cancelled]
        accounted = self.taken + self.withdrawn + waiting
        assert sorted(accounted, key=lambda envelope: envelope.body) == self.accepted
        assert self.mailbox.closed is self.closed
        assert len(self.mailbox) >= len(waiting)


MailboxModel.TestCase.settings = settings(max_examples=60, stateful_step_count=30)
test_a_mailbox_behaves_like_its_model = MailboxModel.TestCase


def envelope(number: int, method: str = "rows", function: bool = False) -> Envelope:
    return Envelope(1, number, method, function, number)


def test_a_cancelled_call_in_the_middle_does_not_split_a_batch():
    mailbox = Mailbox()
    for number in (1, 2, 3):
        mailbox.put(envelope(number))
    mailbox.cancel(1, 2)

    assert [e.call_id for e in mailbox.take({"rows": 8})] == [1, 3]


def test_a_function_of_the_same_name_is_not_part_of_a_batch():
    mailbox = Mailbox()
    for number, function in ((1, False), (2, True), (3, False)):
        mailbox.put(envelope(number, function=function))

    assert [[e.call_id for e in mailbox.take({"rows": 8})] for _ in range(3)] == [[1], [2], [3]]


def test_the_same_number_of_two_senders_is_two_calls():
    mailbox = Mailbox()
    mailbox.put(Envelope(1, 7, "plain", False, "a"))
    mailbox.put(Envelope(2, 7, "plain", False, "b"))

    assert mailbox.cancel(1, 7)
    assert [e.body for e in mailbox.take()] == ["b"]


def test_nothing_of_a_finished_call_is_remembered():
    mailbox = Mailbox()
    for number in range(1, 1001):
        mailbox.put(envelope(number, "plain"))
        if number % 2:
            mailbox.cancel(1, number)
        mailbox.take()

    assert (len(mailbox.queue), mailbox._cancelled) == (0, set())
