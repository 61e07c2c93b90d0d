//! Three threads that hand batches on: read and tokenize, encode, format and write.
//!
//! Owns the threads and the order. The encoder waits neither for text nor for numbers to be
//! printed; the queues between the threads are short, so memory does not grow with the input.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use candle_core::Tensor;

use crate::batch::{self, Item, Plan};
use crate::error::{Classify, Error, Kind, Result};
use crate::input::Texts;
use crate::model::{Batch, BertModel, Outputs, Wanted};
use crate::writer::{Tally, Writer};

/// Batches that may wait between two threads.
const BATCHES_AHEAD: usize = 2;

/// Neighbours in the input with what the encoder gave for them.
pub struct Encoded {
    /// In input order.
    pub items: Vec<Item>,
    /// The good ones' numbers.
    pub vectors: Vectors,
}

/// The outputs of one batch on the host.
pub struct Vectors {
    /// First row and number of rows of each good item.
    pub rows: Vec<(usize, usize)>,
    /// `[tokens × hidden]`; empty where not wanted.
    pub last_hidden_state: Vec<f32>,
    /// `[items × hidden]`; `None` where not wanted or not there.
    pub pooler_output: Option<Vec<f32>>,
    /// `[layers][tokens × hidden]`
    pub hidden_states: Vec<Vec<f32>>,
}

/// Takes every text to its record.
///
/// # Errors
/// The first error of any thread, the writer's first: where nobody reads the output any more the
/// others only see a closed queue.
pub fn run(
    texts: Texts,
    plan: Plan,
    model: &BertModel,
    wanted: &Wanted,
    writer: Writer,
) -> Result<Tally> {
    let (to_tokenizer, arrivals) = sync_channel(batch::TEXTS_AHEAD);
    let (to_encoder, batches) = sync_channel(BATCHES_AHEAD);
    let (to_writer, encoded) = sync_channel(BATCHES_AHEAD);
    thread::scope(|scope| {
        // Not joined: a read from a terminal or a pipe may never return.
        thread::spawn(move || batch::read(texts, &to_tokenizer));
        let tokenizing = scope.spawn(move || batch::prepare(plan, &arrivals, &to_encoder));
        let writing = scope.spawn(move || write(writer, &encoded));
        let encoding = encode(model, wanted, &batches, &to_writer);
        drop((batches, to_writer));
        let writer = join(writing)?;
        encoding?;
        join(tokenizing)?;
        writer.finish()
    })
}

/// What a thread returned; its panic goes on here.
fn join<T>(thread: thread::ScopedJoinHandle<Result<T>>) -> Result<T> {
    thread
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn encode(
    model: &BertModel,
    wanted: &Wanted,
    from: &Receiver<Vec<Item>>,
    to: &SyncSender<Encoded>,
) -> Result<()> {
    for items in from {
        let vectors = Vectors::compute(model, wanted, &items)?;
        if to.send(Encoded { items, vectors }).is_err() {
            break;
        }
    }
    Ok(())
}

fn write<'a>(mut writer: Writer<'a>, from: &Receiver<Encoded>) -> Result<Writer<'a>> {
    while let Ok(encoded) = from.recv() {
        writer.write(&encoded)?;
        while let Ok(next) = from.try_recv() {
            writer.write(&next)?;
        }
        // Nothing more has been computed: whoever waits for these records gets them now.
        writer.flush()?;
    }
    Ok(writer)
}

impl Vectors {
    /// The outputs of the good ones among `items`.
    ///
    /// # Errors
    /// [`Kind::Device`] where the device fails, [`Kind::Model`] where a number is not finite.
    fn compute(model: &BertModel, wanted: &Wanted, items: &[Item]) -> Result<Self> {
        let mut batch = Batch::default();
        for (_, encoding) in items.iter().flatten() {
            batch.push(
                &encoding.input_ids,
                &encoding.token_type_ids,
                encoding.attended,
            );
        }
        if batch.sequences.is_empty() {
            return Ok(Self::none());
        }
        let Outputs {
            last_hidden_state,
            pooler_output,
            hidden_states,
        } = model.forward(&batch, wanted)?;
        Ok(Self {
            rows: batch
                .sequences
                .iter()
                .map(|sequence| (sequence.start, sequence.tokens))
                .collect(),
            last_hidden_state: last_hidden_state
                .as_ref()
                .map(host)
                .transpose()?
                .unwrap_or_default(),
            pooler_output: pooler_output.as_ref().map(host).transpose()?,
            hidden_states: hidden_states.iter().map(host).collect::<Result<_>>()?,
        })
    }

    fn none() -> Self {
        Self {
            rows: Vec::new(),
            last_hidden_state: Vec::new(),
            pooler_output: None,
            hidden_states: Vec::new(),
        }
    }
}

/// The numbers of `tensor`, all of them finite.
fn host(tensor: &Tensor) -> Result<Vec<f32>> {
    let numbers = tensor
        .flatten_all()
        .and_then(|flat| flat.to_vec1::<f32>())
        .kind(Kind::Device)?;
    if numbers.iter().all(|number| number.is_finite()) {
        return Ok(numbers);
    }
    Err(Error::message(
        Kind::Model,
        "its output is not finite: the weights hold NaN, infinity or numbers too large",
    )
    .context("could not use the model"))
}
