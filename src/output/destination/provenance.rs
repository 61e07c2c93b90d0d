//! Records which run wrote a complete file, in an extended attribute: this needs no second file and
//! works with every format. A plain copy loses the attribute, and some file systems have none.

use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::fingerprint::Fingerprint;
use super::resume_file::Settings;
use super::side_file::open_no_follow;
use crate::error::{Error, Kind};
use crate::hex::hex;
use crate::record::RunCounts;

/// Longer values of a setting are replaced by their hash: ext4 has 4 KB for all attributes.
const MAX_VALUE_CHARS: usize = 100;

/// The tip if a complete output is not this run's.
pub(super) const REPLACE: &str = "leave --resume out to replace the file, or give another -o";

/// The attribute's value, as JSON.
#[derive(Debug, Serialize, Deserialize)]
struct Provenance {
    data: Fingerprint,
    /// As [`shortened`] returns them.
    settings: Settings,
    #[serde(flatten)]
    completed: CompletedRecords,
}

/// The records of a complete output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CompletedRecords {
    pub records: u64,
    /// The hash over their texts, as in [`RunCounts`].
    pub texts: String,
}

impl From<&RunCounts> for CompletedRecords {
    fn from(counts: &RunCounts) -> Self {
        Self {
            records: counts.records,
            texts: counts.texts.clone(),
        }
    }
}

/// Records in `file` which run wrote it, if its file system has attributes.
pub(super) fn write(file: &File, data: Fingerprint, settings: &Settings, counts: &RunCounts) {
    let provenance = Provenance {
        data,
        settings: shortened(settings),
        completed: counts.into(),
    };
    if let Ok(json) = serde_json::to_vec(&provenance) {
        // Without it the file is still complete, and a later --resume says what is missing.
        let _ = attribute::set(file, &json);
    }
}

/// The first setting that differs, with both values.
pub(super) fn difference(now: &Settings, then: &Settings) -> Option<String> {
    let value = |settings: &Settings, name: &str| {
        let found = settings.iter().find(|(other, _)| other == name);
        found.map_or("unknown", |(_, value)| value).to_owned()
    };
    let names = now.iter().chain(then).map(|(name, _)| name);
    let mut values = names.map(|name| (name, value(now, name), value(then, name)));
    let (name, now, then) = values.find(|(_, now, then)| now != then)?;
    Some(format!("{name} is {now}, but was {then}"))
}

/// The records of the file at `target`, which a run with `settings` must have completed; `None` if
/// its file system has no attributes.
pub(super) fn read(target: &Path, settings: &Settings) -> Result<Option<CompletedRecords>> {
    let mut file = open_no_follow().open(target)?;
    let cause = match attribute::get(&file) {
        Err(error) if error.kind() == ErrorKind::Unsupported => return Ok(None),
        Err(error) => return Err(error.into()),
        Ok(None) => "it already exists, and nothing records which run wrote it (no \
             `user.bert-embed` attribute)"
            .to_owned(),
        Ok(Some(json)) => {
            let then: Provenance = serde_json::from_slice(&json)
                .context("its attribute `user.bert-embed` is damaged")?;
            if Fingerprint::of(&mut file)? != then.data {
                "its bytes have changed since it was completed".to_owned()
            } else if let Some(difference) = difference(&shortened(settings), &then.settings) {
                of_another_run(&difference)
            } else {
                return Ok(Some(then.completed));
            }
        }
    };
    Err(Error::message(Kind::Output, cause).with_tip(REPLACE).into())
}

pub(super) fn of_another_run(difference: &str) -> String {
    format!("it was completed by a different run: {difference}")
}

/// `settings` with the end of every long value replaced by its hash.
fn shortened(settings: &Settings) -> Settings {
    let shortened = |(name, value): &(String, String)| {
        let Some((end, _)) = value.char_indices().nth(MAX_VALUE_CHARS) else {
            return (name.clone(), value.clone());
        };
        let hash = hex(&Sha256::digest(value)[..8]);
        (name.clone(), format!("{}… (sha256 {hash})", &value[..end]))
    };
    settings.iter().map(shortened).collect()
}

/// By hand: the crate `xattr` makes system calls without libc, and the fault tests replace libc's.
#[cfg(target_os = "linux")]
mod attribute {
    use std::ffi::CStr;
    use std::fs::File;
    use std::io::{Error, Result};
    use std::os::fd::AsRawFd;

    const NAME: &CStr = c"user.bert-embed";

    /// The kernel's limit.
    const MAX_BYTES: usize = 64 << 10;

    pub(super) fn set(file: &File, value: &[u8]) -> Result<()> {
        let (bytes, size) = (value.as_ptr().cast(), value.len());
        // SAFETY: the name ends with NUL, and `value` has `size` bytes.
        match unsafe { libc::fsetxattr(file.as_raw_fd(), NAME.as_ptr(), bytes, size, 0) } {
            0 => Ok(()),
            _ => Err(Error::last_os_error()),
        }
    }

    /// `None` if there is no such attribute.
    pub(super) fn get(file: &File) -> Result<Option<Vec<u8>>> {
        let mut value = vec![0; MAX_BYTES];
        let bytes = value.as_mut_ptr().cast();
        // SAFETY: the name ends with NUL, and the call writes at most `MAX_BYTES` bytes to `value`.
        let size = unsafe { libc::fgetxattr(file.as_raw_fd(), NAME.as_ptr(), bytes, MAX_BYTES) };
        if let Ok(size) = usize::try_from(size) {
            value.truncate(size);
            return Ok(Some(value));
        }
        match Error::last_os_error() {
            error if error.raw_os_error() == Some(libc::ENODATA) => Ok(None),
            error => Err(error),
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod attribute {
    use std::fs::File;
    use std::io::{ErrorKind, Result};

    pub(super) fn set(_: &File, _: &[u8]) -> Result<()> {
        Err(ErrorKind::Unsupported.into())
    }

    pub(super) fn get(_: &File) -> Result<Option<Vec<u8>>> {
        Err(ErrorKind::Unsupported.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_any_length_become_short_and_stay_different() {
        let with = |value: String| shortened(&vec![("--prompt".to_owned(), value)]);
        assert_eq!(with("é".repeat(100))[0].1, "é".repeat(100));
        let long = with("é".repeat(10_000));
        assert!(long[0].1.len() < 300, "{long:?}");
        assert_ne!(long, with("é".repeat(10_001)));
    }
}
