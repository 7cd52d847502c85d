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

use super::Explanation;

/// Findings that belong together.
pub struct Topic {
    /// What they are about.
    pub heading: &'static str,
    /// They, in the order in which they are told.
    pub rules: &'static [&'static Explanation],
}

/// The topics, in the order of a connection's life.
pub const TOPICS: &[Topic] = &[
    handshake::TOPIC,
    fallback::TOPIC,
    joins::TOPIC,
    addresses::TOPIC,
    data::TOPIC,
    paths::TOPIC,
    close::TOPIC,
    views::TOPIC,
    capture::TOPIC,
];

/// All findings.
pub fn all() -> impl Iterator<Item = &'static Explanation> {
    TOPICS.iter().flat_map(|topic| topic.rules.iter().copied())
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
