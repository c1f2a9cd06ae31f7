//! What the benchmarks share: the request, the yardsticks, and a harness that interleaves its cases.
//!
//! Why not criterion or divan: on a machine that others use too, a figure drifts by a tenth within a minute, and a
//! ratio of two cases that ran one after the other says what the neighbours did in between. Here the cases of a group
//! take turns, 30 milliseconds each, for 11 rounds; a round is the median of its batches of 64 requests, and what is
//! reported is the median of the rounds, and the median of the ratios within a round. Allocations are counted in the
//! same run and stand in the same table.
//!
//! It is a crate of its own because a counting allocator needs `unsafe`, which the crate that is measured forbids.

mod allocator;
mod by_hand;
mod limit;
mod request;
mod run;

pub use allocator::{Allocated, allocated};
pub use by_hand::ByHand;
pub use limit::{Limit, RememberedLimit};
pub use request::{AUDIENCE, Claims, ISSUER, Nothing, call, claims, request, token_of};
pub use run::{Bench, Case, Random};
