//! What every store of refresh tokens has to do, in memory and on a server. Each is given twice, as two instances have it.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bench_harness::Random;
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use tower_jwt_auth::issue::refresh::{FamilyId, RefreshErrorKind, RefreshStore, RefreshToken, RefreshTokens, Session};

/// What an application keeps with a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Login {
    client_id: String,
    scope: Vec<String>,
}

pub(crate) type Tokens<S> = RefreshTokens<Login, S>;

pub(crate) fn login() -> Login {
    Login { client_id: "shop".into(), scope: vec!["orders:read".into(), "naïve \"quotes\"\n\0".into()] }
}

/// One instance, without a window.
pub(crate) fn tokens<S: RefreshStore + Clone>(store: &S) -> Tokens<S> {
    Tokens::new(store.clone()).expect("a backend")
}

/// One instance, with a window that no test outlasts.
pub(crate) fn with_grace<S: RefreshStore + Clone>(store: &S) -> Tokens<S> {
    Tokens::builder(store.clone()).grace(Duration::from_secs(60)).build().expect("valid")
}

pub(crate) async fn start<S: RefreshStore>(tokens: &Tokens<S>, subject: &str) -> RefreshToken {
    tokens.start(subject, &login()).await.expect("there is room")
}

pub(crate) async fn rotate<S: RefreshStore>(tokens: &Tokens<S>, token: &RefreshToken) -> RefreshToken {
    tokens.rotate(token.as_str()).await.expect("the token is live").into_parts().0
}

/// Why a token is refused.
pub(crate) async fn refused<S: RefreshStore>(tokens: &Tokens<S>, token: &RefreshToken) -> RefreshErrorKind {
    tokens.rotate(token.as_str()).await.expect_err("the token is spent or its family has ended").kind()
}

pub(crate) async fn one_use_each<S: RefreshStore + Clone>([here, there]: &[S; 2]) {
    let [one, other] = [tokens(here), tokens(there)];
    for spent in 0..4 {
        let first = start(&one, "user ☃").await;
        let mut all = vec![first.clone()];
        for instance in [&one, &other, &one] {
            let rotated = instance.rotate(all[all.len() - 1].as_str()).await.expect("live");
            assert_eq!((rotated.subject(), rotated.data()), ("user ☃", &login()));
            assert_eq!((rotated.token().family(), rotated.session().family()), (first.family(), first.family()));
            all.push(rotated.token().clone());
        }
        if spent == 3 {
            // None was used twice: the last one is live.
            rotate(&other, &all[3]).await;
            continue;
        }
        let error = other.rotate(all[spent].as_str()).await.expect_err("it is spent");
        assert_eq!(error.kind(), RefreshErrorKind::Reused);
        assert!(!error.kind().is_our_fault());
        let reuse = error.reuse().expect("it says whose");
        assert_eq!((reuse.family(), reuse.subject()), (first.family(), "user ☃"));
        for token in &all {
            for instance in [&one, &other] {
                assert_eq!(
                    refused(instance, token).await,
                    RefreshErrorKind::Invalid,
                    "reported once, and all are dead"
                );
            }
        }
    }
}

pub(crate) async fn forgeries<S: RefreshStore + Clone>([here, there]: &[S; 2]) {
    let [tokens, elsewhere] = [tokens(here), tokens(there)];
    let token = start(&tokens, "user").await;
    let stranger = start(&tokens, "stranger").await;
    let id = token.family().to_string();
    // 16 bytes of a mark are 21 characters and a bit: 24 characters are the mark and two bytes of the secret.
    let forged = [
        String::new(),
        id.clone(),
        format!("{id}{}", "A".repeat(42)),
        format!("{id}{}", &stranger.as_str()[22..]),
        format!("{}{}", "A".repeat(24), &token.as_str()[24..]),
        "A".repeat(64),
        "A".repeat(1 << 20),
        token.as_str()[..63].to_owned(),
        format!("{}=", token.as_str()),
    ];
    for text in &forged {
        let error = tokens.rotate(text).await.expect_err("forged");
        assert_eq!(error.kind(), RefreshErrorKind::Invalid);
        tokens.revoke_token(text).await.expect("what is unknown is fine");
    }
    let next = rotate(&tokens, &token).await;
    rotate(&tokens, &stranger).await;
    // Whoever has the mark has had a token: a secret that was never live is as bad as a spent one.
    let altered = format!("{}{}", &token.as_str()[..24], &stranger.as_str()[24..]);
    assert_eq!(elsewhere.rotate(&altered).await.expect_err("spent").kind(), RefreshErrorKind::Reused);
    assert_eq!(refused(&tokens, &next).await, RefreshErrorKind::Invalid);
}

pub(crate) async fn the_window<S: RefreshStore + Clone>([here, there]: &[S; 2]) {
    let [one, other] = [with_grace(here), with_grace(there)];
    let first = start(&one, "user").await;
    let second = rotate(&one, &first).await;
    for instance in [&other, &one] {
        let again = instance.rotate(first.as_str()).await.expect("within the window");
        assert_eq!((again.token().as_str(), again.data()), (second.as_str(), &login()));
    }
    let third = rotate(&other, &second).await;
    assert_ne!(third.as_str(), second.as_str());
    assert_eq!(rotate(&one, &second).await.as_str(), third.as_str());
    // The successor of the first one was used: it is spent for good, window or not.
    assert_eq!(refused(&one, &first).await, RefreshErrorKind::Reused);
    assert_eq!(refused(&one, &third).await, RefreshErrorKind::Invalid);

    // An instance without a window leaves nothing behind for one that has it.
    let first = start(&one, "user").await;
    let second = rotate(&tokens(there), &first).await;
    assert_eq!(refused(&one, &first).await, RefreshErrorKind::Reused);
    assert_eq!(refused(&one, &second).await, RefreshErrorKind::Invalid);
}

pub(crate) async fn sessions<S: RefreshStore + Clone>([here, there]: &[S; 2]) {
    let [tokens, elsewhere] = [tokens(here), tokens(there)];
    let [first, second, third] =
        [start(&tokens, "user").await, start(&tokens, "user").await, start(&tokens, "user").await];
    let other = start(&tokens, "other").await;
    let listed = async |subject: &str| -> Vec<FamilyId> {
        let mut ids: Vec<_> = elsewhere.sessions(subject).await.expect("listed").iter().map(Session::family).collect();
        ids.sort_unstable();
        ids
    };
    let sorted = |tokens: &[&RefreshToken]| {
        let mut ids: Vec<_> = tokens.iter().map(|token| token.family()).collect();
        ids.sort_unstable();
        ids
    };
    assert_eq!(listed("user").await, sorted(&[&first, &second, &third]));
    assert_eq!(listed("other").await, sorted(&[&other]));
    assert!(listed("nobody").await.is_empty());
    for session in tokens.sessions("user").await.expect("listed") {
        assert_eq!((session.subject(), session.data()), ("user", &login()));
        assert_eq!(session.created(), session.last_used());
        let days = (session.expires().as_secs() - session.created().as_secs()) / (24 * 60 * 60);
        assert_eq!(days, 14, "the default of idle sessions");
    }

    tokens.revoke_own("other", first.family()).await.expect("fine");
    assert_eq!(listed("user").await, sorted(&[&first, &second, &third]), "it is not the other's");
    tokens.revoke_own("user", first.family()).await.expect("fine");
    assert_eq!(listed("user").await, sorted(&[&second, &third]));
    assert_eq!(refused(&tokens, &first).await, RefreshErrorKind::Invalid);
    tokens.revoke_own("user", first.family()).await.expect("what is not there is fine");

    // A spent token is as good as a live one to end a session.
    let next = rotate(&tokens, &second).await;
    tokens.revoke_token(second.as_str()).await.expect("fine");
    assert_eq!(refused(&tokens, &next).await, RefreshErrorKind::Invalid);
    assert_eq!(listed("user").await, sorted(&[&third]));
    tokens.revoke_family(third.family()).await.expect("fine");
    tokens.revoke_family(third.family()).await.expect("fine");
    assert!(listed("user").await.is_empty());

    let [fourth, fifth] = [start(&tokens, "user").await, start(&tokens, "user").await];
    let fifth = rotate(&tokens, &fifth).await;
    tokens.revoke_subject("user").await.expect("fine");
    tokens.revoke_subject("nobody").await.expect("fine");
    for token in [&fourth, &fifth] {
        assert_eq!(refused(&tokens, token).await, RefreshErrorKind::Invalid);
    }
    assert!(listed("user").await.is_empty());
    assert_eq!(listed("other").await, sorted(&[&other]));
    rotate(&tokens, &other).await;
    start(&tokens, "user").await;
    assert_eq!(listed("user").await.len(), 1, "a new login");
}

/// 32 uses of one token, at two instances.
async fn at_once<S: RefreshStore>(
    instances: [&Tokens<S>; 2],
    token: &RefreshToken,
) -> Vec<Result<RefreshToken, RefreshErrorKind>> {
    let mut uses = JoinSet::new();
    let barrier = Arc::new(tokio::sync::Barrier::new(32));
    for tokens in instances.into_iter().cycle().take(32) {
        let (tokens, token, barrier) = (tokens.clone(), token.clone(), Arc::clone(&barrier));
        uses.spawn(async move {
            barrier.wait().await;
            let rotated = tokens.rotate(token.as_str()).await;
            rotated.map(|rotated| rotated.into_parts().0).map_err(|error| error.kind())
        });
    }
    uses.join_all().await
}

pub(crate) async fn many_at_once<S: RefreshStore + Clone>([here, there]: &[S; 2]) {
    for _ in 0..20 {
        let [one, other] = [tokens(here), tokens(there)];
        let token = start(&one, "user").await;
        let answers = at_once([&one, &other], &token).await;
        let count = |kind| answers.iter().filter(|answer| answer.as_ref().err() == Some(&kind)).count();
        let rotated: Vec<_> = answers.iter().flatten().collect();
        assert_eq!(rotated.len(), 1);
        assert_eq!(count(RefreshErrorKind::Reused), 1, "reported once");
        assert_eq!(count(RefreshErrorKind::Invalid), 30);
        assert_eq!(refused(&one, rotated[0]).await, RefreshErrorKind::Invalid, "its family has ended");

        let [one, other] = [with_grace(here), with_grace(there)];
        let token = start(&one, "user").await;
        let answers = at_once([&one, &other], &token).await;
        let texts: Vec<_> = answers.iter().map(|answer| answer.as_ref().expect("in the window").as_str()).collect();
        assert!(texts.iter().all(|text| *text == texts[0]), "one rotation, one live token");
        let next = tokens(there).rotate(texts[0]).await.expect("it is live");
        assert_ne!(next.token().as_str(), texts[0]);
    }
}

/// What clients, thieves and operators have seen, and what must be true of it in whatever order it happened.
#[derive(Default)]
pub(crate) struct Seen(Mutex<Facts>);

#[derive(Default)]
struct Facts {
    /// Every token that anybody was ever given.
    tokens: Vec<RefreshToken>,
    /// What a token was changed for, each time.
    successors: HashMap<String, Vec<String>>,
    /// Families of which somebody was told that they have ended.
    ended: Vec<FamilyId>,
}

impl Seen {
    fn facts(&self) -> MutexGuard<'_, Facts> {
        self.0.lock().expect("not poisoned")
    }

    /// Starts a session, revokes one, or uses a token: mostly one of the last, as a client would; sometimes any, as a thief.
    pub(crate) fn call<S: RefreshStore + Clone>(
        self: &Arc<Self>,
        tokens: &Tokens<S>,
        random: &mut Random,
    ) -> impl Future<Output = ()> + Send + use<S> {
        let (seen, tokens) = (Arc::clone(self), tokens.clone());
        let known = self.facts().tokens.len();
        let back = if random.below(4) == 0 { known } else { known.min(3) };
        let token =
            (known > 0 && random.below(12) > 0).then(|| self.facts().tokens[known - 1 - random.below(back)].clone());
        let is_revocation = random.below(30) == 0;
        async move {
            let Some(token) = token else {
                let Ok(token) = tokens.start("user", &login()).await else { return };
                seen.facts().tokens.push(token);
                return;
            };
            let family = token.family();
            let had_ended = seen.facts().ended.contains(&family);
            if is_revocation {
                if tokens.revoke_family(family).await.is_ok() {
                    seen.facts().ended.push(family);
                }
                return;
            }
            match tokens.rotate(token.as_str()).await {
                Ok(rotated) => {
                    assert!(!had_ended, "a family that had ended is alive");
                    let (next, mut facts) = (rotated.into_parts().0, seen.facts());
                    facts.successors.entry(token.as_str().into()).or_default().push(next.as_str().into());
                    facts.tokens.push(next);
                }
                Err(error) if error.kind() == RefreshErrorKind::Reused => {
                    assert!(!had_ended, "a family ends once");
                    seen.facts().ended.push(family);
                }
                Err(error) => assert!(error.kind() == RefreshErrorKind::Invalid || error.kind().is_our_fault()),
            }
        }
    }

    /// How many tokens were changed for another, how many of them again, and how many families have ended: a token has
    /// one successor, and without a window it is changed once.
    pub(crate) fn check(&self, has_window: bool) -> [usize; 3] {
        let facts = self.facts();
        for successors in facts.successors.values() {
            assert!(successors.iter().all(|one| *one == successors[0]), "two successors of one token");
            assert!(successors.len() == 1 || has_window, "one token rotated twice");
        }
        let rotations: usize = facts.successors.values().map(Vec::len).sum();
        [facts.successors.len(), rotations - facts.successors.len(), facts.ended.len()]
    }

    /// Presents every token that is known, in a random order: at most one of a family is live, none of one that has
    /// ended. All windows must be over. Says how many were.
    pub(crate) async fn count_live<S: RefreshStore>(&self, tokens: &Tokens<S>, random: &mut Random) -> usize {
        let (mut known, ended) = {
            let mut facts = self.facts();
            (std::mem::take(&mut facts.tokens), facts.ended.clone())
        };
        let mut met = HashSet::new();
        known.retain(|token| met.insert(token.as_str().to_owned()));
        let mut live = Vec::new();
        while !known.is_empty() {
            let token = known.swap_remove(random.below(known.len()));
            match tokens.rotate(token.as_str()).await {
                Ok(_) => live.push(token.family()),
                Err(error) => assert!(!error.kind().is_our_fault(), "{error}"),
            }
        }
        live.sort_unstable();
        assert!(live.windows(2).all(|two| two[0] != two[1]), "two live tokens in one family");
        assert!(live.iter().all(|family| !ended.contains(family)), "a family that had ended is alive");
        live.len()
    }
}
