"""A stock autobahn client: uses each feature that the router announces, and checks what it gets.

usage: autobahn_client.py URL SERIALIZER     with URL ws://... or rs://...
Exits with 0 only if everything was as it should be.
"""

import asyncio
import os
import sys

from autobahn.asyncio.component import Component
from autobahn.wamp.exception import ApplicationError
from autobahn.wamp.types import CallOptions, PublishOptions, RegisterOptions, SubscribeOptions

URL, SERIALIZER = sys.argv[1:]
PATIENCE = 15


def transport():
    if URL.startswith("ws://"):
        return {"type": "websocket", "url": URL, "serializers": [SERIALIZER], "max_retries": 0}
    host, port = URL.removeprefix("rs://").rsplit(":", 1)
    return {
        "type": "rawsocket",
        "url": URL,
        "serializer": SERIALIZER,
        "endpoint": {"type": "tcp", "host": host, "port": int(port)},
        "max_retries": 0,
    }


async def fails(uri, call):
    try:
        await call
    except ApplicationError as error:
        assert error.error == uri, error
        return error
    raise AssertionError(f"no {uri}")


async def check(session, details):
    assert details.realm == "realm1" and details.authrole == "anonymous", details

    async def echo(*args, details=None, **kwargs):
        return [list(args), kwargs, details.caller]

    async def fail(text):
        raise ApplicationError("com.python.error", text, number=7)

    disclosed = RegisterOptions(details=True)
    registration = await session.register(echo, "com.python.echo", options=disclosed)
    await session.register(fail, "com.python.fail")
    content = [b"\x00\xff", "\u00fc", None, True, -1, 0.5, [{"k": []}]]
    args, kwargs, caller = await session.call("com.python.echo", *content, key=b"")
    assert args == content and kwargs == {"key": b""} and caller is None, (args, kwargs, caller)
    assert await session.call("com.rust.echo", b"\x01", "text") == [b"\x01", "text"]

    error = await fails("com.python.error", session.call("com.python.fail", "why"))
    assert error.args == ("why",) and error.kwargs == {"number": 7}, error
    await fails("wamp.error.no_such_procedure", session.call("com.python.nothing"))
    await fails("wamp.error.procedure_already_exists", session.register(echo, "com.python.echo"))
    await registration.unregister()
    await fails("wamp.error.no_such_procedure", session.call("com.python.echo"))

    events = asyncio.Queue()

    def on_event(*args, details=None, **kwargs):
        events.put_nowait((args, kwargs, details))

    with_details = {"exact": "com.python.t.x", "prefix": "com.python.t", "wildcard": "com..t.x"}
    for match, topic in with_details.items():
        await session.subscribe(on_event, topic, options=SubscribeOptions(match=match, details=True))
    options = PublishOptions(acknowledge=True, exclude_me=False)
    publication = await session.publish("com.python.t.x", b"\x00", key="\u00fc", options=options)
    for _ in with_details:
        args, kwargs, details = await events.get()
        assert args == (b"\x00",) and kwargs == {"key": "\u00fc"}, (args, kwargs)
        assert details.publication == publication.id and details.topic == "com.python.t.x", details
    await session.publish("com.python.t.x", options=PublishOptions(acknowledge=True))
    assert await session.call("wamp.session.count", options=CallOptions()) >= 1
    assert events.empty(), "a publisher does not get its own events"


async def main():
    component = Component(transports=[transport()], realm="realm1")
    done = asyncio.get_running_loop().create_future()

    @component.on_join
    async def joined(session, details):
        try:
            await check(session, details)
            done.set_result(None)
        except BaseException as error:
            done.set_exception(error)

    component.start(loop=asyncio.get_running_loop())
    await asyncio.wait_for(done, PATIENCE)
    print("autobahn is content")


asyncio.run(main())
# Without waiting for the library's own clean-up of a connection that it would open again.
sys.stdout.flush()
os._exit(0)
