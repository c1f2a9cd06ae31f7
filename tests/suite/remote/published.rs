//! Keys that are published while the source is busy: what is on its way was written before them, and says nothing of them.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_key_that_is_published_while_a_refetch_is_on_its_way_passes() {
    let world = world();
    assert_eq!(world.judge(&world.good()).await, Ok(()));
    world.provider.delay(2 * SECOND);
    let (verifier, forged) = (world.verifier.clone(), world.forged(1));
    let asking = tokio::spawn(async move { verdict(&verifier, &forged).await });
    sleep(SECOND).await;
    world.authority.rotate();
    let start = Instant::now();
    assert_eq!(world.judge(&world.good()).await, Ok(()));
    assert_eq!(start.elapsed(), 3 * SECOND, "the rest of that refetch, and the next");
    assert_eq!(asking.await.expect("no panic"), Err(Kind::UnknownKey));
    assert_eq!(world.provider.forced().len(), 2);
    // What was there all the while is remembered, as ever.
    world.provider.delay(Duration::ZERO);
    assert_eq!(world.judge_at_once(&world.forged(1)).await, Err(Kind::UnknownKey));
    assert_eq!(world.provider.forced().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_published_during_the_last_refetch_of_a_window_passes_when_a_slot_opens() {
    let world = world();
    assert_eq!(world.judge(&world.good()).await, Ok(()));
    world.provider.delay(2 * SECOND);
    assert_eq!(world.judge(&world.forged(1)).await, Err(Kind::UnknownKey));
    let (verifier, forged) = (world.verifier.clone(), world.forged(2));
    let asking = tokio::spawn(async move { verdict(&verifier, &forged).await });
    sleep(SECOND).await;
    world.authority.rotate();
    let new = world.authority.token().expires_in(99_999).sign();
    let start = Instant::now();
    while world.judge(&new).await.is_err() {
        sleep(SECOND / 10).await;
    }
    assert_eq!(asking.await.expect("no panic"), Err(Kind::UnknownKey));
    assert!(start.elapsed() < 30 * SECOND, "{:?}: a slot opens 30 s after the first refetch", start.elapsed());
    assert_rate(&world.provider.forced(), 2);
}

/// The start of a refetch is not its end: who waits for a fetch that began before waits for the next one too.
#[tokio::test(start_paused = true)]
async fn a_refetch_that_has_only_begun_is_not_the_last_word() {
    let world = world();
    assert_eq!(world.judge(&world.good()).await, Ok(()));
    world.provider.delay(2 * SECOND);
    while world.provider.fetches() == 1 {
        sleep(SECOND / 10).await;
    }
    world.authority.rotate();
    let (verifier, new) = (world.verifier.clone(), world.good());
    let asking = tokio::spawn(async move { verdict(&verifier, &new).await });
    sleep(SECOND / 10).await;
    let keys = world.keys.clone();
    let refreshing = tokio::spawn(async move { keys.refresh().await });
    assert_eq!(asking.await.expect("no panic"), Ok(()));
    refreshing.await.expect("no panic").expect("the provider answers");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_first_tokens_of_a_rotation_pass_on_many_threads_behind_a_forged_one() {
    for round in 0..50 {
        let world = world();
        assert_eq!(world.judge(&world.good()).await, Ok(()));
        world.provider.delay(Duration::from_millis(10));
        let (verifier, forged) = (world.verifier.clone(), world.forged(round));
        let asking = tokio::spawn(async move { verdict(&verifier, &forged).await });
        while world.provider.fetches() < 2 {
            tokio::task::yield_now().await;
        }
        world.authority.rotate();
        let mut first = tokio::task::JoinSet::new();
        for _ in 0..40 {
            let (verifier, new) = (world.verifier.clone(), world.good());
            first.spawn(async move { verdict(&verifier, &new).await });
        }
        for verdict in first.join_all().await {
            assert_eq!(verdict, Ok(()), "round {round}: {:?}", world.keys.status());
        }
        assert_eq!(asking.await.expect("no panic"), Err(Kind::UnknownKey));
    }
}

/// A later fetch may have failed before a waiter has looked: what it waited for has come all the same.
#[tokio::test(start_paused = true)]
async fn a_key_that_a_refetch_has_brought_counts_whatever_came_after_it() {
    let world = world();
    assert_eq!(world.judge(&world.good()).await, Ok(()));
    world.authority.rotate();
    world.provider.delay(SECOND);
    let (new, keys) = (world.good(), world.keys.clone());
    let mut asking = Box::pin(world.judge(&new));
    assert!(step(asking.as_mut()).is_pending());
    // The refetch brings the key while nobody looks, and long after it the next one fails.
    sleep(40 * SECOND).await;
    world.provider.fail();
    keys.refresh().await.expect_err("it fails");
    assert_eq!(asking.await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn beyond_the_places_an_unknown_kid_is_answered_503_at_once() {
    let world = world();
    assert_eq!(world.judge(&world.good()).await, Ok(()));
    world.provider.delay(SECOND);
    world.authority.rotate();
    let mut all = tokio::task::JoinSet::new();
    for _ in 0..200 {
        let (verifier, new) = (world.verifier.clone(), world.good());
        all.spawn(async move { (verdict(&verifier, &new).await, Instant::now()) });
    }
    let start = Instant::now();
    let verdicts = all.join_all().await;
    let passed = verdicts.iter().filter(|(verdict, _)| verdict.is_ok()).count();
    assert_eq!(passed, 64);
    for (verdict, at) in verdicts.iter().filter(|(verdict, _)| verdict.is_err()) {
        assert_eq!((*verdict, *at), (Err(Kind::KeysUnavailable), start), "no 401: nobody has looked for its key");
    }
}

/// Two replicas that differ, or a member that changes with each answer: no rotation, and no refetches for nothing.
#[tokio::test(start_paused = true)]
async fn a_set_that_differs_each_time_does_not_lift_the_bound_on_refetches() {
    let world = world();
    assert_eq!(world.judge(&world.good()).await, Ok(()));
    world.provider.delay(SECOND / 20);
    let start = Instant::now();
    for number in 0.. {
        let mut set: Value = serde_json::from_str(&world.authority.jwks()).expect("JSON");
        set["keys"][0]["version"] = number.into();
        world.provider.publish(set.to_string());
        assert_eq!(world.judge(&world.forged(number)).await, Err(Kind::UnknownKey));
        sleep(SECOND / 20).await;
        if start.elapsed() > 120 * SECOND {
            break;
        }
    }
    assert_rate(&world.provider.forced(), 10);
}
