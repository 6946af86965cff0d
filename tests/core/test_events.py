"""The event protocol: anyone listens, a request waits for the loop."""

from netwright.core.events import Events, Noted, Save, Stop

NOTE = Noted(word="NOTE", template="x")


def test_every_listener_hears_every_event_in_order():
    heard = []
    events = Events(lambda e: heard.append(("a", e)), lambda e: heard.append(("b", e)))
    events.emit(NOTE)
    assert heard == [("a", NOTE), ("b", NOTE)]


def test_a_listener_can_leave_while_it_is_told():
    events = Events()
    heard = []

    def once(event):
        heard.append(event)
        leave()

    leave = events.listen(once)
    events.emit(NOTE)
    events.emit(NOTE)
    assert heard == [NOTE]


def test_requests_are_taken_once_oldest_first():
    events = Events()
    events.request(Save())
    events.request(Stop(why="enough"))
    assert events.take_requests() == [Save(), Stop(why="enough")]
    assert events.take_requests() == []
