//! One table of settings: keys are asked for by name and type, and what nobody asked for is a problem.

use std::ops::RangeInclusive;
use std::time::Duration;

use zeroize::Zeroizing;

use super::problem::Problems;
use super::tree::{Tree, Variable};
use crate::error::ConfigError;
use crate::jose::Algorithm;
use crate::quote;

/// The longest time of any key: with more, sums of times could overflow.
pub(super) const LONGEST: &str = "366d";

/// Keys that cannot be left out.
const REQUIRED: [&str; 3] = ["issuer", "audiences", "algorithm"];

/// A table, and where it stands.
pub(super) struct Table<'p> {
    pub(super) problems: &'p Problems,
    /// Empty for the outermost.
    path: String,
    /// Where there is no file, a key that is missing is a variable that is missing.
    prefix: Option<&'p str>,
    pub(super) entries: Vec<(String, Tree)>,
    asked: Vec<&'static str>,
    /// The keys that were there, and where.
    given: Vec<(&'static str, String)>,
}

/// A value, and where it was given.
pub(super) struct Given<T> {
    pub(super) place: String,
    pub(super) value: T,
}

impl<'p> Table<'p> {
    pub(super) fn new(
        problems: &'p Problems,
        path: String,
        prefix: Option<&'p str>,
        entries: Vec<(String, Tree)>,
    ) -> Self {
        Self { problems, path, prefix, entries, asked: Vec::new(), given: Vec::new() }
    }

    /// Sets keys, whatever they were.
    pub(super) fn overlay(&mut self, entries: impl IntoIterator<Item = (String, Tree)>) {
        for (key, value) in entries {
            self.entries.retain(|(other, _)| *other != key);
            self.entries.push((key, value));
        }
    }

    /// Where a key would be.
    fn place(&self, key: &str) -> String {
        match self.prefix {
            Some(prefix) => format!("{prefix}{}", key.to_ascii_uppercase()),
            None if self.path.is_empty() => key.to_owned(),
            None => format!("{}.{key}", self.path),
        }
    }

    /// The place of this table, or of the key that stands for it where it is the outermost.
    pub(super) fn own_place(&self, key: &str) -> String {
        if self.path.is_empty() { self.at(key) } else { self.path.clone() }
    }

    /// True where the key is there, whatever it is worth.
    pub(super) fn has(&self, key: &str) -> bool {
        self.given.iter().any(|(other, _)| *other == key)
    }

    /// Where the key is, or would be.
    pub(super) fn at(&self, key: &str) -> String {
        let given = self.given.iter().find(|(other, _)| *other == key);
        given.map_or_else(|| self.place(key), |(_, place)| place.clone())
    }

    pub(super) fn missing(&self, key: &str, fix: &str) {
        self.problems.add(self.place(key), format!("missing: {fix}"));
    }

    pub(super) fn take(&mut self, key: &'static str) -> Option<Given<Tree>> {
        self.asked.push(key);
        let at = self.entries.iter().position(|(other, _)| other == key)?;
        let (_, value) = self.entries.remove(at);
        let place = match &value {
            Tree::Variable(variable) => variable.name.clone(),
            _ => self.place(key),
        };
        self.given.push((key, place.clone()));
        if self.entries.iter().any(|(other, _)| other == key) {
            self.entries.retain(|(other, _)| other != key);
            self.problems.add(place, "given twice: keep one");
            return None;
        }
        let wrong = match &value {
            Tree::Variable(Variable { text: None, .. }) => Some("not UTF-8"),
            // A template that was not filled in must not take a rule away.
            Tree::Variable(Variable { text: Some(text), .. }) if text.is_empty() => {
                Some("is empty: give it a value, or unset it")
            }
            _ => None,
        };
        if let Some(wrong) = wrong {
            self.problems.add(place, wrong);
            return None;
        }
        Some(Given { place, value })
    }

    /// A text that is not empty.
    pub(super) fn text(&mut self, key: &'static str) -> Option<Given<Zeroizing<String>>> {
        let Given { place, value } = self.take(key)?;
        let value = text(self.problems, key, &place, value)?;
        Some(Given { place, value })
    }

    /// Off unless `true`.
    pub(super) fn flag(&mut self, key: &'static str) -> bool {
        let Some(Given { place, value }) = self.take(key) else { return false };
        let value = match &value {
            Tree::Flag(value) => return *value,
            Tree::Variable(variable) => variable.text.as_deref().map(String::as_str),
            _ => None,
        };
        match value {
            Some("true") => true,
            Some("false") => false,
            _ => {
                self.problems.add(place, "must be `true` or `false`");
                false
            }
        }
    }

    /// A number within these bounds.
    pub(super) fn number(&mut self, key: &'static str, bounds: RangeInclusive<usize>) -> Option<usize> {
        let Given { place, value } = self.take(key)?;
        let number = match &value {
            Tree::Number(number) => usize::try_from(*number).ok(),
            Tree::Variable(variable) => variable.text.as_ref().and_then(|text| text.parse().ok()),
            _ => None,
        };
        let fits = number.filter(|number| bounds.contains(number));
        if fits.is_none() {
            self.problems.add(place, format!("must be a whole number from {} to {}", bounds.start(), bounds.end()));
        }
        fits
    }

    /// A time, no shorter and no longer than these.
    pub(super) fn time(&mut self, key: &'static str, least: Duration, most: &str) -> Option<Duration> {
        let Given { place, value } = self.take(key)?;
        let fits = |time: &Duration| *time >= least && Some(*time) <= read_time(most);
        let time = match &value {
            Tree::Text(text) => read_time(text),
            Tree::Variable(variable) => variable.text.as_ref().and_then(|text| read_time(text)),
            Tree::Number(number) if fits(&Duration::from_secs(*number)) => {
                self.problems.add(place, format!("must have its unit: `\"{number}s\"` for seconds"));
                return None;
            }
            _ => None,
        };
        let time = time.filter(fits);
        if time.is_none() {
            let least = if least.is_zero() { "" } else { " more than nothing and" };
            self.problems.add(
                place,
                format!(
                    "must be a number with its unit, as in `500ms`, `30s`, `10m`, `1h`, `7d`:{least} at most `{most}`"
                ),
            );
        }
        time
    }

    /// Texts, one at least. In a variable they are separated by commas.
    pub(super) fn texts(&mut self, key: &'static str) -> Option<Given<Vec<String>>> {
        let Given { place, value } = self.take(key)?;
        let value = texts(self.problems, key, &place, value)?;
        Some(Given { place, value })
    }

    /// Names with the values that each may have, one at least. In a variable: `name=value,name=value`.
    pub(super) fn values(&mut self, key: &'static str) -> Option<Vec<(String, Vec<String>)>> {
        let Given { place, value } = self.take(key)?;
        let mut all: Vec<(String, Vec<String>)> = Vec::new();
        match value {
            Tree::Table(entries) if entries.is_empty() => {
                self.problems.add(place, "is empty: leave the key out, or name a claim");
            }
            Tree::Table(entries) => {
                for (name, value) in entries {
                    let place = format!("{place}.{name}");
                    let values = match value {
                        Tree::Text(_) => text(self.problems, key, &place, value).map(|text| vec![text.to_string()]),
                        value => texts(self.problems, key, &place, value),
                    };
                    all.extend(values.map(|values| (name, values)));
                }
            }
            Tree::Variable(_) => {
                for pair in texts(self.problems, key, &place, value)? {
                    let Some((name, value)) =
                        pair.split_once('=').filter(|(name, value)| !name.is_empty() && !value.is_empty())
                    else {
                        self.problems.add(place, "must be `claim=value`, several separated by commas");
                        return None;
                    };
                    match all.iter_mut().find(|(other, _)| other == name) {
                        Some((_, values)) => values.push(value.to_owned()),
                        None => all.push((name.to_owned(), vec![value.to_owned()])),
                    }
                }
            }
            other => {
                self.problems.add(place, format!("is {}, and must be a table: a claim, and its values", other.what()));
            }
        }
        Some(all)
    }

    pub(super) fn algorithm(&mut self, key: &'static str) -> Option<Given<Algorithm>> {
        let Given { place, value } = self.text(key)?;
        let value = algorithm(self.problems, &place, &value)?;
        Some(Given { place, value })
    }

    pub(super) fn algorithms(&mut self, key: &'static str) -> Option<Given<Vec<Algorithm>>> {
        let Given { place, value } = self.take(key)?;
        let is_variable = matches!(value, Tree::Variable(_));
        let names = texts(self.problems, key, &place, value)?;
        let place_of = |at| if is_variable { place.clone() } else { format!("{place}[{at}]") };
        let all = names.iter().enumerate().map(|(at, name)| algorithm(self.problems, &place_of(at), name));
        // All of them are judged before one ends it.
        let value = all.collect::<Vec<_>>().into_iter().collect::<Option<_>>()?;
        Some(Given { place, value })
    }

    /// What a builder made of a value.
    pub(super) fn judge<T>(&self, place: &str, made: Result<T, ConfigError>) -> Option<T> {
        made.map_err(|error| self.problems.add_error(place, &error)).ok()
    }

    /// Refuses what is left. `others` has keys that are known beside those of this table.
    pub(super) fn end(&mut self, others: &[&'static str]) {
        for (key, value) in std::mem::take(&mut self.entries) {
            if others.contains(&&*key) {
                self.problems.add(self.place(&key), "is not of one issuer: set it at the top");
                continue;
            }
            // A variable cannot set a list of tables.
            let is_settable = |known: &&str| *known != "issuers" || !matches!(value, Tree::Variable(_));
            let meant = nearest(&key, self.asked.iter().chain(others).copied().filter(is_settable));
            let (place, meant) = match value {
                Tree::Variable(variable) => {
                    let prefix_ends = variable.name.len().saturating_sub(key.len());
                    let prefix = variable.name.get(..prefix_ends).unwrap_or_default();
                    let meant = meant.map(|meant| format!("{prefix}{}", meant.to_ascii_uppercase()));
                    (variable.name, meant)
                }
                _ => (self.place(&key), meant.map(str::to_owned)),
            };
            let hint = meant.map_or(String::new(), |meant| format!("; did you mean `{meant}`?"));
            self.problems.add(place, format!("there is no such key{hint}"));
        }
    }

    pub(super) fn asked(&self) -> &[&'static str] {
        &self.asked
    }
}

/// What else can be done about an empty value.
fn leave_out(key: &str) -> &'static str {
    if REQUIRED.contains(&key) { "" } else { "leave the key out, or " }
}

fn text(problems: &Problems, key: &str, place: &str, value: Tree) -> Option<Zeroizing<String>> {
    let what = value.what();
    let text = match value {
        Tree::Text(text) => Some(text),
        Tree::Variable(variable) => variable.text,
        _ => None,
    };
    match text {
        Some(text) if text.is_empty() => problems.add(place, format!("is empty: {}say what it is", leave_out(key))),
        Some(text) => return Some(text),
        None => problems.add(place, format!("is {what}, and must be a text")),
    }
    None
}

fn texts(problems: &Problems, key: &str, place: &str, value: Tree) -> Option<Vec<String>> {
    let list = match value {
        Tree::List(list) => list,
        Tree::Variable(variable) => {
            let all = variable.text.unwrap_or_default();
            let all: Vec<_> = all.split(',').map(|text| text.trim().to_owned()).collect();
            if all.iter().any(String::is_empty) {
                problems.add(place, "has an empty entry: separate several by one comma each");
                return None;
            }
            return Some(all);
        }
        other => {
            problems.add(place, format!("is {}, and must be a list of texts: `[\"…\"]`", other.what()));
            return None;
        }
    };
    if list.is_empty() {
        problems.add(place, format!("is empty: {}name one", leave_out(key)));
        return None;
    }
    let mut all = Vec::new();
    let count = list.len();
    for (at, value) in list.into_iter().enumerate() {
        all.extend(text(problems, key, &format!("{place}[{at}]"), value).map(|text| text.to_string()));
    }
    (all.len() == count).then_some(all)
}

fn algorithm(problems: &Problems, place: &str, name: &str) -> Option<Algorithm> {
    let algorithm = Algorithm::from_name(name);
    if algorithm.is_none() {
        let all = Algorithm::ALL.iter().map(|algorithm| algorithm.name());
        let advice = match nearest(name, all.clone()) {
            Some(meant) => format!("; did you mean `{meant}`?"),
            None => format!(": use one of {}", all.collect::<Vec<_>>().join(", ")),
        };
        problems.add(place, format!("{} is no algorithm{advice}", quote::name(name)));
    }
    algorithm
}

/// A whole number and its unit.
pub(super) fn read_time(text: &str) -> Option<Duration> {
    let unit = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(unit);
    let number: u64 = number.parse().ok()?;
    let seconds = match unit {
        "ms" => return Some(Duration::from_millis(number)),
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        _ => return None,
    };
    number.checked_mul(seconds).map(Duration::from_secs)
}

/// The one that is likely meant: of several that are as near, the first.
fn nearest<'k>(written: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    let near = known.filter_map(|key| Some((distance(written, key)?, key)));
    near.min_by_key(|(distance, _)| *distance).map(|(_, key)| key)
}

/// How many letters are wrong in another spelling of a key, or in one without its `danger_`: at most two that stand
/// together, and an `s` at the end. `None` for another name.
fn distance(written: &str, key: &str) -> Option<usize> {
    let plain = |name: &str| {
        let name = name.to_ascii_lowercase().replace(['_', '-'], "");
        name.trim_start_matches("danger").to_owned()
    };
    let (written, key) = (plain(written), plain(key));
    let is_other_number = written.ends_with('s') != key.ends_with('s');
    let (written, key) = (written.trim_end_matches('s'), key.trim_end_matches('s'));
    let same = |(one, other): &(char, char)| one == other;
    let start = written.chars().zip(key.chars()).take_while(same).count();
    let (written, key): (Vec<_>, Vec<_>) = (written.chars().skip(start).collect(), key.chars().skip(start).collect());
    let ends = written.iter().rev().zip(key.iter().rev());
    let end = ends.take_while(|(one, other)| one == other).count();
    let wrong = written.len().max(key.len()) - end;
    (start + end > 2 && wrong <= 2).then_some(wrong + usize::from(is_other_number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_whole_number_and_a_unit() {
        let cases = [
            ("500ms", Some(Duration::from_millis(500))),
            ("0s", Some(Duration::ZERO)),
            ("90s", Some(Duration::from_secs(90))),
            ("10m", Some(Duration::from_secs(600))),
            ("2h", Some(Duration::from_secs(7200))),
            ("7d", Some(Duration::from_secs(604_800))),
        ];
        for (text, expected) in cases {
            assert_eq!(read_time(text), expected, "{text}");
        }
        for text in [
            "",
            "10",
            "s",
            "1.5h",
            "-1s",
            "+1s",
            "1h30m",
            "10 m",
            "10M",
            "1w",
            "213503982334602d",
            "99999999999999999999s",
        ] {
            assert_eq!(read_time(text), None, "{text}");
        }
    }

    #[test]
    fn near_keys_are_recognised_and_far_ones_are_not() {
        let near = [
            ("audience", "audiences"),
            ("jwksUrl", "jwks_url"),
            ("allow_http", "danger_allow_http"),
            ("isuer", "issuer"),
            ("audeinces", "audiences"),
            ("leway", "leeway"),
        ];
        for (written, key) in near {
            assert!(distance(written, key).is_some(), "{written} {key}");
        }
        for (written, key) in [("port", "pool"), ("log_level", "leeway"), ("name", "realm"), ("", "issuer")] {
            assert!(distance(written, key).is_none(), "{written} {key}");
        }
    }
}
