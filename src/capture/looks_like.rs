//! What a file that is no capture seems to be, so that the refusal helps: somebody gave the wrong file.

/// Magic bytes at the start, and what they are, with an article.
const MAGICS: &[(&[u8], &str)] = &[
    (b"\x1f\x8b", "a gzip file inside a compressed one"),
    (b"\x28\xb5\x2f\xfd", "a zstd file inside a compressed one"),
    (b"\xfd7zXZ\0", "an xz file (decompress it first)"),
    (b"BZh", "a bzip2 file (decompress it first)"),
    (b"\x04\x22\x4d\x18", "an lz4 file (decompress it first)"),
    (b"PK\x03\x04", "a ZIP archive (or a document that is one)"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"snoop\0\0\0", "a snoop capture (editcap converts it)"),
    (b"GMBU", "a Microsoft Network Monitor capture (editcap converts it)"),
    (b"RTSS", "a Microsoft Network Monitor capture (editcap converts it)"),
    (b"TRSNIFF data", "a Sniffer capture (editcap converts it)"),
    (b"XCP\0", "a NetXray or Sniffer capture (editcap converts it)"),
    (b"btsnoop\0", "a btsnoop capture of Bluetooth"),
    (b"\xa1\xb2", "a pcap of an unknown variant (editcap may convert it)"),
    (b"\xa1\xe2\xcb\x12", "an IXIA capture (editcap converts it)"),
    (b"\x12\xcb\xe2\xa1", "an IXIA capture (editcap converts it)"),
    (b"\x0a\x0d\x0d\x0a", "a pcapng of an unknown byte order"),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"%PDF", "a PDF document"),
    (b"\x7fELF", "an ELF program"),
    (b"MZ", "a Windows program"),
    (b"\xcf\xfa\xed\xfe", "a macOS program"),
    (b"SQLite format 3\0", "an SQLite database"),
    (b"#!", "a script"),
    (b"<?xml", "an XML document"),
    (b"<!DOCTYPE", "an HTML page"),
    (b"<html", "an HTML page"),
    (b"{", "JSON or other text"),
    (b"[", "JSON or other text"),
];

/// What these first bytes of a file seem to be, with an article.
pub(super) fn looks_like(start: &[u8]) -> String {
    if start.is_empty() {
        return "an empty file".to_owned();
    }
    // Whole ones were decompressed.
    if start.starts_with(b"\x1f\x8b") && start.len() < 3 {
        return "the first bytes of a gzip file".to_owned();
    }
    if let Some((_, what)) = MAGICS.iter().find(|(magic, _)| start.starts_with(magic)) {
        return (*what).to_owned();
    }
    if start.get(257..262) == Some(b"ustar") {
        return "a tar archive".to_owned();
    }
    if start.iter().all(|byte| *byte == 0) {
        return "zeros".to_owned();
    }
    if is_text(start) {
        return "text".to_owned();
    }
    let hex: Vec<String> = start.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("data of an unknown kind (it starts with {})", hex.join(" "))
}

/// UTF-8, but for a character cut at the end, without control characters but white space.
fn is_text(start: &[u8]) -> bool {
    let valid = match std::str::from_utf8(start) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(start.get(..error.valid_up_to()).unwrap_or_default()).unwrap_or_default()
        }
        Err(_) => return false,
    };
    !valid.is_empty() && valid.chars().all(|c| !c.is_control() || c.is_whitespace())
}

#[cfg(test)]
mod tests {
    use super::looks_like;

    #[test]
    fn usual_mistakes_are_named() {
        for (start, expected) in [
            (&b""[..], "an empty file"),
            (b"\x1f\x8b", "the first bytes of a gzip file"),
            (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "a PNG image"),
            (b"\x7fELF\x02\x01\x01", "an ELF program"),
            (b"No.  Time  Source\n", "text"),
            ("caf\u{e9}".as_bytes(), "text"),
            (b"half a character \xc3", "text"),
            (&[0; 40], "zeros"),
            (b"\x01\x02\xff", "data of an unknown kind (it starts with 01 02 ff)"),
            (b"snoop\0\0\0\0\0\0\x02", "a snoop capture (editcap converts it)"),
        ] {
            assert_eq!(looks_like(start), expected);
        }
    }
}
