//! One text with its vectors: the table of the fields and the record that holds their values.

mod counts;
mod dimensions;
mod field;
#[allow(
    clippy::module_inception,
    reason = "the room's main type has the room's name"
)]
mod record;
mod value;

pub(crate) use counts::RunCounts;
pub(crate) use dimensions::{Dimensions, Totals};
pub use field::Field;
pub(crate) use field::{Element, Selection, Source};
pub(crate) use record::{Record, RecordOrBad, TokenizedText};
pub(crate) use value::Value;
pub use value::Word;
