//! The prefix that a checkpoint puts before the names of its tensors.

use anyhow::{Result, anyhow, bail};

use crate::checkpoint::ModelType;

/// The tensor that every model has, by which the prefix is found.
const WORD_EMBEDDINGS_WEIGHT: &str = "embeddings.word_embeddings.weight";

/// Prefixes of models that are not taken, but whose tensors are named as BERT's.
const OTHER_MODELS: [&str; 3] = ["layoutlm", "camembert", "xlm_roberta"];

/// The prefix of `embeddings.word_embeddings.weight` in `names`: empty, `bert.` or another.
///
/// # Errors
/// There is no such name, there are several, the prefix belongs to another type of model, or there
/// is an adapter.
pub(super) fn prefix<'a>(
    names: impl Iterator<Item = &'a str>,
    model_type: ModelType,
) -> Result<&'a str> {
    let names: Vec<&str> = names.collect();
    if let Some(name) = names.iter().find(|name| name.contains(".lora_")) {
        bail!(
            "they hold `{name}` of an adapter (LoRA), which would change the vectors \
             and is not read"
        );
    }
    let prefixes: Vec<&str> = names
        .into_iter()
        .filter_map(|name| name.strip_suffix(WORD_EMBEDDINGS_WEIGHT))
        .filter(|prefix| prefix.is_empty() || prefix.ends_with('.'))
        .collect();
    match prefixes[..] {
        [] => bail!(
            "they hold no tensor `{WORD_EMBEDDINGS_WEIGHT}`, with or without a prefix: \
             this is not {}",
            in_words(model_type)
        ),
        [prefix] => check_prefix(prefix, model_type).map(|()| prefix),
        [first, second, ..] => bail!(
            "they hold {} models: `{first}{WORD_EMBEDDINGS_WEIGHT}` \
             and `{second}{WORD_EMBEDDINGS_WEIGHT}`",
            prefixes.len()
        ),
    }
}

/// As transformers, which would otherwise leave every tensor at random values.
fn check_prefix(prefix: &str, model_type: ModelType) -> Result<()> {
    let last_part = prefix.trim_end_matches('.').rsplit('.').next();
    let own = model_type.facts().tensors.prefix;
    let Some(part) = last_part.filter(|part| *part != own) else {
        return Ok(());
    };
    let mut known = ModelType::ALL.iter().map(|it| it.facts().tensors.prefix);
    if OTHER_MODELS.contains(&part) || known.any(|known| known == part) {
        return Err(anyhow!(
            "they begin with `{prefix}`: this is a model of type {part}, not {}",
            in_words(model_type)
        ));
    }
    Ok(())
}

/// The type as messages name it.
fn in_words(model_type: ModelType) -> &'static str {
    match model_type {
        ModelType::Bert => "BERT",
        other => other.name(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_precedes_the_word_embeddings() {
        for expected in ["", "bert.", "0.auto_model.", "model.bert."] {
            let name = format!("{expected}{WORD_EMBEDDINGS_WEIGHT}");
            let names = ["cls.predictions.bias", &name, "embeddings.other"];
            assert_eq!(
                prefix(names.into_iter(), ModelType::Bert).expect("one prefix"),
                expected
            );
        }
    }

    #[test]
    fn no_prefix_two_prefixes_and_other_models_are_refused_by_name() {
        let cases: [(&[&str], &str); 4] = [
            (&["lm_head.weight"], "this is not BERT"),
            (&["unembeddings.word_embeddings.weight"], "this is not BERT"),
            (
                &[
                    "a.embeddings.word_embeddings.weight",
                    "b.embeddings.word_embeddings.weight",
                ],
                "2 models: `a.embeddings",
            ),
            (
                &["roberta.embeddings.word_embeddings.weight"],
                "type roberta",
            ),
        ];
        for (names, words) in cases {
            let message = prefix(names.iter().copied(), ModelType::Bert);
            let message = message.expect_err(words).to_string();
            assert!(message.contains(words), "{message}");
        }
    }
}
