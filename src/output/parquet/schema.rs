//! The columns of each field, in Parquet's schema language.

use parquet::errors::Result;
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::Type;

use crate::output::{Context, Float};
use crate::record::{Element, Field};

/// A word's columns without its vector.
const WORD: &str = "required int32 word; required binary text (STRING); \
    required int32 span_start; required int32 span_end; optional int32 segment; \
    required int32 tokens_start; required int32 tokens_end;";

/// The schema: the fields of `context`, then `error`.
pub(super) fn message(context: &Context) -> Result<Type> {
    let fields = context.fields.iter().map(|&field| group(field, context));
    let fields: String = fields.collect();
    parse_message_type(&format!(
        "message record {{ {fields} optional binary error (STRING); }}"
    ))
}

pub(super) fn columns(field: Field) -> usize {
    match field.spec().element {
        Element::Word => WORD.matches(';').count() + 1,
        Element::I64
        | Element::I32
        | Element::NullableI32
        | Element::F32
        | Element::Text
        | Element::Json => 1,
    }
}

/// A field of the schema, with one level of lists for each dimension.
fn group(field: Field, context: &Context) -> String {
    let (element, name) = (field.spec().element, field.name());
    match context.dimensions.shape(field).len() {
        0 => leaf(element, "optional", name, context.float),
        depth => {
            let inner = leaf(element, "required", "element", context.float);
            let inner = (1..depth).fold(inner, |inner, _| list("required", "element", &inner));
            list("optional", name, &inner)
        }
    }
}

fn leaf(element: Element, repetition: &str, name: &str, float: Float) -> String {
    match element {
        Element::I64 => format!("{repetition} int64 {name};"),
        Element::I32 => format!("{repetition} int32 {name};"),
        Element::NullableI32 => format!("optional int32 {name};"),
        Element::F32 => number(float, repetition, name),
        Element::Text => format!("{repetition} binary {name} (STRING);"),
        Element::Json => format!("{repetition} binary {name} (JSON);"),
        Element::Word => {
            let vector = list("required", "vector", &number(float, "required", "element"));
            format!("{repetition} group {name} {{ {WORD} {vector} }}")
        }
    }
}

fn number(float: Float, repetition: &str, name: &str) -> String {
    match float {
        Float::F32 => format!("{repetition} float {name};"),
        Float::F16 => format!("{repetition} fixed_len_byte_array(2) {name} (FLOAT16);"),
    }
}

fn list(repetition: &str, name: &str, element: &str) -> String {
    format!("{repetition} group {name} (LIST) {{ repeated group list {{ {element} }} }}")
}
