"""A stock autobahn client: uses each feature that the router announces, and prints what it sees.

usage: autobahn_client.py URL SERIALIZER     with URL ws://..., rs://... or unix:PATH
Prints a line [case, what it saw] of JSON for each case; the test knows what should stand there. The last case ends
when the router shuts down.
"""

import asyncio
import json
import os
import sys

from autobahn.asyncio.component import Component
from autobahn.wamp.exception import ApplicationError
from autobahn.wamp.types import CallOptions, PublishOptions, RegisterOptions, SubscribeOptions

URL, SERIALIZER = sys.argv[1:]
REALM = "com.interop"
TICKETS = {"alice": "ticket of alice", "bob": "ticket of bob"}
PATIENCE = 60

ACKNOWLEDGED = PublishOptions(acknowledge=True)
CASES = []


def case(function):
    CASES.append(function)
    return function


def transport():
    if URL.startswith("ws://"):
        return {"type": "websocket", "url": URL, "serializers": [SERIALIZER], "max_retries": 0}
    if URL.startswith("unix:"):
        endpoint = {"type": "unix", "path": URL.removeprefix("unix:")}
    else:
        host, port = URL.removeprefix("rs://").rsplit(":", 1)
        endpoint = {"type": "tcp", "host": host, "port": int(port)}
    return {
        "type": "rawsocket",
        "url": "rs://localhost",
        "serializer": SERIALIZER,
        "endpoint": endpoint,
        "max_retries": 0,
    }


class Peer:
    """A session; `left` is why it ended."""

    def __init__(self, session, details, left):
        self.session, self.details, self.left = session, details, left
        self.call, self.publish = session.call, session.publish
        self.register, self.subscribe = session.register, session.subscribe
        self.id = details.session

    async def leave(self):
        self.session.leave()
        return await self.left

    async def events(self, topic, **options):
        """Subscribes; a queue of what arrives."""
        queue = asyncio.Queue()

        def on_event(*args, details=None, **kwargs):
            queue.put_nowait((args, kwargs, details))

        options = SubscribeOptions(details=True, **options)
        queue.subscription = await self.subscribe(on_event, topic, options=options)
        return queue


async def join(authid=None):
    loop = asyncio.get_running_loop()
    joined, left = loop.create_future(), loop.create_future()
    proof = {"ticket": {"authid": authid, "ticket": TICKETS[authid]}} if authid else None
    component = Component(transports=[transport()], realm=REALM, authentication=proof)

    @component.on_join
    async def on_join(session, details):
        joined.set_result(Peer(session, details, left))

    @component.on_leave
    async def on_leave(session, details):
        if not left.done():
            left.set_result(details.reason)

    component.start(loop=loop)
    return await joined


async def error_of(call):
    try:
        return await call
    except ApplicationError as error:
        return error.error


@case
async def welcome(_):
    peer = await join("alice")
    details = peer.details
    await peer.leave()
    return [details.realm, details.authid, details.authrole, details.authmethod]


@case
async def values(peer):
    """Every type that WAMP has crosses the router, within autobahn and to a client of another make."""

    async def echo(*args, **kwargs):
        return [list(args), kwargs]

    await peer.register(echo, "com.python.echo")
    content = [b"\x00\xff", "\u00fc", None, True, -1, 0.5, 2**53, [{"k": []}]]
    back = await peer.call("com.python.echo", *content, key=b"")
    from_rust = await peer.call("com.rust.echo", b"\x01", "text")
    return [back == [content, {"key": b""}], from_rust == [b"\x01", "text"]]


@case
async def errors(peer):
    async def fail(text):
        raise ApplicationError("com.python.error", text, number=7)

    registration = await peer.register(fail, "com.python.fail")
    try:
        await peer.call("com.python.fail", "why")
        return "no error"
    except ApplicationError as error:
        seen = [error.error, list(error.args), error.kwargs]
    seen.append(await error_of(peer.call("com.python.nothing")))
    seen.append(await error_of(peer.register(fail, "com.python.fail")))
    await registration.unregister()
    seen.append(await error_of(peer.call("com.python.fail", "why")))
    return seen


@case
async def progressive_results(peer):
    async def count(to, details=None):
        if details.progress is not None:
            for number in range(to):
                details.progress(number)
        return "done"

    await peer.register(count, "com.python.count", options=RegisterOptions(details=True))
    seen = []
    result = await peer.call("com.python.count", 3, options=CallOptions(on_progress=seen.append))
    return [seen, result, await peer.call("com.python.count", 3)]


class Endless:
    """A procedure that ends only if it is interrupted."""

    def __init__(self):
        self.started, self.interrupted = asyncio.Event(), asyncio.Event()

    def __call__(self):
        self.started.set()
        return Interruptible(self.interrupted)


class Interruptible(asyncio.Future):
    """No task: one that is interrupted before its first step, as when INVOCATION and INTERRUPT come together, never
    learns of it."""

    def __init__(self, interrupted):
        super().__init__()
        self.interrupted = interrupted

    def cancel(self, msg=None):
        if self.done():
            return False
        self.interrupted.set()
        self.set_exception(ApplicationError("com.python.interrupted"))
        return True


@case
async def cancel(peer):
    """autobahn names no mode."""
    callee = await join()
    endless = Endless()
    await callee.register(endless.__call__, "com.python.endless")
    call = peer.call("com.python.endless")
    await endless.started.wait()
    call.cancel()
    await endless.interrupted.wait()
    return ["interrupted", await callee.leave()]


@case
async def call_timeout(peer):
    callee = await join()
    endless = Endless()
    await callee.register(endless.__call__, "com.python.late")
    error = await error_of(peer.call("com.python.late", options=CallOptions(timeout=20)))
    await endless.interrupted.wait()
    await callee.leave()
    return [error, "interrupted"]


@case
async def caller_leaves(peer):
    caller = await join()
    endless = Endless()
    await peer.register(endless.__call__, "com.python.left")
    lost = caller.call("com.python.left")
    await endless.started.wait()
    await caller.leave()
    await endless.interrupted.wait()
    lost.cancel()
    return "interrupted"


@case
async def callee_leaves(peer):
    callee = await join()
    endless = Endless()
    await callee.register(endless.__call__, "com.python.gone")
    call = peer.call("com.python.gone")
    await endless.started.wait()
    callee.session.leave()
    return await error_of(call)


@case
async def disclosure(peer):
    """alice's role discloses who calls and publishes; autobahn has no option to ask for it."""
    alice = await join("alice")

    async def who(details=None):
        return [details.caller, details.caller_authid, details.caller_authrole]

    await peer.register(who, "com.python.who", options=RegisterOptions(details=True))
    session, *names = await alice.call("com.python.who")
    anonymous = await peer.call("com.python.who")
    events = await peer.events("com.python.who")
    await alice.publish("com.python.who", options=ACKNOWLEDGED)
    _, _, details = await events.get()
    publisher = [details.publisher == alice.id, details.publisher_authid, details.publisher_authrole]
    await alice.leave()
    return [session == alice.id, names, anonymous, publisher]


@case
async def pattern_registration(peer):
    def named(name):
        async def procedure(details=None):
            return [name, details.procedure]

        return procedure

    patterns = {
        "org.p.a.b": "exact",
        "org.p": "prefix",
        "org.p.a": "prefix",
        "org..a.c": "wildcard",
        "org..x.y.c": "wildcard",
        "org..x..c": "wildcard",
    }
    for uri, match in patterns.items():
        await peer.register(named(uri), uri, options=RegisterOptions(match=match, details=True))
    called = ["org.p.a.b", "org.p.a.c", "org.p.x", "org.q.a.c", "org.q.x.y.c", "org.q.x.z.c"]
    return [await peer.call(procedure) for procedure in called]


@case
async def shared_registration(peer):
    seen = {}
    others = [await join(), await join()]
    for policy in ["roundrobin", "first", "last"]:
        uri = f"com.python.{policy}"
        for number, callee in enumerate(others):

            async def procedure(number=number):
                return number

            await callee.register(procedure, uri, options=RegisterOptions(invoke=policy))
        seen[policy] = [await peer.call(uri) for _ in range(4)]
    options = RegisterOptions(invoke="first")
    seen["other policy"] = await error_of(peer.register(procedure, "com.python.last", options=options))
    for callee in others:
        await callee.leave()
    return seen


@case
async def concurrency(peer):
    """Two calls of a procedure that takes one at a time."""
    running, most, may_end = 0, 0, asyncio.Event()

    async def narrow():
        nonlocal running, most
        running += 1
        most = max(most, running)
        await may_end.wait()
        running -= 1
        return "done"

    await peer.register(narrow, "com.python.narrow", options=RegisterOptions(concurrency=1))
    calls = [peer.call("com.python.narrow") for _ in range(2)]
    # What the router answers after them tells that it has got them.
    await peer.call("wamp.session.count")
    may_end.set()
    return [[await error_of(call) for call in calls], most]


@case
async def takeover(_):
    first, second = await join("alice"), await join("alice")
    for peer, name in [(first, "first"), (second, "second")]:

        async def procedure(name=name):
            return name

        options = RegisterOptions(force_reregister=True)
        await peer.register(procedure, "com.python.taken", options=options)
    seen = await first.call("com.python.taken")
    # The first one has understood that it lost its registration: it can register again.
    await first.register(procedure, "com.python.taken", options=options)
    for peer in [first, second]:
        await peer.leave()
    return seen


@case
async def pattern_subscription(peer):
    other = await join()
    seen = {}
    for match, topic in {"exact": "com.t.a.x", "prefix": "com.t", "wildcard": "com..a.x"}.items():
        events = await peer.events(topic, match=match)
        publication = await other.publish("com.t.a.x", b"\x00", key="\u00fc", options=ACKNOWLEDGED)
        args, kwargs, details = await events.get()
        same = args == (b"\x00",) and details.publication == publication.id
        seen[match] = [same, kwargs, details.topic]
        await events.subscription.unsubscribe()
    await other.leave()
    return seen


@case
async def publisher_exclusion(peer):
    events = await peer.events("com.python.own")
    await peer.publish("com.python.own", "mine", options=ACKNOWLEDGED)
    peer.publish("com.python.own", "mine too", options=PublishOptions(exclude_me=False))
    args, _, _ = await events.get()
    return list(args)


@case
async def retained_events(peer):
    for text in ["old", "kept"]:
        await peer.publish("com.python.kept", text, options=PublishOptions(acknowledge=True, retain=True))
    other = await join()
    without = await other.events("com.python.kept")
    await without.subscription.unsubscribe()
    events = await other.events("com.python.kept", get_retained=True)
    args, _, details = await events.get()
    await peer.publish("com.python.kept", "new", options=ACKNOWLEDGED)
    later, _, later_details = await events.get()
    await other.leave()
    return [list(args), details.retained, list(later), bool(later_details.retained), without.empty()]


@case
async def receivers(peer):
    """Who gets an event, by each of the six lists."""
    everybody = {"alice": await join("alice"), "bob": await join("bob"), "nobody": await join()}
    queues = {name: await other.events("com.python.some") for name, other in everybody.items()}
    alice = everybody["alice"].id
    lists = {
        "exclude": [alice],
        "exclude_authid": ["alice", "bob"],
        "exclude_authrole": ["staff"],
        "eligible": [alice],
        "eligible_authid": ["alice", "bob"],
        "eligible_authrole": ["anonymous"],
    }
    for name, content in lists.items():
        options = PublishOptions(acknowledge=True, **{name: content})
        await peer.publish("com.python.some", name, options=options)
    peer.publish("com.python.some", "eligible: nobody", options=PublishOptions(eligible=[]))
    await peer.publish("com.python.some", None, options=ACKNOWLEDGED)
    seen = {}
    for name, queue in queues.items():
        seen[name] = []
        while (args := (await queue.get())[0]) != (None,):
            seen[name] += args
    for other in everybody.values():
        await other.leave()
    return seen


@case
async def session_meta(peer):
    joined, left = await peer.events("wamp.session.on_join"), await peer.events("wamp.session.on_leave")
    before = await peer.call("wamp.session.count")
    bob = await join("bob")
    (details,), _, _ = await joined.get()
    got = await peer.call("wamp.session.get", bob.id)
    listed = await peer.call("wamp.session.list", ["staff"])
    count = await peer.call("wamp.session.count")
    await bob.leave()
    last, _, _ = await left.get()
    for events in [joined, left]:
        await events.subscription.unsubscribe()
    return [
        [details["session"] == bob.id, details["authid"], details["authrole"], details["authmethod"]],
        [got["session"] == bob.id, got["authid"]],
        [listed == [bob.id], count - before],
        [last[0] == bob.id, *last[1:]],
        await error_of(peer.call("wamp.session.get", bob.id)),
    ]


@case
async def registration_meta(peer):
    other = await join()
    topics = [f"wamp.registration.on_{event}" for event in ["create", "register", "unregister", "delete"]]
    queues = [await peer.events(topic) for topic in topics]

    async def procedure():
        return None

    uri, options = "com.python.meta", RegisterOptions(match="prefix", invoke="random")
    registration = await other.register(procedure, uri, options=options)
    events = [(await queue.get())[0] for queue in queues[:2]]
    got = await peer.call("wamp.registration.get", registration.id)
    seen = [
        got["uri"],
        got["match"],
        got["invoke"],
        await peer.call("wamp.registration.lookup", uri, {"match": "prefix"}) == registration.id,
        await peer.call("wamp.registration.lookup", uri),
        await peer.call("wamp.registration.match", uri + ".more") == registration.id,
        registration.id in (await peer.call("wamp.registration.list"))["prefix"],
        await peer.call("wamp.registration.list_callees", registration.id) == [other.id],
        await peer.call("wamp.registration.count_callees", registration.id),
    ]
    await peer.call("wamp.registration.remove_callee", registration.id, other.id)
    events += [(await queue.get())[0] for queue in queues[2:]]
    seen.append(events[0] == (other.id, got))
    seen += [event == (other.id, registration.id) for event in events[1:]]
    # It has understood that the registration was taken away: it can register again.
    await (await other.register(procedure, uri, options=options)).unregister()
    for queue in queues:
        await queue.subscription.unsubscribe()
    await other.leave()
    return seen


@case
async def subscription_meta(peer):
    other = await join()
    topics = [f"wamp.subscription.on_{event}" for event in ["create", "subscribe", "unsubscribe", "delete"]]
    queues = [await peer.events(topic) for topic in topics]
    topic = "com.python.meta"
    subscription = (await other.events(topic, match="prefix")).subscription
    id = subscription.id
    events = [(await queue.get())[0] for queue in queues[:2]]
    got = await peer.call("wamp.subscription.get", id)
    seen = [
        got["uri"],
        got["match"],
        await peer.call("wamp.subscription.lookup", topic, {"match": "prefix"}) == id,
        await peer.call("wamp.subscription.lookup", topic),
        await peer.call("wamp.subscription.match", topic + ".more") == [id],
        id in (await peer.call("wamp.subscription.list"))["prefix"],
        await peer.call("wamp.subscription.list_subscribers", id) == [other.id],
        await peer.call("wamp.subscription.count_subscribers", id),
    ]
    # Not `remove_subscriber`: autobahn announces that it understands revocation, but ends its connection when one comes.
    await subscription.unsubscribe()
    events += [(await queue.get())[0] for queue in queues[2:]]
    seen.append(events[0] == (other.id, got))
    seen += [event == (other.id, id) for event in events[1:]]
    for queue in queues:
        await queue.subscription.unsubscribe()
    await other.leave()
    return seen


@case
async def testaments(peer):
    events = await peer.events("com.python.will", match="prefix")
    dying = await join()
    for scope in ["destroyed", "detached"]:
        topic = f"com.python.will.{scope}"
        await dying.call("wamp.session.add_testament", topic, ["bye"], {"from": "me"}, scope=scope)
    await dying.call("wamp.session.flush_testaments", scope="detached")
    dying.session._transport.abort()
    args, kwargs, details = await events.get()
    return [list(args), kwargs, details.topic]


@case
async def kill(peer):
    seen = []
    for procedure, name in [("kill", None), ("kill_by_authid", "bob"), ("kill_by_authrole", "staff")]:
        victim = await join(name and "bob")
        reason = f"com.python.{procedure}"
        killed = await peer.call(f"wamp.session.{procedure}", name or victim.id, reason=reason, message="go")
        seen.append([await victim.left, [victim.id] == killed or killed])
    seen.append(await error_of(peer.call("wamp.session.kill", peer.id)))
    return seen


@case
async def kill_mode(peer):
    """The test itself calls this one, and cancels it in mode kill: what the callee says is the answer."""
    endless = Endless()
    await peer.register(endless.__call__, "com.python.endless")
    say("ready to be called", None)
    await endless.started.wait()
    say("ready to be interrupted", None)
    await endless.interrupted.wait()
    return "interrupted"


@case
async def shutdown(peer):
    say("ready for the end", None)
    return await peer.left


def say(name, seen):
    print(json.dumps([name, seen]), flush=True)


async def main():
    peer = await join()
    for function in CASES:
        try:
            say(function.__name__, await asyncio.wait_for(function(peer), PATIENCE))
        except asyncio.TimeoutError:
            raise SystemExit(f"{function.__name__}: waited too long")


asyncio.run(main())
# Without waiting for the library's own clean-up of a connection that it would open again.
sys.stdout.flush()
os._exit(0)
