//! A capture file in any container.

use std::io::{self, Cursor, Read};

use mptcp_inspect::capture::{self, OpenOptions, Source};
use mptcp_inspect::limits;

/// Frames read of one input: a bomb must not take the fuzzer's day.
const FRAMES: usize = 3000;

/// Reads it at once and drop by drop: the same frames, the same end.
pub fn run(input: &[u8]) {
    let whole = read(Cursor::new(input.to_vec()));
    let drops = read(Drops { bytes: input.to_vec(), at: 0 });
    assert_eq!(whole, drops, "what a capture holds does not depend on how it arrives");
}

/// Gives one to five bytes at a time.
struct Drops {
    bytes: Vec<u8>,
    at: usize,
}

impl Read for Drops {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = self.bytes.get(self.at..).unwrap_or(&[]);
        let count = (1 + self.at % 5).min(rest.len()).min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        self.at += count;
        Ok(count)
    }
}

/// Frames as text without their bytes, their sum, and how it ended.
fn read(reader: impl Read + Send + 'static) -> (Vec<String>, u64, String) {
    let mut frames = Vec::new();
    let mut sum = 0_u64;
    let mut source = match capture::read("fuzz", reader, 0, &OpenOptions { read_ahead: false }) {
        Ok(source) => source,
        Err(error) => return (frames, sum, error.to_string()),
    };
    let end = loop {
        match source.advance() {
            Ok(true) => {
                let frame = source.frame();
                assert_eq!(frame.id.number, frames.len() as u64 + 1);
                assert!(frame.data.len() <= frame.wire_len as usize);
                assert!(frame.data.len() <= limits::CAPTURE_RECORD_BYTES);
                sum = frame.data.iter().fold(sum, |sum, &byte| sum.rotate_left(5) ^ u64::from(byte));
                frames.push(format!("{} {} {} {}", frame.time, frame.link, frame.interface, frame.wire_len));
                let interfaces = &source.info().interfaces;
                assert!(interfaces.len() <= limits::INPUT_INTERFACES);
                if frames.len() >= FRAMES {
                    break "enough".to_owned();
                }
            }
            Ok(false) => break "end".to_owned(),
            Err(error) => {
                assert_eq!(source.info().cut_after, Some(frames.len() as u64));
                assert!(matches!(source.advance(), Ok(false)), "an error comes once");
                break error.to_string();
            }
        }
    };
    for interface in &source.info().interfaces {
        assert!(interface.name.as_ref().is_none_or(|name| name.len() <= limits::INTERFACE_NAME_BYTES));
    }
    (frames, sum, end)
}
