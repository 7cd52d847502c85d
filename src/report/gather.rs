//! Small writes gathered into large ones. Serialisers write a quote, a name, a colon at a time; through `dyn Write` each of
//! them is a call, and of a report's 128 MB that was half the time.

use std::io::{self, Write};

/// Bytes gathered before they are handed on.
const ENOUGH: usize = 64 << 10;

/// Gathers what is written to it, and hands it on in large parts. What is left is handed on by [`Gather::finish`] only.
pub(super) struct Gather<'a> {
    out: &'a mut dyn Write,
    bytes: Vec<u8>,
}

impl<'a> Gather<'a> {
    /// Nothing gathered.
    pub(super) fn new(out: &'a mut dyn Write) -> Self {
        Self { out, bytes: Vec::with_capacity(2 * ENOUGH) }
    }

    /// Hands on the rest.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.hand_on()
    }

    #[cold]
    #[inline(never)]
    fn hand_on(&mut self) -> io::Result<()> {
        let written = self.out.write_all(&self.bytes);
        self.bytes.clear();
        written
    }
}

impl Write for Gather<'_> {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes).map(|()| bytes.len())
    }

    #[inline]
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.bytes.extend_from_slice(bytes);
        if self.bytes.len() >= ENOUGH { self.hand_on() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.hand_on()?;
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_arrives_in_order_and_in_few_parts() {
        struct Parts(Vec<Vec<u8>>);
        impl Write for Parts {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.push(bytes.to_vec());
                Ok(bytes.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut parts = Parts(Vec::new());
        let mut gather = Gather::new(&mut parts);
        let expected: Vec<u8> = (0..200_000_u32).map(|number| (number % 251) as u8).collect();
        for piece in expected.chunks(7) {
            gather.write_all(piece).unwrap();
        }
        gather.finish().unwrap();
        assert_eq!(parts.0.len(), 4, "three full ones and the rest");
        assert!(parts.0.concat() == expected);
    }
}
