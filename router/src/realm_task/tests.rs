//! Turns of a realm task that a test takes itself: what comes first, and what is counted.

use ecep_proto::id::RequestId;
use ecep_proto::message::{Call, Publish, Subscribe};
use ecep_proto::payload::Payload;
use ecep_proto::value::Dict;
use ecep_router_core::MAX_RETAINED_EVENTS;
use tokio_util::task::TaskTracker;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake};
use std::time::Duration;

use super::*;
use crate::config::{Config, Limits};
use crate::hub::{Hub, Seat};
use crate::live_limits::LiveLimits;
use crate::metrics::Gauges;
use crate::outbound::Taken;
use crate::realm_configs::RealmConfigs;

const REALM: &str = "realm1";

/// A realm that is open to everybody, and whose turns the test takes.
struct World {
    task: RealmTask,
    limits: Arc<LiveLimits>,
    seat: Seat,
    now: Instant,
}

impl World {
    fn new(limits: Limits) -> Self {
        let config = Config { realm: vec![Config::open_realm(REALM)], limits, ..Config::default() };
        let hub = Hub::new(RealmConfigs::of(&config), &config.limits, TaskTracker::new());
        let now = Instant::now();
        let clock = WallClock { instant: now, since_epoch: Duration::ZERO };
        let core = Realm::new(RealmConfigs::of(&config).get(REALM).unwrap(), 1, clock);
        let task = RealmTask::new(core, hub.budget.clone(), hub.metrics.clone());
        // The room that messages need is that of another realm of the same name.
        Self { task, limits: hub.limits.clone(), seat: hub.enter(REALM).unwrap(), now }
    }

    async fn join(&mut self) -> (SessionKey, Arc<Outbound>) {
        let outbound = Outbound::new(Serializer::Json, usize::MAX, &self.limits, &self.task.budget);
        let name = || "anonymous".to_owned();
        let identity =
            Identity { authid: name(), authrole: name(), authmethod: name(), authprovider: name() };
        let (key, joined) = oneshot::channel();
        let (features, gate) = (Features::default(), Arc::default());
        let join = ToRealm::Join { outbound: outbound.clone(), gate, identity, features, key };
        self.task.accept(self.now, join);
        assert_eq!(outbound.take().await.unwrap().len(), 1, "WELCOME");
        (joined.await.unwrap(), outbound)
    }

    async fn send(&mut self, session: SessionKey, messages: Vec<Message>) {
        let permit = self.seat.room(0).await.unwrap();
        self.task.accept(self.now, ToRealm::Received { session, messages, permit });
    }

    fn turn(&mut self) -> usize {
        self.task.turn(self.now);
        self.task.worked
    }

    fn finish(&mut self) {
        while !self.task.turns.is_empty() {
            self.turn();
        }
    }
}

fn publish(topic: String, options: &[&str]) -> Message {
    let options = options.iter().map(|name| ((*name).to_owned(), true.into())).collect();
    let payload = Payload::default();
    Message::Publish(Publish { request: RequestId::FIRST, options, topic, payload })
}

fn subscribe(topic: &str, options: Dict) -> Message {
    Message::Subscribe(Subscribe { request: RequestId::FIRST, options, topic: topic.to_owned() })
}

fn call(procedure: &str, payload: Payload) -> Message {
    let (options, procedure) = (Dict::new(), procedure.to_owned());
    Message::Call(Call { request: RequestId::FIRST, options, procedure, payload })
}

/// Whoever floods a realm with messages that are short and cost ten thousand events each, or a search through as
/// many, must not keep the others waiting for more than one of them.
#[tokio::test]
async fn a_flood_of_searches_delays_nobody() {
    let mut world = World::new(Limits { max_queue_messages: usize::MAX, ..Limits::default() });
    let (publisher, _) = world.join().await;
    let topics = (0..MAX_RETAINED_EVENTS).map(|number| publish(format!("com.topic.{number}"), &["retain"]));
    world.send(publisher, topics.collect()).await;
    world.finish();
    assert_eq!(world.task.core.retained().events, MAX_RETAINED_EVENTS);
    let search = search_units(MAX_RETAINED_EVENTS) + 3 * MESSAGE_UNITS;
    for (kind, pattern, largest) in
        [("prefix", "com.", search + MAX_RETAINED_EVENTS), ("wildcard", "com.topic..none", search)]
    {
        let options =
            Dict::from([("match".to_owned(), kind.into()), ("get_retained".to_owned(), true.into())]);
        let ((flooder, _flooded), (other, answers)) = (world.join().await, world.join().await);
        for _ in 0..3 {
            world.send(flooder, vec![subscribe(pattern, options.clone()); 5]).await;
        }
        world.send(other, vec![call("wamp.session.count", Payload::default())]).await;
        let mut worked = 0;
        while answers.waiting_bytes() == 0 {
            worked += world.turn();
        }
        // The turn in which the flood has its share, and the one that begins with who waited.
        assert!(worked <= 2 * (TURN_UNITS + largest), "{worked} units for {pattern}");
        assert!(!world.task.turns.is_empty(), "or there was no flood");
        world.finish();
    }
}

/// Whose session ends because it does not read is no victim of the session that sent too much, and the other way
/// round.
#[tokio::test]
async fn slow_readers_are_not_killed() {
    let mut world = World::new(Limits { max_queue_messages: 16, ..Limits::default() });
    let ((slow, queue), (publisher, _)) = (world.join().await, world.join().await);
    let (killed, _) = world.join().await;
    world.send(slow, vec![subscribe("com.topic", Dict::new())]).await;
    world.send(publisher, vec![publish("com.topic".to_owned(), &[]); 40]).await;
    world.finish();
    assert!(queue.is_closed());
    let counted = |world: &World, line: &str| {
        let text = world.task.metrics.write(Gauges::default(), &[]);
        let wanted = format!("ecep_router_expelled_total{{reason={line}");
        assert!(text.lines().any(|known| known == wanted), "{wanted} is not in\n{text}");
    };
    counted(&world, "\"slow_reader\"} 1");
    counted(&world, "\"killed\"} 0");
    world.send(publisher, vec![call("wamp.session.kill_by_authid", Payload::of("anonymous"))]).await;
    world.finish();
    counted(&world, "\"slow_reader\"} 1");
    counted(&world, "\"killed\"} 1");
    let _ = killed;
}

/// Counts how often a writer is woken.
#[derive(Default)]
struct Alarm(AtomicUsize);

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Alarm {
    /// Takes what waits, and sleeps then.
    fn sleep(self: &Arc<Self>, queue: &Outbound) {
        let waker = self.clone().into();
        let mut cx = Context::from_waker(&waker);
        while let Poll::Ready(taken) = queue.poll_take(&mut cx, drop) {
            let Taken::Frames(weight) = taken else { panic!("the session is over: {taken:?}") };
            queue.written(weight);
        }
    }

    fn rung(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// A thousand subscribers each woken for every second event cost sixteen times as much as the events themselves; but nobody may
/// sleep longer than was said, nor through a reply, nor when the realm has nothing else to do.
#[tokio::test]
async fn writers_of_events_sleep_while_the_realm_is_busy() {
    let mut world = World::new(Limits { max_queue_messages: usize::MAX, ..Limits::default() });
    let ((subscriber, queue), (publisher, _)) = (world.join().await, world.join().await);
    let mut others = Vec::new();
    for _ in 0..TURN_UNITS / 8 {
        let (other, queue) = world.join().await;
        world.send(other, vec![subscribe("com.topic", Dict::new())]).await;
        others.push(queue);
    }
    world.send(subscriber, vec![subscribe("com.topic", Dict::new())]).await;
    world.finish();
    let (alarm, others_alarm) = (Arc::new(Alarm::default()), Arc::new(Alarm::default()));
    let all_sleep = || {
        alarm.sleep(&queue);
        others.iter().for_each(|queue| others_alarm.sleep(queue));
    };
    all_sleep();

    let events = |number| vec![publish("com.topic".to_owned(), &[]); number];
    world.send(publisher, events(100)).await;
    world.turn();
    world.task.wake(world.now);
    assert!(queue.waiting_bytes() > 0 && !world.task.turns.is_empty(), "or the realm is not busy");
    assert_eq!(alarm.rung(), 0, "the realm has more to do");
    world.turn();
    world.task.wake(world.now + EVENTS_WAIT);
    assert_eq!(alarm.rung(), 1, "it has slept for as long as it may");

    all_sleep();
    world.turn();
    world.task.wake(world.now);
    assert_eq!(alarm.rung(), 1);
    world.send(subscriber, vec![call("wamp.session.count", Payload::default())]).await;
    while alarm.rung() == 1 {
        assert!(!world.task.turns.is_empty(), "the reply did not wake it");
        world.turn();
        for writer in world.task.writers.drain(..) {
            writer.wake();
        }
    }

    all_sleep();
    world.finish();
    assert_eq!(alarm.rung(), 2);
    world.task.wake(world.now);
    assert_eq!(alarm.rung(), 3, "nothing is left to do");
}
