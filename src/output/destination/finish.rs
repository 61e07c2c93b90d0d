//! How a partial output takes its name: as it is, or as the file that a format makes of it.

use std::fs;
use std::io::{BufReader, BufWriter, Write};
use std::os::unix::fs::PermissionsExt;

use super::fingerprint::{Checked, Fingerprint};
use super::origin::Origin;
use super::partial::{Partial, in_the_way, start_anew};
use super::side_file::{SideFile, beside, sync_directory};
use super::state::Mark;
use super::{Assembly, BUFFER_BYTES};
use crate::error::{Classify, Error, Kind, Result};
use crate::record::RunCounts;

/// A file made of the data, before it takes its name.
struct Assembled {
    file: SideFile,
    fingerprint: Fingerprint,
}

impl Partial {
    /// Gives the complete file, with the records of `counts`, its name; with an `assembly`, the
    /// file that it makes of the data.
    pub(super) fn finish(
        mut self: Box<Self>,
        counts: &RunCounts,
        assembly: Option<&dyn Assembly>,
    ) -> Result<()> {
        self.data.flush().kind(Kind::Output)?;
        self.check_size().kind(Kind::Output)?;
        match assembly {
            None => self.rename(None, counts)?,
            Some(assembly) => {
                let assembled = self.assemble(assembly)?;
                self.rename(Some(&assembled), counts)
                    .inspect_err(|_| assembled.file.remove_if_new())?;
            }
        }
        sync_directory(&self.target).kind(Kind::Output)?;
        self.remove_side_files().kind(Kind::Output)
    }

    /// Gives `assembled` or the data the output's name.
    fn rename(&mut self, assembled: Option<&Assembled>, counts: &RunCounts) -> Result<()> {
        let (file, fingerprint) = match assembled {
            Some(Assembled { file, fingerprint }) => (file, *fingerprint),
            None => (self.data.to.get_ref(), self.data.written),
        };
        if let (true, Some(settings)) = (self.is_kept(), &self.state.settings) {
            Origin::new(fingerprint, settings, counts).write(&file.file);
        }
        let mark = Mark {
            data: fingerprint,
            counts: counts.clone(),
        };
        file.make_durable(self.permissions.as_ref())
            .and_then(|()| self.state.finish(mark))
            .kind(Kind::Output)?;
        if !file.is_in_place().kind(Kind::Output)? {
            let path = file.path.display();
            let cause = format!("`{path}` was replaced or removed while this run wrote it");
            return Err(Error::message(Kind::Output, cause).with_tip(start_anew(&self.target)));
        }
        fs::rename(&file.path, &self.target).kind(Kind::Output)?;
        self.is_finished = true;
        Ok(())
    }

    /// Makes the file that `assembly` makes of the data, beside them.
    fn assemble(&self, assembly: &dyn Assembly) -> Result<Assembled> {
        let data = self.side_file();
        let log = data.file.try_clone().kind(Kind::Output)?;
        let mut log = BufReader::with_capacity(BUFFER_BYTES, log);
        let metadata = data.file.metadata().kind(Kind::Output)?;
        let mode = metadata.permissions().mode();
        let path = beside(&self.target, ".assembled");
        let file = SideFile::open(&path, mode & 0o777).kind(Kind::Output)?;
        if !file.is_new {
            return Err(in_the_way(&path));
        }
        let to = BufWriter::with_capacity(BUFFER_BYTES, &file.file);
        let mut to = Checked::new(to);
        let written = assembly
            .assemble(&mut log, &mut to)
            .and_then(|()| to.flush().kind(Kind::Output));
        let fingerprint = to.written;
        drop(to);
        match written {
            Ok(()) => Ok(Assembled { file, fingerprint }),
            Err(error) => {
                // The data are kept, so the file can be made again.
                file.remove_if_new();
                Err(error)
            }
        }
    }
}
