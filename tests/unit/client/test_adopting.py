"""The tasks of one mesh, made tasks of another."""

from __future__ import annotations

import pytest

from taskmesh import BaseTask, TaskMesh
from taskmesh.errors import UsageError


@pytest.fixture
def app():
    return TaskMesh("app", eager=True)


@pytest.fixture
def own():
    return TaskMesh("own", eager=True)


def test_bound_tasks_are_given_their_task_of_the_new_mesh(app, own):
    @app.task(bind=True, name="who", max_retries=2, default_retry_delay=0)
    def who(self):
        if self.request.retries < 2:
            raise self.retry()
        return self.mesh.name

    again = own.adopt(app)["who"]
    assert again is own.tasks["who"]
    assert again.apply().get() == "own"
    assert who.apply().get() == "app"


def test_every_option_comes_along(app, own):
    @app.task(queue="mail", unique=True, priority=7, time_limit=30, throws=(OSError,), typing=False)
    def send(to):
        """Send it."""

    again = own.adopt(app)[send.name]
    assert again.options == send.options
    assert again.send_options({}).queue == "mail"
    assert again.send_options({}).unique is not None
    assert again.by_value == send.by_value


def test_a_class_has_an_instance_for_each_mesh(app, own):
    heard = []

    class Charge(BaseTask):
        name = "charge"

        def run(self, cents):
            return self.task.mesh.name, cents

        def on_success(self, retval, task_id, args, kwargs):
            heard.append((self.task.mesh.name, retval))

    charge = app.register_task(Charge())
    again = own.adopt(app)["charge"]
    assert again.apply((5,)).get() == ("own", 5)
    assert charge.apply((5,)).get() == ("app", 5)
    assert [mesh for mesh, _ in heard] == ["own", "app"]


def test_a_name_that_another_function_has_is_refused(app, own):
    app.task(name="same")(len)
    own.task(name="same")(print)
    with pytest.raises(UsageError, match="two functions of mesh 'own' are named 'same'"):
        own.adopt(app)
