//! The metrics.

use metrics::Unit;

use super::slot::Metric;

pub(super) const VERDICTS: Metric = Metric {
    name: "jwt_auth_verdicts_total",
    unit: Unit::Count,
    help: "Verdicts on tokens, and on requests without a good one, by issuer and reason.",
};

pub(super) const GUARD_REFUSALS: Metric = Metric {
    name: "jwt_auth_guard_refusals_total",
    unit: Unit::Count,
    help: "Requests that passed the layer and that a guard or an extractor refused, by reason.",
};

pub(super) const CACHE_LOOKUPS: Metric = Metric {
    name: "jwt_auth_cache_lookups_total",
    unit: Unit::Count,
    help: "Tokens whose verdict was remembered and held (hit), or not (miss).",
};

pub(super) const SIGNATURE_CHECKS: Metric = Metric {
    name: "jwt_auth_signature_check_seconds",
    unit: Unit::Seconds,
    help: "How long the check of a signature took, good or not, by algorithm.",
};

pub(super) const KEY_REFRESHES: Metric = Metric {
    name: "jwt_auth_key_refreshes_total",
    unit: Unit::Count,
    help: "Fetches of keys that have ended, and looks at files of keys, by source, cause and outcome.",
};

pub(super) const KEYS: Metric =
    Metric { name: "jwt_auth_keys", unit: Unit::Count, help: "Keys at hand that can verify, by source." };

pub(super) const KEYS_CONFIRMED: Metric = Metric {
    name: "jwt_auth_keys_last_success_timestamp_seconds",
    unit: Unit::Seconds,
    help: "When the provider or the file last confirmed the keys, by source.",
};

#[cfg(feature = "remote")]
pub(super) const WAITING_REQUESTS: Metric = Metric {
    name: "jwt_auth_key_waiting_requests",
    unit: Unit::Count,
    help: "Requests that wait for a fetch of keys, by source.",
};

pub(super) const REVOCATIONS: Metric = Metric {
    name: "jwt_auth_revocation_entries",
    unit: Unit::Count,
    help: "Revocations that are held in memory, by store.",
};

#[cfg(feature = "redis")]
pub(super) const REVOCATIONS_CONFIRMED: Metric = Metric {
    name: "jwt_auth_revocation_last_success_timestamp_seconds",
    unit: Unit::Seconds,
    help: "When the server last confirmed that no revocation is missing.",
};

#[cfg(feature = "issue")]
pub(super) const REFRESH_TOKENS_REUSED: Metric = Metric {
    name: "jwt_auth_refresh_tokens_reused_total",
    unit: Unit::Count,
    help: "Sessions that ended because a spent refresh token was used.",
};
