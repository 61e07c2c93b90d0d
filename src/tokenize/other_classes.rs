//! The tokenizer classes of transformers 5.23 that this program does not run. transformers uses
//! `tokenizer.json` unchanged for a class that it does not have, but each of these would rebuild
//! the tokenizer in another way.

/// Their names without the suffix `Tokenizer`.
const NAMES: &str = "\
    Barthez Bartpho BertGeneration BertJapanese Bertweet BigBird BioGpt BlenderbotSmall \
    Blenderbot ByT5 CLIP CTRL Canine Character Clvp CodeGen CodeLlama Cohere CpmAnt Cpm \
    DPRContextEncoder DPRQuestionEncoder DPRReader Deberta DebertaV2 Dia Esm Esmc FNet FSMT \
    FastSpeech2Conformer Flaubert Funnel GPT2 GPTNeoXJapanese GPTNeoX GPTSw3 Gemma Herbert \
    Lasr LayoutLMv2 LayoutLMv3 LayoutXLM Llama Luke M2M100 MBart50 MBart MLuke Marian \
    MarkupLM Mecab Mgpstr MyT5 Nllb Nougat OpenAIGPT PLBart Parakeet Pegasus Perceiver \
    Phobert Pop2Piano ProphetNet Qwen2 Qwen3_5 Rag Reformer RemBert RoCBert RoFormer \
    SeamlessM4T Siglip2 Siglip Speech2Text SpeechT5 Splinter T5 Tapas Tipsv2 Udop VideoPrism \
    Vits Wav2Vec2CTC Wav2Vec2PhonemeCTC Whisper XGLM XLM XLNet";

/// Whether transformers has the class `name`, given without the suffix `Fast`.
pub(super) fn is_other_class(name: &str) -> bool {
    let stem = name.strip_suffix("Tokenizer");
    stem.is_some_and(|stem| NAMES.split_whitespace().any(|known| known == stem))
}
