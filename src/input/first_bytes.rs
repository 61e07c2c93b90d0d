//! What the first bytes of a file say about it: files that hold no text are refused by name.

/// What a file is instead of text, and the command that turns it into text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NoText {
    pub(super) what: &'static str,
    /// The command before the name of the file.
    pub(super) command: Option<&'static str>,
}

/// The beginnings of files that people keep beside their texts. The command is `None` if no simple
/// one gives text.
const BEGINNINGS: [(&[u8], &str, Option<&str>); 21] = [
    // In this order: UTF-32's mark begins with UTF-16's.
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
    (b"ARROW1\0\0", "an Arrow file", None),
    (b"Obj\x01", "an Avro file", None),
];

/// Why a file that begins with `head` holds no text; `None` if it may.
///
/// `has_nul` means that texts end with NUL, so it may occur.
pub(super) fn judge(head: &[u8], has_nul: bool) -> Option<NoText> {
    let begins = |(beginning, ..): &&(&[u8], _, _)| head.starts_with(beginning);
    if let Some(&(_, what, command)) = BEGINNINGS.iter().find(begins) {
        return Some(NoText { what, command });
    }
    if has_nul || !head.contains(&0) {
        return None;
    }
    if let Some(command) = utf_16(head) {
        return Some(NoText {
            what: "UTF-16",
            command: Some(command),
        });
    }
    is_binary(head).then_some(NoText {
        what: "binary",
        command: None,
    })
}

/// Whether a tenth of the bytes are control characters or not UTF-8, and both occur: a text may
/// hold NUL, or bytes of another encoding.
fn is_binary(head: &[u8]) -> bool {
    const LOOKED_AT: usize = 8192;
    let head = &head[..head.len().min(LOOKED_AT)];
    let is_strange = |&character: &char| {
        character.is_ascii_control() && !matches!(character, '\t' | '\n' | '\r' | '\x0c' | '\x1b')
    };
    // The head may end within a character.
    let is_cut = |invalid: &[u8]| head.ends_with(invalid) && invalid.len() < 4;
    let (mut controls, mut not_utf_8) = (0, 0);
    for chunk in head.utf8_chunks() {
        controls += chunk.valid().chars().filter(is_strange).count();
        let invalid = chunk.invalid();
        not_utf_8 += if is_cut(invalid) { 0 } else { invalid.len() };
    }
    not_utf_8 > 0 && controls > 0 && (controls + not_utf_8) * 10 >= head.len()
}

/// The command for UTF-16 without a mark: three in four of its characters have a high byte of zero,
/// and none a low one.
fn utf_16(head: &[u8]) -> Option<&'static str> {
    const LOOKED_AT: usize = 1024;
    let (pairs, _) = head.as_chunks::<2>();
    let pairs = &pairs[..pairs.len().min(LOOKED_AT)];
    let zeros = |place: usize| pairs.iter().filter(|pair| pair[place] == 0).count();
    let (first, second) = (zeros(0), zeros(1));
    let most = pairs.len().saturating_mul(3).div_ceil(4);
    if pairs.len() < 2 {
        None
    } else if first == 0 && second >= most {
        Some("iconv -f UTF-16LE -t UTF-8")
    } else if second == 0 && first >= most {
        Some("iconv -f UTF-16BE -t UTF-8")
    } else {
        None
    }
}

/// Whether `head` begins as a JSON array of objects, strings or arrays does.
pub(super) fn is_json_array(head: &[u8]) -> bool {
    matches!(first_two(head), Some((b'[', b'{' | b'"' | b'[')))
}

/// Whether `head` begins as a JSON object does.
pub(super) fn is_json_object(head: &[u8]) -> bool {
    first_two(head) == Some((b'{', b'"'))
}

/// The first two bytes that are no white space.
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
        judge(head, false).map(|no_text| no_text.what)
    }

    #[test]
    fn utf_16_is_known_by_its_mark_or_its_zeros() {
        let little: Vec<u8> = "she is\n"
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        let big: Vec<u8> = "she is\n"
            .encode_utf16()
            .flat_map(u16::to_be_bytes)
            .collect();
        let command = |head: &[u8]| judge(head, false).and_then(|no_text| no_text.command);
        assert_eq!(command(&little), Some("iconv -f UTF-16LE -t UTF-8"));
        assert_eq!(command(&big), Some("iconv -f UTF-16BE -t UTF-8"));
        let marked = [b"\xff\xfe", &little[..]].concat();
        assert_eq!(command(&marked), Some("iconv -f UTF-16 -t UTF-8"));
        assert_eq!(judge(&little, true), None, "texts that end with NUL");
    }

    #[test]
    fn nul_in_a_text_is_text_and_a_binary_file_is_not() {
        assert_eq!(what(b"she\na\0b\nis\n"), None);
        assert_eq!(what(b"b\xffd\n"), None, "another encoding, line by line");
        assert_eq!(what(b"a\0\xff\xfe\n"), Some("binary"));
        let lines = b"she is\na\0b\nthe old city\nb\xffd\nis she\n";
        assert_eq!(what(lines), None, "lines that are no text, and others");
        assert_eq!(what(b"\0\xc3"), None, "the head ends within a character");
        assert_eq!(what(b"\x89PNG\r\n\x1a\n\0"), Some("a PNG image"));
        assert_eq!(what(b""), None);
    }

    #[test]
    fn json_and_old_line_ends_are_known() {
        assert!(is_json_array(b" [\n  {\"text\"") && is_json_array(b"[\"a\""));
        assert!(!is_json_array(b"[CLS] she") && !is_json_array(b"[1] she"));
        assert!(is_json_object(b"{ \"text\"") && !is_json_object(b"{she}"));
        assert!(has_mac_line_ends(b"a\rb\r") && !has_mac_line_ends(b"a\r"));
        assert!(!has_mac_line_ends(b"a\rb\r\n"));
    }
}
