"""Views that send work to the background and poll for it: Django, in one file.

Needs Django: pip install django. See it work: python examples/08_django.py
"""

import json
import time

import django
from django.conf import settings
from django.http import HttpRequest, JsonResponse
from django.test import Client
from django.urls import path

from taskmesh import TaskMesh
from taskmesh.errors import TaskNotFound

settings.configure(
    ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="only for this example", MIDDLEWARE=[]
)
django.setup()

mesh = TaskMesh("web-django", embedded="private")


@mesh.task
def invoice(order: int) -> str:
    time.sleep(0.05)
    return f"invoice-{order}.pdf"


def start(request: HttpRequest, order: int) -> JsonResponse:
    # In a transaction, send when it is committed: transaction.on_commit(lambda: invoice.delay(order))
    handle = invoice.apply_async((order,), task_id=f"invoice-{order}")
    return JsonResponse({"id": handle.id}, status=202)


def status(request: HttpRequest, task_id: str) -> JsonResponse:
    try:
        handle = mesh.result(task_id)
        state = handle.state
    except TaskNotFound:
        return JsonResponse({"error": "no such invoice"}, status=404)
    return JsonResponse({"state": state, "file": handle.get() if state == "SUCCESS" else None})


urlpatterns = [path("invoices/<int:order>", start), path("status/<str:task_id>", status)]


if __name__ == "__main__":
    with mesh.workers(1):
        client = Client()
        ordered = client.post("/invoices/42")
        again = client.post("/invoices/42")  # the same id: a second click is not a second invoice
        print(ordered.status_code, ordered.json() == again.json())
        while (answer := json.loads(client.get("/status/invoice-42").content))["state"] != "SUCCESS":
            time.sleep(0.01)
        print(answer["file"])
        print(client.get("/status/invoice-1").status_code)
    mesh.close()
