//! One entry of `--layers`: a layer, a range of layers, or all of them.

use std::fmt::{self, Display, Formatter};
use std::ops::RangeInclusive;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use crate::error::{Error, Kind, Result, counted};

/// Layers from the first to the last, both included. 0 is the embedding output, negative numbers
/// count from the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayerRange {
    first: i64,
    last: i64,
}

impl LayerRange {
    /// The embedding output and every layer.
    pub const ALL: Self = Self { first: 0, last: -1 };

    /// The numbers of these layers, from 0, in a model that has `layers` after the embeddings.
    ///
    /// # Errors
    /// [`Kind::Usage`] if the model lacks one of them, or if there are none.
    pub(crate) fn numbers(self, layers: usize) -> Result<RangeInclusive<usize>> {
        let (first, last) = (number(self.first, layers)?, number(self.last, layers)?);
        if first > last {
            let cause = format!("--layers {self} is empty: layer {first} comes after layer {last}");
            return Err(Error::message(Kind::Usage, cause));
        }
        Ok(first..=last)
    }
}

fn number(layer: i64, layers: usize) -> Result<usize> {
    let count = layers + 1;
    let distance = usize::try_from(layer.unsigned_abs()).ok();
    let number = distance.and_then(|distance| {
        if layer < 0 {
            count.checked_sub(distance)
        } else {
            Some(distance)
        }
    });
    number.filter(|&number| number < count).ok_or_else(|| {
        let has = counted(layers as u64, "layer");
        Error::message(
            Kind::Usage,
            format!(
                "the model has no layer {layer}: it has {has}, \
                 so 0 to {layers} or -1 to -{count} are allowed"
            ),
        )
    })
}

impl From<i64> for LayerRange {
    fn from(layer: i64) -> Self {
        (layer..=layer).into()
    }
}

impl From<RangeInclusive<i64>> for LayerRange {
    fn from(range: RangeInclusive<i64>) -> Self {
        let (first, last) = range.into_inner();
        Self { first, last }
    }
}

impl FromStr for LayerRange {
    type Err = String;

    fn from_str(typed: &str) -> std::result::Result<Self, String> {
        let typed = typed.trim();
        let parse = |number: &str| number.trim().parse::<i64>();
        // The first character may be a sign.
        let dash = typed.char_indices().skip(1).find(|(_, it)| *it == '-');
        let ends = match dash {
            _ if typed == "all" => return Ok(Self::ALL),
            Some((at, _)) => (parse(&typed[..at]), parse(&typed[at + 1..])),
            None => (parse(typed), parse(typed)),
        };
        match ends {
            (Ok(first), Ok(last)) => Ok(Self { first, last }),
            _ => Err("allowed are numbers, ranges like 1-4 or -4--1, and all".to_owned()),
        }
    }
}

impl Display for LayerRange {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        match self {
            Self { first, last } if first == last => write!(f, "{first}"),
            Self { first, last } => write!(f, "{first}-{last}"),
        }
    }
}

impl Serialize for LayerRange {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_and_ranges_are_read_with_signs_and_spaces() {
        let numbers = |typed: &str| {
            let range = typed.parse::<LayerRange>().expect("it is read");
            let numbers = range.numbers(4);
            numbers.map(Iterator::collect::<Vec<_>>).ok()
        };
        assert_eq!(numbers("all"), Some(vec![0, 1, 2, 3, 4]));
        assert_eq!(numbers(" 3 "), Some(vec![3]));
        assert_eq!(numbers("-1"), Some(vec![4]));
        assert_eq!(numbers("1-3"), Some(vec![1, 2, 3]));
        assert_eq!(numbers("-3--1"), Some(vec![2, 3, 4]));
        assert_eq!(numbers("2 - -2"), Some(vec![2, 3]));
        assert_eq!(numbers("3-1"), None);
        assert_eq!(numbers("5"), None);
        assert_eq!(numbers("-6"), None);
        for wrong in ["", "-", "1-", "a", "1..3", "1-2-3"] {
            assert!(wrong.parse::<LayerRange>().is_err(), "{wrong}");
        }
    }
}
