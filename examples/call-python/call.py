"""A third-party client in Python: calls one procedure with an API token and prints the answer as JSON.

It uses autobahn alone, nothing of the platform. Arguments are `name=text` or `name:=json`:

    python call.py --url ws://127.0.0.1:8081/ --realm ecep.tenant.acme --authid TOKEN-ID --ticket-file token.txt \\
        ecep.device.DEVICE-ID.container.logs container=CONTAINER-ID tail:=20

An error is printed as {"error": URI, "message": ..., "details": {...}} and ends the program with status 1; so does a
router that does not let us join. Status 2: the router is out of reach, or does not answer in time.

With --follow an order is followed to its end: each event of the operation is printed as {"event": {...}}, and the last
line is the answer. So is a move (ecep.container.migrate); its last event says how it ended. So are the deployment of an
application to one device (ecep.app.deploy) and an update (ecep.app.update). With --times as well the first line is {"asked_at": ..., "ended_at": ...}, in
milliseconds since 1970: when the call was sent, and when the last event came.
"""

import argparse
import asyncio
import json
import os
import sys
import time
import uuid

from autobahn.asyncio.component import Component
from autobahn.wamp.exception import ApplicationError
from autobahn.wamp.types import SubscribeOptions

MIGRATE = "ecep.container.migrate"
DEPLOY = "ecep.app.deploy"
UPDATE = "ecep.app.update"


def parse_arguments():
    parser = argparse.ArgumentParser(description="Calls one procedure and prints the answer.")
    parser.add_argument("--url", required=True, help="the router's address")
    parser.add_argument("--realm", required=True, help="the tenant's realm, such as ecep.tenant.acme")
    parser.add_argument("--authid", required=True, help="the API token's id")
    parser.add_argument("--ticket-file", required=True, help="a file that holds the API token's secret")
    parser.add_argument("--follow", action="store_true", help="follow an order to its end")
    parser.add_argument("--times", action="store_true", help="with --follow: tell first how long it took")
    parser.add_argument("--timeout", type=float, default=30, help="give up after this many seconds")
    parser.add_argument("procedure")
    parser.add_argument("arguments", nargs="*", metavar="name=text or name:=json")
    return parser.parse_args()


def keyword_arguments(words):
    arguments = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            sys.exit(f"{word!r} is neither name=text nor name:=json")
        if name.endswith(":"):
            arguments[name[:-1]] = json.loads(value)
        else:
            arguments[name] = value
    return arguments


def show(value):
    print(json.dumps(value), flush=True)


def show_error(uri, message, details):
    show({"error": uri, "message": message, "details": details})
    return 1


async def call(session, procedure, arguments):
    show(await session.call(procedure, **arguments))
    return 0


def now():
    return time.time_ns() // 1_000_000


def topic_of(procedure):
    """Where the events are, and how to subscribe to them."""
    if procedure == MIGRATE:
        return "ecep.migration", "exact"
    if procedure in (DEPLOY, UPDATE):
        return "ecep.device..operation", "wildcard"
    return f"ecep.device.{procedure.split('.')[2]}.operation", "exact"


async def follow(session, procedure, arguments, is_timed):
    """An order is answered within a few seconds, done or not; events tell the rest."""
    operation = arguments.setdefault("operation", f"op-{uuid.uuid4().hex}")
    events = asyncio.Queue()
    topic, match = topic_of(procedure)
    await session.subscribe(
        lambda **event: events.put_nowait((now(), event)),
        topic,
        options=SubscribeOptions(match=match),
    )
    asked_at = now()
    answer = await session.call(procedure, **arguments)
    if procedure == DEPLOY and answer["devices"][0]["error"]:
        return show_error("ecep.error.refused", answer["devices"][0]["error"], {})
    lines = []
    while True:
        came_at, event = await events.get()
        if event["operation"] != operation:
            continue
        lines.append({"event": event})
        if not is_timed:
            show(lines.pop())
        if event["state"] == "running":
            continue
        if is_timed:
            show({"asked_at": asked_at, "ended_at": came_at})
            for line in lines:
                show(line)
        if procedure == MIGRATE:
            show(answer)
            return 0
        if event["state"] == "failed":
            error = event["error"]
            return show_error(error["uri"], error["message"], error.get("details", {}))
        if procedure != DEPLOY:
            answer.update(state="done", container_id=event["container_id"])
        show(answer)
        return 0


async def run(options):
    with open(options.ticket_file, encoding="utf-8") as file:
        ticket = file.read().strip()
    arguments = keyword_arguments(options.arguments)
    component = Component(
        transports=[{"type": "websocket", "url": options.url, "serializers": ["json"], "max_retries": 0}],
        realm=options.realm,
        authentication={"ticket": {"authid": options.authid, "ticket": ticket}},
    )
    status = asyncio.get_running_loop().create_future()

    def finish(value):
        if not status.done():
            status.set_result(value)

    @component.on_join
    async def joined(session, _details):
        try:
            if options.follow:
                finish(await follow(session, options.procedure, arguments, options.times))
            else:
                finish(await call(session, options.procedure, arguments))
        except ApplicationError as error:
            message = error.args[0] if error.args else ""
            finish(show_error(error.error, message, error.kwargs or {}))
        except Exception as error:
            status.set_exception(error)

    @component.on_leave
    def left(_session, details):
        if not status.done():
            finish(show_error(details.reason, details.message, {}))

    @component.on_connectfailure
    def unreachable(_component, error):
        if not status.done():
            print(f"{options.url} is out of reach: {error}", file=sys.stderr)
            finish(2)

    component.start(loop=asyncio.get_running_loop())
    return await asyncio.wait_for(status, options.timeout)


def main():
    options = parse_arguments()
    try:
        status = asyncio.run(run(options))
    except (asyncio.TimeoutError, TimeoutError):
        print(f"no answer within {options.timeout} s", file=sys.stderr)
        status = 2
    sys.stdout.flush()
    # The library would connect again by itself, and waits long for its own end.
    os._exit(status)


main()
