//! Rounds, medians, the table, and the lines for machines.

use std::fmt::Write as _;
use std::fs::File;
use std::hint::black_box;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use http::{Request, Response, StatusCode};
use serde_json::json;
use tower_service::Service;

use crate::allocator::allocated;
use crate::request::call;

/// How many requests are made before the clock runs.
const BATCH: usize = 64;

/// One thing to measure.
pub struct Case<'a> {
    name: String,
    /// Runs for about this long, and says how many nanoseconds a request took.
    round: Box<dyn FnMut(Duration) -> f64 + 'a>,
    /// Per request.
    allocations: Option<f64>,
}

impl<'a> Case<'a> {
    /// A service, and what makes its requests: 64 at a time, outside the timed part. Every answer must have this
    /// status.
    pub fn requests<S, B, R>(
        name: impl Into<String>,
        status: StatusCode,
        mut service: S,
        mut make: impl FnMut() -> Request<B> + 'a,
    ) -> Self
    where
        S: Service<Request<B>, Response = Response<R>> + 'a,
    {
        let name = name.into();
        let mut answers = Vec::with_capacity(BATCH);
        // The first batch warms what is filled at the first use, and shows that the case is what it says.
        for _ in 0..2 {
            answers.clear();
            answers.extend((0..BATCH).map(|_| {
                let request = make();
                let (allocated, response) = allocated(|| call(&mut service, request));
                assert_eq!(response.status(), status, "{name}");
                allocated.count
            }));
        }
        // The median, so that a table that grows in one of them does not count.
        answers.sort_unstable();
        let allocations = answers[BATCH / 2];
        #[expect(clippy::cast_precision_loss, reason = "a handful")]
        let allocations = Some(allocations as f64);
        // The median of the batches: one in which the thread was put aside says nothing.
        let round = Box::new(move |time| Quartiles::of(serve(&mut service, &mut make, time).into_iter()).median);
        Self { name, round, allocations }
    }

    /// The same service on several threads at once, each with a clone and with requests of its own. The figure is the
    /// time per request of all of them together: with two threads, half of one's if they do not disturb each other and
    /// each has a processor to itself.
    pub fn threads<S, B, R, M>(name: impl Into<String>, service: &'a S, makers: Vec<M>) -> Self
    where
        S: Service<Request<B>, Response = Response<R>> + Clone + Send + Sync,
        M: FnMut() -> Request<B> + Send + 'a,
        R: 'a,
        B: 'a,
    {
        let mut makers = makers;
        let round = move |time| {
            let barrier = &Barrier::new(makers.len());
            let rates = std::thread::scope(|scope| {
                let threads: Vec<_> = makers
                    .iter_mut()
                    .map(|make| {
                        let mut service = service.clone();
                        scope.spawn(move || {
                            barrier.wait();
                            let figures = serve(&mut service, make, time);
                            #[expect(clippy::cast_precision_loss, reason = "some thousands")]
                            let batches = figures.len() as f64;
                            batches / figures.iter().sum::<f64>()
                        })
                    })
                    .collect();
                threads.into_iter().map(|thread| thread.join().expect("no panic")).sum::<f64>()
            });
            1.0 / rates
        };
        Self { name: name.into(), round: Box::new(round), allocations: None }
    }
}

/// Serves requests until they have taken this long, and says of every batch how many nanoseconds a request took.
fn serve<S, B, R>(service: &mut S, make: &mut impl FnMut() -> Request<B>, time: Duration) -> Vec<f64>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    #[expect(clippy::cast_precision_loss, reason = "64")]
    const REQUESTS: f64 = BATCH as f64;
    let mut batch = Vec::with_capacity(BATCH);
    let mut spent = Duration::ZERO;
    let mut figures = Vec::new();
    loop {
        batch.extend(std::iter::repeat_with(&mut *make).take(BATCH));
        let start = Instant::now();
        for request in batch.drain(..) {
            black_box(call(service, request));
        }
        let took = start.elapsed();
        figures.push(took.as_secs_f64() * 1e9 / REQUESTS);
        spent += took;
        if spent >= time {
            return figures;
        }
    }
}

/// A run of groups of cases, by the options on the command line.
pub struct Bench {
    rounds: usize,
    time: Duration,
    filter: Option<String>,
    lines: Option<File>,
}

impl Bench {
    /// Reads `--quick`, `--json FILE` and a filter. Without `--bench`, which `cargo bench` gives, every case is run
    /// once, to see that it works.
    pub fn from_arguments() -> Self {
        let mut bench = Self { rounds: 1, time: Duration::ZERO, filter: None, lines: None };
        let mut arguments = std::env::args().skip(1);
        let mut is_quick = false;
        let mut is_bench = false;
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--bench" => is_bench = true,
                "--quick" => is_quick = true,
                "--json" => {
                    let path = PathBuf::from(arguments.next().expect("--json FILE"));
                    let file = File::create(&path);
                    bench.lines = Some(file.unwrap_or_else(|error| panic!("{}: {error}", path.display())));
                }
                "-h" | "--help" => {
                    println!("options: --quick (fewer and shorter rounds), --json FILE, and a part of a group's name");
                    std::process::exit(0);
                }
                filter => bench.filter = Some(filter.to_owned()),
            }
        }
        if is_bench {
            bench.rounds = if is_quick { 5 } else { 11 };
            bench.time = Duration::from_millis(if is_quick { 10 } else { 30 });
        }
        bench
    }

    /// True when the command line asks for this group.
    pub fn wants(&self, group: &str) -> bool {
        self.filter.as_ref().is_none_or(|filter| group.contains(filter.as_str()))
    }

    /// How many of what takes long to set up: all of them, a tenth in a quick run, a handful in a trial.
    pub fn scale(&self, many: u32) -> u32 {
        match self.rounds {
            1 => many.min(1000),
            2..11 => many / 10,
            _ => many,
        }
    }

    /// Runs the cases of a group in turns and prints them, each with its ratio to `base`.
    pub fn group(&mut self, group: &str, base: &str, mut cases: Vec<Case<'_>>) {
        let base = cases.iter().position(|case| case.name == base).expect("the base is one of the cases");
        for case in &mut cases {
            (case.round)(self.time);
        }
        let mut rounds: Vec<Vec<f64>> = cases.iter().map(|_| Vec::with_capacity(self.rounds)).collect();
        for _ in 0..self.rounds {
            for (case, figures) in cases.iter_mut().zip(&mut rounds) {
                figures.push((case.round)(self.time));
            }
        }
        println!("\n{group:<42}{:>11}{:>8}{:>13}{:>7}", "ns", "spread", "ratio", "allocs");
        println!("{:>74}", format!("to {}", cases[base].name));
        for (case, figures) in cases.iter().zip(&rounds) {
            let ratios = figures.iter().zip(&rounds[base]).map(|(figure, base)| figure / base);
            let ratio = Quartiles::of(ratios).median;
            let ns = Quartiles::of(figures.iter().copied());
            let mut line = format!("  {:<40}{:>11.0}{:>7.1}%{ratio:>13.3}", case.name, ns.median, ns.spread());
            match case.allocations {
                Some(allocations) => write!(line, "{allocations:>7.0}").expect("a string takes it"),
                None => write!(line, "{:>7}", "-").expect("a string takes it"),
            }
            println!("{line}");
            self.line(&json!({
                "group": group, "case": case.name, "ns": ns.median, "spread_percent": ns.spread(),
                "ratio": ratio, "base": cases[base].name, "allocations": case.allocations,
            }));
        }
    }

    /// A figure that is no time.
    pub fn figure(&mut self, group: &str, name: &str, figure: f64, unit: &str) {
        println!("\n{group}: {name}: {figure:.1} {unit}");
        self.line(&json!({ "group": group, "case": name, "figure": figure, "unit": unit }));
    }

    fn line(&mut self, line: &serde_json::Value) {
        if let Some(file) = &mut self.lines {
            writeln!(file, "{line}").expect("the file takes a line");
        }
    }
}

/// The middle half of some figures.
struct Quartiles {
    low: f64,
    median: f64,
    high: f64,
}

impl Quartiles {
    fn of(figures: impl Iterator<Item = f64>) -> Self {
        let mut figures: Vec<f64> = figures.collect();
        figures.sort_by(f64::total_cmp);
        let at = |quarters: usize| figures[(figures.len() - 1) * quarters / 4];
        Self { low: at(1), median: at(2), high: at(3) }
    }

    /// The width of the middle half, in percent of the median: the machine's noise.
    fn spread(&self) -> f64 {
        (self.high - self.low) / self.median * 100.0
    }
}

/// Numbers that are random enough to defeat a cache, and the same in every run (xorshift64).
pub struct Random(u64);

impl Random {
    /// The numbers of this seed, which is not 0.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next one below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 1).unwrap_or(usize::MAX) % bound
    }
}
