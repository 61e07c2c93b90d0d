//! Reads `modules.json` of a sentence-transformers model and the files of the modules after the
//! encoder.

use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{
    Dense, DenseActivation, EncoderConfig, PoolingMode, SentenceConfig, SentenceLayer,
    SentenceTransformer,
};
use crate::checkpoint::directory::{could_not_use, is_plain_name, model_error, read_optional};
use crate::checkpoint::files::{CONFIG, MODULES, SENTENCE_CONFIG, SENTENCE_CONFIGS};
use crate::checkpoint::modules::ListedModule;
use crate::error::{Classify, Error, Kind, Result};
use crate::vectors::all_finite;
use crate::weights;

/// The size limit of each file, enough for thousands of prompts.
const MAX_BYTES: u64 = 4 << 20;

/// `1_Pooling/config.json`; releases before 6 wrote a flag for each mode.
#[derive(Deserialize)]
#[allow(clippy::struct_excessive_bools, reason = "each is a key of the file")]
struct PoolingConfig {
    pooling_mode: Option<Names>,
    #[serde(default)]
    pooling_mode_cls_token: bool,
    #[serde(default)]
    pooling_mode_max_tokens: bool,
    #[serde(default)]
    pooling_mode_mean_tokens: bool,
    #[serde(default)]
    pooling_mode_mean_sqrt_len_tokens: bool,
    #[serde(default)]
    pooling_mode_weightedmean_tokens: bool,
    #[serde(default)]
    pooling_mode_lasttoken: bool,
    #[serde(default = "yes")]
    include_prompt: bool,
}

#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "`pooling_mode` is neither a name nor a list of names"
)]
enum Names {
    One(String),
    Many(Vec<String>),
}

/// The modes by name, in the order of their vectors if each has a flag.
const POOLING_MODES: [(&str, PoolingMode); 6] = [
    ("cls", PoolingMode::First),
    ("max", PoolingMode::Max),
    ("mean", PoolingMode::Mean),
    ("mean_sqrt_len_tokens", PoolingMode::MeanSqrtLenTokens),
    ("weightedmean", PoolingMode::WeightedMean),
    ("lasttoken", PoolingMode::Last),
];

impl PoolingConfig {
    /// The modes in the order of their vectors; the mean if none is set.
    ///
    /// # Errors
    /// A name is unknown.
    fn modes(&self) -> std::result::Result<Vec<PoolingMode>, String> {
        let flags = [
            self.pooling_mode_cls_token,
            self.pooling_mode_max_tokens,
            self.pooling_mode_mean_tokens,
            self.pooling_mode_mean_sqrt_len_tokens,
            self.pooling_mode_weightedmean_tokens,
            self.pooling_mode_lasttoken,
        ];
        let modes = match &self.pooling_mode {
            Some(Names::One(name)) => vec![by_name(name)?],
            Some(Names::Many(names)) => names
                .iter()
                .map(|name| by_name(name))
                .collect::<std::result::Result<_, _>>()?,
            None => {
                let set = flags.iter().zip(POOLING_MODES).filter(|(set, _)| **set);
                set.map(|(_, (_, mode))| mode).collect()
            }
        };
        Ok(if modes.is_empty() {
            vec![PoolingMode::Mean]
        } else {
            modes
        })
    }
}

fn by_name(name: &str) -> std::result::Result<PoolingMode, String> {
    let found = POOLING_MODES.iter().find(|(known, _)| *known == name);
    found.map(|&(_, mode)| mode).ok_or_else(|| {
        let known = POOLING_MODES.map(|(known, _)| known).join(", ");
        format!("its pooling mode `{name}` is not supported: {known} are")
    })
}

/// `2_Dense/config.json`.
#[derive(Deserialize)]
struct DenseConfig {
    in_features: usize,
    out_features: usize,
    #[serde(default = "yes")]
    bias: bool,
    activation_function: Option<String>,
    #[serde(default)]
    use_residual: bool,
    module_input_name: Option<String>,
    module_output_name: Option<String>,
}

fn yes() -> bool {
    true
}

impl SentenceConfig {
    /// Reads the file in `directory`; the default if it is missing.
    ///
    /// # Errors
    /// [`Kind::Model`]: the file cannot be used.
    pub(crate) fn read(directory: &Path) -> Result<Self> {
        ModuleReader { directory }.optional(Path::new("config_sentence_transformers.json"))
    }
}

impl SentenceTransformer {
    /// Reads the modules of the model in `directory`, whose rows have `hidden` values.
    ///
    /// # Errors
    /// [`Kind::Model`]: there is no `modules.json`, a module is unknown, a file is missing or
    /// damaged, or the widths of two modules differ.
    pub(crate) fn read(directory: &Path, hidden: usize) -> Result<Self> {
        let reader = ModuleReader { directory };
        let modules: Vec<ListedModule> = reader.required(Path::new(MODULES))?;
        let [encoder, pooling, rest @ ..] = &modules[..] else {
            return Err(reader.refuse("it has no pooling after the encoder"));
        };
        reader.expect(encoder, "Transformer")?;
        reader.expect(pooling, "Pooling")?;
        let config: PoolingConfig = reader.required(&reader.file(pooling, CONFIG)?)?;
        let pooling_modes = config.modes().map_err(|cause| reader.refuse(&cause))?;
        let mut width = pooling_modes.len() * hidden;
        let mut layers = Vec::new();
        for module in rest {
            match reader.kind(module)? {
                "Normalize" => layers.push(SentenceLayer::Normalize),
                // It only acts while a model is trained.
                "Dropout" => {}
                "Dense" => {
                    let dense = reader.dense(module, width)?;
                    width = dense.out_features;
                    layers.push(SentenceLayer::Dense(dense));
                }
                other => return Err(reader.unknown(other)),
            }
        }
        Ok(Self {
            pooling_modes,
            include_prompt: config.include_prompt,
            layers,
            encoder: reader.encoder(encoder)?,
            config: SentenceConfig::read(directory)?,
        })
    }
}

struct ModuleReader<'a> {
    directory: &'a Path,
}

impl ModuleReader<'_> {
    fn required<T: DeserializeOwned>(&self, file: &Path) -> Result<T> {
        self.parse(file)?.ok_or_else(|| self.missing(file))
    }

    /// The first of the files that may say how texts become tokens; the default if there is none.
    fn encoder(&self, module: &ListedModule) -> Result<EncoderConfig> {
        for name in std::iter::once(SENTENCE_CONFIG).chain(SENTENCE_CONFIGS) {
            if let Some(config) = self.parse(&self.file(module, name)?)? {
                return Ok(config);
            }
        }
        Ok(EncoderConfig::default())
    }

    fn optional<T: DeserializeOwned + Default>(&self, file: &Path) -> Result<T> {
        Ok(self.parse(file)?.unwrap_or_default())
    }

    /// The content of `file`; `None` if it is missing.
    fn parse<T: DeserializeOwned>(&self, file: &Path) -> Result<Option<T>> {
        let Some(content) = read_optional(self.directory, file, MAX_BYTES)? else {
            return Ok(None);
        };
        serde_json::from_slice(&content)
            .context("it is not what sentence-transformers writes")
            .with_context(|| could_not_use(&self.directory.join(file)))
            .kind(Kind::Model)
    }

    /// `name` in the folder of `module`, which must be in the model's directory.
    fn file(&self, module: &ListedModule, name: &str) -> Result<PathBuf> {
        let path = &module.path;
        if is_plain_name(path) {
            return Ok(Path::new(path).join(name));
        }
        Err(self.refuse(&format!(
            "the path `{path}` is not a folder in the model's directory"
        )))
    }

    /// The class of `module` without its package.
    fn kind<'a>(&self, module: &'a ListedModule) -> Result<&'a str> {
        if module.class.starts_with("sentence_transformers.") {
            return Ok(module.class());
        }
        Err(self.unknown(&module.class))
    }

    fn expect(&self, module: &ListedModule, wanted: &str) -> Result<()> {
        match self.kind(module)? {
            kind if kind == wanted => Ok(()),
            other => Err(self.unknown(other)),
        }
    }

    fn dense(&self, module: &ListedModule, width: usize) -> Result<Dense> {
        let config: DenseConfig = self.required(&self.file(module, CONFIG)?)?;
        let DenseConfig {
            in_features,
            out_features,
            ..
        } = config;
        if in_features != width {
            return Err(self.refuse(&format!(
                "`{}` takes {in_features} features, but gets {width}",
                module.path
            )));
        }
        let sentence = |name: &Option<String>| {
            name.as_deref()
                .is_none_or(|name| name == "sentence_embedding")
        };
        if !sentence(&config.module_input_name) || !sentence(&config.module_output_name) {
            return Err(self.refuse(&format!(
                "`{}` does not work on `sentence_embedding`",
                module.path
            )));
        }
        if config.use_residual && in_features != out_features {
            return Err(self.refuse(&format!(
                "`{}` has a residual with weights, which is not supported",
                module.path
            )));
        }
        let activation = self.activation(config.activation_function.as_deref())?;
        let (weight, bias) = self.dense_weights(module, &config)?;
        Ok(Dense {
            weight,
            bias,
            in_features,
            out_features,
            activation,
            use_residual: config.use_residual,
        })
    }

    /// The weight and the bias, which is empty if there is none.
    fn dense_weights(
        &self,
        module: &ListedModule,
        config: &DenseConfig,
    ) -> Result<(Vec<f32>, Vec<f32>)> {
        let (_, stored) = weights::open(&self.directory.join(&module.path))?;
        let numbers = |name: &str, shape: &[usize]| {
            let tensor = stored
                .get(name)
                .ok_or_else(|| self.refuse(&format!("`{}` has no `{name}`", module.path)))?;
            let view = tensor.shaped(name, shape).kind(Kind::Model)?;
            let values = view.to_f32();
            if all_finite(&values) {
                return Ok(values);
            }
            let cause = format!(
                "`{name}` of `{}` has values that are not finite",
                module.path
            );
            Err(self.refuse(&cause))
        };
        let weight = numbers("linear.weight", &[config.out_features, config.in_features])?;
        let bias = if config.bias {
            numbers("linear.bias", &[config.out_features])?
        } else {
            Vec::new()
        };
        Ok((weight, bias))
    }

    fn activation(&self, class: Option<&str>) -> Result<DenseActivation> {
        let name = class.map_or("Tanh", |class| {
            let known = class.strip_prefix("torch.nn.modules.");
            known.and_then(|name| name.rsplit('.').next()).unwrap_or("")
        });
        Ok(match name {
            "Tanh" => DenseActivation::Tanh,
            "Identity" => DenseActivation::Identity,
            "ReLU" => DenseActivation::Relu,
            "GELU" => DenseActivation::Gelu,
            "Sigmoid" => DenseActivation::Sigmoid,
            _ => {
                return Err(self.refuse(&format!(
                    "the activation `{}` is not supported: Tanh, Identity, ReLU, \
                     GELU and Sigmoid are",
                    class.unwrap_or(name)
                )));
            }
        })
    }

    fn missing(&self, file: &Path) -> Error {
        let error = self.refuse(&format!("there is no `{}`", file.display()));
        if file == Path::new(MODULES) {
            return error
                .with_tip("use --pooling mean, as sentence-transformers does for such a model");
        }
        error
    }

    fn unknown(&self, kind: &str) -> Error {
        self.refuse(&format!(
            "its module `{kind}` is not supported: Transformer, Pooling, Dense, \
             Normalize and Dropout are"
        ))
    }

    fn refuse(&self, cause: &str) -> Error {
        model_error(cause).context(format!(
            "could not pool as the model in `{}` says",
            self.directory.display()
        ))
    }
}
