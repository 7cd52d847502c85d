//! JSON text, value by value, for lines that are written for every packet: names of fields are constants that need no
//! escaping, and nothing is formatted that can be written digit by digit. (Through a serializer the whole format takes
//! 1.8 times as long.) Everything else goes through serde.

use std::fmt::Display;
use std::net::IpAddr;

use serde::Serialize;

use super::append;
use crate::crypto::{Key, Nonce, Token};
use crate::frame::Timestamp;
use crate::model::FrameRef;
use crate::wire::{Hex, RawSequence};

/// Something that writes itself as a JSON value.
pub(super) trait Json {
    /// Appends the value.
    fn json(self, out: &mut Vec<u8>);
}

/// Appends a field to an object that has one already; the `first` opens the object.
macro_rules! field {
    ($out:expr, first $name:literal, $value:expr) => {
        $crate::report::json_text::field!(@ $out, concat!("{\"", $name, "\":"), $value)
    };
    ($out:expr, $name:literal, $value:expr) => {
        $crate::report::json_text::field!(@ $out, concat!(",\"", $name, "\":"), $value)
    };
    (@ $out:expr, $text:expr, $value:expr) => {{
        $out.extend_from_slice($text.as_bytes());
        $crate::report::json_text::Json::json($value, $out);
    }};
}
pub(super) use field;

macro_rules! numbers {
    ($($type:ty)*) => {$(
        impl Json for $type {
            #[inline]
            fn json(self, out: &mut Vec<u8>) {
                append::number(out, self);
            }
        }
    )*};
}
numbers! { u8 u16 u32 u64 usize }

impl Json for bool {
    fn json(self, out: &mut Vec<u8>) {
        out.extend_from_slice(if self { b"true" } else { b"false" });
    }
}

impl<T: Json> Json for Option<T> {
    #[inline]
    fn json(self, out: &mut Vec<u8>) {
        match self {
            Some(value) => value.json(out),
            None => out.extend_from_slice(b"null"),
        }
    }
}

/// A string that holds nothing to be escaped: digits, letters, marks.
pub(super) struct Plain<'a>(pub(super) &'a str);

impl Json for Plain<'_> {
    fn json(self, out: &mut Vec<u8>) {
        out.push(b'"');
        out.extend_from_slice(self.0.as_bytes());
        out.push(b'"');
    }
}

/// What serde writes: strings that may hold something to be escaped, and values of the report.
pub(super) struct Serde<T>(pub(super) T);

impl<T: Serialize> Json for Serde<T> {
    fn json(self, out: &mut Vec<u8>) {
        // Memory takes everything, and these values can be written: this does not fail.
        let _ = serde_json::to_writer(out, &self.0);
    }
}

/// What something displays, as a string. It must hold nothing to be escaped.
pub(super) struct Shown<T>(pub(super) T);

impl<T: Display> Json for Shown<T> {
    fn json(self, out: &mut Vec<u8>) {
        out.push(b'"');
        append::shown(out, self.0);
        out.push(b'"');
    }
}

/// A number as a string, since JSON's numbers lose it.
pub(super) struct Quoted(pub(super) u64);

impl Json for Quoted {
    fn json(self, out: &mut Vec<u8>) {
        out.push(b'"');
        self.0.json(out);
        out.push(b'"');
    }
}

impl Json for Hex<'_> {
    fn json(self, out: &mut Vec<u8>) {
        out.push(b'"');
        append::hex(out, self.0);
        out.push(b'"');
    }
}

impl Json for Key {
    fn json(self, out: &mut Vec<u8>) {
        Hex(&self.0).json(out);
    }
}

impl Json for Token {
    fn json(self, out: &mut Vec<u8>) {
        Hex(&self.0.to_be_bytes()).json(out);
    }
}

impl Json for Nonce {
    fn json(self, out: &mut Vec<u8>) {
        Hex(&self.0.to_be_bytes()).json(out);
    }
}

/// A checksum as four hexadecimal digits.
pub(super) struct Checksum(pub(super) u16);

impl Json for Checksum {
    fn json(self, out: &mut Vec<u8>) {
        Hex(&self.0.to_be_bytes()).json(out);
    }
}

impl Json for RawSequence {
    fn json(self, out: &mut Vec<u8>) {
        match self {
            Self::Short(value) => Quoted(value.into()).json(out),
            Self::Long(value) => Quoted(value).json(out),
        }
    }
}

impl Json for FrameRef {
    fn json(self, out: &mut Vec<u8>) {
        if self.input.is_some() { Shown(self).json(out) } else { self.id.number.json(out) }
    }
}

impl Json for Timestamp {
    fn json(self, out: &mut Vec<u8>) {
        if !self.is_known() {
            out.extend_from_slice(b"null");
            return;
        }
        out.push(b'"');
        out.extend_from_slice(&self.text());
        out.push(b'"');
    }
}

/// An address with a port.
pub(super) struct Socket(pub(super) IpAddr, pub(super) u16);

impl Json for Socket {
    fn json(self, out: &mut Vec<u8>) {
        out.push(b'"');
        append::socket(out, self.0, self.1);
        out.push(b'"');
    }
}

/// A list.
pub(super) struct List<I>(pub(super) I);

impl<T: Json, I: Iterator<Item = T>> Json for List<I> {
    fn json(self, out: &mut Vec<u8>) {
        out.push(b'[');
        for (index, item) in self.0.enumerate() {
            if index > 0 {
                out.push(b',');
            }
            item.json(out);
        }
        out.push(b']');
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(value: impl Json) -> String {
        let mut out = Vec::new();
        value.json(&mut out);
        String::from_utf8(out).unwrap()
    }

    fn serde(value: impl Serialize) -> String {
        serde_json::to_string(&value).unwrap()
    }

    proptest! {
        /// What serde writes is the reference.
        #[test]
        fn values_are_written_as_serde_writes_them(
            time: i64, number: u64, half: u16, v4: [u8; 4], v6: [u16; 8], any: String, flag: bool,
        ) {
            prop_assert_eq!(text(Timestamp(time)), serde(Timestamp(time)));
            prop_assert_eq!(text(Some(number)), serde(number));
            prop_assert_eq!(text(Quoted(number)), serde(number.to_string()));
            prop_assert_eq!(text(half), serde(half));
            prop_assert_eq!(text(flag), serde(flag));
            prop_assert_eq!(text(Serde(&any)), serde(&any));
            prop_assert_eq!(text(Token(number as u32)), serde(Token(number as u32)));
            prop_assert_eq!(text(Nonce(number as u32)), serde(Nonce(number as u32)));
            prop_assert_eq!(text(Key(number.to_be_bytes())), serde(Key(number.to_be_bytes())));
            prop_assert_eq!(text(Checksum(half)), serde(format!("{half:04x}")));
            for address in [IpAddr::from(v4), IpAddr::from(v6)] {
                prop_assert_eq!(text(Socket(address, half)), serde(std::net::SocketAddr::new(address, half)));
            }
        }
    }

    #[test]
    fn the_first_and_the_last_time_have_four_digits_of_year() {
        assert_eq!(text(Timestamp(i64::MIN + 1)), "\"1677-09-21T00:12:43.145224193Z\"");
        assert_eq!(text(Timestamp::UNKNOWN), "null");
        assert_eq!(text(Timestamp(i64::MAX)), "\"2262-04-11T23:47:16.854775807Z\"");
        assert_eq!(text(None::<u8>), "null");
    }
}
