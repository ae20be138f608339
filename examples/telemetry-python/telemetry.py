"""A third-party client in Python: joins with an API token, subscribes to the telemetry of all devices, and prints one
JSON line for each event. It uses autobahn alone, nothing of the platform.

    python telemetry.py --url ws://127.0.0.1:8081/ --realm ecep.tenant.acme --authid TOKEN-ID --ticket-file token.txt
"""

import argparse
import asyncio
import json
import os
import sys

from autobahn.asyncio.component import Component
from autobahn.wamp.types import SubscribeOptions


def parse_arguments():
    parser = argparse.ArgumentParser(description="Prints the telemetry of a tenant's devices.")
    parser.add_argument("--url", required=True, help="the router's address, such as ws://127.0.0.1:8081/")
    parser.add_argument("--realm", required=True, help="the tenant's realm, such as ecep.tenant.acme")
    parser.add_argument("--authid", required=True, help="the API token's id")
    parser.add_argument("--ticket-file", required=True, help="a file that holds the API token's secret")
    parser.add_argument("--device", default="", help="watch this device only")
    parser.add_argument("--events", type=int, default=10, help="leave after this many events")
    parser.add_argument("--timeout", type=float, default=30, help="give up after this many seconds")
    return parser.parse_args()


async def watch(options):
    try:
        with open(options.ticket_file, encoding="utf-8") as file:
            ticket = file.read().strip()
    except OSError as error:
        print(f"cannot read the ticket: {error}", file=sys.stderr)
        return 1
    component = Component(
        transports=[{"type": "websocket", "url": options.url, "serializers": ["json"], "max_retries": 0}],
        realm=options.realm,
        authentication={"ticket": {"authid": options.authid, "ticket": ticket}},
    )
    status = asyncio.get_running_loop().create_future()
    events = asyncio.Queue()

    def end(value, reason=""):
        if not status.done():
            if reason:
                print(reason, file=sys.stderr)
            status.set_result(value)

    @component.on_join
    async def joined(session, _details):
        # The device's part of the topic left empty matches every device.
        topic = f"ecep.device.{options.device}.stats"
        match = "exact" if options.device else "wildcard"
        try:
            await session.subscribe(
                lambda **event: events.put_nowait(event), topic, options=SubscribeOptions(match=match)
            )
            for _ in range(options.events):
                print(json.dumps(await events.get()), flush=True)
            end(0)
        except Exception as error:
            end(1, f"{topic}: {error}")

    @component.on_leave
    def left(_session, details):
        end(1, f"the router ended the session: {details.reason}: {details.message}")

    @component.on_connectfailure
    def unreachable(_component, error):
        end(1, f"{options.url} is out of reach: {error}")

    component.start(loop=asyncio.get_running_loop())
    try:
        return await asyncio.wait_for(status, options.timeout)
    except (asyncio.TimeoutError, TimeoutError):
        print("not enough events in time; is a device connected?", file=sys.stderr)
        return 1


status = asyncio.run(watch(parse_arguments()))
sys.stdout.flush()
# The library would connect again by itself, and waits long for its own end.
os._exit(status)
