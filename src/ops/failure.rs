//! The one failure of a device that a run can survive: too little memory.

use std::fmt;

/// The device has too little memory; a smaller batch may fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OutOfMemory;

impl fmt::Display for OutOfMemory {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the GPU is out of memory")
    }
}

impl std::error::Error for OutOfMemory {}
