//! Issuers that come and go, and keys in a file.

mod aliases;
mod renewed;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use tower_jwt_auth::clock::{Clock, UnixTime};
use tower_jwt_auth::keys::{KeyError, KeyFile};
use tower_jwt_auth::testing::Authority;
use tower_jwt_auth::verify::IssuerResolver;
use tower_jwt_auth::{Algorithm, AuthErrorKind as Kind, Issuer, Verifier};

use crate::support::verdict;

/// Tenants whose number is below ten are trusted; `asked` counts the questions.
struct Tenants {
    authorities: Vec<Arc<Authority>>,
    asked: Arc<AtomicUsize>,
    clock: Clock,
}

impl Tenants {
    fn new() -> Self {
        let clock = Clock::manual(UnixTime::from_secs(1_700_000_000));
        let authority =
            |n| Authority::new(Algorithm::ES256).named(format!("https://{n}.test")).with_clock(clock.clone());
        Self { authorities: (0..20).map(|n| Arc::new(authority(n))).collect(), asked: Arc::default(), clock }
    }

    fn verifier(&self, options: impl FnOnce(IssuerResolver) -> IssuerResolver) -> Verifier<Value> {
        let (authorities, asked) = (self.authorities.clone(), Arc::clone(&self.asked));
        let resolver = IssuerResolver::new(move |iss: String| {
            asked.fetch_add(1, Ordering::Relaxed);
            let found = authorities.iter().position(|authority| authority.name() == iss);
            let authority = found.map(|n| (n, Arc::clone(&authorities[n])));
            async move {
                tokio::task::yield_now().await;
                match authority {
                    Some((13, _)) => Err(KeyError::new("the database is down")),
                    Some((n, authority)) if n < 10 => Ok(Some(authority.trusted())),
                    _ => Ok(None),
                }
            }
        });
        let builder = Verifier::builder().resolver(options(resolver)).clock(self.clock.clone());
        builder.build().expect("valid")
    }

    fn asked(&self) -> usize {
        self.asked.swap(0, Ordering::Relaxed)
    }
}

#[tokio::test]
async fn tenants_are_resolved_once_and_a_no_is_remembered_briefly() {
    let tenants = Tenants::new();
    let verifier = tenants.verifier(|resolver| resolver);
    for authority in &tenants.authorities[..10] {
        for _ in 0..3 {
            assert_eq!(verdict(&verifier, &authority.token().sign()).await, Ok(()));
        }
        assert_eq!(verdict(&verifier, &authority.token().tampered().sign()).await, Err(Kind::InvalidSignature));
    }
    assert_eq!(tenants.asked(), 10);

    let stranger = tenants.authorities[15].token().expires_in(9999).sign();
    for _ in 0..3 {
        assert_eq!(verdict(&verifier, &stranger).await, Err(Kind::InvalidIssuer));
    }
    assert_eq!(tenants.asked(), 1);
    tenants.clock.advance(Duration::from_secs(29));
    assert_eq!(verdict(&verifier, &stranger).await, Err(Kind::InvalidIssuer));
    assert_eq!(tenants.asked(), 0);
    tenants.clock.advance(Duration::from_secs(1));
    assert_eq!(verdict(&verifier, &stranger).await, Err(Kind::InvalidIssuer));
    assert_eq!(tenants.asked(), 1);
}

#[tokio::test]
async fn a_resolver_that_fails_is_a_503_and_is_asked_again() {
    let tenants = Tenants::new();
    let verifier = tenants.verifier(|resolver| resolver);
    let token = tenants.authorities[13].token().sign();
    for _ in 0..2 {
        assert_eq!(verdict(&verifier, &token).await, Err(Kind::KeysUnavailable));
    }
    assert_eq!(tenants.asked(), 2);
}

#[tokio::test]
async fn a_withdrawn_tenant_is_dead_after_ten_minutes_or_at_once_when_told() {
    let clock = Clock::manual(UnixTime::from_secs(1_700_000_000));
    let authority = Arc::new(Authority::new(Algorithm::ES256).with_clock(clock.clone()));
    // 0: trusted, 1: withdrawn, 2: the database is down.
    let state = Arc::new(AtomicUsize::new(0));
    let (answers, tenant) = (Arc::clone(&state), Arc::clone(&authority));
    let resolver = IssuerResolver::new(move |_| {
        let answer = match answers.load(Ordering::Relaxed) {
            0 => Ok(Some(tenant.trusted())),
            1 => Ok(None),
            _ => Err(KeyError::new("down")),
        };
        async { answer }
    });
    let verifier = Verifier::<Value>::builder().resolver(resolver).clock(clock.clone()).build().expect("valid");
    let token = authority.token().expires_in(99_999).sign();
    let judge = async || verdict(&verifier, &token).await;
    assert_eq!(judge().await, Ok(()));
    state.store(2, Ordering::Relaxed);
    clock.advance(Duration::from_secs(600 + 3599));
    assert_eq!(judge().await, Ok(()), "an hour past its time while nobody can say");
    clock.advance(Duration::from_secs(1));
    assert_eq!(judge().await, Err(Kind::KeysUnavailable));
    state.store(0, Ordering::Relaxed);
    assert_eq!(judge().await, Ok(()));
    state.store(1, Ordering::Relaxed);
    clock.advance(Duration::from_secs(599));
    assert_eq!(judge().await, Ok(()));
    clock.advance(Duration::from_secs(1));
    assert_eq!(judge().await, Err(Kind::InvalidIssuer));
    state.store(0, Ordering::Relaxed);
    clock.advance(Duration::from_secs(30));
    assert_eq!(judge().await, Ok(()));
    state.store(1, Ordering::Relaxed);
    verifier.forget_issuer(authority.name());
    assert_eq!(judge().await, Err(Kind::InvalidIssuer));
}

#[tokio::test]
async fn tokens_of_one_tenant_do_not_pass_as_anothers() {
    let tenants = Tenants::new();
    let verifier = tenants.verifier(|resolver| resolver);
    let forged = tenants.authorities[1].token().claim("iss", "https://2.test").sign();
    assert_eq!(verdict(&verifier, &forged).await, Err(Kind::InvalidSignature));
}

#[tokio::test]
async fn what_could_not_pass_anyway_is_not_looked_up() {
    let tenants = Tenants::new();
    let verifier = tenants.verifier(|resolver| resolver);
    let authority = &tenants.authorities[1];
    let hopeless = [
        (authority.token().header("alg", "none").sign(), Kind::AlgorithmNotAllowed),
        (authority.token().claim("iss", "i".repeat(513)).sign(), Kind::InvalidIssuer),
        (authority.token().without("iss").sign(), Kind::InvalidIssuer),
        (authority.token().header("crit", ["x"]).sign(), Kind::CriticalHeader),
    ];
    for (token, kind) in hopeless {
        assert_eq!(verdict(&verifier, &token).await, Err(kind));
    }
    assert_eq!(tenants.asked(), 0);
}

#[tokio::test]
async fn the_least_recently_used_tenant_goes_first_and_refusals_are_bounded() {
    let tenants = Tenants::new();
    let verifier = tenants.verifier(|resolver| resolver.capacity(3).refusals(2, Duration::from_secs(30)));
    let judge = async |n: usize| verdict(&verifier, &tenants.authorities[n].token().sign()).await.is_ok();
    for n in [0, 1, 2, 0, 3] {
        assert!(judge(n).await);
    }
    assert_eq!(tenants.asked(), 4);
    assert!(judge(0).await && judge(2).await && judge(3).await);
    assert_eq!(tenants.asked(), 0, "1 was the least recently used");
    assert!(judge(1).await);
    assert_eq!(tenants.asked(), 1);
    for n in [15, 16, 17] {
        assert!(!judge(n).await);
        tenants.clock.advance(Duration::from_secs(1));
    }
    assert_eq!(tenants.asked(), 3);
    assert!(!judge(16).await && !judge(17).await);
    assert_eq!(tenants.asked(), 0);
    assert!(!judge(15).await);
    assert_eq!(tenants.asked(), 1, "15 was the first to go");
}

#[tokio::test]
async fn beyond_the_bound_unknown_issuers_are_answered_at_once() {
    let tenants = Tenants::new();
    let verifier = tenants.verifier(|resolver| resolver.most_waiting(4));
    let tokens: Vec<_> = (0..10).map(|n| tenants.authorities[n].token().sign()).collect();
    let waiting: Vec<_> = tokens
        .into_iter()
        .map(|token| {
            let verifier = verifier.clone();
            tokio::spawn(async move { verdict(&verifier, &token).await })
        })
        .collect();
    let mut verdicts = Vec::new();
    for request in waiting {
        verdicts.push(request.await.expect("no panic"));
    }
    assert_eq!(verdicts.iter().filter(|verdict| verdict.is_ok()).count(), 4);
    assert_eq!(verdicts.iter().filter(|verdict| **verdict == Err(Kind::KeysUnavailable)).count(), 6);
    for authority in &tenants.authorities[..10] {
        assert_eq!(verdict(&verifier, &authority.token().sign()).await, Ok(()), "the places were given back");
    }
}

/// Answers when it is told to: the name and the answer.
type Answers = tokio::sync::Mutex<std::collections::HashMap<String, tokio::sync::oneshot::Receiver<Option<Issuer>>>>;

#[tokio::test]
async fn an_answer_is_kept_unless_its_own_name_was_forgotten_or_refused_meanwhile() {
    let clock = Clock::manual(UnixTime::from_secs(1_700_000_000));
    let tenant = Authority::new(Algorithm::ES256).named("https://tenant.test").with_clock(clock.clone());
    let stranger = Authority::new(Algorithm::ES256).named("https://stranger.test").with_clock(clock.clone());
    let (answers, asked) = (Arc::<Answers>::default(), Arc::new(AtomicUsize::new(0)));
    let (told, counted) = (Arc::clone(&answers), Arc::clone(&asked));
    let resolver = IssuerResolver::new(move |iss: String| {
        let told = Arc::clone(&told);
        counted.fetch_add(1, Ordering::Relaxed);
        async move {
            let answer = told.lock().await.remove(&iss);
            Ok(match answer {
                Some(answer) => answer.await.expect("it is told"),
                None => None,
            })
        }
    });
    let verifier = Verifier::<Value>::builder().resolver(resolver).clock(clock.clone()).build().expect("valid");
    let (good, other) = (tenant.token().expires_in(9999).sign(), stranger.token().sign());
    // What happens while the question about the tenant is open, and whether the answer is kept.
    let cases: [(&str, bool); 4] = [
        ("another is refused", true),
        ("another is forgotten", true),
        ("it is forgotten", false),
        ("it is refused", false),
    ];
    for (meanwhile, is_kept) in cases {
        verifier.forget_issuer(tenant.name());
        let (tell, told) = tokio::sync::oneshot::channel();
        answers.lock().await.insert(tenant.name().to_owned(), told);
        let question = verdict(&verifier, &good);
        let answer = async {
            tokio::task::yield_now().await;
            match meanwhile {
                "another is refused" => assert_eq!(verdict(&verifier, &other).await, Err(Kind::InvalidIssuer)),
                "another is forgotten" => verifier.forget_issuer(stranger.name()),
                "it is forgotten" => verifier.forget_issuer(tenant.name()),
                _ => assert_eq!(verdict(&verifier, &good).await, Err(Kind::InvalidIssuer)),
            }
            tell.send(Some(tenant.trusted())).expect("somebody waits");
        };
        assert_eq!(tokio::join!(question, answer).0, Ok(()), "{meanwhile}: good for the one who asked");
        asked.store(0, Ordering::Relaxed);
        let again = verdict(&verifier, &good).await;
        let expected = if is_kept { Ok(()) } else { Err(Kind::InvalidIssuer) };
        assert_eq!(again, expected, "{meanwhile}");
        assert_eq!(asked.load(Ordering::Relaxed), usize::from(meanwhile == "it is forgotten"), "{meanwhile}");
        clock.advance(Duration::from_secs(30));
    }
}

#[tokio::test]
async fn to_forget_an_issuer_forgets_that_it_was_refused() {
    let clock = Clock::manual(UnixTime::from_secs(1_700_000_000));
    let authority = Arc::new(Authority::new(Algorithm::ES256).with_clock(clock.clone()));
    let is_there = Arc::new(AtomicUsize::new(0));
    let (answers, tenant) = (Arc::clone(&is_there), Arc::clone(&authority));
    let resolver = IssuerResolver::new(move |_| {
        let answer = (answers.load(Ordering::Relaxed) == 1).then(|| tenant.trusted());
        async { Ok(answer) }
    });
    let verifier = Verifier::<Value>::builder().resolver(resolver).clock(clock).build().expect("valid");
    let token = authority.token().sign();
    assert_eq!(verdict(&verifier, &token).await, Err(Kind::InvalidIssuer));
    is_there.store(1, Ordering::Relaxed);
    assert_eq!(verdict(&verifier, &token).await, Err(Kind::InvalidIssuer), "remembered");
    verifier.forget_issuer(authority.name());
    assert_eq!(verdict(&verifier, &token).await, Ok(()));
}

#[tokio::test]
async fn a_keys_file_that_changes_is_read_again_and_a_broken_one_keeps_the_keys() {
    let folder = std::env::temp_dir().join(format!("tower-jwt-auth-keys-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let path = folder.join("jwks.json");
    let mut authority = Authority::new(Algorithm::ES256);
    std::fs::write(&path, authority.jwks()).expect("a file");
    let keys = KeyFile::with(&path, Duration::from_millis(5), |content| tower_jwt_auth::KeySet::jwk_set(content))
        .expect("valid");
    let issuer = Issuer::new(authority.name(), keys.clone()).audience(authority.audience());
    let verifier = Verifier::<Value>::new(issuer).expect("valid");
    assert_eq!(verdict(&verifier, &authority.token().sign()).await, Ok(()));

    authority.add_key(Algorithm::ES256);
    assert_eq!(verdict(&verifier, &authority.token().sign()).await, Err(Kind::UnknownKey));
    std::fs::write(&path, authority.jwks()).expect("a file");
    until(async || verdict(&verifier, &authority.token().sign()).await.is_ok()).await;

    std::fs::write(&path, "{\"keys\":[").expect("a file");
    until(async || keys.last_error().is_some()).await;
    assert_eq!(verdict(&verifier, &authority.token().sign()).await, Ok(()));
    std::fs::remove_file(&path).expect("a file");
    until(async || keys.last_error().is_some_and(|reason| reason.contains("No such file"))).await;
    assert_eq!(verdict(&verifier, &authority.token().sign()).await, Ok(()));
    std::fs::write(&path, authority.jwks()).expect("a file");
    until(async || keys.last_error().is_none()).await;

    assert!(KeyFile::jwk_set(folder.join("missing")).is_err());
    std::fs::write(&path, vec![b' '; 512 * 1024 + 1]).expect("a file");
    assert!(KeyFile::jwk_set(&path).is_err_and(|error| error.to_string().contains("longer")));
    std::fs::remove_dir_all(&folder).expect("the folder");
}

/// Waits for something that another thread does, 10 seconds at most.
async fn until(mut done: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !done().await {
        assert!(start.elapsed() < Duration::from_secs(10), "it does not happen");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
