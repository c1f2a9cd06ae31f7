//! Refresh tokens in every order of things: many calls at two instances, advanced step by step in a random order, and
//! dropped in the middle. A seed says everything, so a failure can be run again.

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bench_harness::Random;
use tower_jwt_auth::clock::{Clock, UnixTime};
use tower_jwt_auth::issue::refresh::{
    Family, FamilyId, MemoryRefreshStore, NewFamily, Outcome, RefreshErrorKind, RefreshStore, RefreshStoreError,
    Rotation,
};

use crate::refreshing::{Seen, Tokens, login};

/// A store at the end of a wire: a call can be dropped before it arrives, and after it was done.
#[derive(Clone)]
struct Remote(Arc<MemoryRefreshStore>);

impl Remote {
    async fn wire<T>(&self, call: impl Future<Output = T>) -> T {
        pause().await;
        let answer = call.await;
        pause().await;
        answer
    }
}

/// Is ready at the second poll.
async fn pause() {
    let mut is_first = true;
    poll_fn(|_| if std::mem::take(&mut is_first) { Poll::Pending } else { Poll::Ready(()) }).await;
}

impl RefreshStore for Remote {
    async fn start(&self, family: &NewFamily) -> Result<(), RefreshStoreError> {
        self.wire(self.0.start(family)).await
    }

    async fn rotate(&self, rotation: &Rotation) -> Result<Outcome, RefreshStoreError> {
        self.wire(self.0.rotate(rotation)).await
    }

    async fn end(&self, family: FamilyId, of: Option<&str>) -> Result<(), RefreshStoreError> {
        self.wire(self.0.end(family, of)).await
    }

    async fn end_all(&self, subject: &str) -> Result<(), RefreshStoreError> {
        self.wire(self.0.end_all(subject)).await
    }

    async fn list(&self, subject: &str) -> Result<Vec<Family>, RefreshStoreError> {
        self.wire(self.0.list(subject)).await
    }
}

type Running = Pin<Box<dyn Future<Output = ()>>>;

/// Polls once; true when it is done.
fn step(running: &mut Running) -> bool {
    running.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready()
}

fn finish<T>(call: impl Future<Output = T>) -> T {
    let mut call = std::pin::pin!(call);
    loop {
        if let Poll::Ready(answer) = call.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return answer;
        }
    }
}

struct World {
    random: Random,
    clock: Clock,
    instances: [Tokens<Remote>; 2],
    seen: Arc<Seen>,
}

const GRACE: Duration = Duration::from_secs(10);

impl World {
    fn new(seed: u64, grace: Duration) -> Self {
        let clock = Clock::manual(UnixTime::from_secs(1_700_000_000));
        let remote = Remote(Arc::new(MemoryRefreshStore::new().clock(clock.clone())));
        let instances = [(); 2].map(|()| Tokens::builder(remote.clone()).grace(grace).build().expect("valid settings"));
        Self { random: Random::new(seed), clock, instances, seen: Arc::default() }
    }

    /// One more call, not yet begun.
    fn call(&mut self) -> Running {
        let tokens = &self.instances[self.random.below(2)];
        Box::pin(self.seen.call(tokens, &mut self.random))
    }

    fn run(&mut self) {
        let mut running: Vec<Running> = Vec::new();
        for _ in 0..400 {
            match self.random.below(12) {
                0..3 if running.len() < 6 => running.push(self.call()),
                3 if !running.is_empty() => drop(running.swap_remove(self.random.below(running.len()))),
                4 => self.clock.advance(Duration::from_secs(2)),
                _ if !running.is_empty() => {
                    let at = self.random.below(running.len());
                    if step(&mut running[at]) {
                        drop(running.swap_remove(at));
                    }
                }
                _ => {}
            }
        }
    }
}

#[test]
fn no_order_of_calls_and_crashes_leaves_two_live_tokens_or_revives_a_session() {
    let mut happened = [0; 4];
    for seed in 1..=600 {
        let grace = if seed % 2 == 0 { GRACE } else { Duration::ZERO };
        let mut world = World::new(seed, grace);
        world.run();
        let [rotated, repeated, ended] = world.seen.check(!grace.is_zero());
        world.clock.advance(GRACE);
        let live = finish(world.seen.count_live(&world.instances[0], &mut world.random));
        for (all, some) in happened.iter_mut().zip([rotated, repeated, ended, live]) {
            *all += some;
        }
    }
    assert!(happened.iter().all(|&times| times > 200), "too little happened: {happened:?}");
}

/// A client that uses its last token again until it hears of the next one, over a wire that breaks at every third step.
fn a_stubborn_client(seed: u64, grace: Duration) -> Result<u32, RefreshErrorKind> {
    let mut world = World::new(seed, grace);
    let mut token = finish(world.instances[0].start("user", &login())).expect("there is room");
    let mut lost = 0;
    for _ in 0..50 {
        token = loop {
            let tokens = world.instances[world.random.below(2)].clone();
            let (answer, presented) = (Rc::new(RefCell::new(None)), token.clone());
            let heard = Rc::clone(&answer);
            let mut running: Running = Box::pin(async move {
                *heard.borrow_mut() = Some(tokens.rotate(presented.as_str()).await);
            });
            while world.random.below(3) > 0 && !step(&mut running) {}
            drop(running);
            match answer.take() {
                Some(answer) => break answer.map_err(|error| error.kind())?.into_parts().0,
                None => lost += 1,
            }
        };
        world.clock.advance(Duration::from_secs(60));
    }
    Ok(lost)
}

#[test]
fn with_the_window_on_no_crash_costs_a_session_and_without_it_one_does() {
    let mut lost = 0;
    for seed in 1..=200 {
        lost += a_stubborn_client(seed, GRACE).expect("its session stands");
    }
    assert!(lost > 5000, "answers were lost: {lost}");
    let refused = |seed: &u64| a_stubborn_client(*seed, Duration::ZERO).is_err_and(|kind| !kind.is_our_fault());
    assert_eq!((1..=200).filter(refused).count(), 200, "without it, a lost answer ends the session");
}
