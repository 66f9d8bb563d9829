"""Where a question says that it comes from."""

from __future__ import annotations

import os
from contextvars import ContextVar

import pytest

from osaurus_nb import origin
from osaurus_nb.client import Client
from osaurus_nb.origin import Process, Run
from osaurus_nb.runtime import Runtime
from osaurus_nb.spending import Origin
from osaurus_nb.testing.scripted import ScriptedAdapter, says


class Noting(Runtime):
    """Keeps the terms of each question."""

    def __init__(self) -> None:
        super().__init__([ScriptedAdapter({"echo": [says("Hello.")]})])
        self.terms = []

    def stream(self, request, terms):
        self.terms.append(terms)
        return super().stream(request, terms)


@pytest.fixture
def asked():
    backend = Noting()
    client = Client(backend=backend, model="scripted/echo")

    def ask(**options):
        client.chat("hi", **options)
        return backend.terms[-1].origin

    return ask


@pytest.fixture
def finder():
    """Adds a finder to this process, for one test."""
    added = []

    def add(found):
        added.append(found)
        origin.process().add(found)

    yield add
    for found in added:
        origin.process().remove(found)


def test_a_script_has_a_session_alone():
    """Without Jupyter there is neither a notebook nor a cell."""
    process = Process({})

    assert process.origin() == Origin(process.session)


def test_every_process_is_a_session_of_its_own():
    """Two of them are never taken for one, and a fork begins anew."""
    read, write = os.pipe()
    if os.fork() == 0:
        os.write(write, origin.current().session.encode())
        os._exit(0)
    os.wait()

    assert os.read(read, 100).decode() != origin.current().session
    assert Process({}).session != Process({}).session


def test_a_notebook_is_known_by_the_path_that_jupyter_tells():
    """A path stays as it is; what could be a sentence is stored as a digest."""
    path = "/home/ann/work/Q3 report (final).ipynb"

    assert Process({"JPY_SESSION_NAME": path}).origin().notebook == path
    assert Process({"JPY_SESSION_NAME": "why\ndid she leave?"}).origin().notebook.startswith("sha256:")


def test_a_question_carries_the_cell_that_asks(asked, finder):
    """Whoever knows of cells is asked where the question is asked, not where it is answered: on the portal's loop."""
    running = ContextVar("running", default=None)
    finder(running.get)

    before = asked()
    running.set(Run("7f3a", "cell-1"))

    assert (before.cell, before.run) == (None, None)
    assert (asked().cell, asked().run) == ("cell-1", "7f3a")
    assert asked().session == origin.current().session


def test_all_rounds_of_a_turn_have_one_origin(finder):
    """It is taken when the question is made, though another cell may run when its tools have answered."""
    backend, runs = Noting(), iter(["one", "two"])
    finder(lambda: Run(next(runs)))
    stream = Client(backend=backend, model="scripted/echo").stream("hi")

    list(stream)

    assert backend.terms[-1].origin.run == "one"


def test_an_execution_has_a_short_id_that_tells_nothing():
    """The same request is the same run, another is another, and the request's own id is not in it."""
    one, again, other = (origin.run_of(request, "c") for request in ("a-b-c_1", "a-b-c_1", "a-b-c_2"))

    assert one == again
    assert one.id != other.id
    assert len(one.id) == 16
