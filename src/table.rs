//! Enums with a row of facts for each variant, so that each fact has one place and none is
//! forgotten.

/// Defines an enum whose variants each have a row: an expression of the type after the colon.
///
/// `ALL` lists the variants in order, `spec()` gives a variant's row, and the doc comments are the
/// help. A row has the variant's `name` on the command line and `is_typed`: whether a user may type
/// it.
macro_rules! table {
    (
        $(#[$attribute:meta])*
        $visibility:vis enum $Name:ident: $Row:ty {
            $($(#[doc = $doc:literal])+ $Variant:ident = $row:expr;)+
        }
    ) => {
        $(#[$attribute])*
        $visibility enum $Name {
            $($(#[doc = $doc])+ $Variant,)+
        }

        impl $Name {
            /// Every variant, in order.
            $visibility const ALL: &'static [Self] = &[$(Self::$Variant),+];

            /// The variant's row.
            pub(crate) fn spec(self) -> $Row {
                match self {
                    $(Self::$Variant => $row,)+
                }
            }

            fn help(self) -> &'static str {
                match self {
                    $(Self::$Variant => concat!($($doc),+).trim(),)+
                }
            }
        }

        /// As on the command line.
        impl serde::Serialize for $Name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.spec().name)
            }
        }

        impl clap::ValueEnum for $Name {
            fn value_variants<'a>() -> &'a [Self] {
                static TYPED: std::sync::LazyLock<Vec<$Name>> = std::sync::LazyLock::new(|| {
                    let all = $Name::ALL.iter().copied();
                    all.filter(|variant| variant.spec().is_typed).collect()
                });
                &TYPED
            }

            fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
                let value = clap::builder::PossibleValue::new(self.spec().name);
                Some(value.help(self.help()))
            }
        }
    };
}

pub(crate) use table;

/// `a, b or c`
pub(crate) fn or_list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<_> = names.collect();
    match names.split_last() {
        Some((last, first)) if !first.is_empty() => format!("{} or {last}", first.join(", ")),
        _ => names.concat(),
    }
}
