//! The pages: plain HTML that works without scripts, with a keyboard, and in a screen reader.

use std::fmt::Write as _;

use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use axum::response::{Html, IntoResponse, Response};

/// What a page may do: show itself, load the style sheet, and send forms to this server.
const POLICY: &str =
    "default-src 'none'; img-src data:; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// No page is kept anywhere: after a logout, the back button has nothing to show.
const HEADERS: [(HeaderName, &str); 4] = [
    (CACHE_CONTROL, "no-store"),
    (CONTENT_SECURITY_POLICY, POLICY),
    (REFERRER_POLICY, "no-referrer"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
];

/// A session, as its page shows it.
pub(crate) struct Row {
    pub(crate) client: String,
    pub(crate) since: String,
    pub(crate) last_used: String,
    pub(crate) is_this_one: bool,
}

/// The page for somebody who is not signed in: the form, and why it is shown.
pub(crate) fn login(status: StatusCode, message: Option<&str>) -> Response {
    let mut main = String::from("<h1>Sign in</h1>");
    if let Some(message) = message {
        let _ = write!(main, r#"<p role="alert" class="message">{}</p>"#, escape(message));
    }
    main.push_str(
        r#"<form method="post" action="/login">
<label for="email">Email</label>
<input id="email" name="email" type="email" autocomplete="username" required autofocus>
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" required>
<button>Sign in</button>
</form>"#,
    );
    page(status, "Sign in", false, &main)
}

pub(crate) fn home(user: &str) -> Response {
    let main = format!(
        "<h1>Welcome</h1><p>You are signed in as <strong>{}</strong>.</p>\
         <p>The access token lives for a short time and is made anew without you noticing: see your profile.</p>",
        escape(user)
    );
    page(StatusCode::OK, "Welcome", true, &main)
}

/// `facts` are names and values.
pub(crate) fn profile(facts: &[(&str, String)]) -> Response {
    let mut main = String::from("<h1>Profile</h1><dl>");
    for (name, value) in facts {
        let id = name.to_lowercase().replace(' ', "-");
        let _ = write!(main, r#"<dt>{}</dt><dd id="{id}">{}</dd>"#, escape(name), escape(value));
    }
    main.push_str(r#"</dl><p><a href="/profile">Load again</a></p>"#);
    page(StatusCode::OK, "Profile", true, &main)
}

pub(crate) fn sessions(rows: &[Row]) -> Response {
    let mut main = String::from(
        "<h1>Sessions</h1><table><caption>Where you are signed in</caption><thead><tr>\
         <th scope=\"col\">With</th><th scope=\"col\">Since</th><th scope=\"col\">Last used</th></tr></thead><tbody>",
    );
    for row in rows {
        let this = if row.is_this_one { " <strong>(this one)</strong>" } else { "" };
        let [client, since, last_used] = [&row.client, &row.since, &row.last_used].map(|text| escape(text));
        let _ = write!(main, "<tr><td>{client}{this}</td><td>{since}</td><td>{last_used}</td></tr>");
    }
    main.push_str(
        r#"</tbody></table>
<form method="post" action="/logout-everywhere"><button>Sign out everywhere</button></form>"#,
    );
    page(StatusCode::OK, "Sessions", true, &main)
}

/// For what a page cannot help with.
pub(crate) fn problem(status: StatusCode, message: &str) -> Response {
    let main = format!(r#"<h1>Not now</h1><p role="alert" class="message">{}</p>"#, escape(message));
    page(status, "Not now", false, &main)
}

pub(crate) async fn style() -> impl IntoResponse {
    ([("content-type", "text/css; charset=utf-8"), ("cache-control", "max-age=3600")], include_str!("style.css"))
}

fn page(status: StatusCode, title: &str, is_signed_in: bool, main: &str) -> Response {
    let navigation = if is_signed_in {
        r#"<nav aria-label="Main"><a href="/">Home</a> <a href="/profile">Profile</a> <a href="/sessions">Sessions</a>
<form method="post" action="/logout"><button>Sign out</button></form></nav>"#
    } else {
        ""
    };
    let html = format!(
        r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} – session</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/style.css">
</head>
<body>
<header>{navigation}</header>
<main>{main}</main>
</body>
</html>
"#
    );
    (status, HEADERS, Html(html)).into_response()
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}
