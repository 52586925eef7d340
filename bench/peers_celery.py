"""Sends Celery's events as a worker does: `python peers_celery.py BROKER EVENTS GROUP`, in Flower's environment."""

import random
import sys
import uuid

from celery import Celery
from celery.events import EventDispatcher

KINDS = ("edit", "read", "build", "test", "commit")


def main(broker: str, events: int, group: int) -> None:
    app = Celery(broker=broker)
    with app.connection() as connection:
        names = [f"agent-{number}@bench" for number in range(100)]
        senders = [
            EventDispatcher(connection, hostname=name, app=app, buffer_group={"task"}, buffer_limit=group)
            for name in names
        ]
        for number in range(events // group):
            sender = senders[number % len(senders)]
            for _ in range(group):
                kind = random.choice(KINDS)
                sender.send(
                    "task-succeeded", uuid=str(uuid.uuid4()), name=kind, runtime=random.random(), result=""
                )
            sender.flush()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
