"""A web service that sends work to the background and tells how it goes: FastAPI.

Needs FastAPI and httpx2: pip install fastapi httpx2. Run it: python examples/07_fastapi.py
"""

import time

from fastapi import FastAPI, HTTPException
from fastapi.testclient import TestClient

from taskmesh import TaskMesh
from taskmesh.errors import ResultExpired, SendError, TaskNotFound

mesh = TaskMesh("web-fastapi", embedded="private")
app = FastAPI()


@mesh.task
def report(customer: str, months: int) -> dict[str, object]:
    time.sleep(0.05)
    return {"customer": customer, "total": months * 100}


@app.post("/reports", status_code=202)
async def order_report(customer: str, months: int = 12) -> dict[str, str]:
    try:
        handle = await report.adelay(customer, months)
    except SendError as error:
        raise HTTPException(503, "try again in a moment") from error
    return {"id": handle.id, "status": f"/reports/{handle.id}"}


@app.get("/reports/{task_id}")
async def report_status(task_id: str) -> dict[str, object]:
    try:
        handle = mesh.result(task_id)
        state = await handle.astate()
        return {"state": state, "report": handle.get()} if state == "SUCCESS" else {"state": state}
    except (TaskNotFound, ResultExpired) as error:
        raise HTTPException(404, "no such report") from error


if __name__ == "__main__":
    with mesh.workers(1), TestClient(app) as client:
        ordered = client.post("/reports", params={"customer": "ann", "months": 3})
        print(ordered.status_code)
        while (answer := client.get(ordered.json()["status"]).json())["state"] != "SUCCESS":
            time.sleep(0.01)
        print(answer["report"])
        print(client.get("/reports/never-ordered").status_code)
    mesh.close()
