//! Requests and operators that wait, in every order: begun, advanced step by step, and dropped in the middle. A seed says
//! everything, so a failure can be run again. What waits has to be woken: a time limit that helps out shows in the clock.

use std::cell::Cell;

use bench_harness::Random;

use super::*;

type Running<'w> = Pin<Box<dyn Future<Output = ()> + 'w>>;

/// What is expected of each, and how often it came to that.
fn begin<'w>(world: &'w World, random: &mut Random, finished: &'w Cell<u32>) -> Running<'w> {
    let (kind, number) = (random.below(4), random.below(1_000_000));
    Box::pin(async move {
        match kind {
            0 => assert_eq!(world.judge(&world.good()).await, Ok(())),
            1 => assert_eq!(world.judge(&world.forged(number)).await, Err(Kind::UnknownKey)),
            2 => world.keys.refresh().await.expect("the provider answers"),
            _ => world.keys.ready().await.expect("there is a runtime"),
        }
        finished.set(finished.get() + 1);
    })
}

async fn interleave(seed: u64) -> (u32, u64) {
    let mut random = Random::new(seed);
    let world = world_with(|builder| builder.forced_refetches(1_000_000, 30 * SECOND));
    let (start, finished) = (Instant::now(), Cell::new(0));
    let mut running = Vec::new();
    for _ in 0..200 {
        match random.below(8) {
            0..3 if running.len() < 8 => running.push(begin(&world, &mut random, &finished)),
            3 if !running.is_empty() => drop(running.swap_remove(random.below(running.len()))),
            // The task takes a step.
            4 | 5 => tokio::task::yield_now().await,
            _ if !running.is_empty() => {
                let at = random.below(running.len());
                if step(running[at].as_mut()).is_ready() {
                    drop(running.swap_remove(at));
                }
            }
            _ => {}
        }
    }
    for left in running {
        left.await;
    }
    assert!(start.elapsed() < SECOND, "seed {seed}: somebody was not woken, and waited for {:?}", start.elapsed());
    let status = world.keys.status();
    assert_eq!(status.waiting, 0, "seed {seed}");
    (finished.get(), status.fetches)
}

#[tokio::test(start_paused = true)]
async fn no_order_of_requests_leaves_one_waiting() {
    let (mut finished, mut fetches) = (0, 0);
    for seed in 1..=200 {
        let happened = interleave(seed).await;
        finished += happened.0;
        fetches += happened.1;
    }
    assert!(finished > 2000 && fetches > 1000, "too little happened: {finished} finished, {fetches} fetches");
}
