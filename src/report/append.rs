//! Text appended to bytes, for lines that are written for every packet: numbers and addresses go digit by digit, which takes a
//! third of the time of formatting them. Memory takes everything, so nothing here can fail.

use std::fmt::{self, Display, Write as _};
use std::net::{IpAddr, SocketAddr};

/// A number in decimal.
#[inline]
pub(super) fn number(out: &mut Vec<u8>, number: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// What something displays.
#[inline]
pub(super) fn shown(out: &mut Vec<u8>, what: impl Display) {
    struct Bytes<'a>(&'a mut Vec<u8>);
    impl fmt::Write for Bytes<'_> {
        #[inline]
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.0.extend_from_slice(text.as_bytes());
            Ok(())
        }
    }
    let _ = write!(Bytes(out), "{what}");
}

/// An address with a port, as [`SocketAddr`] displays it.
pub(super) fn socket(out: &mut Vec<u8>, address: IpAddr, port: u16) {
    let IpAddr::V4(v4) = address else { return shown(out, SocketAddr::new(address, port)) };
    let [a, b, c, d] = v4.octets();
    number(out, a);
    for octet in [b, c, d] {
        out.push(b'.');
        number(out, octet);
    }
    out.push(b':');
    number(out, port);
}

/// Hexadecimal digits, two a byte.
pub(super) fn hex(out: &mut Vec<u8>, bytes: &[u8]) {
    let digit = |nibble: u8| if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 };
    for byte in bytes {
        out.extend_from_slice(&[digit(byte >> 4), digit(byte & 0xf)]);
    }
}

/// What `write` appends, which is ASCII, at the left of at least `width` columns.
#[cfg(any(feature = "cli", test))]
#[inline]
pub(super) fn left(out: &mut Vec<u8>, width: usize, write: impl FnOnce(&mut Vec<u8>)) {
    let end = out.len() + width;
    write(out);
    out.resize(out.len().max(end), b' ');
}

/// The same at the right; before it there is `fill`.
#[cfg(any(feature = "cli", test))]
#[inline]
pub(super) fn right(out: &mut Vec<u8>, width: usize, fill: u8, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    write(out);
    let missing = width.saturating_sub(out.len() - start);
    out.resize(out.len() + missing, fill);
    out[start..].rotate_right(missing);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = b"before ".to_vec();
        write(&mut out);
        String::from_utf8(out).unwrap().strip_prefix("before ").unwrap().to_owned()
    }

    proptest! {
        /// What the standard library formats is the reference.
        #[test]
        fn everything_is_appended_as_it_would_be_formatted(
            wide: u64, port: u16, v4: [u8; 4], v6: [u16; 8], few in 0_u32..2000, width in 0_usize..9,
        ) {
            prop_assert_eq!(text(|out| number(out, wide)), wide.to_string());
            prop_assert_eq!(text(|out| shown(out, format_args!("{wide} {port}"))), format!("{wide} {port}"));
            prop_assert_eq!(text(|out| hex(out, &v4)), format!("{:08x}", u32::from_be_bytes(v4)));
            for address in [IpAddr::from(v4), IpAddr::from(v6)] {
                prop_assert_eq!(text(|out| socket(out, address, port)), SocketAddr::new(address, port).to_string());
            }
            prop_assert_eq!(text(|out| left(out, width, |out| number(out, few))), format!("{few:<width$}"));
            prop_assert_eq!(text(|out| right(out, width, b' ', |out| number(out, few))), format!("{few:>width$}"));
            prop_assert_eq!(text(|out| right(out, width, b'0', |out| number(out, few))), format!("{few:0width$}"));
        }
    }
}
