//! Which connections are asked for.

use crate::crypto::Token;

/// One `--connection`: the number or a token of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionFilter {
    /// Its number in the report, from 1.
    Number(u64),
    /// Its client's or its server's token.
    Token(Token),
    /// Eight decimal digits: a token if a connection has it, else a number.
    Either(u64, Token),
}

impl std::str::FromStr for ConnectionFilter {
    type Err = &'static str;

    /// Parses `7`, `#7`, or eight hex digits.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str = "expected a connection's number or its token of 8 hex digits";
        if let Some(number) = text.strip_prefix('#') {
            return number.parse().map(Self::Number).map_err(|_| EXPECTED);
        }
        let hex = text.strip_prefix("0x").unwrap_or(text);
        let is_token = hex.len() == 8 && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
        let token = if is_token { u32::from_str_radix(hex, 16).ok().map(Token) } else { None };
        let number = if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None };
        match (number, token) {
            (Some(number), Some(token)) => Ok(Self::Either(number, token)),
            (Some(number), None) => Ok(Self::Number(number)),
            (None, Some(token)) => Ok(Self::Token(token)),
            (None, None) => Err(EXPECTED),
        }
    }
}

impl ConnectionFilter {
    /// Whether it names the connection with this number and these tokens.
    pub fn names(self, number: u64, tokens: [Option<Token>; 2]) -> bool {
        match self {
            Self::Number(wanted) => wanted == number,
            Self::Token(token) => tokens.contains(&Some(token)),
            Self::Either(wanted, token) => wanted == number || tokens.contains(&Some(token)),
        }
    }

    /// The token it may mean.
    pub fn token(self) -> Option<Token> {
        match self {
            Self::Number(_) => None,
            Self::Token(token) | Self::Either(_, token) => Some(token),
        }
    }
}

impl std::fmt::Display for ConnectionFilter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(number) | Self::Either(number, _) => write!(f, "{number}"),
            Self::Token(token) => write!(f, "{token}"),
        }
    }
}
