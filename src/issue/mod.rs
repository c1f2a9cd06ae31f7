//! The issuing side: signed tokens, the keys that sign them, and refresh tokens.
