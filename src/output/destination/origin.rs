//! Which run made a finished file: an extended attribute of the file itself, so that nothing lies
//! beside it and no format has to have room for it.
//!
//! A file that is copied without its attributes, or lies on a file system that has none, cannot
//! tell.

use std::fs::File;
use std::io;
use std::path::Path;

use anyhow::Context;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::fingerprint::Fingerprint;
use super::side_file::reading_as_it_is;
use super::state::Settings;
use crate::error::{Classify, Error, Kind, Result};
use crate::hex::hex;
use crate::record::RunCounts;

/// The attribute's name, as `getfattr` shows it.
const NAME: &std::ffi::CStr = c"user.bert-embed";

/// The system's own limit for the value of an attribute.
const MAX_BYTES: usize = 64 << 10;

/// File systems such as ext4 keep 4 KB of attributes, so longer values are told by their hash.
const MAX_VALUE_CHARS: usize = 100;

/// The tip if a complete output is not that of this run.
pub(super) const REPLACE: &str = "leave --resume out to replace the file, or give another -o";

/// What is wrong if somebody wrote to a complete output.
const CHANGED: &str = "its bytes are not those that it had when it was completed";

/// What a finished file tells of its run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Origin {
    /// The bytes that it had.
    data: Fingerprint,
    /// As [`shortened`] gives them.
    settings: Settings,
    #[serde(flatten)]
    finished: Finished,
}

/// The records of a complete output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Finished {
    /// How many there are.
    pub records: u64,
    /// The hash over their texts, as in [`RunCounts`].
    pub texts: String,
}

impl From<&RunCounts> for Finished {
    fn from(counts: &RunCounts) -> Self {
        Self {
            records: counts.records,
            texts: counts.texts.clone(),
        }
    }
}

/// What an open file answers.
enum Answer {
    /// It was finished by this run, and has these bytes now.
    Finished(Origin, Fingerprint),
    /// It has no such attribute.
    Nothing,
    /// Its file system keeps none.
    CannotTell,
}

impl Origin {
    /// A run with `settings` that wrote the records of `counts`.
    pub(super) fn new(data: Fingerprint, settings: &Settings, counts: &RunCounts) -> Self {
        Self {
            data,
            settings: shortened(settings),
            finished: counts.into(),
        }
    }

    /// Tells `file` of it, as far as its file system keeps it.
    pub(super) fn write(&self, file: &File) {
        if let Ok(json) = serde_json::to_vec(self) {
            // The file is whole all the same. Whoever asks it later hears that it cannot tell.
            let _ = attribute::set(file, NAME, &json);
        }
    }

    /// Asks the file at `path`.
    fn read(path: &Path) -> anyhow::Result<Answer> {
        let mut file = reading_as_it_is().open(path)?;
        match attribute::get(&file, NAME, MAX_BYTES) {
            Ok(Some(json)) => {
                let origin = serde_json::from_slice(&json)
                    .context("its attribute `user.bert-embed` is damaged")?;
                Ok(Answer::Finished(origin, Fingerprint::of(&mut file)?))
            }
            Ok(None) => Ok(Answer::Nothing),
            Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(Answer::CannotTell),
            Err(error) => Err(error.into()),
        }
    }
}

/// The first setting that is not what it was, with both values.
pub(super) fn difference(now: &Settings, then: &Settings) -> Option<String> {
    let value = |of: &Settings, name: &str| {
        let found = of.iter().find(|(other, _)| other == name);
        found.map_or("unknown", |(_, value)| value).to_owned()
    };
    let names = now.iter().chain(then).map(|(name, _)| name);
    let mut values = names.map(|name| (name, value(now, name), value(then, name)));
    let (name, now, then) = values.find(|(_, now, then)| now != then)?;
    Some(format!("{name} is {now}, but was {then}"))
}

/// The records of the file at `target`, which a run with `settings` must have completed; `None` if
/// it cannot tell.
pub(super) fn finished(target: &Path, settings: &Settings) -> Result<Option<Finished>> {
    let cause = match Origin::read(target).kind(Kind::Output)? {
        Answer::CannotTell => return Ok(None),
        Answer::Nothing => "it is there, and does not tell which run made it: it has no attribute \
             `user.bert-embed`"
            .to_owned(),
        Answer::Finished(origin, data) if origin.data != data => CHANGED.to_owned(),
        Answer::Finished(origin, _) => match difference(&shortened(settings), &origin.settings) {
            Some(difference) => format!("it is complete, of another run: {difference}"),
            None => return Ok(Some(origin.finished)),
        },
    };
    Err(Error::message(Kind::Output, cause).with_tip(REPLACE))
}

/// `settings` with the end of every long value replaced by its hash.
fn shortened(settings: &Settings) -> Settings {
    let value = |value: &str| {
        let mut ends = value.char_indices().skip(MAX_VALUE_CHARS);
        let Some((end, _)) = ends.next() else {
            return value.to_owned();
        };
        let hash = Sha256::digest(value);
        format!("{}… (sha256 {})", &value[..end], hex(&hash[..8]))
    };
    settings
        .iter()
        .map(|(name, it)| (name.clone(), value(it)))
        .collect()
}

#[cfg(target_os = "linux")]
mod attribute {
    use std::ffi::CStr;
    use std::fs::File;
    use std::io;
    use std::os::fd::AsRawFd;

    pub(super) fn set(file: &File, name: &CStr, value: &[u8]) -> io::Result<()> {
        // SAFETY: the name ends with NUL, and the value's bytes are there for the time of the call.
        let result = unsafe {
            libc::fsetxattr(
                file.as_raw_fd(),
                name.as_ptr(),
                value.as_ptr().cast(),
                value.len(),
                0,
            )
        };
        if result == 0 {
            Ok(())
        } else {
            Err(io::Error::last_os_error())
        }
    }

    /// `None` if there is no such attribute.
    pub(super) fn get(file: &File, name: &CStr, max_bytes: usize) -> io::Result<Option<Vec<u8>>> {
        let mut value = vec![0; max_bytes];
        // SAFETY: the name ends with NUL, and the call writes at most `value.len()` bytes there.
        let size = unsafe {
            libc::fgetxattr(
                file.as_raw_fd(),
                name.as_ptr(),
                value.as_mut_ptr().cast(),
                value.len(),
            )
        };
        if let Ok(size) = usize::try_from(size) {
            value.truncate(size);
            return Ok(Some(value));
        }
        let error = io::Error::last_os_error();
        if error.raw_os_error() == Some(libc::ENODATA) {
            return Ok(None);
        }
        Err(error)
    }
}

#[cfg(not(target_os = "linux"))]
mod attribute {
    use std::ffi::CStr;
    use std::fs::File;
    use std::io::{self, ErrorKind};

    pub(super) fn set(_: &File, _: &CStr, _: &[u8]) -> io::Result<()> {
        Err(ErrorKind::Unsupported.into())
    }

    pub(super) fn get(_: &File, _: &CStr, _: usize) -> io::Result<Option<Vec<u8>>> {
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
