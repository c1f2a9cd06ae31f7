//! The time of every token: that of the start, for one of the libraries knows no other clock than the system's.

use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

pub(crate) fn now() -> i64 {
    static NOW: OnceLock<i64> = OnceLock::new();
    *NOW.get_or_init(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after the epoch");
        i64::try_from(since.as_secs()).expect("before the year 292277026596")
    })
}
