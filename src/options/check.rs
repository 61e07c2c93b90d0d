//! What must hold between the options of a run, whatever the model.

use super::{LEAST_TOKENS, Options};
use crate::error::{Result, usage};
use crate::ops::device::DeviceChoice;
use crate::record::Field;
use crate::tokenize::{OnLong, Padding};
use crate::vectors::{LayerMerge, Pooling};

impl Options {
    /// Checks that no option contradicts another or would have no effect.
    ///
    /// # Errors
    /// [`Kind::Usage`](crate::error::Kind::Usage), naming both options.
    pub(crate) fn check(&self) -> Result<()> {
        self.check_least()?;
        self.check_needs()?;
        self.check_layers()?;
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

    fn check_layers(&self) -> Result<()> {
        let asked = |field| self.fields.contains(&field);
        let only_attentions =
            asked(Field::Attentions) && !asked(Field::HiddenStates) && !self.pools();
        if self.layer_merge != LayerMerge::None && only_attentions {
            return usage(
                "--layer-merge merges hidden states, but the only field of layers is `attentions`",
                "add hidden_states to --fields, or leave --layer-merge out",
            );
        }
        let of_last_layer = match self.pooling {
            Some(Pooling::Pooler) => "pooler",
            Some(Pooling::Model) => "model",
            Some(Pooling::Cls | Pooling::Mean | Pooling::Max) | None => return Ok(()),
        };
        if self.layers.is_empty() {
            return Ok(());
        }
        usage(
            &format!(
                "--pooling {of_last_layer} and --layers do not go together: it is computed from \
                 the last layer"
            ),
            "use --pooling cls, mean or max, or leave --layers out",
        )
    }

    fn check_needs(&self) -> Result<()> {
        let asked = |field| self.fields.contains(&field);
        let pooling = ("--pooling", self.pooling.is_some(), "add --pooling mean");
        let words = self.word_pooling.is_some();
        let words = ("--word-pooling", words, "add --word-pooling mean");
        let layers = (
            "--layers",
            !self.layers.is_empty(),
            "add --layers -4,-3,-2,-1",
        );
        let windows = self.on_long == OnLong::Window;
        let windows = ("--on-long window", windows, "add --on-long window");
        let merges = self.layer_merge != LayerMerge::None;
        let needs = [
            ("the field `embedding`", asked(Field::Embedding), pooling),
            ("the field `words`", asked(Field::Words), words),
            ("--truncate-dim", self.truncate_dim.is_some(), pooling),
            ("--normalize", self.normalize, pooling),
            ("--layer-merge", merges, layers),
            ("--stride", self.stride.is_some(), windows),
        ];
        for (option, is_given, (needed, is_met, tip)) in needs {
            if is_given && !is_met {
                return usage(&format!("{option} needs {needed}"), tip);
            }
        }
        Ok(())
    }
}
