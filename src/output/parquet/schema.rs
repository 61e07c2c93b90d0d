//! The columns of each field, in the words of Parquet's schema language.

use parquet::errors::Result;
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::Type;

use crate::output::Context;
use crate::record::Field;

/// A word's columns, all of them in a list of structs.
const WORD: &str = "required binary text (STRING); \
    required int32 span_start; required int32 span_end; optional int32 segment; \
    required int32 tokens_start; required int32 tokens_end;";

/// The schema of the fields of `context` and of `error`.
///
/// # Errors
/// Those of the parser.
pub(super) fn message(context: &Context) -> Result<Type> {
    let fields = context.fields.iter().map(|&field| group(field, context));
    let fields: String = fields.collect();
    parse_message_type(&format!(
        "message record {{ {fields} optional binary error (STRING); }}"
    ))
}

/// How many columns a field has.
pub(super) fn columns(field: Field) -> usize {
    match field {
        Field::Words => WORD.matches(';').count() + 1,
        _ => 1,
    }
}

/// A field of the schema.
fn group(field: Field, context: &Context) -> String {
    let name = field.name();
    match field {
        Field::Index | Field::DroppedTokens => format!("optional int64 {name};"),
        Field::Id | Field::Text | Field::TextPair => format!("optional binary {name} (STRING);"),
        Field::Tokens => list("optional", name, "required binary element (STRING);"),
        Field::WordIds => list("optional", name, "optional int32 element;"),
        Field::OffsetMapping => nested(name, "int32", 2),
        Field::PoolerOutput | Field::Embedding => nested(name, "float", 1),
        Field::LastHiddenState => nested(name, "float", 2),
        Field::HiddenStates if context.shapes.merged_width.is_some() => nested(name, "float", 2),
        Field::HiddenStates => nested(name, "float", 3),
        Field::Words => {
            let vector = list("required", "vector", "required float element;");
            let word = format!("required group element {{ {WORD} {vector} }}");
            list("optional", name, &word)
        }
        Field::InputIds | Field::TokenTypeIds | Field::AttentionMask | Field::SpecialTokensMask => {
            nested(name, "int32", 1)
        }
    }
}

/// Lists of lists, `depth` of them, of numbers.
fn nested(name: &str, number: &str, depth: usize) -> String {
    let element = format!("required {number} element;");
    let inner = (1..depth).fold(element, |inner, _| list("required", "element", &inner));
    list("optional", name, &inner)
}

fn list(repetition: &str, name: &str, element: &str) -> String {
    format!("{repetition} group {name} (LIST) {{ repeated group list {{ {element} }} }}")
}
