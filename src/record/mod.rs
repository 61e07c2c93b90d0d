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
mod word;

pub use counts::RunCounts;
pub use dimensions::{Dimensions, Totals};
pub use field::{Dimension, Element, Field, FieldSpec, Selection, Source};
pub use record::{BadRecord, LayerOutputs, Record};
pub use value::Value;
pub use word::Word;
