//! `~`, `~user` and `$NAME` in paths, as Python's `expanduser` and `expandvars` replace them.

use std::ffi::{CStr, CString, OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// The longest entry of the user database that is read.
const MAX_ENTRY_BYTES: usize = 64 << 10;

/// `path` with a leading `~` replaced by `home`, and `~user` by the user's directory. An unknown
/// user stays.
pub(super) fn expand_user(path: &Path, home: Option<&Path>) -> PathBuf {
    let bytes = path.as_os_str().as_bytes();
    let Some(named) = bytes.strip_prefix(b"~") else {
        return path.to_path_buf();
    };
    let end = named.iter().position(|byte| *byte == b'/');
    let (user, rest) = named.split_at(end.unwrap_or(named.len()));
    let directory = if user.is_empty() {
        home.map(Path::to_path_buf)
    } else {
        home_of(user)
    };
    let rest = OsStr::from_bytes(rest.strip_prefix(b"/").unwrap_or(rest));
    match directory {
        Some(directory) if rest.is_empty() => directory,
        Some(directory) => directory.join(rest),
        None => path.to_path_buf(),
    }
}

/// The directory of `user` in the system's database.
fn home_of(user: &[u8]) -> Option<PathBuf> {
    let user = CString::new(user).ok()?;
    let mut buffer = vec![0; MAX_ENTRY_BYTES];
    // SAFETY: `passwd` is a C struct of numbers and pointers, for which zeros are a value.
    let mut entry: libc::passwd = unsafe { std::mem::zeroed() };
    let mut found = std::ptr::null_mut();
    // SAFETY: every pointer is valid for the call, and the length is the buffer's.
    unsafe {
        let (text, bytes) = (buffer.as_mut_ptr(), buffer.len());
        libc::getpwnam_r(user.as_ptr(), &raw mut entry, text, bytes, &raw mut found);
    }
    if found.is_null() {
        return None;
    }
    // SAFETY: the entry was found, so its directory is a C string in `buffer`.
    let directory = unsafe { CStr::from_ptr(entry.pw_dir) };
    Some(PathBuf::from(OsStr::from_bytes(directory.to_bytes())))
}

/// `path` with `$NAME` and `${NAME}` replaced by the variable's value. An unknown one stays.
pub(super) fn expand_variables(path: &Path, value: impl Fn(&OsStr) -> Option<OsString>) -> PathBuf {
    let mut rest = path.as_os_str().as_bytes();
    let mut expanded = Vec::new();
    while let Some(start) = rest.iter().position(|byte| *byte == b'$') {
        let (before, after) = rest.split_at(start);
        expanded.extend(before);
        let (name, used) = variable(after);
        let value = name.and_then(|name| value(OsStr::from_bytes(name)));
        match value {
            Some(value) => expanded.extend(value.into_vec()),
            None => expanded.extend(&after[..used]),
        }
        rest = &after[used..];
    }
    expanded.extend(rest);
    OsString::from_vec(expanded).into()
}

/// The name that follows the `$` at the start of `text`, and the number of bytes with the `$`.
fn variable(text: &[u8]) -> (Option<&[u8]>, usize) {
    if let Some(braced) = text.strip_prefix(b"${") {
        let end = braced.iter().position(|byte| *byte == b'}');
        return end.map_or((None, 1), |end| (Some(&braced[..end]), end + 3));
    }
    let word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let length = text[1..].iter().take_while(|byte| word(byte)).count();
    let name = &text[1..=length];
    ((length > 0).then_some(name), length + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Python: os.path.expandvars(os.path.expanduser(…)) with HOME=/home/ada, X=x, EMPTY= and
    /// TILDE=~.
    #[test]
    fn paths_are_expanded_as_in_python() {
        let value = |name: &OsStr| match name.to_str()? {
            "HOME" => Some("/home/ada".into()),
            "X" => Some("x".into()),
            "EMPTY" => Some("".into()),
            "TILDE" => Some("~".into()),
            _ => None,
        };
        for (path, expected) in [
            ("~", "/home/ada"),
            ("~/c", "/home/ada/c"),
            ("~root", "/root"),
            ("~root/c", "/root/c"),
            ("~nobody-such/c", "~nobody-such/c"),
            ("a/~", "a/~"),
            ("$HOME/c", "/home/ada/c"),
            ("${HOME}/c", "/home/ada/c"),
            ("$HOMEX/c", "$HOMEX/c"),
            ("$X$X", "xx"),
            ("$/c", "$/c"),
            ("$$X", "$x"),
            ("${X", "${X"),
            ("${}", "${}"),
            ("a$X-b", "ax-b"),
            ("${X}y", "xy"),
            ("$EMPTY/c", "/c"),
            ("\\$X", "\\x"),
            ("$é", "$é"),
            ("~/$X", "/home/ada/x"),
            ("$TILDE/c", "~/c"),
            ("${no such}", "${no such}"),
        ] {
            let user = expand_user(Path::new(path), Some(Path::new("/home/ada")));
            let expanded = expand_variables(&user, value);
            assert_eq!(expanded.as_os_str(), OsStr::new(expected), "{path}");
        }
    }
}
