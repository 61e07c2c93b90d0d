//! Which texts of the input a run embeds; every text keeps its place in the whole input. The doc
//! comments are the help.

use std::str::FromStr;

use clap::Args;
use serde::{Serialize, Serializer};

use super::{InputItem, Items};
use crate::error::Result;

/// Which texts of the input a run embeds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Args, Serialize)]
pub(crate) struct TextSelection {
    /// Skip the first K texts
    #[arg(long, value_name = "K", default_value_t, allow_negative_numbers = true)]
    pub skip: u64,

    /// Read at most K texts, after the skipped ones
    #[arg(long, value_name = "K", allow_negative_numbers = true)]
    pub limit: Option<u64>,

    /// Embed only every Nth text, from text I on, counted from 0; `index` stays the place in the
    /// whole input
    #[arg(long, value_name = "I/N", allow_hyphen_values = true)]
    pub shard: Option<Shard>,
}

/// Every `count`-th text, starting at `index`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shard {
    index: u64,
    count: u64,
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(typed: &str) -> std::result::Result<Self, String> {
        let parts = typed.split_once('/');
        match parts.map(|(index, count)| (index.parse(), count.parse())) {
            Some((Ok(index), Ok(count))) if index < count => Ok(Self { index, count }),
            _ => Err("allowed is I/N, with I from 0 to N - 1".to_owned()),
        }
    }
}

impl std::fmt::Display for Shard {
    fn fmt(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(formatter, "{}/{}", self.index, self.count)
    }
}

impl Serialize for Shard {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl TextSelection {
    pub(crate) fn is_all(&self) -> bool {
        *self == Self::default()
    }

    fn contains(&self, index: u64) -> bool {
        let is_in_shard = |shard: Shard| index % shard.count == shard.index;
        index >= self.skip && self.shard.is_none_or(is_in_shard)
    }

    /// Numbers the texts and drops those that are not selected.
    pub(super) fn apply(self, mut items: Items) -> impl Iterator<Item = Result<InputItem>> {
        let end = self.limit.map(|limit| self.skip.saturating_add(limit));
        let end = end.unwrap_or(u64::MAX);
        let mut next = 0;
        let numbered = std::iter::from_fn(move || {
            // Nothing is read after the last text.
            let mut item = (next < end).then(|| items.next())??;
            if let Ok(item) = &mut item {
                let index = next + item.skipped;
                item.set_index(index);
                next = index + 1;
            }
            Some((next <= end).then_some(item))
        });
        let selected = move |item: &Result<InputItem>| match item {
            Ok(item) => self.contains(item.index()),
            Err(_) => true,
        };
        numbered.map_while(|item| item).filter(selected)
    }
}
