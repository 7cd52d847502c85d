//! What whoever runs a tracker decides.

use crate::crypto::Key;
use crate::limits;

/// What the user decides.
#[derive(Clone, Debug)]
pub struct Config {
    /// Keys given by hand: they prove what a handshake outside the capture would have.
    pub keys: Vec<Key>,
    /// Those of them that are the two of one connection: where one is proven, the other is taken for the other end's unless
    /// what was seen of that contradicts it.
    pub pairs: Vec<[Key; 2]>,
    /// What may show one connection several times: what tells such views apart is kept.
    pub compare: Compare,
    /// Connections remembered.
    pub connections: usize,
    /// TCP flows remembered.
    pub flows: usize,
}

/// Places that are told apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compare {
    /// There is one.
    #[default]
    Nothing,
    /// The inputs.
    Inputs,
    /// The interfaces of the only input.
    Interfaces,
}

impl Compare {
    /// Whether there are several places.
    #[inline]
    pub fn any(self) -> bool {
        self != Self::Nothing
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            keys: Vec::new(),
            pairs: Vec::new(),
            compare: Compare::Nothing,
            connections: limits::CONNECTIONS,
            flows: limits::FLOWS,
        }
    }
}
