//! The example `session` as its users meet it: in a real browser, and over its API; alone, and two copies on one Redis.

use std::time::Duration;

use serde_json::{Value, json};

use crate::browser::Browser;
use crate::examples::{Answer, Running, paste};
use crate::redis_server::RedisServer;

const PASSWORD: &str = "pass";
const USER: &str = "user@example.com";

/// One copy of the example.
struct Copy {
    _running: Running,
    url: String,
}

impl Copy {
    fn start(options: &[&str]) -> Self {
        let mut running = Running::start("session", &[&["--port", "0"], options].concat());
        let url = running.ready().remove(0);
        Self { _running: running, url }
    }

    fn post(&self, path: &str, body: &Value) -> Answer {
        let url = &self.url;
        paste(&format!("curl -i {url}{path} -H 'Content-Type: application/json' -d '{body}'"))
    }

    fn login(&self) -> Tokens {
        Tokens::of(&self.post("/api/login", &json!({"email": USER, "password": PASSWORD})))
    }

    fn refresh(&self, token: &str) -> Answer {
        self.post("/api/refresh", &json!({ "refresh_token": token }))
    }

    fn profile(&self, token: &str) -> Answer {
        crate::examples::get(&format!("{}/api/profile", self.url), token)
    }

    fn logout(&self, token: &str) -> Answer {
        paste(&format!("curl -i -X POST {}/api/logout -H 'Authorization: Bearer {token}'", self.url))
    }
}

struct Tokens {
    access: String,
    refresh: String,
    expires_in: u64,
}

impl Tokens {
    fn of(answer: &Answer) -> Self {
        assert_eq!(answer.status, 200, "{}", answer.head);
        let body = answer.json();
        let text = |name: &str| body[name].as_str().unwrap_or_else(|| panic!("no {name} in {body}")).to_owned();
        let expires_in = body["expires_in"].as_u64().expect("a number");
        Self { access: text("access_token"), refresh: text("refresh_token"), expires_in }
    }
}

fn sign_in(browser: &Browser, copy: &Copy) {
    browser.open(&copy.url);
    browser.fill("#email", USER);
    browser.fill("#password", PASSWORD);
    browser.click("main button");
    browser.wait_for("h1", "Welcome");
}

#[test]
fn in_a_browser_a_session_goes_on_by_itself_until_it_is_signed_out() {
    let copy = Copy::start(&["--access-ttl", "2"]);
    let browser = Browser::start();

    // Nothing is shown to strangers, and a wrong password is told.
    browser.open(&format!("{}/profile", copy.url));
    browser.wait_for("h1", "Sign in");
    browser.fill("#email", USER);
    browser.fill("#password", "wrong");
    browser.click("main button");
    browser.wait_for("[role=alert]", "do not match");
    assert!(browser.cookies().is_empty());

    sign_in(&browser, &copy);
    let names = ["__Host-access", "__Host-refresh"];
    let cookies = browser.cookies();
    for name in names {
        let cookie =
            cookies.iter().find(|cookie| cookie["name"] == name).unwrap_or_else(|| panic!("{name}: {cookies:?}"));
        assert_eq!((&cookie["httpOnly"], &cookie["secure"]), (&json!(true), &json!(true)), "{cookie}");
        assert!(["Lax", "Strict"].contains(&cookie["sameSite"].as_str().expect("a text")), "{cookie}");
    }
    assert_eq!(browser.script("return document.cookie"), "", "no script reads them");

    // The access token lives for two seconds at most, by which the service counts at once; the pages do not notice.
    browser.open(&format!("{}/profile", copy.url));
    assert_eq!(browser.text("#user"), USER);
    let first = browser.cookie("__Host-access").expect("signed in");
    let before = browser.cookie("__Host-refresh").expect("signed in");
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    // It may also be gone for a moment: the browser drops it when its time is over.
    while browser.cookie("__Host-access").is_none_or(|now| now == first) {
        assert!(std::time::Instant::now() < deadline, "no refresh: {}", browser.text("body"));
        browser.click("main a");
        browser.wait_for("#user", USER);
    }
    assert_ne!(browser.cookie("__Host-refresh").expect("signed in"), before, "good for one use");

    browser.open(&format!("{}/sessions", copy.url));
    assert!(browser.text("tbody").contains("this one"), "{}", browser.text("body"));

    browser.open(&format!("{}/profile", copy.url));
    browser.click("nav form button");
    browser.wait_for("h1", "Sign in");
    assert!(browser.cookies().is_empty(), "{:?}", browser.cookies());
    browser.back();
    browser.wait_for("h1", "Sign in");
    assert!(!browser.text("body").contains(USER), "the back button shows nothing");
    let answer = copy.refresh(&before);
    assert_eq!((answer.status, answer.json()), (401, json!({"error": "invalid_grant"})));
}

#[test]
fn a_stolen_refresh_token_ends_the_session_of_thief_and_victim() {
    // Whole seconds: what lives for one may be over at once.
    let copy = Copy::start(&["--access-ttl", "2", "--grace", "0"]);
    let browser = Browser::start();
    sign_in(&browser, &copy);
    let stolen = browser.cookie("__Host-refresh").expect("signed in");
    let thief = Tokens::of(&copy.refresh(&stolen));
    assert_eq!(copy.profile(&thief.access).status, 200, "for now");

    // The browser's own token is spent now; it uses it as soon as its access token is over.
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while browser.text("h1") != "Sign in" {
        assert!(std::time::Instant::now() < deadline, "still signed in: {}", browser.text("body"));
        browser.open(&format!("{}/profile", copy.url));
    }
    assert!(browser.text("[role=alert]").contains("over"), "{}", browser.text("body"));
    assert!(browser.cookies().is_empty());
    assert_eq!(copy.refresh(&thief.refresh).status, 401, "the thief's is dead as well");
    assert_eq!(copy.profile(&thief.access).status, 401, "and so is his access token");
}

#[test]
fn signing_out_everywhere_ends_every_session_and_lets_a_new_one_begin() {
    let copy = Copy::start(&[]);
    let (browser, client) = (Browser::start(), copy.login());
    sign_in(&browser, &copy);
    browser.open(&format!("{}/sessions", copy.url));
    browser.click("main form button");
    browser.wait_for("h1", "Sign in");
    assert_eq!(copy.profile(&client.access).status, 401);
    assert_eq!(copy.refresh(&client.refresh).status, 401);
    sign_in(&browser, &copy);
    let again = copy.login();
    assert_eq!(copy.profile(&again.access).status, 200);
}

#[test]
fn the_api_answers_as_its_clients_expect() {
    for alg in ["ES256", "EdDSA", "RS256"] {
        let copy = Copy::start(&["--alg", alg, "--access-ttl", "120", "--grace", "0"]);
        let first = copy.login();
        assert_eq!(first.expires_in, 120);
        let profile = copy.profile(&first.access);
        assert_eq!((profile.status, &profile.json()["sub"]), (200, &json!(USER)));
        let keys = paste(&format!("curl -i {}/.well-known/jwks.json", copy.url)).json();
        assert_eq!(keys["keys"][0]["alg"], alg);

        let second = Tokens::of(&copy.refresh(&first.refresh));
        assert_ne!(second.refresh, first.refresh);
        let spent = copy.refresh(&first.refresh);
        assert_eq!((spent.status, spent.json()), (401, json!({"error": "invalid_grant"})));
        assert_eq!(copy.refresh(&second.refresh).status, 401, "the family has ended");

        let third = copy.login();
        assert_eq!(copy.logout(&third.access).status, 204);
        assert_eq!(copy.profile(&third.access).status, 401);
        assert_eq!(copy.refresh(&third.refresh).status, 401);
        let wrong = copy.post("/api/login", &json!({"email": USER, "password": "no"}));
        assert_eq!((wrong.status, wrong.json()), (401, json!({"error": "invalid_grant"})));
        for body in [json!({}), json!([]), json!({"email": 7, "password": PASSWORD})] {
            assert_eq!(copy.post("/api/login", &body).status, 400, "{body}");
        }
        assert_eq!(copy.post("/api/refresh", &json!({})).status, 400);
        for token in ["", "x", &"A".repeat(64), &"A".repeat(5000)] {
            assert_eq!(copy.refresh(token).status, 401, "{token}");
        }
    }
}

#[test]
fn two_copies_on_one_redis_behave_as_one() {
    let server = RedisServer::start();
    let options = ["--redis", &server.url(), "--access-ttl", "120", "--grace", "0"];
    let (one, other) = (Copy::start(&options), Copy::start(&options));

    let first = one.login();
    assert_eq!(other.profile(&first.access).status, 200, "the same keys");
    let second = Tokens::of(&other.refresh(&first.refresh));
    assert_eq!(one.profile(&second.access).status, 200);
    assert_eq!(one.refresh(&first.refresh).status, 401, "spent at the other one");
    assert_eq!(other.refresh(&second.refresh).status, 401, "and its family has ended");

    let third = one.login();
    assert_eq!(other.profile(&third.access).status, 200);
    assert_eq!(other.logout(&third.access).status, 204);
    // The news reaches the other copy within moments, and there is nothing else to wait for.
    let deadline = std::time::Instant::now() + Duration::from_secs(5);
    while one.profile(&third.access).status != 401 {
        assert!(std::time::Instant::now() < deadline, "still good at the first copy");
    }
}

#[test]
fn forms_of_other_sites_change_nothing() {
    let copy = Copy::start(&[]);
    let login = "-d 'email=user%40example.com&password=pass'";
    let foreign = paste(&format!("curl -i {}/login {login} -H 'Sec-Fetch-Site: cross-site'", copy.url));
    assert_eq!(foreign.status, 403);
    let answer = paste(&format!("curl -i {}/login {login}", copy.url));
    assert_eq!(answer.status, 303, "{}", answer.head);
    let cookies: Vec<_> =
        answer.head.lines().filter_map(|line| line.strip_prefix("set-cookie: ")?.split(';').next()).collect();
    assert_eq!(cookies.len(), 2, "{}", answer.head);
    let cookies = cookies.join("; ");
    let post = |path: &str, more: &str| {
        paste(&format!("curl -i -X POST {}{path} -H 'Cookie: {cookies}' {more}", copy.url)).status
    };
    for path in ["/logout", "/logout-everywhere"] {
        assert_eq!(post(path, "-H 'Sec-Fetch-Site: cross-site'"), 403, "{path}");
        assert_eq!(post(path, "-H 'Origin: https://evil.example'"), 403, "{path}");
        assert_eq!(post(path, ""), 403, "{path}");
    }
    let profile = paste(&format!("curl -i {}/profile -H 'Cookie: {cookies}'", copy.url));
    assert_eq!(profile.status, 200);
    assert!(profile.head.to_lowercase().contains("cache-control: no-store"), "{}", profile.head);
    assert_eq!(post("/logout", "-H 'Sec-Fetch-Site: same-origin'"), 303);
}

/// Whoever copies the example has cookies of their own.
#[test]
fn a_silent_refresh_leaves_other_cookies_alone_and_other_sites_cause_none() {
    let copy = Copy::start(&["--access-ttl", "1", "--grace", "0"]);
    let tokens = copy.login();
    // Only the refresh token: as if the access token had expired.
    let cookies = |refresh: &str| format!("-H 'Cookie: theme=dark; __Host-refresh={refresh}; lang=en'");
    let ask = |path: &str, refresh: &str, more: &str| {
        paste(&format!("curl -i {}{path} {} {more}", copy.url, cookies(refresh)))
    };
    let foreign = ask("/logout", &tokens.refresh, "-X POST -H 'Sec-Fetch-Site: cross-site'");
    assert!(foreign.status == 401 && !foreign.head.contains("set-cookie"), "{}", foreign.head);
    let own = ask("/profile", &tokens.refresh, "");
    assert_eq!(own.status, 200);
    let fresh = own.head.lines().find_map(|line| line.strip_prefix("set-cookie: __Host-refresh=")?.split(';').next());
    let fresh = fresh.expect("a new one").to_owned();
    assert_ne!(fresh, tokens.refresh);
    let out = ask("/logout", &fresh, "-X POST -H 'Sec-Fetch-Site: same-origin'");
    assert_eq!(out.status, 303);
    let kept = out.head.lines().filter(|line| line.starts_with("set-cookie: __Host-") && !line.contains("Max-Age=0"));
    assert_eq!(kept.count(), 0, "signed out: {}", out.head);
    assert_eq!(copy.refresh(&fresh).status, 401);
}
