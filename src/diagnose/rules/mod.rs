//! The findings: their ids, and what there is to say about each whatever the connection. `mptcp-inspect explain` prints this,
//! and the table in the documentation is made from it (`mptcp-inspect --generate findings`).

pub mod addresses;
pub mod capture;
pub mod close;
pub mod data;
pub mod fallback;
pub mod handshake;
pub mod joins;
pub mod paths;
pub mod views;

use crate::report::explain::Explanation;

/// All findings, by topic in the order of a connection's life.
pub const ALL: &[&[&Explanation]] = &[
    handshake::ALL,
    fallback::ALL,
    joins::ALL,
    addresses::ALL,
    data::ALL,
    paths::ALL,
    close::ALL,
    views::ALL,
    capture::ALL,
];

/// All findings.
pub fn all() -> impl Iterator<Item = &'static Explanation> {
    ALL.iter().flat_map(|topic| topic.iter().copied())
}

/// The finding of this id.
pub fn find(id: &str) -> Option<&'static Explanation> {
    all().find(|explanation| explanation.id == id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_kebab_case_and_given_once() {
        let mut ids: Vec<_> = all().map(|explanation| explanation.id).collect();
        for id in &ids {
            assert!(id.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'), "{id}");
        }
        ids.sort_unstable();
        let count = ids.len();
        ids.dedup();
        assert_eq!(ids.len(), count);
    }

    #[test]
    fn every_finding_says_what_it_is_what_it_means_and_what_shows_it() {
        for explanation in all() {
            for text in [explanation.title, explanation.meaning, explanation.detection] {
                assert!(text.len() > 10, "{}", explanation.id);
            }
            assert!(!explanation.title.ends_with('.') && explanation.meaning.ends_with('.'), "{}", explanation.id);
            assert!(explanation.detection.ends_with('.'), "{}", explanation.id);
            assert!(explanation.advice.is_empty() || explanation.advice.ends_with('.'), "{}", explanation.id);
            assert!(explanation.counter.is_none_or(|name| name.starts_with("MPTcpExt")), "{}", explanation.id);
        }
    }
}
