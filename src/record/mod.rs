//! One text with its numbers: the table of the fields and the record that holds their values.

mod counts;
mod field;
#[allow(
    clippy::module_inception,
    reason = "the room's main type has the room's name"
)]
mod record;
mod shapes;
mod word;

pub use counts::RunCounts;
pub use field::Field;
pub use record::{BadRecord, HiddenStates, Record, Value};
pub use shapes::Shapes;
pub use word::Word;
