//! What must hold between the options of a run, whatever the model.

use super::{LEAST_TOKENS, Options};
use crate::error::{Result, usage};
use crate::ops::device::DeviceChoice;
use crate::record::Field;
use crate::tokenize::{OnLong, Padding};
use crate::vectors::LayerMerge;

impl Options {
    /// Checks that no option contradicts another or would have no effect.
    ///
    /// # Errors
    /// [`Kind::Usage`](crate::error::Kind::Usage), naming both options.
    pub(crate) fn check(&self) -> Result<()> {
        self.check_least()?;
        self.check_needs()?;
        let is_candle = match self.device {
            DeviceChoice::Auto | DeviceChoice::Cpu => false,
            DeviceChoice::Cuda(_) | DeviceChoice::CandleCpu => true,
        };
        if self.dtype.is_integer() && is_candle {
            return usage(
                "--dtype int16 and int8 are for the CPU: a GPU does not compute in integers",
                "use --device cpu, or --dtype f16",
            );
        }
        if self.on_long == OnLong::Window && self.padding != Padding::None {
            return usage(
                "--padding and --on-long window do not go together: a record of \
                 several windows has more than --max-length tokens",
                "leave --padding out",
            );
        }
        Ok(())
    }

    /// The command line has checked this already, but not the fields that a program sets.
    fn check_least(&self) -> Result<()> {
        let least = [
            ("--max-length", self.max_length, LEAST_TOKENS),
            ("--truncate-dim", self.truncate_dim, 1),
            ("--threads", self.threads.map(u32::from), 1),
            ("--batch-tokens", self.batch_tokens, 1),
        ];
        for (option, value, least) in least {
            if value.is_some_and(|value| value < least) {
                return usage(
                    &format!("{option} must be at least {least}"),
                    &format!("leave {option} out"),
                );
            }
        }
        Ok(())
    }

    fn check_needs(&self) -> Result<()> {
        let (has_pooling, has_word_pooling) = (self.pooling.is_some(), self.word_pooling.is_some());
        let has_windows = self.on_long == OnLong::Window;
        let merges = self.layer_merge != LayerMerge::None;
        let (embedding, words) = ("the field `embedding`", "the field `words`");
        let asked = |field| self.fields.contains(&field);
        for (is_given, option, has_needed, needed, value) in [
            (
                asked(Field::Embedding),
                embedding,
                has_pooling,
                "--pooling",
                "mean",
            ),
            (
                asked(Field::Words),
                words,
                has_word_pooling,
                "--word-pooling",
                "mean",
            ),
            (
                self.truncate_dim.is_some(),
                "--truncate-dim",
                has_pooling,
                "--pooling",
                "mean",
            ),
            (
                self.normalize,
                "--normalize",
                has_pooling,
                "--pooling",
                "mean",
            ),
            (
                merges,
                "--layer-merge",
                !self.layers.is_empty(),
                "--layers",
                "-4,-3,-2,-1",
            ),
            (
                self.stride.is_some(),
                "--stride",
                has_windows,
                "--on-long window",
                "",
            ),
        ] {
            if is_given && !has_needed {
                let tip = format!("add {needed} {value}");
                return usage(&format!("{option} needs {needed}"), tip.trim_end());
            }
        }
        Ok(())
    }
}
