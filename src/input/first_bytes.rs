//! Recognizes, by their first bytes, files that are not text.

/// What a file is instead of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NonText {
    pub(super) what: &'static str,
    /// The command, to be followed by the file's name, that turns it into text, if there is one.
    pub(super) command: Option<&'static str>,
}

/// The forms of Arrow's IPC as JSON lines: `datasets` keeps streams, Feather is a file.
const ARROW_STREAM: &str = "python -c 'import pyarrow, sys; \
    pyarrow.ipc.open_stream(sys.argv[1]).read_pandas()\
    .to_json(sys.stdout, orient=\"records\", lines=True)'";
const ARROW_FILE: &str = "python -c 'import pyarrow, sys; \
    pyarrow.ipc.open_file(sys.argv[1]).read_pandas()\
    .to_json(sys.stdout, orient=\"records\", lines=True)'";

/// The first bytes of files that people keep next to their texts.
const SIGNATURES: [(&[u8], &str, Option<&str>); 22] = [
    // In this order: the byte order mark of UTF-32 begins with UTF-16's.
    (b"\xff\xfe\0\0", "UTF-32", Some("iconv -f UTF-32 -t UTF-8")),
    (b"\0\0\xfe\xff", "UTF-32", Some("iconv -f UTF-32 -t UTF-8")),
    (b"\xff\xfe", "UTF-16", Some("iconv -f UTF-16 -t UTF-8")),
    (b"\xfe\xff", "UTF-16", Some("iconv -f UTF-16 -t UTF-8")),
    (b"PAR1", "a parquet file", None),
    (b"\x1f\x8b", "gzip in a compressed file", None),
    (b"\x28\xb5\x2f\xfd", "zstd in a compressed file", None),
    (b"BZh", "a bzip2 file", Some("bzip2 -dc")),
    (b"\xfd7zXZ\0", "an xz file", Some("xz -dc")),
    (b"\x04\x22\x4d\x18", "an lz4 file", Some("lz4 -dc")),
    (b"PK\x03\x04", "a zip archive", Some("unzip -p")),
    (b"%PDF-", "a PDF", Some("pdftotext")),
    (b"\x89PNG\r\n", "a PNG image", None),
    (b"\xff\xd8\xff", "a JPEG image", None),
    (b"GIF8", "a GIF image", None),
    (b"\x7fELF", "a program", None),
    (b"\x89HDF\r\n", "an HDF5 file", None),
    (b"\x93NUMPY", "a npy file", None),
    (b"SQLite format 3\0", "an SQLite database", None),
    (b"ARROW1\0\0", "an Arrow file", Some(ARROW_FILE)),
    (b"\xff\xff\xff\xff", "an Arrow stream", Some(ARROW_STREAM)),
    (b"Obj\x01", "an Avro file", None),
];

/// Recognizes a file that begins with `head`; `None` if it may be text.
///
/// A NUL alone does not make a file binary: a text may hold one, and with `--null` many. Together
/// with bytes that are not UTF-8 it does.
pub(super) fn recognize(head: &[u8], null_ends_texts: bool) -> Option<NonText> {
    let matches = |(bytes, ..): &&(&[u8], _, _)| head.starts_with(bytes);
    if let Some(&(_, what, command)) = SIGNATURES.iter().find(matches) {
        return Some(NonText { what, command });
    }
    (!null_ends_texts && is_binary(head)).then_some(NonText {
        what: "binary",
        command: None,
    })
}

/// Whether `head` has NUL, bytes that are not UTF-8, and control characters or such bytes in a
/// tenth of it.
fn is_binary(head: &[u8]) -> bool {
    let head = &head[..head.len().min(8192)];
    let is_control = |&character: &char| {
        character.is_ascii_control() && !matches!(character, '\t' | '\n' | '\r' | '\x0c' | '\x1b')
    };
    let (mut controls, mut not_utf_8) = (0, 0);
    for chunk in head.utf8_chunks() {
        controls += chunk.valid().chars().filter(is_control).count();
        let invalid = chunk.invalid();
        // The head may end within a character.
        let is_cut = head.ends_with(invalid) && invalid.len() < 4;
        not_utf_8 += if is_cut { 0 } else { invalid.len() };
    }
    head.contains(&0) && not_utf_8 > 0 && (controls + not_utf_8) * 10 >= head.len()
}

/// Whether `head` starts like a JSON array of objects, strings or arrays.
/// The command that makes JSON lines of a JSON array of strings, objects or arrays.
pub(super) fn json_array(head: &[u8]) -> Option<&'static str> {
    match first_two(head) {
        Some((b'[', b'"')) => Some("jq -c '.[] | {text: .}'"),
        Some((b'[', b'{' | b'[')) => Some("jq -c '.[]'"),
        _ => None,
    }
}

pub(super) fn is_json_object(head: &[u8]) -> bool {
    first_two(head) == Some((b'{', b'"'))
}

/// The first two bytes other than white space.
fn first_two(head: &[u8]) -> Option<(u8, u8)> {
    let mut bytes = head.iter().filter(|byte| !byte.is_ascii_whitespace());
    Some((*bytes.next()?, *bytes.next()?))
}

/// Whether the lines in `head` seem to end with CR alone.
pub(super) fn has_mac_line_ends(head: &[u8]) -> bool {
    !head.contains(&b'\n') && head[..head.len().saturating_sub(1)].contains(&b'\r')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn what(head: &[u8]) -> Option<&'static str> {
        recognize(head, false).map(|found| found.what)
    }

    #[test]
    fn nul_in_a_text_is_text_and_a_binary_file_is_not() {
        assert_eq!(what(b"she\na\0b\nis\n"), None);
        assert_eq!(what(b"b\xffd\n"), None, "another encoding, line by line");
        assert_eq!(what(b"a\0\xff\xfe\n"), Some("binary"));
        assert_eq!(recognize(b"a\0\xff\xfe\n", true), None, "--null");
        let lines = b"she is\na\0b\nthe old city\nb\xffd\nis she\n";
        assert_eq!(what(lines), None, "bad lines among others");
        assert_eq!(what(b"\0\xc3"), None, "the head ends within a character");
        assert_eq!(what(b"\x89PNG\r\n\x1a\n\0"), Some("a PNG image"));
        assert_eq!(what(b"\xff\xfes\0h\0e\0"), Some("UTF-16"));
        assert_eq!(what(b""), None);
    }

    #[test]
    fn json_and_old_line_ends_are_recognized() {
        assert_eq!(json_array(b" [\n  {\"text\""), Some("jq -c '.[]'"));
        assert_eq!(json_array(b"[\"a\""), Some("jq -c '.[] | {text: .}'"));
        assert_eq!(
            (json_array(b"[CLS] she"), json_array(b"[1] she")),
            (None, None)
        );
        assert!(is_json_object(b"{ \"text\"") && !is_json_object(b"{she}"));
        assert!(has_mac_line_ends(b"a\rb\r") && !has_mac_line_ends(b"a\r"));
        assert!(!has_mac_line_ends(b"a\rb\r\n"));
    }
}
