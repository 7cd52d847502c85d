//! A capture file in any container.

use std::collections::BTreeSet;
use std::io::{self, Cursor, Read};

use mptcp_inspect::capture::{self, CaptureError, OpenOptions, Source};
use mptcp_inspect::limits;

/// Frames read of one input: a bomb must not take the fuzzer's day.
const FRAMES: usize = 3000;

/// Reads it at once and drop by drop: the same frames, the same end.
pub fn run(input: &[u8]) {
    let whole = read(Cursor::new(input.to_vec()));
    let drops = read(Drops { bytes: input.to_vec(), at: 0 });
    let compressed =
        matches!(input, [0x1f, 0x8b, ..] | [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..]);
    if [&whole, &drops].iter().any(|read| read.broken || (compressed && read.failed)) {
        // A decompressor that finds its input damaged or cut may have given more or less of what came before.
        let common = whole.frames.len().min(drops.frames.len());
        assert_eq!(whole.frames[..common], drops.frames[..common]);
    } else {
        assert_eq!(whole, drops, "what a capture holds does not depend on how it arrives");
    }
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

/// What was read.
#[derive(Debug, PartialEq, Eq)]
struct Frames {
    /// Each frame as text, with a sum of its bytes.
    frames: Vec<String>,
    /// How it ended.
    end: String,
    /// It ended because a decompressor gave up.
    broken: bool,
    /// It ended with an error.
    failed: bool,
}

fn read(reader: impl Read + Send + 'static) -> Frames {
    let mut frames = Vec::new();
    let mut numbers = BTreeSet::new();
    let is_broken = |error: &CaptureError| matches!(error, CaptureError::Open { .. } | CaptureError::Read { .. });
    let mut source = match capture::read("fuzz", reader, 0, &OpenOptions { read_ahead: false }) {
        Ok(source) => source,
        // What it looks like may rest on more or fewer of its first bytes.
        Err(CaptureError::NotACapture { .. }) => {
            return Frames { frames, end: "no capture".to_owned(), broken: false, failed: true };
        }
        Err(error) => return Frames { frames, end: error.to_string(), broken: is_broken(&error), failed: true },
    };
    let (mut broken, mut failed) = (false, false);
    let end = loop {
        match source.advance() {
            Ok(true) => {
                let frame = source.frame();
                // Those of several interfaces come in order of time.
                assert!(frame.id.number > 0 && numbers.insert(frame.id.number));
                assert!(frame.data.len() <= frame.wire_len as usize);
                assert!(frame.data.len() <= limits::CAPTURE_RECORD_BYTES);
                let sum = frame.data.iter().fold(0_u64, |sum, &byte| sum.rotate_left(5) ^ u64::from(byte));
                frames.push(format!("{} {} {} {} {sum:x}", frame.time, frame.link, frame.interface, frame.wire_len));
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
                (broken, failed) = (is_broken(&error), true);
                break error.to_string();
            }
        }
    };
    for interface in &source.info().interfaces {
        assert!(interface.name.as_ref().is_none_or(|name| name.len() <= limits::INTERFACE_NAME_BYTES));
    }
    Frames { frames, end, broken, failed }
}
