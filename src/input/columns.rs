//! The columns of a table, or keys of a JSON line, that hold the parts of a text; the doc comments
//! are the help.

#![allow(
    clippy::doc_markdown,
    reason = "the doc comments are the help, where backticks show"
)]

use clap::Args;
use serde::Serialize;

use crate::error::{Error, Kind, Result};

use super::{Id, Segment};

/// The names of the columns; `None` is the default name, which may be missing in a table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args, Serialize)]
pub(crate) struct ColumnNames {
    /// Column of the texts in a table, or their key in JSON lines; `a.b` is the key b within a
    /// [default: text]
    #[arg(long = "text-column", id = "text_column", value_name = "NAME")]
    #[serde(rename = "text_column")]
    pub text: Option<String>,

    /// Column of the second segments; an empty cell means none [default: text_pair]
    #[arg(long = "pair-column", id = "pair_column", value_name = "NAME")]
    #[serde(rename = "pair_column")]
    pub pair: Option<String>,

    /// Column of the ids, strings or numbers; an empty cell means none [default: id]
    #[arg(long = "id-column", id = "id_column", value_name = "NAME")]
    #[serde(rename = "id_column")]
    pub id: Option<String>,

    /// Column of lists of words, instead of texts; jsonl and parquet only [default: words]
    #[arg(long = "words-column", id = "words_column", value_name = "NAME")]
    #[serde(rename = "words_column")]
    pub words: Option<String>,

    /// Columns to carry into the records, comma-separated, as the object `columns`. Times are in
    /// UTC; a number that is not finite is null
    #[arg(
        long = "keep-columns",
        id = "keep_columns",
        value_name = "LIST",
        value_delimiter = ','
    )]
    #[serde(rename = "keep_columns")]
    pub keep: Vec<String>,
}

impl ColumnNames {
    pub(super) fn text(&self) -> &str {
        self.text.as_deref().unwrap_or("text")
    }

    pub(super) fn pair(&self) -> &str {
        self.pair.as_deref().unwrap_or("text_pair")
    }

    pub(super) fn id(&self) -> &str {
        self.id.as_deref().unwrap_or("id")
    }

    pub(super) fn words(&self) -> &str {
        self.words.as_deref().unwrap_or("words")
    }

    pub(crate) fn given(&self) -> impl Iterator<Item = &'static str> {
        let options = [
            ("--text-column", self.text.is_some()),
            ("--pair-column", self.pair.is_some()),
            ("--id-column", self.id.is_some()),
            ("--words-column", self.words.is_some()),
            ("--keep-columns", !self.keep.is_empty()),
        ];
        let given = options.into_iter().filter(|(_, is_given)| *is_given);
        given.map(|(option, _)| option)
    }

    /// The named columns that a text may lack.
    pub(super) fn optional(&self) -> Vec<String> {
        let named = [&self.pair, &self.id].into_iter().flatten();
        named.chain(&self.keep).cloned().collect()
    }

    #[cfg(feature = "parquet")]
    pub(super) fn uses(&self, name: &str) -> bool {
        let parts = [self.text(), self.pair(), self.id(), self.words()];
        parts.contains(&name) || self.keep.iter().any(|kept| kept == name)
    }

    /// Whether the column of words is read. If the user did not name it, it must be a list of
    /// strings (`is_list`), because a column `words` may also hold a count.
    pub(super) fn takes_words(&self, has_text: bool, is_list: bool) -> bool {
        match (&self.text, &self.words) {
            (_, Some(_)) => true,
            (Some(_), None) => !has_text,
            (None, None) => !has_text || is_list,
        }
    }

    /// Whether the column of the text is read: not if the user named only the words and the row has
    /// some.
    pub(super) fn takes_text(&self, has_words: bool) -> bool {
        self.text.is_some() || self.words.is_none() || !has_words
    }

    /// The first segment of a row, which must have either `text` or `words`.
    pub(super) fn first(
        &self,
        text: Option<String>,
        words: Option<Vec<String>>,
        text_is_null: bool,
    ) -> std::result::Result<Segment, String> {
        match (text, words) {
            (Some(text), None) => Ok(Segment::Text(text)),
            (None, Some(words)) => Ok(Segment::Words(words)),
            (None, None) if text_is_null => Err(format!("its `{}` is null", self.text())),
            (None, None) => {
                let (text, words) = (self.text(), self.words());
                Err(format!("it has neither `{text}` nor `{words}`"))
            }
            (Some(_), Some(_)) => Err(format!(
                "it has both `{text}` and `{words}`: name one of them, with --text-column {text} \
                 or --words-column {words}",
                text = self.text(),
                words = self.words()
            )),
        }
    }

    /// An id that is neither a string nor a number is an error only if the user has named it.
    pub(super) fn asked_id(
        &self,
        id: Option<std::result::Result<Id, String>>,
    ) -> std::result::Result<Option<Id>, String> {
        match id {
            Some(Err(_)) if self.id.is_none() => Ok(None),
            id => id.transpose(),
        }
    }

    /// The columns that are carried into the record as one JSON object, from their JSON values;
    /// `None` if there are none.
    pub(super) fn kept<V: AsRef<str>, E>(
        &self,
        values: impl Iterator<Item = std::result::Result<V, E>>,
    ) -> std::result::Result<Option<String>, E> {
        if self.keep.is_empty() {
            return Ok(None);
        }
        let mut object = String::from("{");
        for (name, value) in self.keep.iter().zip(values) {
            if object.len() > 1 {
                object.push(',');
            }
            object.push_str(&json_string(name));
            object.push(':');
            object.push_str(value?.as_ref());
        }
        object.push('}');
        Ok(Some(object))
    }
}

/// What is wrong in the column `name`.
pub(super) fn in_column(name: &str, cause: &str) -> String {
    format!("`{name}`: {cause}")
}

pub(super) fn json_string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ColumnPlaces {
    pub(super) text: Option<usize>,
    pub(super) words: Option<usize>,
    pub(super) pair: Option<usize>,
    pub(super) id: Option<usize>,
    pub(super) keep: Vec<usize>,
}

impl ColumnPlaces {
    /// Finds `names` in `header`; the words only if the table can hold lists.
    ///
    /// # Errors
    /// [`Kind::Usage`] if a column is missing or a name occurs twice.
    pub(super) fn find(
        names: &ColumnNames,
        header: &[String],
        table: &str,
        has_lists: bool,
    ) -> Result<Self> {
        let place = |name: &str| {
            let mut places = (0..header.len()).filter(|&place| header[place] == name);
            match (places.next(), places.next()) {
                (Some(_), Some(_)) => Err(Error::message(
                    Kind::Usage,
                    format!("`{table}` has more than one column `{name}`"),
                )),
                (place, _) => Ok(place),
            }
        };
        let missing = |name: &str| missing(name, header, table);
        let required = |name: &str| place(name)?.ok_or_else(|| missing(name));
        let find = |typed: &Option<String>, default: &str| match typed {
            Some(name) => required(name).map(Some),
            None => place(default),
        };
        let keep = names.keep.iter().map(|name| required(name));
        let words = || has_lists.then(|| find(&names.words, names.words()));
        let places = Self {
            text: find(&names.text, names.text())?,
            words: words().transpose()?.flatten(),
            pair: find(&names.pair, names.pair())?,
            id: find(&names.id, names.id())?,
            keep: keep.collect::<Result<_>>()?,
        };
        if places.text.is_none() && places.words.is_none() {
            return Err(missing(names.text()).with_tip("name the column with --text-column"));
        }
        Ok(places)
    }
}

fn missing(name: &str, header: &[String], table: &str) -> Error {
    let columns = listed(header);
    Error::message(
        Kind::Usage,
        format!("`{table}` has no column `{name}`: its columns are {columns}"),
    )
}

/// The names, separated by commas; more than 30 would fill the screen.
pub(super) fn listed(names: &[String]) -> String {
    const SHOWN: usize = 30;
    let mut list = names[..names.len().min(SHOWN)].join(", ");
    if names.len() > SHOWN {
        list = format!("{list} and {} more", names.len() - SHOWN);
    }
    list
}
