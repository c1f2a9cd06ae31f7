//! Runs the models of the library's own synchronisation: `cargo test` in this folder.
//!
//! Each is a few threads that meet at the library's locks and atomics, and what must hold in whatever order they do. shuttle
//! tries orders: at random; with few switches between threads (PCT, which finds what needs one at the right moment); and
//! one after the other.

use shuttle::{check_dfs, check_pct, check_random};
use tower_jwt_auth::models;

const ORDERS: usize = 1000;

/// A test for each model.
macro_rules! models {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                check_random(models::$name, ORDERS);
                check_pct(models::$name, ORDERS, 3);
                check_dfs(models::$name, Some(ORDERS));
            }
        )*
    };
}

models! {
    the_last_place_in_a_list_is_taken_once
    what_has_left_makes_room_for_all_who_come_at_once
    an_acknowledged_revocation_is_seen_by_every_later_check
    a_proof_is_new_to_one_request
    proofs_of_one_key_keep_its_bound
    a_refresh_token_is_spent_once
    a_retry_within_the_window_gets_what_the_first_use_got
    a_session_that_is_ended_stays_ended
    no_answer_from_before_an_issuer_was_forgotten_is_kept
    no_answer_about_an_alias_from_before_its_issuer_was_forgotten_is_kept
    no_refusal_from_before_an_issuer_was_forgotten_is_kept
    a_refused_name_does_not_disturb_the_answer_about_another
    questions_about_issuers_keep_their_bound
    one_request_asks_about_a_known_issuer_again
    a_request_that_goes_away_leaves_the_question_to_another
    nothing_is_served_of_an_issuer_that_was_forgotten_while_it_was_asked_about_again
}
