//! The report: one model ([`model`]) that every output is a view of.

pub mod model;
