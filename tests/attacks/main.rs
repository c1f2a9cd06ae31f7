//! The catalogue of attacks: every one is a row of data with its names, a request, and the exact answer, and a test that
//! is called so.
//!
//! - `answers.json` has what each kind of refusal is answered; the other files have the attacks, by what they attack.
//! - Each request goes through the layer over HTTP and as gRPC, and its token through the verifier alone: all three agree.
//! - What no single request shows names the test of the suite that shows it, and that test must be there.
//! - `SECURITY.md` says what is refused and why: its tables are made from this data and compared with it.
//!   `TOWER_JWT_AUTH_BLESS=1 cargo test --test attacks` writes them anew.

mod answer;
mod case;
mod page;
mod policy;
mod token;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

use crate::case::{Case, Section, Shown};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let sections = Section::all();
    let mut trials = vec![
        Trial::test("the_security_page_says_what_the_catalogue_says", {
            let sections = sections.clone();
            move || Ok(page::check(&sections)?)
        }),
        Trial::test("every_kind_of_refusal_has_its_answer", || Ok(answer::check_all()?)),
    ];
    for section in sections {
        for row in section.rows {
            let known_as = row.references.join(", ");
            for case in row.cases {
                let name = format!("{}::{} ({known_as}): {}", section.name, row.what, case.name);
                let is_out = case.needs_remote() && !cfg!(feature = "remote");
                trials.push(Trial::test(name, move || Ok(run(&case)?)).with_ignored_flag(is_out));
            }
        }
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn run(case: &Case) -> Result<(), String> {
    match &case.shown {
        Shown::Request(request) => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
            runtime.map_err(|error| error.to_string())?.block_on(request.check())
        }
        Shown::Configuration { policy, error } => {
            let found = policy.verifier().map(drop).err().ok_or("it was built")?.to_string();
            if found.contains(error) { Ok(()) } else { Err(format!("{error:?} is not in {found:?}")) }
        }
        Shown::Skipped { keys, reason } => policy::check_skipped(keys, reason),
        Shown::Test { test } => case::check_that_there_is(test),
    }
}
