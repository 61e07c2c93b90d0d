//! The end of a run: the records, or the file that a format assembles from them, take FILE's name.

use std::fs;
use std::io::{BufReader, BufWriter, Write};
use std::os::unix::fs::PermissionsExt;

use anyhow::Result;

use super::fingerprint::{Fingerprint, FingerprintWriter};
use super::partial::{PartialOutput, in_the_way};
use super::provenance;
use super::resume_file::SyncPoint;
use super::side_file::{SideFile, side_path, start_over_tip, sync_directory};
use super::{Assembly, BUFFER_BYTES};
use crate::error::{Error, Kind};
use crate::record::RunCounts;

struct Assembled {
    file: SideFile,
    fingerprint: Fingerprint,
}

impl PartialOutput {
    /// Gives the complete file, with the records of `counts`, its name.
    pub(super) fn finish(
        mut self: Box<Self>,
        counts: &RunCounts,
        assembly: Option<&dyn Assembly>,
    ) -> Result<()> {
        self.data.flush()?;
        self.check_size()?;
        match assembly {
            None => self.rename(None, counts)?,
            Some(assembly) => {
                let assembled = self.assemble(assembly)?;
                self.rename(Some(&assembled), counts)
                    .inspect_err(|_| assembled.file.remove_if_new())?;
            }
        }
        sync_directory(&self.target)?;
        self.remove_side_files()
    }

    /// Gives `assembled` or the data the output's name.
    fn rename(&mut self, assembled: Option<&Assembled>, counts: &RunCounts) -> Result<()> {
        let (file, data) = match assembled {
            Some(Assembled { file, fingerprint }) => (file, *fingerprint),
            None => (self.data.to.get_ref(), self.data.written),
        };
        if let (true, Some(settings)) = (self.survives(), &self.resume_file.settings) {
            provenance::write(&file.file, data, settings, counts);
        }
        file.make_durable(self.permissions.as_ref())?;
        let counts = counts.clone();
        self.resume_file.finish(SyncPoint { data, counts })?;
        if !file.is_in_place()? {
            let path = file.path.display();
            let cause = format!("`{path}` was replaced or removed while this run wrote it");
            let tip = start_over_tip(&self.resume_file.file.path);
            return Err(Error::message(Kind::Output, cause).with_tip(tip).into());
        }
        fs::rename(&file.path, &self.target)?;
        self.is_finished = true;
        Ok(())
    }

    fn assemble(&self, assembly: &dyn Assembly) -> Result<Assembled> {
        let data = &self.data_file().file;
        let mut log = BufReader::with_capacity(BUFFER_BYTES, data.try_clone()?);
        let mode = data.metadata()?.permissions().mode();
        let path = side_path(&self.target, ".assembled");
        let file = SideFile::open(&path, mode & 0o777)?;
        if !file.is_new {
            return Err(in_the_way(&path));
        }
        let to = BufWriter::with_capacity(BUFFER_BYTES, &file.file);
        let mut to = FingerprintWriter::new(to);
        let mut write = || -> Result<()> {
            assembly.assemble(&mut log, &mut to)?;
            Ok(to.flush()?)
        };
        // The data is kept, so the file can be assembled again.
        write().inspect_err(|_| file.remove_if_new())?;
        let fingerprint = to.written;
        drop(to);
        Ok(Assembled { file, fingerprint })
    }
}
